//! Record batches (magic 2) written and read from the format's description, apart from the code under test.
//!
//! Every header field is a plain public field, so that a test can state a lie and see what the broker makes of it.
//! Only uncompressed records are decoded; the compatibility tests cover the codecs with real clients.

/// Length of a batch's header: everything before the first record.
pub const HEADER_LEN: usize = 61;

/// Bytes that `batchLength` does not count: base offset and the length itself.
pub const LOG_OVERHEAD: usize = 12;

/// Attribute bits of the codecs.
pub const ZSTD: i16 = 4;
/// Attribute bit: the timestamps are the broker's.
pub const LOG_APPEND_TIME: i16 = 1 << 3;
/// Attribute bit: part of a transaction.
pub const TRANSACTIONAL: i16 = 1 << 4;
/// Attribute bit: a marker, not data.
pub const CONTROL: i16 = 1 << 5;

const MAGIC: u8 = 2;

// Byte positions in the header.
const AT_BATCH_LENGTH: usize = 8;
const AT_LEADER_EPOCH: usize = 12;
const AT_MAGIC: usize = 16;
const AT_CRC: usize = 17;
const AT_ATTRIBUTES: usize = 21;
const AT_LAST_OFFSET_DELTA: usize = 23;
const AT_BASE_TIMESTAMP: usize = 27;
const AT_MAX_TIMESTAMP: usize = 35;
const AT_PRODUCER_ID: usize = 43;
const AT_PRODUCER_EPOCH: usize = 51;
const AT_BASE_SEQUENCE: usize = 53;
const AT_COUNT: usize = 57;

/// One record. Its offset is the batch's base offset plus its place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// Milliseconds after the batch's base timestamp.
    pub timestamp_delta: i64,
    /// Key bytes, or null.
    pub key: Option<Vec<u8>>,
    /// Value bytes, or null.
    pub value: Option<Vec<u8>>,
    /// Ordered; a name may repeat, a value may be null.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// One batch with every field of its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Partition leader epoch.
    pub leader_epoch: i32,
    /// Codec, timestamp type, transactional, control.
    pub attributes: i16,
    /// Last offset minus base offset.
    pub last_offset_delta: i32,
    /// Milliseconds since the Unix epoch.
    pub base_timestamp: i64,
    /// Largest record timestamp.
    pub max_timestamp: i64,
    /// -1 without idempotence.
    pub producer_id: i64,
    /// -1 without idempotence.
    pub producer_epoch: i16,
    /// -1 without idempotence.
    pub base_sequence: i32,
    /// Number of records as the header states it.
    pub count: i32,
    /// The records themselves.
    pub records: Vec<Record>,
}

impl Batch {
    /// An honest batch of records without keys, all at `timestamp`.
    ///
    /// # Panics
    /// With no values at all.
    #[must_use]
    pub fn of_values<V: AsRef<[u8]>>(timestamp: i64, values: &[V]) -> Batch {
        let records = values
            .iter()
            .map(|value| Record {
                value: Some(value.as_ref().to_vec()),
                ..Record::default()
            })
            .collect();
        Batch::of_records(timestamp, records)
    }

    /// An honest batch of the records given.
    ///
    /// # Panics
    /// With no records at all.
    #[must_use]
    pub fn of_records(base_timestamp: i64, records: Vec<Record>) -> Batch {
        let count = i32::try_from(records.len()).expect("few records");
        let latest = records
            .iter()
            .map(|record| record.timestamp_delta)
            .max()
            .expect("at least one record");
        Batch {
            base_offset: 0,
            leader_epoch: -1,
            attributes: 0,
            last_offset_delta: count - 1,
            base_timestamp,
            max_timestamp: base_timestamp + latest,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            count,
            records,
        }
    }

    /// The same batch from an idempotent producer.
    #[must_use]
    pub fn from_producer(mut self, producer_id: i64, producer_epoch: i16, base_sequence: i32) -> Batch {
        self.producer_id = producer_id;
        self.producer_epoch = producer_epoch;
        self.base_sequence = base_sequence;
        self
    }

    /// An honest batch of exactly `total` bytes, header included.
    ///
    /// # Panics
    /// When no record makes a batch of that size.
    #[must_use]
    pub fn of_total_bytes(timestamp: i64, total: usize) -> Batch {
        let mut value = vec![b'x'; total.checked_sub(HEADER_LEN + 16).expect("room for a record")];
        // Length prefixes grow with the value, so the last bytes are found by trying.
        for _ in 0..16 {
            let batch = Batch::of_values(timestamp, &[&value]);
            if batch.encode().len() == total {
                return batch;
            }
            value.push(b'x');
        }
        panic!("no single record fills {total} bytes");
    }

