//! Cutting a byte stream into frames: a 32-bit big-endian length, then that many bytes.
//!
//! The caller owns the buffer and fills it from wherever bytes come; the decoder takes whole frames off its front. It
//! never reserves memory for a length that a peer merely announced.

use bytes::{Buf, Bytes, BytesMut};

/// Bytes of the length field.
const LENGTH_LEN: usize = 4;

/// A length field that no frame may have. The stream cannot be followed any further: close the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A length below 0.
    #[error("frame length {length} is negative")]
    Negative {
        /// As written.
        length: i32,
    },
    /// A length above the limit.
    #[error("frame of {length} bytes is above the limit of {max_bytes}")]
    TooLarge {
        /// As written.
        length: usize,
        /// The limit.
        max_bytes: usize,
    },
}

/// Takes frames off the front of a buffer.
#[derive(Debug, Clone, Copy)]
pub struct FrameDecoder {
    max_bytes: usize,
}

impl FrameDecoder {
    /// Accepts frames of up to `max_bytes`, the length field not counted.
    #[must_use]
    pub const fn new(max_bytes: usize) -> Self {
        Self { max_bytes }
    }

    /// Takes the next whole frame, without its length field; nothing while it is incomplete. The frame shares the
    /// buffer's memory.
    ///
    /// # Errors
    /// [`FrameError`], as soon as the length field is there; the buffer is left as it is, and further calls give the same
    /// error.
    pub fn decode(&self, buffer: &mut BytesMut) -> Result<Option<Bytes>, FrameError> {
        let Some(length) = self.peek_length(buffer)? else {
            return Ok(None);
        };
        if buffer.len() - LENGTH_LEN < length {
            return Ok(None);
        }
        buffer.advance(LENGTH_LEN);
        Ok(Some(buffer.split_to(length).freeze()))
    }

    /// Bytes that are still missing before [`FrameDecoder::decode`] can yield; 0 when it can. A hint for how much to read
    /// at once; bound it before reserving memory.
    ///
    /// # Errors
    /// As [`FrameDecoder::decode`].
    pub fn missing_bytes(&self, buffer: &[u8]) -> Result<usize, FrameError> {
        match self.peek_length(buffer)? {
            Some(length) => Ok((LENGTH_LEN + length).saturating_sub(buffer.len())),
            None => Ok(LENGTH_LEN - buffer.len()),
        }
    }

    fn peek_length(&self, buffer: &[u8]) -> Result<Option<usize>, FrameError> {
        let Some(bytes) = buffer.first_chunk::<LENGTH_LEN>() else {
            return Ok(None);
        };
        let length = i32::from_be_bytes(*bytes);
        let length = usize::try_from(length).map_err(|_| FrameError::Negative { length })?;
        if self.max_bytes < length {
            return Err(FrameError::TooLarge {
                length,
                max_bytes: self.max_bytes,
            });
        }
        Ok(Some(length))
    }
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn impossible_lengths_are_refused_before_their_bytes_come() {
        let decoder = FrameDecoder::new(10);
        let mut buffer = BytesMut::from(&[0xff, 0xff, 0xff, 0xff][..]);
        assert_eq!(decoder.decode(&mut buffer), Err(FrameError::Negative { length: -1 }));
        let mut buffer = BytesMut::from(&[0, 0, 0, 11][..]);
        assert_eq!(
            decoder.decode(&mut buffer),
            Err(FrameError::TooLarge {
                length: 11,
                max_bytes: 10
            })
        );
        assert_eq!(
            decoder.decode(&mut buffer),
            Err(FrameError::TooLarge {
                length: 11,
                max_bytes: 10
            })
        );
    }

    #[test]
    fn an_announced_length_reserves_nothing() {
        let decoder = FrameDecoder::new(usize::MAX);
        let mut buffer = BytesMut::with_capacity(16);
        buffer.put_i32(i32::MAX);
        assert_eq!(decoder.decode(&mut buffer), Ok(None));
        assert!(buffer.capacity() <= 16);
        assert_eq!(decoder.missing_bytes(&buffer), Ok(i32::MAX as usize));
    }

    proptest! {
        #[test]
        fn frames_come_out_whole_however_they_arrive(
            frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..12),
            cuts in proptest::collection::vec(1_usize..40, 1..60),
        ) {
            let mut stream = Vec::new();
            for frame in &frames {
                stream.put_i32(frame.len() as i32);
                stream.extend_from_slice(frame);
            }
            let decoder = FrameDecoder::new(80);
            let (mut buffer, mut decoded, mut rest) = (BytesMut::new(), Vec::new(), &stream[..]);
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, behind) = rest.split_at(rest.len().min(*cut));
                buffer.extend_from_slice(piece);
                rest = behind;
                while let Some(frame) = decoder.decode(&mut buffer).unwrap() {
                    decoded.push(frame.to_vec());
                }
                prop_assert!(0 < decoder.missing_bytes(&buffer).unwrap());
            }
            prop_assert_eq!(decoded, frames);
            prop_assert!(buffer.is_empty());
        }

        #[test]
        fn garbage_never_panics(bytes: Vec<u8>) {
            let mut buffer = BytesMut::from(&bytes[..]);
            while let Ok(Some(frame)) = FrameDecoder::new(1000).decode(&mut buffer) {
                prop_assert!(frame.len() <= 1000);
            }
        }
    }
}
