//! The four codecs of record batches, each with a cap on what it may produce.
//!
//! Kafka's flavours: gzip as such; snappy in the framing of the xerial library (what Java writes) or raw (what others
//! write), told apart by its magic; lz4 in its frame format; zstd as such.

mod decompress;
mod snappy;

use std::{fmt, io::Write};

pub use decompress::{DecompressError, Decompressor, decompress, decompress_into};

/// How a batch's records are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
#[repr(u8)]
pub enum Codec {
    /// Not at all.
    #[default]
    None = 0,
    /// RFC 1952.
    Gzip = 1,
    /// Snappy, framed by xerial or raw.
    Snappy = 2,
    /// LZ4 frames.
    Lz4 = 3,
    /// RFC 8878; since produce v7 and fetch v10.
    Zstd = 4,
}

impl Codec {
    /// Every codec.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec of a number in the attributes.
    #[must_use]
    pub const fn from_id(id: u8) -> Option<Self> {
        match id {
            0 => Some(Self::None),
            1 => Some(Self::Gzip),
            2 => Some(Self::Snappy),
            3 => Some(Self::Lz4),
            4 => Some(Self::Zstd),
            _ => None,
        }
    }

    /// The number in the attributes.
    #[must_use]
    pub const fn id(self) -> u8 {
        self as u8
    }

    /// The name in configuration, such as `zstd`; no compression is `none`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// The codec of a name in configuration; `uncompressed`, as topics call it, is the same as `none`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "uncompressed" => Some(Self::None),
            name => Self::ALL.into_iter().find(|codec| codec.name() == name),
        }
    }

    /// What `compressed` bytes can decompress to at most, by the codec's format.
    #[must_use]
    pub const fn decompressed_bytes_max(self, compressed: usize) -> usize {
        let ratio = match self {
            Self::None => 1,
            // 258 bytes for two codes of one bit each.
            Self::Gzip => 1032,
            // Three bytes copy 64.
            Self::Snappy => 22,
            // Every further byte of a length stands for 255.
            Self::Lz4 => 256,
            // A block of 128 KiB from a header of three bytes and the one that is repeated.
            Self::Zstd => 32 * 1024,
        };
        compressed.saturating_mul(ratio)
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Compresses `input`. `level` is the codec's own scale (gzip 1 to 9, zstd up to 22); none is its default. Snappy has no
/// levels, and the LZ4 encoder here has only its fast one, so that a level makes no difference to them.
///
/// # Panics
/// When memory runs out: nothing else can fail when writing to memory.
#[must_use]
pub fn compress(codec: Codec, level: Option<i32>, input: &[u8]) -> Vec<u8> {
    match codec {
        Codec::None => input.to_vec(),
        Codec::Gzip => compress_gzip(level, input),
        Codec::Snappy => snappy::compress(input),
        Codec::Lz4 => compress_lz4(input),
        Codec::Zstd => {
            let level = level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL);
            zstd::bulk::compress(input, level).expect("zstd compresses into memory")
        }
    }
}

fn compress_gzip(level: Option<i32>, input: &[u8]) -> Vec<u8> {
    let level = match level {
        Some(level @ 0..=9) => flate2::Compression::new(level.unsigned_abs()),
        _ => flate2::Compression::default(),
    };
    let mut encoder = flate2::write::GzEncoder::new(Vec::with_capacity(input.len() / 2), level);
    encoder.write_all(input).expect("gzip writes into memory");
    encoder.finish().expect("gzip writes into memory")
}

/// Writes what the Java client accepts: independent blocks of 64 KiB without checksums.
fn compress_lz4(input: &[u8]) -> Vec<u8> {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};

    let info = FrameInfo::new()
        .block_size(BlockSize::Max64KB)
        .block_mode(BlockMode::Independent);
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::with_capacity(input.len() / 2));
    encoder.write_all(input).expect("lz4 writes into memory");
    encoder.finish().expect("lz4 writes into memory")
}