    /// The batch's bytes, with the length and the CRC that belong to them.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.encode_around(&encode_records(&self.records))
    }

    /// The header around any bytes at all in place of the records.
    #[must_use]
    pub fn encode_around(&self, records: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_LEN + records.len());
        bytes.extend_from_slice(&self.base_offset.to_be_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&self.leader_epoch.to_be_bytes());
        bytes.push(MAGIC);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&self.attributes.to_be_bytes());
        bytes.extend_from_slice(&self.last_offset_delta.to_be_bytes());
        bytes.extend_from_slice(&self.base_timestamp.to_be_bytes());
        bytes.extend_from_slice(&self.max_timestamp.to_be_bytes());
        bytes.extend_from_slice(&self.producer_id.to_be_bytes());
        bytes.extend_from_slice(&self.producer_epoch.to_be_bytes());
        bytes.extend_from_slice(&self.base_sequence.to_be_bytes());
        bytes.extend_from_slice(&self.count.to_be_bytes());
        assert_eq!(bytes.len(), HEADER_LEN);
        bytes.extend_from_slice(records);
        seal(&mut bytes);
        bytes
    }

    /// Reads every batch of a fetch answer; a cut batch at the end is left out, as consumers do.
    ///
    /// # Panics
    /// When a batch's magic or CRC is wrong, or its records do not parse.
    #[must_use]
    pub fn decode_all(mut bytes: &[u8]) -> Vec<Batch> {
        let mut batches = Vec::new();
        while let Some(total) = total_len(bytes).filter(|total| *total <= bytes.len()) {
            let (batch, rest) = bytes.split_at(total);
            batches.push(decode(batch));
            bytes = rest;
        }
        batches
    }

    /// Offset of the last record.
    #[must_use]
    pub fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    /// True for a marker.
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }
}

/// Writes the length and the CRC that belong to the bytes as they are now: for tests that change bytes in place and
/// still want a valid batch.
pub fn seal(bytes: &mut [u8]) {
    let length = i32::try_from(bytes.len() - LOG_OVERHEAD).expect("batches are small");
    bytes[AT_BATCH_LENGTH..AT_LEADER_EPOCH].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[AT_ATTRIBUTES..]);
    bytes[AT_CRC..AT_ATTRIBUTES].copy_from_slice(&crc.to_be_bytes());
}

/// A zstd frame that holds `data` as one raw block: the smallest valid compression there is.
///
/// # Panics
/// With more than 255 bytes.
#[must_use]
pub fn zstd_frame(data: &[u8]) -> Vec<u8> {
    let size = u8::try_from(data.len()).expect("a small frame");
    // Magic; descriptor "single segment, one byte of content size"; the size; last raw block of that size.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x20, size];
    let block_header = (u32::from(size) << 3) | 1;
    frame.extend_from_slice(&block_header.to_le_bytes()[..3]);
    frame.extend_from_slice(data);
    frame
}

/// A zstd frame of `before`, then `count` times `byte`, then `after`: a few bytes for a KiB of content, so that a test
/// needs no compressor to make much out of little.
///
/// # Panics
/// With more than 4 GiB.
#[must_use]
pub fn zstd_bomb(before: &[u8], byte: u8, count: usize, after: &[u8]) -> Vec<u8> {
    const BLOCK_MAX: usize = 128 * 1024;
    const RAW: u32 = 0;
    const REPEATED: u32 = 1;
    let size = u32::try_from(before.len() + count + after.len()).expect("below 4 GiB");
    // Magic; descriptor "single segment, four bytes of content size"; the size.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xa0];
    frame.extend_from_slice(&size.to_le_bytes());
    let mut block = |kind: u32, len: usize, last: bool, content: &[u8]| {
        let len = u32::try_from(len).expect("blocks are small");
        let header = (len << 3) | (kind << 1) | u32::from(last);
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.extend_from_slice(content);
    };
    block(RAW, before.len(), false, before);
    let mut left = count;
    while left > 0 {
        let len = left.min(BLOCK_MAX);
        block(REPEATED, len, false, &[byte]);
        left -= len;
    }
    block(RAW, after.len(), true, after);
    frame
}

/// The records of a batch as they stand behind its header, uncompressed.
#[must_use]
pub fn encode_records(records: &[Record]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (delta, record) in records.iter().enumerate() {
        encode_record(&mut bytes, i64::try_from(delta).expect("few records"), record);
    }
    bytes
}

