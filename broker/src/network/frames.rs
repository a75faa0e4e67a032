//! From a byte stream to frames, reading as much at once as has arrived.
//!
//! One buffer takes what the socket has; whole frames are cut off its front and share its memory, so that a produced
//! batch is never copied between the socket and the log. The buffer never grows ahead of the data: at most to twice of
//! what has arrived of a frame. A large frame is read to its end and not further, so that what comes behind it lies in
//! memory of its own and does not keep it alive.

use bytes::{BufMut, Bytes, BytesMut};
use protocol::frame::{FrameDecoder, FrameError};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Smallest room for a read, and the size up to which frames need no reserved memory.
pub const SMALL_FRAME: usize = 64 * 1024;
/// Largest room for a read.
const MAX_READ: usize = 1024 * 1024;

/// Cuts one connection's bytes into frames.
#[derive(Debug)]
pub struct FrameReader {
    decoder: FrameDecoder,
    buffer: BytesMut,
}

impl FrameReader {
    /// Takes frames of up to `max_frame_bytes`.
    pub fn new(max_frame_bytes: usize) -> Self {
        Self {
            decoder: FrameDecoder::new(max_frame_bytes),
            buffer: BytesMut::new(),
        }
    }

    /// The next whole frame, if there is one.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        let frame = self.decoder.decode(&mut self.buffer)?;
        if self.buffer.is_empty() && frame.as_ref().is_some_and(|frame| SMALL_FRAME < frame.len()) {
            // What is read next would share a large frame's memory and keep all of it alive.
            self.buffer = BytesMut::new();
        }
        Ok(frame)
    }

    /// Whether a frame has begun and is not whole.
    pub fn is_partial(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Bytes that have arrived and are in no frame yet.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Bytes that the begun frame takes in all; 0 where none has begun or its length is not there yet.
    pub fn frame_bytes(&self) -> usize {
        match self.decoder.missing_bytes(&self.buffer) {
            Ok(missing) if 4 <= self.buffer.len() => self.buffer.len() + missing,
            Ok(_) | Err(_) => 0,
        }
    }

    /// Reads once; 0 is the end of the stream. Dropping the future loses nothing.
    pub async fn fill(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<usize> {
        let missing = self.decoder.missing_bytes(&self.buffer).unwrap_or(0);
        let room = missing.min(self.buffer.len()).clamp(SMALL_FRAME, MAX_READ);
        if self.buffer.capacity() - self.buffer.len() < room.min(missing.max(4096)) {
            self.buffer.reserve(room);
        }
        match SMALL_FRAME < self.frame_bytes() {
            true => stream.read_buf(&mut (&mut self.buffer).limit(missing)).await,
            false => stream.read_buf(&mut self.buffer).await,
        }
    }

    /// Gives the buffer's memory back where nothing is in it.
    pub fn shrink(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all_frames(reader: &mut FrameReader, mut stream: &[u8]) -> Result<Vec<Bytes>, FrameError> {
        let mut frames = Vec::new();
        while reader.fill(&mut stream).await.expect("memory does not fail") != 0 {
            while let Some(frame) = reader.next_frame()? {
                let large = 2 * SMALL_FRAME < frame.len();
                assert!(!large || !reader.is_partial(), "nothing shares a large frame's memory");
                frames.push(frame);
            }
        }
        Ok(frames)
    }

    fn framed(bodies: &[&[u8]]) -> Vec<u8> {
        bodies
            .iter()
            .flat_map(|body| [&(body.len() as u32).to_be_bytes()[..], body].concat())
            .collect()
    }

    #[tokio::test]
    async fn small_and_large_frames_in_one_stream() {
        let large: Vec<u8> = (0..3_000_000_u32).map(|index| index as u8).collect();
        let bodies: [&[u8]; 5] = [b"one", b"", &large, b"two", &large];
        let mut reader = FrameReader::new(4_000_000);
        let frames = all_frames(&mut reader, &framed(&bodies)).await.expect("legal frames");
        assert_eq!(frames, bodies);
        assert!(!reader.is_partial());
    }

    #[tokio::test]
    async fn an_announced_length_reserves_no_memory() {
        let mut reader = FrameReader::new(100 << 20);
        let mut stream: &[u8] = &[&(99_u32 << 20).to_be_bytes()[..], &[0; 100]].concat();
        reader.fill(&mut stream).await.expect("memory does not fail");
        assert_eq!(reader.next_frame(), Ok(None));
        assert_eq!(reader.frame_bytes(), 4 + (99 << 20));
        assert!(reader.buffer.capacity() <= 2 * SMALL_FRAME);
    }

    #[tokio::test]
    async fn lengths_out_of_bounds_are_errors() {
        for length in [-1_i32, i32::MIN, 1025] {
            let mut reader = FrameReader::new(1024);
            let stream = length.to_be_bytes();
            assert!(all_frames(&mut reader, &stream).await.is_err(), "{length}");
        }
    }
}
