//! Responses that wait for the socket.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::response::ResponseFrame;

/// Pieces in one write; more would not fit into one system call's array comfortably.
const PIECES: usize = 64;

/// Bytes on their way out, in order.
#[derive(Debug, Default)]
pub struct Outbox {
    pieces: VecDeque<Bytes>,
    bytes: usize,
}

impl Outbox {
    /// Adds a response behind the others.
    pub fn push(&mut self, frame: ResponseFrame) {
        self.bytes += frame.len();
        self.pieces
            .extend(frame.parts.into_iter().filter(|part| !part.is_empty()));
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Writes once what the socket takes. Dropping the future loses nothing.
    pub async fn write(&mut self, stream: &mut (impl AsyncWrite + Unpin)) -> std::io::Result<()> {
        let mut slices = [IoSlice::new(&[]); PIECES];
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            *slice = IoSlice::new(piece);
            count += 1;
        }
        let written = stream.write_vectored(&slices[..count]).await?;
        if written == 0 {
            return Err(std::io::ErrorKind::WriteZero.into());
        }
        self.advance(written);
        Ok(())
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        while 0 < written {
            let front = self.pieces.front_mut().expect("no more was written than was there");
            if written < front.len() {
                front.advance(written);
                return;
            }
            written -= front.len();
            self.pieces.pop_front();
        }
    }
}