/// Writes one record with any offset delta.
pub fn encode_record(into: &mut Vec<u8>, offset_delta: i64, record: &Record) {
    let mut body = vec![0];
    put_varint(&mut body, record.timestamp_delta);
    put_varint(&mut body, offset_delta);
    put_bytes(&mut body, record.key.as_deref());
    put_bytes(&mut body, record.value.as_deref());
    put_varint(&mut body, i64::try_from(record.headers.len()).expect("few headers"));
    for (name, value) in &record.headers {
        put_bytes(&mut body, Some(name.as_bytes()));
        put_bytes(&mut body, value.as_deref());
    }
    put_varint(into, i64::try_from(body.len()).expect("small records"));
    into.extend_from_slice(&body);
}

fn total_len(bytes: &[u8]) -> Option<usize> {
    let length = bytes.get(AT_BATCH_LENGTH..AT_LEADER_EPOCH)?;
    let length = i32::from_be_bytes(length.try_into().ok()?);
    Some(LOG_OVERHEAD + usize::try_from(length).ok()?)
}

fn decode(bytes: &[u8]) -> Batch {
    assert_eq!(bytes[AT_MAGIC], MAGIC);
    let crc = u32::from_be_bytes(field(bytes, AT_CRC));
    assert_eq!(
        crc32c::crc32c(&bytes[AT_ATTRIBUTES..]),
        crc,
        "CRC of a batch that the broker served"
    );
    let count = i32::from_be_bytes(field(bytes, AT_COUNT));
    let attributes = i16::from_be_bytes(field(bytes, AT_ATTRIBUTES));
    let compressed = attributes & 0b111 != 0;
    let mut rest = &bytes[HEADER_LEN..];
    let records = if compressed {
        Vec::new()
    } else {
        (0..count)
            .map(|delta| decode_record(&mut rest, i64::from(delta)))
            .collect()
    };
    Batch {
        base_offset: i64::from_be_bytes(field(bytes, 0)),
        leader_epoch: i32::from_be_bytes(field(bytes, AT_LEADER_EPOCH)),
        attributes,
        last_offset_delta: i32::from_be_bytes(field(bytes, AT_LAST_OFFSET_DELTA)),
        base_timestamp: i64::from_be_bytes(field(bytes, AT_BASE_TIMESTAMP)),
        max_timestamp: i64::from_be_bytes(field(bytes, AT_MAX_TIMESTAMP)),
        producer_id: i64::from_be_bytes(field(bytes, AT_PRODUCER_ID)),
        producer_epoch: i16::from_be_bytes(field(bytes, AT_PRODUCER_EPOCH)),
        base_sequence: i32::from_be_bytes(field(bytes, AT_BASE_SEQUENCE)),
        count,
        records,
    }
}

fn decode_record(rest: &mut &[u8], offset_delta: i64) -> Record {
    let length = usize::try_from(take_varint(rest)).expect("a record's length is positive");
    let (mut body, behind) = rest.split_at(length);
    *rest = behind;
    body = &body[1..];
    let timestamp_delta = take_varint(&mut body);
    assert_eq!(take_varint(&mut body), offset_delta);
    let key = take_bytes(&mut body);
    let value = take_bytes(&mut body);
    let headers = (0..take_varint(&mut body))
        .map(|_| {
            let name = take_bytes(&mut body).expect("a header has a name");
            (
                String::from_utf8(name).expect("header names are UTF-8"),
                take_bytes(&mut body),
            )
        })
        .collect();
    assert!(body.is_empty(), "bytes left over in a record");
    Record {
        timestamp_delta,
        key,
        value,
        headers,
    }
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("a slice of N bytes")
}

fn put_bytes(into: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => put_varint(into, -1),
        Some(bytes) => {
            put_varint(into, i64::try_from(bytes.len()).expect("small fields"));
            into.extend_from_slice(bytes);
        }
    }
}

/// A zigzag varint, least significant group first.
fn put_varint(into: &mut Vec<u8>, value: i64) {
    let mut left = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while left >= 0x80 {
        into.push(u8::try_from(left & 0x7f).expect("seven bits") | 0x80);
        left >>= 7;
    }
    into.push(u8::try_from(left).expect("seven bits"));
}

fn take_bytes(from: &mut &[u8]) -> Option<Vec<u8>> {
    let length = usize::try_from(take_varint(from)).ok()?;
    let (bytes, rest) = from.split_at(length);
    *from = rest;
    Some(bytes.to_vec())
}

fn take_varint(from: &mut &[u8]) -> i64 {
    let (mut value, mut shift) = (0_u64, 0);
    loop {
        let (first, rest) = from.split_first().expect("a varint ends within its record");
        *from = rest;
        value |= u64::from(first & 0x7f) << shift;
        shift += 7;
        if first & 0x80 == 0 {
            return (value >> 1).cast_signed() ^ -(value & 1).cast_signed();
        }
    }
}
