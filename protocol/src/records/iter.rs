//! Walking a run of batches, as a segment or a fetch response holds them.

use bytes::Bytes;

use super::{Batch, BatchError, BatchHeader};

/// Walks whole batches front to back; each shares the memory of the run.
///
/// At the first thing that is no whole batch it yields the error and then ends; [`BatchIter::position`] stays in front of
/// it. Whether that is a torn tail to be ignored or damage is for the caller to say.
#[derive(Debug, Clone)]
pub struct BatchIter {
    rest: Bytes,
    position: usize,
    failed: bool,
}

impl BatchIter {
    /// Starts at the front of `bytes`.
    #[must_use]
    pub const fn new(bytes: Bytes) -> Self {
        Self {
            rest: bytes,
            position: 0,
            failed: false,
        }
    }

    /// Bytes of the batches yielded so far.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.position
    }

    /// Bytes not yielded yet.
    #[must_use]
    pub const fn rest(&self) -> &Bytes {
        &self.rest
    }
}

impl Iterator for BatchIter {
    type Item = Result<Batch, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.rest.is_empty() {
            return None;
        }
        let parsed = Batch::parse_front(&self.rest);
        match &parsed {
            Ok(batch) => {
                let taken = self.rest.split_to(batch.bytes.len());
                self.position += taken.len();
            }
            Err(_) => self.failed = true,
        }
        Some(parsed)
    }
}

/// Walks headers over borrowed bytes: yields where each batch begins, its header, and all its bytes.
///
/// Ends like [`BatchIter`].
#[derive(Debug, Clone)]
pub struct HeaderIter<'a> {
    input: &'a [u8],
    position: usize,
    failed: bool,
}

impl<'a> HeaderIter<'a> {
    /// Starts at the front of `input`.
    #[must_use]
    pub const fn new(input: &'a [u8]) -> Self {
        Self {
            input,
            position: 0,
            failed: false,
        }
    }

    /// Bytes of the batches yielded so far.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.position
    }

    fn step(&mut self) -> Result<(usize, BatchHeader, &'a [u8]), BatchError> {
        let rest = self.input.get(self.position..).unwrap_or_default();
        let header = BatchHeader::parse(rest)?;
        let needed = header.total_len();
        let batch = rest.get(..needed).ok_or(BatchError::Truncated {
            needed,
            available: rest.len(),
        })?;
        let start = self.position;
        self.position += needed;
        Ok((start, header, batch))
    }
}

impl<'a> Iterator for HeaderIter<'a> {
    type Item = Result<(usize, BatchHeader, &'a [u8]), BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.input.len() <= self.position {
            return None;
        }
        let step = self.step();
        self.failed = step.is_err();
        Some(step)
    }
}
