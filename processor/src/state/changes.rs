//! What one epoch changes: per key the last value, or its absence.

use std::collections::BTreeMap;
use std::ops::Bound;

/// Changes of one epoch, ordered by key. Memory only; becomes one write batch and one run of changelog records.
#[derive(Debug, Default, Clone)]
pub struct Changes {
    entries: BTreeMap<Box<[u8]>, Option<Box<[u8]>>>,
    bytes: usize,
}

/// Bytes that an entry costs beside its key and value: the tree's share and two allocations.
const ENTRY_OVERHEAD: usize = 64;

impl Changes {
    /// Sets a key to a value, or to nothing.
    pub fn set(&mut self, key: &[u8], value: Option<&[u8]>) {
        let value_len = value.map_or(0, <[u8]>::len);
        match self.entries.get_mut(key) {
            Some(slot) => {
                let old_len = slot.as_ref().map_or(0, |old| old.len());
                self.bytes = self.bytes - old_len + value_len;
                *slot = value.map(Box::from);
            }
            None => {
                self.bytes += key.len() + value_len + ENTRY_OVERHEAD;
                self.entries.insert(key.into(), value.map(Box::from));
            }
        }
    }

    /// What this epoch says of a key: outer `None` where it says nothing, inner `None` where it deletes it.
    pub fn get(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        self.entries.get(key).map(Option::as_deref)
    }

    /// Entries from `from` (or behind it) up to but without `end`, in order.
    pub fn range<'a>(
        &'a self,
        from: Bound<&'a [u8]>,
        end: Option<&'a [u8]>,
    ) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> {
        let end = end.map_or(Bound::Unbounded, Bound::Excluded);
        self.entries
            .range::<[u8], _>((from, end))
            .map(|(key, value)| (key.as_ref(), value.as_deref()))
    }

    /// All entries in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.entries.iter().map(|(key, value)| (key.as_ref(), value.as_deref()))
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when nothing changed.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Memory held, estimated.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}
