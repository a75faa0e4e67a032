//! A cursor over borrowed bytes that reads fixed-width integers and raw runs.

use uuid::Uuid;

use super::{DecodeError, varint};

/// Reads primitives front to back. Big-endian, as everything in the protocol.
///
/// A failed read leaves the position where it was.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    input: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the front of `input`.
    #[must_use]
    pub const fn new(input: &'a [u8]) -> Self {
        Self { input, position: 0 }
    }

    /// Bytes read so far.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.position
    }

    /// Bytes not read yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.input.get(self.position..).unwrap_or_default()
    }

    /// Number of bytes not read yet.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.input.len() - self.position
    }

    /// Takes the next `count` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] when fewer are left.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let rest = self.rest();
        let taken = rest.get(..count).ok_or(DecodeError::Truncated {
            needed: count,
            remaining: rest.len(),
        })?;
        self.position += count;
        Ok(taken)
    }

    /// Reads a signed byte.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn i8(&mut self) -> Result<i8, DecodeError> {
        self.array().map(i8::from_be_bytes)
    }

    /// Reads a byte that is false when 0 and true otherwise.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        self.i8().map(|value| value != 0)
    }

    /// Reads a 16-bit integer.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn i16(&mut self) -> Result<i16, DecodeError> {
        self.array().map(i16::from_be_bytes)
    }

    /// Reads a 32-bit integer.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        self.array().map(i32::from_be_bytes)
    }

    /// Reads a 64-bit integer.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        self.array().map(i64::from_be_bytes)
    }

    /// Reads 16 bytes as a UUID.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        self.array().map(Uuid::from_bytes)
    }

    /// Reads an unsigned variable-length 32-bit integer.
    ///
    /// # Errors
    /// As [`varint::read_u32`].
    pub fn unsigned_varint(&mut self) -> Result<u32, DecodeError> {
        let (value, len) = varint::read_u32(self.rest())?;
        self.position += len;
        Ok(value)
    }

    /// Reads a zigzag-encoded 32-bit integer.
    ///
    /// # Errors
    /// As [`varint::read_i32`].
    pub fn varint(&mut self) -> Result<i32, DecodeError> {
        let (value, len) = varint::read_i32(self.rest())?;
        self.position += len;
        Ok(value)
    }

    /// Reads a zigzag-encoded 64-bit integer.
    ///
    /// # Errors
    /// As [`varint::read_i64`].
    pub fn varlong(&mut self) -> Result<i64, DecodeError> {
        let (value, len) = varint::read_i64(self.rest())?;
        self.position += len;
        Ok(value)
    }

    /// Succeeds when everything has been read.
    ///
    /// # Errors
    /// [`DecodeError::TrailingBytes`] otherwise.
    pub const fn expect_end(&self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            count => Err(DecodeError::TrailingBytes { count }),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let rest = self.rest();
        let bytes = rest.first_chunk::<N>().ok_or(DecodeError::Truncated {
            needed: N,
            remaining: rest.len(),
        })?;
        self.position += N;
        Ok(*bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_in_order_and_reports_the_end() {
        let mut reader = Reader::new(&[0xff, 0, 2, 0, 0, 0, 3, 9, 9]);
        assert_eq!(reader.i8(), Ok(-1));
        assert_eq!(reader.i16(), Ok(2));
        assert_eq!(reader.i32(), Ok(3));
        assert_eq!(reader.expect_end(), Err(DecodeError::TrailingBytes { count: 2 }));
        assert_eq!(
            reader.i64(),
            Err(DecodeError::Truncated {
                needed: 8,
                remaining: 2
            })
        );
        assert_eq!(reader.position(), 7);
        assert_eq!(reader.take(2), Ok(&[9, 9][..]));
        assert_eq!(
            reader.take(usize::MAX),
            Err(DecodeError::Truncated {
                needed: usize::MAX,
                remaining: 0
            })
        );
        assert_eq!(reader.expect_end(), Ok(()));
    }
}
