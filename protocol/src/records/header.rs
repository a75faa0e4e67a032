//! The batch header: 61 bytes, parsed into fields.

use super::{Attributes, BatchError, Codec, TimestampType};
use crate::{
    codec::Reader,
    ids::{
        LeaderEpoch, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, Offset, ProducerEpoch, ProducerId, Sequence,
        TimestampMs,
    },
};

/// Bytes of a batch header, everything before the records.
pub const HEADER_LEN: usize = 61;
/// Bytes before those that the batch length counts: base offset and the length itself.
pub const LOG_OVERHEAD: usize = 12;
/// Where the magic byte lies, in every message format.
pub const MAGIC_OFFSET: usize = 16;
/// The only message format.
pub const MAGIC: i8 = 2;
/// Where the checksummed part begins.
pub(super) const CRC_START: usize = 21;
/// The smallest batch length: the header's part behind the length field, without records.
const LENGTH_MIN: i32 = (HEADER_LEN - LOG_OVERHEAD) as i32;

const _: () = assert!(MAGIC_OFFSET + 1 + 4 == CRC_START);
const _: () = assert!(CRC_START + 2 + 4 + 8 + 8 + 8 + 2 + 4 + 4 == HEADER_LEN);

/// The fields of a batch header, as the bytes say them.
///
/// Nothing here has been checked against the records; of the fields only magic, codec and the smallest length are known
/// to be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record (or of where it was, before compaction).
    pub base_offset: Offset,
    /// Bytes of the batch after this field; at least 49.
    pub batch_length: i32,
    /// Term of the leader that appended the batch.
    pub partition_leader_epoch: LeaderEpoch,
    /// CRC-32C from the attributes to the end.
    pub crc: u32,
    /// Codec, timestamp type and kind.
    pub attributes: Attributes,
    /// Last offset minus base offset.
    pub last_offset_delta: i32,
    /// What the records' timestamps are relative to.
    pub base_timestamp: TimestampMs,
    /// Largest timestamp of any record, or the append time.
    pub max_timestamp: TimestampMs,
    /// Producer that wrote it, or -1.
    pub producer_id: ProducerId,
    /// Incarnation of the producer, or -1.
    pub producer_epoch: ProducerEpoch,
    /// Sequence number of the first record, or -1.
    pub base_sequence: Sequence,
    /// Number of records.
    pub record_count: i32,
}

impl BatchHeader {
    /// Parses the header at the front of `input`, which may hold more.
    ///
    /// # Errors
    /// [`BatchError::Truncated`] when less than a header is there, [`BatchError::UnsupportedMagic`],
    /// [`BatchError::InvalidLength`], [`BatchError::UnknownCodec`].
    pub fn parse(input: &[u8]) -> Result<Self, BatchError> {
        // The magic byte is in the same place in every format, and older formats have shorter headers.
        match input.get(MAGIC_OFFSET).map(|byte| byte.cast_signed()) {
            Some(MAGIC) => {}
            Some(magic) => return Err(BatchError::UnsupportedMagic { magic }),
            None => {
                return Err(BatchError::Truncated {
                    needed: HEADER_LEN,
                    available: input.len(),
                });
            }
        }
        let Some(bytes) = input.first_chunk::<HEADER_LEN>() else {
            return Err(BatchError::Truncated {
                needed: HEADER_LEN,
                available: input.len(),
            });
        };
        let (header, attributes) = Self::read(bytes);
        if header.batch_length < LENGTH_MIN {
            return Err(BatchError::InvalidLength {
                batch_length: header.batch_length,
            });
        }
        match Attributes::from_bits(attributes) {
            Some(attributes) => Ok(Self { attributes, ..header }),
            None => Err(BatchError::UnknownCodec { attributes }),
        }
    }

