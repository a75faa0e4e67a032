//! Every limit on what comes over the wire, by name.
//!
//! A peer can write any number into a length field. These are the bounds that the decoders of this crate keep whatever
//! it writes; a broker may configure tighter ones.

/// Bytes of one request frame after its length field (Kafka's `socket.request.max.bytes`).
pub const FRAME_BYTES_MAX: usize = 100 * 1024 * 1024;

/// Bytes of one batch, the 12 bytes of log overhead included (Kafka's `message.max.bytes`): 1 MiB + 12.
pub const BATCH_BYTES_MAX_DEFAULT: usize = 1024 * 1024 + 12;

/// Bytes that the records of one batch may decompress to, unless the caller says otherwise.
pub const DECOMPRESSED_BYTES_MAX_DEFAULT: usize = 64 * 1024 * 1024;

/// Bytes of memory that the decoded form of one request may take beyond the frame itself.
pub const DECODED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Tagged fields that no schema knows, over all structs of one request. Each costs a map node once decoded.
pub const UNKNOWN_TAGS_MAX: usize = 1024;

/// Estimate of what one unknown tagged field costs once decoded: a map node holds several entries, but a struct with a
/// single tag pays for a whole one.
pub const UNKNOWN_TAG_MEMORY_BYTES: usize = 512;

/// What any element of an array is taken to cost at least. A number of four bytes names a partition, and whoever handles
/// the request makes a place in the answer for it.
pub const ELEMENT_MEMORY_BYTES: usize = 128;

const _: () = assert!(BATCH_BYTES_MAX_DEFAULT < FRAME_BYTES_MAX);
const _: () = assert!(BATCH_BYTES_MAX_DEFAULT < DECOMPRESSED_BYTES_MAX_DEFAULT);
const _: () = assert!(UNKNOWN_TAGS_MAX * UNKNOWN_TAG_MEMORY_BYTES < DECODED_BYTES_MAX);

/// What the decoding of one request may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Bytes of memory for decoded structs, beyond the frame that their strings and records point into.
    pub decoded_bytes_max: usize,
    /// Unknown tagged fields over the whole request.
    pub unknown_tags_max: usize,
}

impl DecodeLimits {
    /// The limits used where nothing else is configured.
    pub const DEFAULT: Self = Self {
        decoded_bytes_max: DECODED_BYTES_MAX,
        unknown_tags_max: UNKNOWN_TAGS_MAX,
    };
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
