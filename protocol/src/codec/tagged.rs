//! The tag buffer that ends every struct of the flexible encoding (KIP-482).

use bytes::BufMut;

use super::{DecodeError, Reader, varint};

/// One tagged field: its number and its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaggedField<'a> {
    /// Number within the struct.
    pub tag: u32,
    /// The field's encoding, exactly as long as the tag buffer said.
    pub value: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads the number of tagged fields; each takes at least two bytes.
    ///
    /// # Errors
    /// [`DecodeError::CountTooLarge`], [`DecodeError::Truncated`], [`DecodeError::VarintOverflow`].
    pub fn tag_count(&mut self) -> Result<usize, DecodeError> {
        let count = self.unsigned_varint()? as usize;
        let remaining = self.remaining();
        if remaining / 2 < count {
            return Err(DecodeError::CountTooLarge {
                count: count as u64,
                remaining,
            });
        }
        Ok(count)
    }

    /// Reads one tagged field.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`], [`DecodeError::VarintOverflow`].
    pub fn tagged_field(&mut self) -> Result<TaggedField<'a>, DecodeError> {
        let tag = self.unsigned_varint()?;
        let size = self.unsigned_varint()? as usize;
        Ok(TaggedField {
            tag,
            value: self.take(size)?,
        })
    }

    /// Reads over a whole tag buffer: unknown tags are never an error.
    ///
    /// # Errors
    /// [`DecodeError::CountTooLarge`], [`DecodeError::Truncated`], [`DecodeError::VarintOverflow`].
    pub fn skip_tags(&mut self) -> Result<(), DecodeError> {
        for _ in 0..self.tag_count()? {
            self.tagged_field()?;
        }
        Ok(())
    }
}

/// Writes a tag buffer without fields.
pub fn put_no_tags(out: &mut impl BufMut) {
    varint::put_u32(out, 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_skipped_whole() {
        let mut reader = Reader::new(&[2, 0, 1, 7, 200, 1, 2, 8, 9, 42]);
        assert_eq!(reader.skip_tags(), Ok(()));
        assert_eq!(reader.rest(), &[42]);
    }

    #[test]
    fn counts_beyond_the_input_are_refused() {
        let refused = Err(DecodeError::CountTooLarge { count: 2, remaining: 3 });
        assert_eq!(Reader::new(&[2, 0, 0, 0]).skip_tags(), refused);
    }
}