    /// The header's bytes, with the fields as they are: no checksum is computed.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let mut rest = bytes.as_mut_slice();
        let mut put = |field: &[u8]| {
            let (front, back) = std::mem::take(&mut rest).split_at_mut(field.len());
            front.copy_from_slice(field);
            rest = back;
        };
        put(&self.base_offset.to_be_bytes());
        put(&self.batch_length.to_be_bytes());
        put(&self.partition_leader_epoch.to_be_bytes());
        put(&MAGIC.to_be_bytes());
        put(&self.crc.to_be_bytes());
        put(&self.attributes.bits().to_be_bytes());
        put(&self.last_offset_delta.to_be_bytes());
        put(&self.base_timestamp.to_be_bytes());
        put(&self.max_timestamp.to_be_bytes());
        put(&self.producer_id.to_be_bytes());
        put(&self.producer_epoch.to_be_bytes());
        put(&self.base_sequence.to_be_bytes());
        put(&self.record_count.to_be_bytes());
        bytes
    }

    /// The checksum that these fields and these record bytes give.
    #[must_use]
    pub fn compute_crc(&self, records: &[u8]) -> u32 {
        let bytes = self.to_bytes();
        crc32c::crc32c_append(crc32c::crc32c(bytes.get(CRC_START..).unwrap_or_default()), records)
    }

    /// Bytes of the whole batch: 12 more than the batch length. What `max.message.bytes` is compared with.
    #[must_use]
    pub const fn total_len(&self) -> usize {
        LOG_OVERHEAD + self.batch_length as usize
    }

    /// Offset of the last record; saturates where a header from outside overflows.
    #[must_use]
    pub const fn last_offset(&self) -> Offset {
        self.base_offset.saturating_add(self.last_offset_delta as i64)
    }

    /// Offset that follows the batch.
    #[must_use]
    pub const fn next_offset(&self) -> Offset {
        self.last_offset().saturating_add(1)
    }

    /// Sequence number of the last record, or [`NO_SEQUENCE`]. Sequences wrap from `i32::MAX` to 0.
    #[must_use]
    pub const fn last_sequence(&self) -> Sequence {
        if self.base_sequence == NO_SEQUENCE {
            return NO_SEQUENCE;
        }
        wrap_sequence(self.base_sequence, self.last_offset_delta)
    }

    /// Sequence number that the producer's next batch must start with, or [`NO_SEQUENCE`].
    #[must_use]
    pub const fn next_sequence(&self) -> Sequence {
        if self.base_sequence == NO_SEQUENCE {
            return NO_SEQUENCE;
        }
        wrap_sequence(self.last_sequence(), 1)
    }

    /// How the records are compressed.
    #[must_use]
    pub const fn codec(&self) -> Codec {
        self.attributes.codec()
    }

    /// Whose clock the timestamps come from.
    #[must_use]
    pub const fn timestamp_type(&self) -> TimestampType {
        self.attributes.timestamp_type()
    }

    /// Whether the batch belongs to a transaction.
    #[must_use]
    pub const fn is_transactional(&self) -> bool {
        self.attributes.is_transactional()
    }

    /// Whether the batch holds control records.
    #[must_use]
    pub const fn is_control(&self) -> bool {
        self.attributes.is_control()
    }

    /// Whether the base timestamp is a delete horizon.
    #[must_use]
    pub const fn has_delete_horizon(&self) -> bool {
        self.attributes.has_delete_horizon()
    }

    /// Whether an idempotent or transactional producer wrote it.
    #[must_use]
    pub const fn has_producer_id(&self) -> bool {
        NO_PRODUCER_ID < self.producer_id
    }

    /// A header with nothing in it, for the builders of this crate.
    pub(super) const fn empty(codec: Codec) -> Self {
        Self {
            base_offset: 0,
            batch_length: LENGTH_MIN,
            partition_leader_epoch: -1,
            crc: 0,
            attributes: Attributes::new(codec),
            last_offset_delta: -1,
            base_timestamp: -1,
            max_timestamp: -1,
            producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            base_sequence: NO_SEQUENCE,
            record_count: 0,
        }
    }

    /// Reads the fields; the attribute bits come apart because they are not checked yet.
    fn read(bytes: &[u8; HEADER_LEN]) -> (Self, i16) {
        const WHOLE: &str = "the array holds every field";
        let mut reader = Reader::new(bytes);
        let mut header = Self::empty(Codec::None);
        header.base_offset = reader.i64().expect(WHOLE);
        header.batch_length = reader.i32().expect(WHOLE);
        header.partition_leader_epoch = reader.i32().expect(WHOLE);
        reader.i8().expect(WHOLE);
        header.crc = reader.i32().expect(WHOLE).cast_unsigned();
        let attributes = reader.i16().expect(WHOLE);
        header.last_offset_delta = reader.i32().expect(WHOLE);
        header.base_timestamp = reader.i64().expect(WHOLE);
        header.max_timestamp = reader.i64().expect(WHOLE);
        header.producer_id = reader.i64().expect(WHOLE);
        header.producer_epoch = reader.i16().expect(WHOLE);
        header.base_sequence = reader.i32().expect(WHOLE);
        header.record_count = reader.i32().expect(WHOLE);
        (header, attributes)
    }
}

/// `sequence + increment` in the ring 0..=`i32::MAX`.
const fn wrap_sequence(sequence: Sequence, increment: i32) -> Sequence {
    const RING: i64 = i32::MAX as i64 + 1;
    ((sequence as i64 + increment as i64).rem_euclid(RING)) as Sequence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_wrap_to_zero() {
        let header = |base_sequence, last_offset_delta| BatchHeader {
            base_sequence,
            last_offset_delta,
            ..BatchHeader::empty(Codec::None)
        };
        assert_eq!(header(5, 4).last_sequence(), 9);
        assert_eq!(header(5, 4).next_sequence(), 10);
        assert_eq!(header(i32::MAX, 0).next_sequence(), 0);
        assert_eq!(header(i32::MAX - 1, 3).last_sequence(), 1);
        assert_eq!(header(-1, 3).last_sequence(), -1);
        assert_eq!(header(-1, 3).next_sequence(), -1);
    }

    #[test]
    fn offsets_from_outside_do_not_overflow() {
        let header = BatchHeader {
            base_offset: i64::MAX,
            last_offset_delta: i32::MAX,
            ..BatchHeader::empty(Codec::None)
        };
        assert_eq!(header.next_offset(), i64::MAX);
    }
}
