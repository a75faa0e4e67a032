//! One response on its way to a socket.

use bytes::{BufMut, Bytes, BytesMut};

/// Bytes of the length prefix in front of every response.
const LENGTH_PREFIX: usize = 4;

/// A whole response: length prefix, header and body, in as many pieces as it takes to copy no record batch.
///
/// The pieces leave in one vectored write where the socket takes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseFrame {
    /// The pieces in wire order; none is empty.
    pub parts: Vec<Bytes>,
}

impl ResponseFrame {
    /// Bytes of the whole frame, length prefix included.
    pub fn len(&self) -> usize {
        self.parts.iter().map(Bytes::len).sum()
    }

    /// Whether the frame holds nothing; only a default frame does.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

/// Builds a [`ResponseFrame`]: small fields are written into [`FrameBuilder::buffer`], large shared bytes are added
/// with [`FrameBuilder::put_shared`] and go out without a copy.
#[derive(Debug)]
pub struct FrameBuilder {
    parts: Vec<Bytes>,
    parts_len: usize,
    tail: BytesMut,
}

impl FrameBuilder {
    /// Shared bytes below this size are copied into the buffer: a piece of its own costs more than the copy.
    pub const SHARE_AT_LEAST: usize = 1024;

    /// An empty frame with room for `capacity` bytes of small fields.
    pub fn with_capacity(capacity: usize) -> Self {
        let mut tail = BytesMut::with_capacity(LENGTH_PREFIX + capacity);
        tail.put_bytes(0, LENGTH_PREFIX);
        Self {
            parts: Vec::new(),
            parts_len: 0,
            tail,
        }
    }

    /// The place for small fields. Only append to it.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.tail
    }

    /// Adds bytes that stay where they are.
    pub fn put_shared(&mut self, bytes: Bytes) {
        if bytes.len() < Self::SHARE_AT_LEAST {
            self.tail.extend_from_slice(&bytes);
            return;
        }
        self.cut_tail();
        self.parts_len += bytes.len();
        self.parts.push(bytes);
    }

    /// Fills in the length prefix and ends the frame.
    ///
    /// # Panics
    /// When the frame is longer than the prefix can say (2 GiB); responses are bounded far below that.
    pub fn finish(mut self) -> ResponseFrame {
        let total = self.parts_len + self.tail.len();
        let length = i32::try_from(total - LENGTH_PREFIX).expect("responses are bounded below 2 GiB");
        if self.parts.is_empty() {
            self.tail[..LENGTH_PREFIX].copy_from_slice(&length.to_be_bytes());
            return ResponseFrame {
                parts: vec![self.tail.freeze()],
            };
        }
        self.cut_tail();
        let mut first = BytesMut::from(self.parts[0].as_ref());
        first[..LENGTH_PREFIX].copy_from_slice(&length.to_be_bytes());
        self.parts[0] = first.freeze();
        ResponseFrame { parts: self.parts }
    }

    fn cut_tail(&mut self) {
        if self.tail.is_empty() {
            return;
        }
        let piece = self.tail.split().freeze();
        self.parts_len += piece.len();
        self.parts.push(piece);
    }
}
