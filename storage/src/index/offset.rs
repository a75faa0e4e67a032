//! The offset index: where to begin looking for an offset.
//!
//! 8 bytes an entry, big-endian: offset of a batch's last record relative to the base offset (i32), file position of
//! that batch's first byte (i32). Sparse: one entry for each `index.interval.bytes` of log. Kafka: `OffsetIndex`.

use protocol::Offset;

use super::entries::Entry;

/// The last offset of a batch and where the batch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OffsetEntry {
    pub(crate) offset: Offset,
    pub(crate) position: u32,
}

impl Entry for OffsetEntry {
    const SIZE: usize = 8;

    fn encode(&self, base: Offset, out: &mut Vec<u8>) {
        let relative =
            i32::try_from(self.offset - base).expect("a segment rolls before a delta needs more than 32 bits");
        out.extend_from_slice(&relative.to_be_bytes());
        out.extend_from_slice(&self.position.to_be_bytes());
    }

    fn decode(base: Offset, bytes: &[u8]) -> Self {
        let (relative, position) = bytes.split_at(4);
        let relative = i32::from_be_bytes(relative.try_into().expect("an entry is 8 bytes"));
        let position = u32::from_be_bytes(position[..4].try_into().expect("an entry is 8 bytes"));
        Self {
            offset: base + Offset::from(relative),
            position,
        }
    }

    fn follows(&self, previous: &Self) -> bool {
        previous.offset < self.offset && previous.position < self.position
    }

    fn offset(&self) -> Offset {
        self.offset
    }
}
