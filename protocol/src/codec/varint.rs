//! Variable-length integers: seven bits per byte, least significant first; signed ones zigzag-encoded.
//!
//! Longer than necessary encodings are accepted, as Kafka accepts them; values beyond the type's width are not.

use bytes::BufMut;

use super::DecodeError;

/// Bytes of the longest encoding of a 32-bit value.
pub const U32_BYTES_MAX: usize = 5;
/// Bytes of the longest encoding of a 64-bit value.
pub const U64_BYTES_MAX: usize = 10;

/// Reads an unsigned 32-bit value from the front; returns it with the number of bytes it took.
///
/// # Errors
/// [`DecodeError::Truncated`] or [`DecodeError::VarintOverflow`].
#[inline]
pub fn read_u32(input: &[u8]) -> Result<(u32, usize), DecodeError> {
    // Most lengths and deltas take one or two bytes.
    match *input {
        [low, ..] if low < 0x80 => Ok((u32::from(low), 1)),
        [low, high, ..] if high < 0x80 => Ok((u32::from(low & 0x7f) | u32::from(high) << 7, 2)),
        _ => read_u32_long(input),
    }
}

/// Reads an unsigned 64-bit value from the front; returns it with the number of bytes it took.
///
/// # Errors
/// [`DecodeError::Truncated`] or [`DecodeError::VarintOverflow`].
#[inline]
pub fn read_u64(input: &[u8]) -> Result<(u64, usize), DecodeError> {
    // Most lengths and deltas take one or two bytes.
    match *input {
        [low, ..] if low < 0x80 => Ok((u64::from(low), 1)),
        [low, high, ..] if high < 0x80 => Ok((u64::from(low & 0x7f) | u64::from(high) << 7, 2)),
        _ => read_u64_long(input),
    }
}

/// Reads a zigzag-encoded 32-bit value (Kafka's `varint`).
///
/// # Errors
/// [`DecodeError::Truncated`] or [`DecodeError::VarintOverflow`].
#[inline]
pub fn read_i32(input: &[u8]) -> Result<(i32, usize), DecodeError> {
    read_u32(input).map(|(value, len)| (unzigzag32(value), len))
}

/// Reads a zigzag-encoded 64-bit value (Kafka's `varlong`).
///
/// # Errors
/// [`DecodeError::Truncated`] or [`DecodeError::VarintOverflow`].
#[inline]
pub fn read_i64(input: &[u8]) -> Result<(i64, usize), DecodeError> {
    read_u64(input).map(|(value, len)| (unzigzag64(value), len))
}

/// Writes an unsigned 32-bit value.
#[inline]
pub fn put_u32(out: &mut impl BufMut, value: u32) {
    put_u64(out, u64::from(value));
}

/// Writes an unsigned 64-bit value.
#[inline]
pub fn put_u64(out: &mut impl BufMut, mut value: u64) {
    while 0x80 <= value {
        out.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// Writes a zigzag-encoded 32-bit value.
#[inline]
pub fn put_i32(out: &mut impl BufMut, value: i32) {
    put_u32(out, zigzag32(value));
}

/// Writes a zigzag-encoded 64-bit value.
#[inline]
pub fn put_i64(out: &mut impl BufMut, value: i64) {
    put_u64(out, zigzag64(value));
}

/// Bytes that [`put_u64`] takes; also right for 32-bit values.
#[inline]
#[must_use]
pub const fn len_u64(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Bytes that [`put_i32`] takes.
#[inline]
#[must_use]
pub const fn len_i32(value: i32) -> usize {
    len_u64(zigzag32(value) as u64)
}

/// Bytes that [`put_i64`] takes.
#[inline]
#[must_use]
pub const fn len_i64(value: i64) -> usize {
    len_u64(zigzag64(value))
}

fn read_u32_long(input: &[u8]) -> Result<(u32, usize), DecodeError> {
    let mut value: u32 = 0;
    for (index, &byte) in input.iter().take(U32_BYTES_MAX).enumerate() {
        if index + 1 == U32_BYTES_MAX && 0x0f < byte {
            return Err(DecodeError::VarintOverflow { bits: 32 });
        }
        value |= u32::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Ok((value, index + 1));
        }
    }
    Err(DecodeError::Truncated {
        needed: input.len() + 1,
        remaining: input.len(),
    })
}

fn read_u64_long(input: &[u8]) -> Result<(u64, usize), DecodeError> {
    let mut value: u64 = 0;
    for (index, &byte) in input.iter().take(U64_BYTES_MAX).enumerate() {
        if index + 1 == U64_BYTES_MAX && 0x01 < byte {
            return Err(DecodeError::VarintOverflow { bits: 64 });
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Ok((value, index + 1));
        }
    }
    Err(DecodeError::Truncated {
        needed: input.len() + 1,
        remaining: input.len(),
    })
}

const fn zigzag32(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)) as u32
}

const fn zigzag64(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

const fn unzigzag32(value: u32) -> i32 {
    (value >> 1) as i32 ^ -((value & 1) as i32)
}

const fn unzigzag64(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_encodings() {
        for (value, bytes) in [
            (0, &[0_u8][..]),
            (-1, &[1]),
            (1, &[2]),
            (300, &[216, 4]),
            (i32::MAX, &[254, 255, 255, 255, 15]),
            (i32::MIN, &[255, 255, 255, 255, 15]),
        ] {
            let mut out = Vec::new();
            put_i32(&mut out, value);
            assert_eq!(out, bytes);
            assert_eq!(read_i32(bytes), Ok((value, bytes.len())));
        }
    }

    #[test]
    fn longer_than_necessary_is_read_and_too_large_is_not() {
        assert_eq!(read_u32(&[0x80, 0x80, 0x00, 7]), Ok((0, 3)));
        assert_eq!(
            read_u32(&[0xff, 0xff, 0xff, 0xff, 0x1f]),
            Err(DecodeError::VarintOverflow { bits: 32 })
        );
        assert_eq!(
            read_u32(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00]),
            Err(DecodeError::VarintOverflow { bits: 32 })
        );
        assert_eq!(read_u64(&[0xff; 10]), Err(DecodeError::VarintOverflow { bits: 64 }));
        assert_eq!(
            read_u64(&[0xff; 9]),
            Err(DecodeError::Truncated {
                needed: 10,
                remaining: 9
            })
        );
        assert_eq!(
            read_u32(&[]),
            Err(DecodeError::Truncated {
                needed: 1,
                remaining: 0
            })
        );
    }

    proptest! {
        #[test]
        fn signed_32_bit_values_round_trip(value: i32, tail: Vec<u8>) {
            let mut out = Vec::new();
            put_i32(&mut out, value);
            prop_assert_eq!(out.len(), len_i32(value));
            let len = out.len();
            out.extend(tail);
            prop_assert_eq!(read_i32(&out), Ok((value, len)));
        }

        #[test]
        fn signed_64_bit_values_round_trip(value: i64, tail: Vec<u8>) {
            let mut out = Vec::new();
            put_i64(&mut out, value);
            prop_assert_eq!(out.len(), len_i64(value));
            let len = out.len();
            out.extend(tail);
            prop_assert_eq!(read_i64(&out), Ok((value, len)));
        }

        #[test]
        fn any_bytes_are_read_or_refused(input: Vec<u8>) {
            if let Ok((value, len)) = read_u64(&input) {
                prop_assert!(len <= input.len());
                prop_assert!(len_u64(value) <= len);
            }
        }
    }
}
