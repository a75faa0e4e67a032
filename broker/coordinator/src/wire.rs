//! Reading and writing the fields of Kafka's record schemas, in their fixed and their flexible form.
//!
//! The primitives are those of [`protocol::codec`]; a record's schema says once which form it is in, and its fields
//! follow.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use protocol::codec::{self, DecodeError, compact, varint};
use uuid::Uuid;

/// Reads fields off the front of a byte slice.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    primitives: codec::Reader<'a>,
    flexible: bool,
}

impl<'a> Reader<'a> {
    /// A reader in the fixed form.
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self {
            primitives: codec::Reader::new(bytes),
            flexible: false,
        }
    }

    /// Goes on in the flexible form when `flexible`, else in the fixed one.
    pub(crate) const fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    /// Whether nothing is left.
    pub(crate) const fn is_empty(&self) -> bool {
        self.primitives.remaining() == 0
    }

    pub(crate) fn i8(&mut self) -> Result<i8, DecodeError> {
        self.primitives.i8()
    }

    pub(crate) fn i16(&mut self) -> Result<i16, DecodeError> {
        self.primitives.i16()
    }

    pub(crate) fn i32(&mut self) -> Result<i32, DecodeError> {
        self.primitives.i32()
    }

    pub(crate) fn i64(&mut self) -> Result<i64, DecodeError> {
        self.primitives.i64()
    }

    pub(crate) fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        self.primitives.uuid()
    }

    pub(crate) fn string(&mut self) -> Result<Arc<str>, DecodeError> {
        self.primitives.string(self.flexible).map(Arc::from)
    }

    pub(crate) fn nullable_string(&mut self) -> Result<Option<Arc<str>>, DecodeError> {
        self.primitives
            .nullable_string(self.flexible)
            .map(|text| text.map(Arc::from))
    }

    pub(crate) fn bytes(&mut self) -> Result<Bytes, DecodeError> {
        let bytes = self
            .primitives
            .nullable_bytes(self.flexible)?
            .ok_or(DecodeError::UnexpectedNull)?;
        Ok(Bytes::copy_from_slice(bytes))
    }

    /// An array whose elements `element` reads; null gives nothing.
    pub(crate) fn nullable_array<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        let Some(count) = self.primitives.nullable_count(self.flexible)? else {
            return Ok(None);
        };
        (0..count).map(|_| element(self)).collect::<Result<_, _>>().map(Some)
    }

    /// An array that may not be null.
    pub(crate) fn array_of<T>(
        &mut self,
        element: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        self.nullable_array(element)?.ok_or(DecodeError::UnexpectedNull)
    }

    /// The tagged fields at the end of a structure, handed one by one to `field`, which ignores tags it does not
    /// know. In the fixed form there are none.
    pub(crate) fn tagged_fields(
        &mut self,
        mut field: impl FnMut(u32, &mut Reader<'_>) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        if !self.flexible {
            return Ok(());
        }
        for _ in 0..self.primitives.tag_count()? {
            let tagged = self.primitives.tagged_field()?;
            let mut content = Reader {
                primitives: codec::Reader::new(tagged.value),
                flexible: true,
            };
            field(tagged.tag, &mut content)?;
        }
        Ok(())
    }

    /// Tagged fields of which none is known.
    pub(crate) fn skip_tagged_fields(&mut self) -> Result<(), DecodeError> {
        self.tagged_fields(|_, _| Ok(()))
    }
}

/// Appends fields to a buffer. Strings in the fixed form must be shorter than 32 KiB; the machines see to that.
#[derive(Clone, Debug, Default)]
pub(crate) struct Writer {
    buffer: BytesMut,
    flexible: bool,
}

impl Writer {
    /// A writer in the fixed form.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Goes on in the flexible form when `flexible`, else in the fixed one.
    pub(crate) const fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    pub(crate) fn i8(&mut self, value: i8) {
        self.buffer.put_i8(value);
    }

    pub(crate) fn i16(&mut self, value: i16) {
        self.buffer.put_i16(value);
    }

    pub(crate) fn i32(&mut self, value: i32) {
        self.buffer.put_i32(value);
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.buffer.put_i64(value);
    }

    pub(crate) fn string(&mut self, text: &str) {
        self.nullable_string(Some(text));
    }

    pub(crate) fn nullable_string(&mut self, text: Option<&str>) {
        compact::put_nullable_string(&mut self.buffer, self.flexible, text);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.array_length(Some(bytes.len()));
        self.buffer.put_slice(bytes);
    }

    /// The count in front of an array; nothing for a null array.
    pub(crate) fn array_length(&mut self, count: Option<usize>) {
        compact::put_nullable_count(&mut self.buffer, self.flexible, count);
    }

    /// The tagged fields at the end of a structure, ascending by tag. In the fixed form there is no place for them.
    pub(crate) fn tagged_fields(&mut self, fields: &[(u32, Bytes)]) {
        if !self.flexible {
            assert!(fields.is_empty(), "tagged fields need a flexible version");
            return;
        }
        self.unsigned_varint(fields.len());
        for (tag, content) in fields {
            varint::put_u32(&mut self.buffer, *tag);
            self.unsigned_varint(content.len());
            self.buffer.put_slice(content);
        }
    }

    /// What was written.
    pub(crate) fn finish(self) -> Bytes {
        self.buffer.freeze()
    }

    fn unsigned_varint(&mut self, count: usize) {
        varint::put_u32(&mut self.buffer, u32::try_from(count).expect("counts fit a record"));
    }
}
