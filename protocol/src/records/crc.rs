//! The checksum of a batch.

use super::header::CRC_START;

/// A batch whose bytes are not those that its checksum was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("batch says CRC {stored:#010x}, its bytes give {computed:#010x}")]
pub struct CrcMismatch {
    /// What the header says.
    pub stored: u32,
    /// What the bytes give.
    pub computed: u32,
}

/// CRC-32C of a whole batch's bytes, from the attributes to the end.
///
/// Shorter input than a header gives the checksum of nothing.
#[must_use]
pub fn batch_crc(batch: &[u8]) -> u32 {
    crc32c::crc32c(batch.get(CRC_START..).unwrap_or_default())
}
