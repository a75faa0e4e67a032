//! Settings of the engine, as values. The broker builds and validates them once; nothing here has a default, because
//! defaults belong to the configuration file's own table.

use std::path::PathBuf;
use std::time::Duration;

/// Settings of the whole engine.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Length of an epoch: how often a running query commits (`sql.epoch_interval`, 100 ms).
    pub epoch_interval: Duration,
    /// Bytes of state that one running query may hold in memory (`sql.memory_limit`).
    pub query_memory_bytes_max: u64,
    /// Folder of the queries' state, one sub-folder per query and generation (`sql.state_dir`).
    pub state_dir: PathBuf,
    /// Longest statement that is parsed, in bytes.
    pub statement_bytes_max: usize,
    /// Largest decompressed size of one record batch, in bytes.
    pub decompressed_batch_bytes_max: usize,
    /// Bytes of batches that a source reads from one partition before the next one has its turn.
    pub read_bytes_per_round: usize,
    /// First pause before a failed query starts again; it doubles up to `restart_backoff_max`.
    pub restart_backoff_min: Duration,
    /// Longest pause before a failed query starts again.
    pub restart_backoff_max: Duration,
    /// Bytes that one bounded `SELECT` may hold in memory.
    pub select_memory_bytes_max: usize,
    /// Running queries (materialized views and sinks) that may exist at once.
    pub max_queries: usize,
    /// Bounded `SELECT`s that may run at once: from their start until their last row is read or they are dropped.
    pub max_selects: usize,
}
