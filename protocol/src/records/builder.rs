//! Writing batches.

use super::{Batch, BatchHeader, Codec, HEADER_LEN, TimestampType, compression};
use crate::{
    codec::varint,
    ids::{NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, ProducerEpoch, ProducerId, Sequence, TimestampMs},
};

/// Who a batch is from: what the builder cannot know from the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchStamp {
    /// Producer, or -1.
    pub producer_id: ProducerId,
    /// Incarnation of the producer, or -1.
    pub producer_epoch: ProducerEpoch,
    /// Sequence number of the first record, or -1.
    pub base_sequence: Sequence,
    /// Whether the batch belongs to a transaction.
    pub transactional: bool,
    /// Whether the records are control records.
    pub control: bool,
}

impl BatchStamp {
    /// No producer, no transaction.
    pub const NONE: Self = Self {
        producer_id: NO_PRODUCER_ID,
        producer_epoch: NO_PRODUCER_EPOCH,
        base_sequence: NO_SEQUENCE,
        transactional: false,
        control: false,
    };
}

impl Default for BatchStamp {
    fn default() -> Self {
        Self::NONE
    }
}

/// Collects records and makes one batch of them, with base offset 0.
///
/// The first record's timestamp becomes the base timestamp. Nothing is compressed before [`BatchBuilder::finish`].
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    codec: Codec,
    level: Option<i32>,
    records: Vec<u8>,
    count: i32,
    base_timestamp: TimestampMs,
    max_timestamp: TimestampMs,
}

impl BatchBuilder {
    /// Starts an empty batch. `level` is the codec's own scale, none its default; `created_at` dates the batch as long as
    /// it holds no record.
    #[must_use]
    pub const fn new(codec: Codec, level: Option<i32>, created_at: TimestampMs) -> Self {
        Self {
            codec,
            level,
            records: Vec::new(),
            count: 0,
            base_timestamp: created_at,
            max_timestamp: created_at,
        }
    }

    /// Adds a record. Headers keep their order; names may repeat.
    ///
    /// # Panics
    /// When the batch would hold more than `i32::MAX` bytes or records; callers close a batch long before that, by
    /// [`BatchBuilder::size_bytes`].
    pub fn append(
        &mut self,
        timestamp: TimestampMs,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, Option<&[u8]>)],
    ) {
        if self.count == 0 {
            self.base_timestamp = timestamp;
            self.max_timestamp = timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        // Readers add the delta with a check, so it must not have been made by wrapping around.
        let delta = timestamp
            .checked_sub(self.base_timestamp)
            .expect("timestamps of one batch lie within 64 bits");
        let length = body_len(delta, self.count, key, value, headers);
        assert!(
            self.records.len() + length < i32::MAX as usize - 64,
            "a batch holds less than 2 GiB"
        );
        let out = &mut self.records;
        varint::put_u32(out, zigzag_len(length));
        out.push(0);
        varint::put_i64(out, delta);
        varint::put_i32(out, self.count);
        put_run(out, key);
        put_run(out, value);
        varint::put_u32(out, zigzag_len(headers.len()));
        for (name, value) in headers {
            put_run(out, Some(name.as_bytes()));
            put_run(out, *value);
        }
        self.count += 1;
    }

    /// Number of records so far.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count as usize
    }

    /// Bytes of the batch if it were finished now without compression, header included.
    #[must_use]
    pub const fn size_bytes(&self) -> usize {
        HEADER_LEN + self.records.len()
    }

    /// Whether no record has been added.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Largest timestamp of any record; the creation time as long as there is none.
    #[must_use]
    pub const fn max_timestamp(&self) -> TimestampMs {
        self.max_timestamp
    }

    /// Compresses the records and writes the header.
    ///
    /// # Panics
    /// When the batch is empty: an empty batch is something that only compaction leaves behind.
    #[must_use]
    pub fn finish(self, stamp: BatchStamp) -> Batch {
        assert!(!self.is_empty(), "a batch has at least one record");
        let attributes = super::Attributes::new(self.codec)
            .with_timestamp_type(TimestampType::CreateTime)
            .with_transactional(stamp.transactional)
            .with_control(stamp.control);
        let header = BatchHeader {
            attributes,
            last_offset_delta: self.count - 1,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id: stamp.producer_id,
            producer_epoch: stamp.producer_epoch,
            base_sequence: stamp.base_sequence,
            record_count: self.count,
            ..BatchHeader::empty(self.codec)
        };
        match self.codec {
            Codec::None => Batch::assemble(header, &self.records),
            codec => Batch::assemble(header, &compression::compress(codec, self.level, &self.records)),
        }
    }
}

/// Bytes of a record behind its length field.
fn body_len(
    timestamp_delta: i64,
    offset_delta: i32,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[(&str, Option<&[u8]>)],
) -> usize {
    let mut length = 1 + varint::len_i64(timestamp_delta) + varint::len_i32(offset_delta);
    length += run_len(key) + run_len(value) + varint::len_u64(headers.len() as u64 * 2);
    for (name, value) in headers {
        length += run_len(Some(name.as_bytes())) + run_len(*value);
    }
    length
}

fn run_len(run: Option<&[u8]>) -> usize {
    match run {
        Some(run) => varint::len_u64(run.len() as u64 * 2) + run.len(),
        None => 1,
    }
}

fn put_run(out: &mut Vec<u8>, run: Option<&[u8]>) {
    match run {
        Some(run) => {
            varint::put_u32(out, zigzag_len(run.len()));
            out.extend_from_slice(run);
        }
        None => varint::put_i32(out, -1),
    }
}

/// Zigzag of a length, which is never negative: twice the length.
fn zigzag_len(length: usize) -> u32 {
    u32::try_from(length * 2).expect("lengths stay below i32::MAX")
}
