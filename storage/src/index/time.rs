//! The time index: how far the timestamps of a segment had come at an offset.
//!
//! 12 bytes an entry, big-endian: largest timestamp so far (i64), last offset of the batch that brought it, relative to
//! the base offset (i32). No record at or below that offset is later. Kafka: `TimeIndex`.

use protocol::{Offset, TimestampMs};

use super::entries::Entry;

/// The largest timestamp up to and with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeEntry {
    pub(crate) timestamp: TimestampMs,
    pub(crate) offset: Offset,
}

impl Entry for TimeEntry {
    const SIZE: usize = 12;

    fn encode(&self, base: Offset, out: &mut Vec<u8>) {
        let relative =
            i32::try_from(self.offset - base).expect("a segment rolls before a delta needs more than 32 bits");
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(&relative.to_be_bytes());
    }

    fn decode(base: Offset, bytes: &[u8]) -> Self {
        let (timestamp, relative) = bytes.split_at(8);
        let timestamp = i64::from_be_bytes(timestamp.try_into().expect("an entry is 12 bytes"));
        let relative = i32::from_be_bytes(relative[..4].try_into().expect("an entry is 12 bytes"));
        Self {
            timestamp,
            offset: base + Offset::from(relative),
        }
    }

    fn follows(&self, previous: &Self) -> bool {
        previous.timestamp < self.timestamp && previous.offset < self.offset
    }

    fn offset(&self) -> Offset {
        self.offset
    }
}
