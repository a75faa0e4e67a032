//! Changes that are not committed yet, laid over the committed entries in one ordered scan.

use std::ops::Bound;

use super::changes::Changes;
use super::key::prefix_end;
use super::rocks::{Rocks, StateError};
use super::store::ScanEnd;

/// A range of whole keys: those that start with a prefix, from behind a key or from the prefix on.
pub(super) struct ScanRange<'a> {
    prefix: &'a [u8],
    after: Option<&'a [u8]>,
    end: Option<Vec<u8>>,
}

impl<'a> ScanRange<'a> {
    pub(super) fn new(prefix: &'a [u8], after: Option<&'a [u8]>) -> Self {
        let end = prefix_end(prefix);
        Self { prefix, after, end }
    }

    fn start(&self) -> Bound<&'a [u8]> {
        match self.after {
            Some(after) => Bound::Excluded(after),
            None => Bound::Included(self.prefix),
        }
    }

    /// The changes of several epochs in the range, the later one's on top.
    pub(super) fn overlay<'c>(&self, epochs: impl IntoIterator<Item = &'c Changes>) -> Changes {
        let mut merged = Changes::default();
        for changes in epochs {
            for (key, value) in changes.range(self.start(), self.end.as_deref()) {
                merged.set(key, value);
            }
        }
        merged
    }

    /// Visits the entries of the range in order, as they are under the changes of `overlay`.
    pub(super) fn scan(
        &self,
        rocks: &Rocks,
        overlay: &Changes,
        mut visit: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StateError> {
        let mut overlay = overlay.range(self.start(), self.end.as_deref()).peekable();
        let mut going = true;
        rocks.scan(self.prefix, self.after.unwrap_or(self.prefix), |key, value| {
            if self.after == Some(key) {
                return true;
            }
            while let Some((changed, new)) = overlay.next_if(|(changed, _)| *changed < key) {
                going = new.is_none_or(|new| visit(changed, new));
                if !going {
                    return false;
                }
            }
            going = match overlay.next_if(|(changed, _)| *changed == key) {
                Some((_, new)) => new.is_none_or(|new| visit(key, new)),
                None => visit(key, value),
            };
            going
        })?;
        while going && let Some((changed, new)) = overlay.next() {
            going = new.is_none_or(|new| visit(changed, new));
        }
        Ok(())
    }
}

/// Hands entries on until there were enough of them, or one of them was refused.
pub(super) struct LimitedVisit<V> {
    visit: V,
    left: usize,
    last: Vec<u8>,
    failed: Option<StateError>,
    more: bool,
}

impl<V: FnMut(&[u8], &[u8]) -> Result<(), StateError>> LimitedVisit<V> {
    pub(super) fn new(limit: usize, visit: V) -> Self {
        Self {
            visit,
            left: limit,
            last: Vec::new(),
            failed: None,
            more: false,
        }
    }

    /// Hands on one entry; answers whether the scan goes on.
    pub(super) fn give(&mut self, key: &[u8], value: &[u8]) -> bool {
        if self.left == 0 {
            self.more = true;
            return false;
        }
        self.left -= 1;
        self.last.clear();
        self.last.extend_from_slice(key);
        match (self.visit)(key, value) {
            Ok(()) => true,
            Err(error) => {
                self.failed = Some(error);
                false
            }
        }
    }

    /// How far it came.
    pub(super) fn end(self) -> Result<ScanEnd, StateError> {
        match (self.failed, self.more) {
            (Some(error), _) => Err(error),
            (None, true) => Ok(ScanEnd::More(self.last)),
            (None, false) => Ok(ScanEnd::Complete),
        }
    }
}
