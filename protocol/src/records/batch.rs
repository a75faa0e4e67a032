//! One whole batch: its parsed header and the bytes it came from.

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    BatchHeader, Codec, CrcMismatch, Decompressor, HEADER_LEN, RecordError, Records, TimestampType, batch_crc,
    compression::{compress, decompress},
};
use crate::ids::{LeaderEpoch, Offset, TimestampMs};

/// Why bytes are no batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Fewer bytes than the batch takes: a torn tail, or a fetch that ended inside a batch.
    #[error("batch needs {needed} bytes where {available} are there")]
    Truncated {
        /// Bytes of the batch, or of a header where not even that is there.
        needed: usize,
        /// Bytes there.
        available: usize,
    },
    /// More bytes than the batch takes, where exactly one batch was expected.
    #[error("{count} bytes behind the batch")]
    TrailingBytes {
        /// How many more.
        count: usize,
    },
    /// A message format other than 2.
    #[error("message format {magic} is not supported")]
    UnsupportedMagic {
        /// The magic byte.
        magic: i8,
    },
    /// A batch length smaller than a header.
    #[error("batch length {batch_length} is smaller than a header")]
    InvalidLength {
        /// The length as written.
        batch_length: i32,
    },
    /// Codec bits that name no codec.
    #[error("attributes {attributes:#06x} name no codec")]
    UnknownCodec {
        /// The attribute bits as written.
        attributes: i16,
    },
}

/// One batch, byte for byte as it arrived. Cheap to clone: the bytes are shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The parsed header; always what the first 61 bytes say.
    pub header: BatchHeader,
    /// The whole batch, header included.
    pub bytes: Bytes,
}

impl Batch {
    /// Takes bytes that are exactly one batch. Neither the checksum nor the records are looked at.
    ///
    /// # Errors
    /// As [`BatchHeader::parse`], and [`BatchError::Truncated`] or [`BatchError::TrailingBytes`] when the length says
    /// anything else than there is.
    pub fn parse(bytes: Bytes) -> Result<Self, BatchError> {
        let header = BatchHeader::parse(&bytes)?;
        let (needed, available) = (header.total_len(), bytes.len());
        if available < needed {
            return Err(BatchError::Truncated { needed, available });
        }
        if needed < available {
            return Err(BatchError::TrailingBytes {
                count: available - needed,
            });
        }
        Ok(Self { header, bytes })
    }

    /// Takes the batch at the front of `bytes`, which may hold more. Shares the memory.
    ///
    /// # Errors
    /// As [`BatchHeader::parse`], and [`BatchError::Truncated`].
    pub fn parse_front(bytes: &Bytes) -> Result<Self, BatchError> {
        let header = BatchHeader::parse(bytes)?;
        let (needed, available) = (header.total_len(), bytes.len());
        if available < needed {
            return Err(BatchError::Truncated { needed, available });
        }
        Ok(Self {
            header,
            bytes: bytes.slice(..needed),
        })
    }

    /// Puts a batch together from a header and its (compressed) record bytes; sets length and checksum.
    ///
    /// # Panics
    /// When the batch would be larger than `i32::MAX` bytes.
    #[must_use]
    pub fn assemble(header: BatchHeader, records: &[u8]) -> Self {
        let total = HEADER_LEN + records.len();
        let batch_length = i32::try_from(total - super::LOG_OVERHEAD).expect("a batch fits a 32-bit length");
        let mut header = BatchHeader { batch_length, ..header };
        header.crc = header.compute_crc(records);
        let mut bytes = BytesMut::with_capacity(total);
        bytes.put_slice(&header.to_bytes());
        bytes.put_slice(records);
        Self {
            header,
            bytes: bytes.freeze(),
        }
    }

    /// Compares the checksum with the bytes.
    ///
    /// # Errors
    /// [`CrcMismatch`].
    pub fn verify_crc(&self) -> Result<(), CrcMismatch> {
        let (stored, computed) = (self.header.crc, batch_crc(&self.bytes));
        if stored == computed {
            Ok(())
        } else {
            Err(CrcMismatch { stored, computed })
        }
    }

    /// The bytes behind the header, compressed as they are.
    #[must_use]
    pub fn records_bytes(&self) -> Bytes {
        self.bytes.slice(HEADER_LEN.min(self.bytes.len())..)
    }

    /// Decompresses the records, once, to at most `limit` bytes. Uncompressed records are shared, not copied, and not
    /// held against the limit.
    ///
    /// # Errors
    /// A [`RecordError`] at index 0 when the records cannot be decompressed.
    pub fn records(&self, limit: usize) -> Result<Records, RecordError> {
        Records::open(self, limit, &mut Decompressor::new())
    }

    /// The header as the log stores it: with this base offset and leader epoch, and, where the topic stamps append
    /// times, with that time as the largest timestamp. Only the latter needs a new checksum; the records stay untouched.
    #[must_use]
    pub fn patched_header(
        &self,
        base_offset: Offset,
        leader_epoch: LeaderEpoch,
        log_append_time: Option<TimestampMs>,
    ) -> [u8; HEADER_LEN] {
        let mut header = BatchHeader {
            base_offset,
            partition_leader_epoch: leader_epoch,
            ..self.header
        };
        if let Some(now) = log_append_time {
            header.attributes = header.attributes.with_timestamp_type(TimestampType::LogAppendTime);
            header.max_timestamp = now;
            header.crc = header.compute_crc(self.bytes.get(HEADER_LEN..).unwrap_or_default());
        }
        header.to_bytes()
    }

    /// The batch as the log stores it, in memory of its own; see [`Batch::patched_header`].
    #[must_use]
    pub fn patched(
        &self,
        base_offset: Offset,
        leader_epoch: LeaderEpoch,
        log_append_time: Option<TimestampMs>,
    ) -> Self {
        let head = self.patched_header(base_offset, leader_epoch, log_append_time);
        let mut bytes = BytesMut::with_capacity(self.bytes.len());
        bytes.put_slice(&head);
        bytes.put_slice(self.bytes.get(HEADER_LEN..).unwrap_or_default());
        let header = BatchHeader::parse(&head).expect("a parsed header stays one when it is patched");
        Self {
            header,
            bytes: bytes.freeze(),
        }
    }

    /// The same records under another codec (`compression.type` of a topic). Offsets and timestamps are kept, the
    /// records are not decoded, the checksum is new. `level` is the codec's own scale; none is its default.
    ///
    /// # Errors
    /// A [`RecordError`] at index 0 when the records cannot be decompressed to at most `limit` bytes.
    pub fn recompressed(&self, codec: Codec, level: Option<i32>, limit: usize) -> Result<Self, RecordError> {
        let packed = self.bytes.get(HEADER_LEN..).unwrap_or_default();
        let plain = decompress(self.header.codec(), packed, limit).map_err(RecordError::from)?;
        let header = BatchHeader {
            attributes: self.header.attributes.with_codec(codec),
            ..self.header
        };
        Ok(Self::assemble(header, &compress(codec, level, &plain)))
    }
}
