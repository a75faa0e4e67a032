//! Where each record's key and value lie, without looking at its headers: the fast walk over decompressed records.
//!
//! A record: length (varint), attributes (i8, unused), timestamp delta (varlong), offset delta (varint), key and value
//! (varint length, -1 for null, then bytes), number of headers (varint), headers (key and value the same way, the key
//! never null).

use std::ops::Range;

use super::{BatchHeader, DecompressError, TimestampType};
use crate::{
    codec::{DecodeError, Reader},
    ids::{Offset, TimestampMs},
};

/// What is wrong with the records of a batch, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {index}: {fault}")]
pub struct RecordError {
    /// Index of the record in its batch, counted from 0.
    pub index: usize,
    /// What is wrong.
    pub fault: RecordFault,
}

/// What can be wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// The batch's records cannot be decompressed.
    #[error(transparent)]
    Decompress(#[from] DecompressError),
    /// A field cannot be read.
    #[error("{field}: {source}")]
    Field {
        /// Which.
        field: &'static str,
        /// Why not.
        source: DecodeError,
    },
    /// The offset delta lies outside the batch or does not grow.
    #[error("offset delta {delta} is not above the one before and within {last_delta}")]
    OffsetDelta {
        /// The delta as written.
        delta: i32,
        /// The batch's last delta.
        last_delta: i32,
    },
    /// The timestamp does not fit 64 bits.
    #[error("timestamp delta {delta} overflows")]
    TimestampOverflow {
        /// The delta as written.
        delta: i64,
    },
    /// Bytes behind what the batch's record count says.
    #[error("{count} bytes behind the last record")]
    TrailingBytes {
        /// How many.
        count: usize,
    },
}

impl From<DecompressError> for RecordError {
    fn from(error: DecompressError) -> Self {
        Self {
            index: 0,
            fault: RecordFault::Decompress(error),
        }
    }
}

/// Where the parts of one record lie in the decompressed records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSpan {
    /// Offset in the partition.
    pub offset: Offset,
    /// The record's own time, or the batch's append time.
    pub timestamp: TimestampMs,
    /// The key's bytes; nothing for null.
    pub key: Option<Range<usize>>,
    /// The value's bytes; nothing for null.
    pub value: Option<Range<usize>>,
    /// Number of headers announced; not checked against the bytes beyond one byte each.
    pub header_count: usize,
    /// The headers' bytes, not looked at yet.
    pub headers: Range<usize>,
}

/// A place in front of one of a batch's records, for a walk that is interrupted: it borrows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordPlace {
    position: usize,
    index: usize,
    previous_delta: i32,
    done: bool,
}

impl RecordPlace {
    /// In front of the first record.
    pub const FIRST: Self = Self {
        position: 0,
        index: 0,
        previous_delta: -1,
        done: false,
    };
}

/// Walks the records of one batch. After an error it ends.
///
/// Sound for any input: a header that lies about its records yields an error at the record where that shows.
#[derive(Debug, Clone)]
pub struct SpanIter<'a> {
    data: &'a [u8],
    position: usize,
    index: usize,
    previous_delta: i32,
    header: BatchHeader,
    done: bool,
}

impl<'a> SpanIter<'a> {
    /// Starts at the front of a batch's decompressed records.
    #[must_use]
    pub const fn new(header: &BatchHeader, data: &'a [u8]) -> Self {
        Self::resume(header, data, RecordPlace::FIRST)
    }

    /// Starts at a place that an earlier walk over the same records has reached.
    #[must_use]
    pub const fn resume(header: &BatchHeader, data: &'a [u8], place: RecordPlace) -> Self {
        Self {
            data,
            position: place.position,
            index: place.index,
            previous_delta: place.previous_delta,
            header: *header,
            done: place.done,
        }
    }

    /// Where the walk stands, in front of the next record.
    #[must_use]
    pub const fn place(&self) -> RecordPlace {
        RecordPlace {
            position: self.position,
            index: self.index,
            previous_delta: self.previous_delta,
            done: self.done,
        }
    }

