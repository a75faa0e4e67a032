//! Decompression under a cap.

use std::{borrow::Cow, fmt, io::Read};

use zstd::zstd_safe::{DCtx, InBuffer, OutBuffer, ResetDirective, get_error_name};

use super::{Codec, snappy};

/// Bytes that the output grows by at least.
const GROWTH_MIN: usize = 4096;

/// Why bytes could not be decompressed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecompressError {
    /// The result would be larger than the caller allows: a bomb, or a limit set too low.
    #[error("{codec} data decompresses to more than {cap} bytes")]
    TooLarge {
        /// The codec.
        codec: Codec,
        /// The caller's limit.
        cap: usize,
    },
    /// The bytes are not what the codec writes.
    #[error("{codec} data is damaged: {reason}")]
    Corrupt {
        /// The codec.
        codec: Codec,
        /// What the decoder says.
        reason: String,
    },
}

/// Decompresses `input` to at most `cap` bytes. Uncompressed input is borrowed and not held against the cap.
///
/// # Errors
/// [`DecompressError`].
pub fn decompress(codec: Codec, input: &[u8], cap: usize) -> Result<Cow<'_, [u8]>, DecompressError> {
    if codec == Codec::None {
        return Ok(Cow::Borrowed(input));
    }
    let mut output = Vec::new();
    decompress_into(codec, input, cap, &mut output)?;
    Ok(Cow::Owned(output))
}

/// Like [`decompress`], into a buffer of the caller's; what it held before is dropped.
///
/// # Errors
/// [`DecompressError`]; the buffer then holds nothing of use.
pub fn decompress_into(codec: Codec, input: &[u8], cap: usize, output: &mut Vec<u8>) -> Result<(), DecompressError> {
    Decompressor::new().decompress_into(codec, input, cap, output)
}

/// Decompresses batch after batch and keeps what is costly to set up, for those who read many. Not shared between
/// threads; each has its own.
///
/// Memory stays within the cap plus the decoder's own window, whatever the input claims. A zstd window is at most
/// 128 MiB (what Kafka's own readers allow), of which only what the data reaches is ever touched.
#[derive(Default)]
pub struct Decompressor {
    /// Some 150 KiB, and several times the cost of a small batch to set up.
    zstd: Option<DCtx<'static>>,
    count: u64,
}

impl Decompressor {
    /// Sets nothing up before it is needed.
    #[must_use]
    pub const fn new() -> Self {
        Self { zstd: None, count: 0 }
    }

    /// How many compressed inputs it was given since this was last asked, those that it refused included: the work that
    /// readers answer for.
    pub const fn take_count(&mut self) -> u64 {
        std::mem::replace(&mut self.count, 0)
    }

    /// Decompresses `input` to at most `cap` bytes into a buffer; what it held before is dropped. Uncompressed input is
    /// copied, and not held against the cap.
    ///
    /// # Errors
    /// [`DecompressError`]; the buffer then holds nothing of use.
    pub fn decompress_into(
        &mut self,
        codec: Codec,
        input: &[u8],
        cap: usize,
        output: &mut Vec<u8>,
    ) -> Result<(), DecompressError> {
        output.clear();
        self.count += u64::from(codec != Codec::None);
        match codec {
            Codec::None => {
                output.extend_from_slice(input);
                Ok(())
            }
            Codec::Gzip => read_capped(
                codec,
                flate2::bufread::MultiGzDecoder::new(input),
                input.len(),
                cap,
                output,
            ),
            Codec::Snappy => snappy::decompress(input, cap, output),
            Codec::Lz4 => read_capped(
                codec,
                lz4_flex::frame::FrameDecoder::new(input),
                input.len(),
                cap,
                output,
            ),
            Codec::Zstd => self.decompress_zstd(input, cap, output),
        }
    }

    /// One or more zstd frames; the last must be whole.
    fn decompress_zstd(&mut self, input: &[u8], cap: usize, output: &mut Vec<u8>) -> Result<(), DecompressError> {
        let context = self.zstd.get_or_insert_with(DCtx::create);
        let fail = |code| corrupt(Codec::Zstd, get_error_name(code));
        context.reset(ResetDirective::SessionOnly).map_err(fail)?;
        output.reserve(first_reserve(input.len(), cap));
        let mut source = InBuffer::around(input);
        loop {
            if output.len() == output.capacity() {
                output.reserve(output.len().max(GROWTH_MIN).min(cap.saturating_sub(output.len()) + 1));
            }
            let start = output.len();
            let mut target = OutBuffer::around_pos(&mut *output, start);
            let missing = context.decompress_stream(&mut target, &mut source).map_err(fail)?;
            if cap < output.len() {
                return Err(DecompressError::TooLarge {
                    codec: Codec::Zstd,
                    cap,
                });
            }
            let all_read = source.pos() == input.len();
            if all_read && missing == 0 {
                return Ok(());
            }
            if all_read && output.len() < output.capacity() {
                return Err(corrupt(Codec::Zstd, "the last frame is cut short"));
            }
        }
    }
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressor")
            .field("zstd", &self.zstd.is_some())
            .field("count", &self.count)
            .finish()
    }
}

/// Reads a decoder to its end, but never more than one byte beyond the cap.
fn read_capped(
    codec: Codec,
    decoder: impl Read,
    input_len: usize,
    cap: usize,
    output: &mut Vec<u8>,
) -> Result<(), DecompressError> {
    output.reserve(first_reserve(input_len, cap));
    let probe = (cap as u64).saturating_add(1);
    decoder
        .take(probe)
        .read_to_end(output)
        .map_err(|error| corrupt(codec, error))?;
    if cap < output.len() {
        return Err(DecompressError::TooLarge { codec, cap });
    }
    Ok(())
}

/// What to reserve before anything is known but the size of the input: enough for text, never beyond the cap.
fn first_reserve(input_len: usize, cap: usize) -> usize {
    cap.min(input_len.saturating_mul(4))
}

pub(super) fn corrupt(codec: Codec, reason: impl fmt::Display) -> DecompressError {
    DecompressError::Corrupt {
        codec,
        reason: reason.to_string(),
    }
}
