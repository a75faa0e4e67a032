//! What the storage floor can be told. Both structs are plain values: the broker builds them from its configuration and
//! from a topic's settings; nothing here reads a file or an environment variable.

use std::{path::PathBuf, time::Duration};

use protocol::{limits::DECOMPRESSED_BYTES_MAX_DEFAULT, records::Codec};

pub use protocol::records::TimestampType;

/// Settings of one node's data folder.
#[derive(Debug, Clone)]
pub struct StorageConfig {
    /// Folder that holds `topics/`, `LOCK`, `durable-marks` and `clean-shutdown`. Created when missing.
    pub data_dir: PathBuf,
    /// Longest time that an append waits for its flush to begin when nobody awaits it.
    pub flush_delay_max: Duration,
    /// Longest time that an append to a log with [`Durability::Async`] waits for its flush in the background.
    pub async_flush_delay: Duration,
    /// A flush round of more logs than this uses one `syncfs` in place of one `fdatasync` a file.
    pub syncfs_threshold: usize,
    /// Threads that run `fdatasync` side by side in a flush round (the scheduler's own thread is one of them).
    pub flush_threads: usize,
    /// Whether SQL scans map sealed segments into memory. Off: positional reads everywhere.
    pub mmap: bool,
    /// Time after which a producer id that wrote nothing is forgotten (Kafka's `producer.id.expiration.ms`).
    pub producer_id_expiration_ms: i64,
    /// Producer ids that one log remembers. At the bound the one that was silent for longest is forgotten; ids with an
    /// open transaction stay, whatever their number.
    pub producer_ids_max: usize,
    /// Bytes of recent batches kept in memory for readers at the tail, over all logs of the node.
    pub batch_cache_bytes: usize,
    /// Free bytes of the data folder's file system below which appends by clients are refused. 0: never.
    pub low_space_bytes: u64,
    /// Bytes of one log that pins may keep from retention. Beyond it the oldest go, and whoever wanted them has to be
    /// told.
    pub pinned_bytes_max: u64,
}

impl StorageConfig {
    /// The documented defaults for a data folder.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            flush_delay_max: Duration::from_millis(10),
            async_flush_delay: Duration::from_secs(1),
            syncfs_threshold: 8,
            flush_threads: 8,
            mmap: true,
            producer_id_expiration_ms: 86_400_000,
            producer_ids_max: 100_000,
            batch_cache_bytes: 64 * 1024 * 1024,
            low_space_bytes: 0,
            pinned_bytes_max: u64::MAX,
        }
    }
}

/// Settings of one log, which is one partition. They may change while the log is open ([`crate::Log::set_config`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// Bytes after which a segment is rolled (`segment.bytes`). A single batch never exceeds it.
    pub segment_bytes: u32,
    /// Age after which a segment is rolled at its next append (`segment.ms`).
    pub segment_ms: i64,
    /// Age after which records are deleted (`retention.ms`); `None` keeps them for ever.
    pub retention_ms: Option<i64>,
    /// Bytes of the log beyond which its oldest segments are deleted (`retention.bytes`); `None` is without bound.
    pub retention_bytes: Option<u64>,
    /// Bytes of log between two index entries (`index.interval.bytes`).
    pub index_interval_bytes: u32,
    /// Bytes that the offset index and the time index of a segment may each grow to; the segment is rolled before one
    /// of them would exceed it (`segment.index.bytes`).
    pub segment_index_bytes: u32,
    /// Bytes of one batch as stored, log overhead included (`max.message.bytes`).
    pub max_message_bytes: usize,
    /// Who dates the records (`message.timestamp.type`).
    pub timestamp_type: TimestampType,
    /// How far a client's timestamp may lie behind the broker's clock (`message.timestamp.before.max.ms`).
    pub timestamp_before_max_ms: i64,
    /// How far a client's timestamp may lie ahead of the broker's clock (`message.timestamp.after.max.ms`).
    pub timestamp_after_max_ms: i64,
    /// A compacted log (`cleanup.policy`): its records need keys, and offsets may be missing.
    pub compacted: bool,
    /// What an acknowledgement under `acks=all` means.
    pub durability: Durability,
    /// Time between taking a file out of a log and unlinking it (`file.delete.delay.ms`). Low space ends it early.
    pub file_delete_delay_ms: i64,
    /// Whether space of a new segment is reserved ahead (`preallocate`).
    pub preallocate: bool,
    /// The codec that batches are stored in (`compression.type`) with its level (`None`: the codec's default); `None`
    /// keeps the producer's codec.
    pub compression: Option<(Codec, Option<i32>)>,
    /// Whether every record of a produced batch is decoded and checked (`kafka.validate = "records"`).
    pub validate_records: bool,
    /// Bytes that the records of one batch may decompress to where the log has to look at them
    /// (`kafka.max_decompressed`).
    pub decompressed_bytes_max: usize,
}

impl Default for LogConfig {
    /// The defaults of Apache Kafka 4.3 for a topic, with `durability = fsync`.
    fn default() -> Self {
        Self {
            segment_bytes: 1024 * 1024 * 1024,
            segment_ms: 604_800_000,
            retention_ms: Some(604_800_000),
            retention_bytes: None,
            index_interval_bytes: 4096,
            segment_index_bytes: 10 * 1024 * 1024,
            max_message_bytes: 1_048_588,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 3_600_000,
            compacted: false,
            durability: Durability::Fsync,
            file_delete_delay_ms: 60_000,
            preallocate: false,
            compression: None,
            validate_records: false,
            decompressed_bytes_max: DECOMPRESSED_BYTES_MAX_DEFAULT,
        }
    }
}

/// What stands behind the high watermark of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The high watermark follows the flush: what a consumer saw or a producer was promised survives power loss.
    Fsync,
    /// The high watermark follows the log end: Kafka's own choice. What the page cache held is lost with the power,
    /// and offsets that a consumer has read may then be used again.
    Async,
}
