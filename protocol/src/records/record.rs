//! Decompressed records and the lazy walk over them.

use std::ops::Range;

use bytes::Bytes;

use super::{
    Batch, BatchHeader, Codec, Decompressor, RecordError, RecordFault, RecordPlace, RecordSpan, SpanIter,
    span::in_field,
};
use crate::{
    codec::{DecodeError, Reader},
    ids::{Offset, TimestampMs},
};

/// The records of one batch, decompressed. Cheap to clone: the bytes are shared, with the batch itself where it is not
/// compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Records {
    header: BatchHeader,
    data: Bytes,
}

impl Records {
    /// Decompresses a batch's records to at most `limit` bytes. See [`Batch::records`]; who opens many batches keeps a
    /// [`Decompressor`].
    ///
    /// # Errors
    /// A [`RecordError`] at index 0 when the records cannot be decompressed.
    pub fn open(batch: &Batch, limit: usize, decompressor: &mut Decompressor) -> Result<Self, RecordError> {
        let packed = batch.records_bytes();
        let data = match batch.header.codec() {
            Codec::None => packed,
            codec => {
                let mut plain = Vec::new();
                decompressor.decompress_into(codec, &packed, limit, &mut plain)?;
                Bytes::from(plain)
            }
        };
        Ok(Self {
            header: batch.header,
            data,
        })
    }

    /// The batch's header.
    #[must_use]
    pub const fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The decompressed bytes, which spans index.
    #[must_use]
    pub const fn data(&self) -> &Bytes {
        &self.data
    }

    /// Walks the records.
    #[must_use]
    pub fn iter(&self) -> RecordIter<'_> {
        RecordIter::new(&self.header, &self.data)
    }

    /// Walks on from a place that an earlier walk over these records has reached.
    #[must_use]
    pub fn iter_from(&self, place: RecordPlace) -> RecordIter<'_> {
        RecordIter {
            spans: SpanIter::resume(&self.header, &self.data, place),
        }
    }

    /// Walks the records' spans: offsets, timestamps, and where keys and values lie.
    #[must_use]
    pub fn spans(&self) -> SpanIter<'_> {
        SpanIter::new(&self.header, &self.data)
    }
}

impl<'a> IntoIterator for &'a Records {
    type Item = Result<Record<'a>, RecordError>;
    type IntoIter = RecordIter<'a>;

    fn into_iter(self) -> RecordIter<'a> {
        self.iter()
    }
}

/// One record, borrowed from its decompressed batch.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Offset in the partition.
    pub offset: Offset,
    /// The record's own time, or the batch's append time.
    pub timestamp: TimestampMs,
    /// Key; nothing for null.
    pub key: Option<&'a [u8]>,
    /// Value; nothing for null.
    pub value: Option<&'a [u8]>,
    /// Headers, not decoded yet.
    pub headers: Headers<'a>,
}

/// Walks the records of one batch. After an error it ends. See [`SpanIter`].
#[derive(Debug, Clone)]
pub struct RecordIter<'a> {
    spans: SpanIter<'a>,
}

impl<'a> RecordIter<'a> {
    /// Starts at the front of a batch's decompressed records.
    #[must_use]
    pub const fn new(header: &BatchHeader, data: &'a [u8]) -> Self {
        Self {
            spans: SpanIter::new(header, data),
        }
    }

    /// Where the walk stands, in front of the next record.
    #[must_use]
    pub const fn place(&self) -> RecordPlace {
        self.spans.place()
    }
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<Record<'a>, RecordError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let index = self.spans.index();
        let data = self.spans.data();
        Some(self.spans.next()?.map(|span| Record::at(data, index, &span)))
    }
}

impl<'a> Record<'a> {
    /// The record that `span` found in `data`, the `index`th of its batch.
    #[must_use]
    pub fn at(data: &'a [u8], index: usize, span: &RecordSpan) -> Self {
        let slice = |range: &Range<usize>| data.get(range.clone()).unwrap_or_default();
        Self {
            offset: span.offset,
            timestamp: span.timestamp,
            key: span.key.as_ref().map(slice),
            value: span.value.as_ref().map(slice),
            headers: Headers {
                bytes: slice(&span.headers),
                count: span.header_count,
                index,
            },
        }
    }
}

/// The headers of one record: an ordered multimap, decoded while it is walked. The same key may come more than once.
#[derive(Debug, Clone, Copy)]
pub struct Headers<'a> {
    bytes: &'a [u8],
    count: usize,
    index: usize,
}

/// One header of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// Name.
    pub key: &'a str,
    /// Value; nothing for null.
    pub value: Option<&'a [u8]>,
}

impl<'a> Headers<'a> {
    /// Number of headers that the record announces.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes that they take in the record.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        self.bytes.len()
    }

    /// Walks the headers in order; after an error the walk ends.
    pub fn iter(&self) -> impl Iterator<Item = Result<Header<'a>, RecordError>> + use<'a> {
        let mut reader = Reader::new(self.bytes);
        let (count, index) = (self.count, self.index);
        let mut next = 0;
        std::iter::from_fn(move || {
            if count <= next {
                return None;
            }
            next += 1;
            let header = read_header(&mut reader, next == count);
            if header.is_err() {
                next = count;
            }
            Some(header.map_err(|fault| RecordError { index, fault }))
        })
    }

    /// The last value under this name, which is what Kafka's `lastHeader` gives. Outer nothing: no such header.
    ///
    /// # Errors
    /// When the headers cannot be decoded.
    pub fn last(&self, key: &str) -> Result<Option<Option<&'a [u8]>>, RecordError> {
        let mut found = None;
        for header in self.iter() {
            let header = header?;
            if header.key == key {
                found = Some(header.value);
            }
        }
        Ok(found)
    }
}

fn read_header<'a>(reader: &mut Reader<'a>, is_last: bool) -> Result<Header<'a>, RecordFault> {
    let key = in_field("header key", read_run(reader))?;
    let key = in_field("header key", key.ok_or(DecodeError::UnexpectedNull))?;
    let key = in_field(
        "header key",
        std::str::from_utf8(key).map_err(|_| DecodeError::InvalidUtf8),
    )?;
    let value = in_field("header value", read_run(reader))?;
    if is_last {
        in_field("headers", reader.expect_end())?;
    }
    Ok(Header { key, value })
}

fn read_run<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a [u8]>, DecodeError> {
    match reader.varint()? {
        -1 => Ok(None),
        length => {
            let length = usize::try_from(length).map_err(|_| DecodeError::NegativeLength {
                length: i64::from(length),
            })?;
            reader.take(length).map(Some)
        }
    }
}
