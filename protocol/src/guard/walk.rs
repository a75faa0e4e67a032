//! The walk itself: one pass, no allocation, depth bounded by the schema.

use super::schema::{Field, Kind, Shape};
use crate::{
    codec::{DecodeError, Reader},
    limits::{DecodeLimits, ELEMENT_MEMORY_BYTES, UNKNOWN_TAG_MEMORY_BYTES},
};

/// What the decoded form of a request takes, beyond the frame that its strings and records point into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Footprint {
    /// Bytes of memory for array elements and unknown tagged fields.
    pub decoded_bytes: usize,
    /// Elements over all arrays.
    pub elements: usize,
    /// Tagged fields that the schema does not know.
    pub unknown_tags: usize,
}

/// A refusal, before it is known which request it was.
#[derive(Debug)]
pub(super) enum WalkFault {
    Malformed {
        field: &'static str,
        position: usize,
        source: DecodeError,
    },
    TagSize {
        field: &'static str,
        announced: usize,
        actual: usize,
    },
    TagVersion {
        field: &'static str,
    },
    TooManyTags {
        max: usize,
    },
    TooCostly {
        field: &'static str,
        position: usize,
        max: usize,
    },
}

pub(super) struct Walk<'a> {
    reader: Reader<'a>,
    version: i16,
    flexible: bool,
    limits: &'a DecodeLimits,
    footprint: Footprint,
    /// Where the counts of arrays stand, so that the tests can bend each of them.
    #[cfg(test)]
    pub(super) counts: Vec<std::ops::Range<usize>>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(body: &'a [u8], version: i16, flexible: bool, limits: &'a DecodeLimits) -> Self {
        Self {
            reader: Reader::new(body),
            version,
            flexible,
            limits,
            footprint: Footprint::default(),
            #[cfg(test)]
            counts: Vec::new(),
        }
    }

    /// Walks a whole body. Bytes behind it are ignored, as Kafka ignores them: librdkafka 2.12 ends a Metadata request for
    /// all topics (version 13) with three bytes too many.
    pub(super) fn whole(&mut self, shape: &Shape) -> Result<Footprint, WalkFault> {
        self.shape(shape)?;
        Ok(self.footprint)
    }

    fn shape(&mut self, shape: &Shape) -> Result<(), WalkFault> {
        for field in shape.fields {
            if field.is_in(self.version) {
                self.field(field)?;
            }
        }
        if self.flexible { self.tags(shape) } else { Ok(()) }
    }

    fn field(&mut self, field: &Field) -> Result<(), WalkFault> {
        let nullable = field.is_nullable_in(self.version);
        match field.kind {
            Kind::Array(element) => self.array(field.name, element, nullable),
            ref kind => self.value(field.name, kind, nullable),
        }
    }

    fn value(&mut self, name: &'static str, kind: &Kind, nullable: bool) -> Result<(), WalkFault> {
        let read = match *kind {
            Kind::Fixed(length) => self.reader.take(length).map(Some),
            Kind::Text => self.reader.string_bytes(self.flexible),
            Kind::Bytes => self.reader.nullable_bytes(self.flexible),
            Kind::Struct(shape) => return self.shape(shape),
            Kind::Array(element) => return self.array(name, element, nullable),
        };
        match self.in_field(name, read)? {
            None if !nullable => self.in_field(name, Err(DecodeError::UnexpectedNull)),
            _ => Ok(()),
        }
    }

    fn array(&mut self, name: &'static str, element: &Kind, nullable: bool) -> Result<(), WalkFault> {
        let position = self.reader.position();
        let count = self.reader.nullable_count(self.flexible);
        #[cfg(test)]
        self.counts.push(position..self.reader.position());
        let Some(count) = self.in_field(name, count)? else {
            return if nullable {
                Ok(())
            } else {
                self.in_field(name, Err(DecodeError::UnexpectedNull))
            };
        };
        self.footprint.elements += count;
        self.charge(
            name,
            position,
            count.saturating_mul(element.memory().max(ELEMENT_MEMORY_BYTES)),
        )?;
        if let Kind::Fixed(length) = *element {
            let run = self.reader.take(count.saturating_mul(length));
            return self.in_field(name, run.map(|_| ()));
        }
        for _ in 0..count {
            self.value(name, element, false)?;
        }
        Ok(())
    }

    fn tags(&mut self, shape: &Shape) -> Result<(), WalkFault> {
        let count = self.reader.tag_count();
        for _ in 0..self.in_field("tagged fields", count)? {
            let position = self.reader.position();
            let tagged = self.reader.tagged_field();
            let tagged = self.in_field("tagged fields", tagged)?;
            match shape.tagged.iter().find(|field| field.tag == Some(tagged.tag)) {
                Some(field) => self.tag(field, tagged.value)?,
                None => self.unknown_tag(position)?,
            }
        }
        Ok(())
    }

    /// Walks the value of a known tagged field: the codec reads it as its type and ignores the announced size.
    fn tag(&mut self, field: &Field, value: &'a [u8]) -> Result<(), WalkFault> {
        if !field.is_in(self.version) {
            return Err(WalkFault::TagVersion { field: field.name });
        }
        let outer = std::mem::replace(&mut self.reader, Reader::new(value));
        let walked = self.field(field);
        let inner = std::mem::replace(&mut self.reader, outer);
        walked?;
        match inner.expect_end() {
            Ok(()) => Ok(()),
            Err(_) => Err(WalkFault::TagSize {
                field: field.name,
                announced: value.len(),
                actual: inner.position(),
            }),
        }
    }

    fn unknown_tag(&mut self, position: usize) -> Result<(), WalkFault> {
        self.footprint.unknown_tags += 1;
        if self.limits.unknown_tags_max < self.footprint.unknown_tags {
            return Err(WalkFault::TooManyTags {
                max: self.limits.unknown_tags_max,
            });
        }
        self.charge("tagged fields", position, UNKNOWN_TAG_MEMORY_BYTES)
    }

    fn charge(&mut self, field: &'static str, position: usize, bytes: usize) -> Result<(), WalkFault> {
        self.footprint.decoded_bytes = self.footprint.decoded_bytes.saturating_add(bytes);
        let max = self.limits.decoded_bytes_max;
        if max < self.footprint.decoded_bytes {
            return Err(WalkFault::TooCostly { field, position, max });
        }
        Ok(())
    }

    fn in_field<T>(&self, field: &'static str, result: Result<T, DecodeError>) -> Result<T, WalkFault> {
        result.map_err(|source| WalkFault::Malformed {
            field,
            position: self.reader.position(),
            source,
        })
    }
}