    /// The records' bytes, which the spans index.
    #[must_use]
    pub const fn data(&self) -> &'a [u8] {
        self.data
    }

    /// Index of the record that comes next.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index
    }

    fn step(&mut self) -> Result<RecordSpan, RecordFault> {
        let rest = self.data.get(self.position..).unwrap_or_default();
        let mut outer = Reader::new(rest);
        let length = non_negative("length", outer.varint())?;
        let body_start = self.position + outer.position();
        let body = outer.take(length).map_err(|source| RecordFault::Field {
            field: "length",
            source,
        })?;
        let span = self.read_body(body_start, body)?;
        self.position = body_start + length;
        Ok(span)
    }

    fn read_body(&mut self, start: usize, body: &[u8]) -> Result<RecordSpan, RecordFault> {
        let mut reader = Reader::new(body);
        in_field("attributes", reader.i8())?;
        let timestamp_delta = in_field("timestamp delta", reader.varlong())?;
        let offset_delta = in_field("offset delta", reader.varint())?;
        let key = nullable_run("key", start, &mut reader)?;
        let value = nullable_run("value", start, &mut reader)?;
        let header_count = non_negative("header count", reader.varint())?;
        let remaining = reader.remaining();
        if remaining < header_count {
            let source = DecodeError::CountTooLarge {
                count: header_count as u64,
                remaining,
            };
            return Err(RecordFault::Field {
                field: "header count",
                source,
            });
        }
        if header_count == 0 {
            in_field("headers", reader.expect_end())?;
        }
        Ok(RecordSpan {
            offset: self.offset(offset_delta)?,
            timestamp: self.timestamp(timestamp_delta)?,
            key,
            value,
            header_count,
            headers: start + reader.position()..start + body.len(),
        })
    }

    fn offset(&mut self, delta: i32) -> Result<Offset, RecordFault> {
        let last_delta = self.header.last_offset_delta;
        if delta <= self.previous_delta || last_delta < delta {
            return Err(RecordFault::OffsetDelta { delta, last_delta });
        }
        self.previous_delta = delta;
        Ok(self.header.base_offset.saturating_add(i64::from(delta)))
    }

    fn timestamp(&self, delta: i64) -> Result<TimestampMs, RecordFault> {
        match self.header.timestamp_type() {
            TimestampType::LogAppendTime => Ok(self.header.max_timestamp),
            TimestampType::CreateTime => self
                .header
                .base_timestamp
                .checked_add(delta)
                .ok_or(RecordFault::TimestampOverflow { delta }),
        }
    }

    fn finish(&mut self) -> Option<Result<RecordSpan, RecordError>> {
        self.done = true;
        match self.data.len() - self.position {
            0 => None,
            count => Some(Err(RecordError {
                index: self.index,
                fault: RecordFault::TrailingBytes { count },
            })),
        }
    }
}

impl Iterator for SpanIter<'_> {
    type Item = Result<RecordSpan, RecordError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        if usize::try_from(self.header.record_count).unwrap_or(0) <= self.index {
            return self.finish();
        }
        let index = self.index;
        self.index += 1;
        let step = self.step().map_err(|fault| RecordError { index, fault });
        self.done = step.is_err();
        Some(step)
    }
}

pub(super) fn in_field<T>(field: &'static str, result: Result<T, DecodeError>) -> Result<T, RecordFault> {
    result.map_err(|source| RecordFault::Field { field, source })
}

fn non_negative(field: &'static str, length: Result<i32, DecodeError>) -> Result<usize, RecordFault> {
    let length = in_field(field, length)?;
    usize::try_from(length).map_err(|_| RecordFault::Field {
        field,
        source: DecodeError::NegativeLength {
            length: i64::from(length),
        },
    })
}

/// Reads a length (-1 for null) and that many bytes; says where they lie, `start` being where the reader began.
fn nullable_run(
    field: &'static str,
    start: usize,
    reader: &mut Reader<'_>,
) -> Result<Option<Range<usize>>, RecordFault> {
    let length = in_field(field, reader.varint())?;
    if length == -1 {
        return Ok(None);
    }
    let length = non_negative(field, Ok(length))?;
    let from = start + reader.position();
    in_field(field, reader.take(length))?;
    Ok(Some(from..from + length))
}
