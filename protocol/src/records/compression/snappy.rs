//! Snappy, raw or in xerial's framing: 8 bytes of magic, two 32-bit versions, then blocks, each a 32-bit big-endian
//! length and a raw snappy block. Java's reader also takes several such streams in a row, magic and all.

use super::{
    Codec,
    decompress::{DecompressError, corrupt},
};

const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const HEADER_LEN: usize = 16;
/// Version and oldest compatible version, as the xerial library writes them.
const VERSIONS: [u8; 8] = [0, 0, 0, 1, 0, 0, 0, 1];
/// Plain bytes per block, as the xerial library cuts them.
const BLOCK_LEN: usize = 32 * 1024;
/// The best that a raw block can do is 64 bytes from a copy of 3.
const RATIO_MAX: usize = 22;

pub(super) fn decompress(input: &[u8], cap: usize, output: &mut Vec<u8>) -> Result<(), DecompressError> {
    if !input.starts_with(&MAGIC) {
        return block(input, cap, output);
    }
    let mut rest = input;
    while !rest.is_empty() {
        if rest.starts_with(&MAGIC) {
            rest = rest
                .get(HEADER_LEN..)
                .ok_or_else(|| corrupt(Codec::Snappy, "stream header is cut short"))?;
            continue;
        }
        let (length, behind) = rest
            .split_first_chunk::<4>()
            .ok_or_else(|| corrupt(Codec::Snappy, "block length is cut short"))?;
        let length = u32::from_be_bytes(*length) as usize;
        let packed = behind
            .get(..length)
            .ok_or_else(|| corrupt(Codec::Snappy, "block is cut short"))?;
        block(packed, cap, output)?;
        rest = behind.get(length..).unwrap_or_default();
    }
    Ok(())
}

pub(super) fn compress(input: &[u8]) -> Vec<u8> {
    let mut encoder = snap::raw::Encoder::new();
    let mut output = Vec::with_capacity(HEADER_LEN + input.len() / 2);
    output.extend_from_slice(&MAGIC);
    output.extend_from_slice(&VERSIONS);
    for plain in input.chunks(BLOCK_LEN) {
        let packed = encoder
            .compress_vec(plain)
            .expect("a block of 32 KiB is within snappy's limits");
        let length = u32::try_from(packed.len()).expect("a block of 32 KiB stays small");
        output.extend_from_slice(&length.to_be_bytes());
        output.extend_from_slice(&packed);
    }
    output
}

/// Appends one raw block. What it claims to hold is checked before memory is reserved for it.
fn block(packed: &[u8], cap: usize, output: &mut Vec<u8>) -> Result<(), DecompressError> {
    let claimed = snap::raw::decompress_len(packed).map_err(|error| corrupt(Codec::Snappy, error))?;
    if packed.len().saturating_mul(RATIO_MAX) < claimed {
        return Err(corrupt(Codec::Snappy, "block claims more than it can hold"));
    }
    let start = output.len();
    if cap < start.saturating_add(claimed) {
        return Err(DecompressError::TooLarge {
            codec: Codec::Snappy,
            cap,
        });
    }
    output.resize(start + claimed, 0);
    let target = output.get_mut(start..).unwrap_or_default();
    let written = snap::raw::Decoder::new()
        .decompress(packed, target)
        .map_err(|error| corrupt(Codec::Snappy, error))?;
    output.truncate(start + written);
    Ok(())
}
