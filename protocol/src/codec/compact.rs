//! Lengths of strings, byte runs and arrays in both encodings.
//!
//! Before an API became flexible a string has a 16-bit length, bytes and arrays a 32-bit one, and -1 is null. In the
//! flexible encoding all of them carry an unsigned variable-length integer: length + 1, and 0 is null (KIP-482).

use bytes::BufMut;

use super::{DecodeError, Reader, varint};

impl<'a> Reader<'a> {
    /// Reads a string's bytes, or null. UTF-8 is not checked here.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`], [`DecodeError::NegativeLength`], [`DecodeError::VarintOverflow`].
    pub fn string_bytes(&mut self, flexible: bool) -> Result<Option<&'a [u8]>, DecodeError> {
        let length = if flexible {
            self.compact_length()?
        } else {
            classic_length(i64::from(self.i16()?))?
        };
        self.take_run(length)
    }

    /// Reads a string, or null.
    ///
    /// # Errors
    /// As [`Reader::string_bytes`], and [`DecodeError::InvalidUtf8`].
    pub fn nullable_string(&mut self, flexible: bool) -> Result<Option<&'a str>, DecodeError> {
        let Some(bytes) = self.string_bytes(flexible)? else {
            return Ok(None);
        };
        std::str::from_utf8(bytes)
            .map(Some)
            .map_err(|_| DecodeError::InvalidUtf8)
    }

    /// Reads a string that must be there.
    ///
    /// # Errors
    /// As [`Reader::nullable_string`], and [`DecodeError::UnexpectedNull`].
    pub fn string(&mut self, flexible: bool) -> Result<&'a str, DecodeError> {
        self.nullable_string(flexible)?.ok_or(DecodeError::UnexpectedNull)
    }

    /// Reads a run of bytes, or null.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`], [`DecodeError::NegativeLength`], [`DecodeError::VarintOverflow`].
    pub fn nullable_bytes(&mut self, flexible: bool) -> Result<Option<&'a [u8]>, DecodeError> {
        let length = self.length(flexible)?;
        self.take_run(length)
    }

    /// Reads an array's number of elements, or null. A count that could not fit the bytes left, at one byte per
    /// element, is refused, so that it is safe to reserve memory for it.
    ///
    /// # Errors
    /// [`DecodeError::CountTooLarge`], [`DecodeError::Truncated`], [`DecodeError::NegativeLength`],
    /// [`DecodeError::VarintOverflow`].
    pub fn nullable_count(&mut self, flexible: bool) -> Result<Option<usize>, DecodeError> {
        let count = self.length(flexible)?;
        let remaining = self.remaining();
        match count {
            Some(count) if remaining < count => Err(DecodeError::CountTooLarge {
                count: count as u64,
                remaining,
            }),
            count => Ok(count),
        }
    }

    /// Reads the number of elements of an array that must be there.
    ///
    /// # Errors
    /// As [`Reader::nullable_count`], and [`DecodeError::UnexpectedNull`].
    pub fn count(&mut self, flexible: bool) -> Result<usize, DecodeError> {
        self.nullable_count(flexible)?.ok_or(DecodeError::UnexpectedNull)
    }

    fn length(&mut self, flexible: bool) -> Result<Option<usize>, DecodeError> {
        if flexible {
            self.compact_length()
        } else {
            classic_length(i64::from(self.i32()?))
        }
    }

    fn compact_length(&mut self) -> Result<Option<usize>, DecodeError> {
        Ok((self.unsigned_varint()? as usize).checked_sub(1))
    }

    fn take_run(&mut self, length: Option<usize>) -> Result<Option<&'a [u8]>, DecodeError> {
        match length {
            Some(length) => self.take(length).map(Some),
            None => Ok(None),
        }
    }
}

/// Writes a string, or null.
///
/// # Panics
/// When the text is longer than the encoding can say (32,767 bytes before the flexible encoding); texts that a peer
/// sent through the same encoding never are.
pub fn put_nullable_string(out: &mut impl BufMut, flexible: bool, text: Option<&str>) {
    if flexible {
        put_compact_length(out, text.map(str::len));
    } else {
        let length = text.map_or(-1, |text| {
            i16::try_from(text.len()).expect("a string fits a 16-bit length")
        });
        out.put_i16(length);
    }
    out.put_slice(text.unwrap_or_default().as_bytes());
}

/// Writes a string.
///
/// # Panics
/// As [`put_nullable_string`].
pub fn put_string(out: &mut impl BufMut, flexible: bool, text: &str) {
    put_nullable_string(out, flexible, Some(text));
}

/// Writes the number of elements of an array, or null.
///
/// # Panics
/// When there are more than `i32::MAX` elements.
pub fn put_nullable_count(out: &mut impl BufMut, flexible: bool, count: Option<usize>) {
    if flexible {
        return put_compact_length(out, count);
    }
    out.put_i32(count.map_or(-1, |count| i32::try_from(count).expect("an array fits a 32-bit count")));
}

/// Writes the number of elements of an array.
///
/// # Panics
/// As [`put_nullable_count`].
pub fn put_count(out: &mut impl BufMut, flexible: bool, count: usize) {
    put_nullable_count(out, flexible, Some(count));
}

fn put_compact_length(out: &mut impl BufMut, length: Option<usize>) {
    let plus_one = length.map_or(0, |length| u32::try_from(length + 1).expect("a length fits 32 bits"));
    varint::put_u32(out, plus_one);
}

fn classic_length(length: i64) -> Result<Option<usize>, DecodeError> {
    match length {
        -1 => Ok(None),
        length => usize::try_from(length)
            .map(Some)
            .map_err(|_| DecodeError::NegativeLength { length }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn null_empty_and_negative_are_told_apart() {
        assert_eq!(Reader::new(&[0xff, 0xff]).nullable_string(false), Ok(None));
        assert_eq!(Reader::new(&[0, 0]).nullable_string(false), Ok(Some("")));
        assert_eq!(Reader::new(&[0]).nullable_string(true), Ok(None));
        assert_eq!(Reader::new(&[1]).nullable_string(true), Ok(Some("")));
        assert_eq!(
            Reader::new(&[0xff, 0xfe]).nullable_string(false),
            Err(DecodeError::NegativeLength { length: -2 })
        );
        assert_eq!(Reader::new(&[0]).string(true), Err(DecodeError::UnexpectedNull));
        assert_eq!(Reader::new(&[2, 0xff]).string(true), Err(DecodeError::InvalidUtf8));
    }

    #[test]
    fn counts_beyond_the_input_are_refused() {
        let huge = [0x7f, 0xff, 0xff, 0xff, 0];
        let refused = Err(DecodeError::CountTooLarge {
            count: 0x7fff_ffff,
            remaining: 1,
        });
        assert_eq!(Reader::new(&huge).nullable_count(false), refused);
        assert_eq!(
            Reader::new(&[3, 0]).count(true),
            Err(DecodeError::CountTooLarge { count: 2, remaining: 1 })
        );
        assert_eq!(Reader::new(&[2, 0]).count(true), Ok(1));
    }

    proptest! {
        #[test]
        fn strings_round_trip(text in proptest::option::of(".{0,200}"), flexible: bool) {
            let mut out = Vec::new();
            put_nullable_string(&mut out, flexible, text.as_deref());
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.nullable_string(flexible), Ok(text.as_deref()));
            prop_assert_eq!(reader.expect_end(), Ok(()));
        }
    }
}
