//! What each part of the broker is told: the configuration in its own terms.

use std::time::Duration;

use processor::config::EngineConfig;
use storage::StorageConfig;

use super::BrokerConfig;
use crate::cluster::change::ChangeRules;

/// Bytes that a query's source reads from one partition before the next has its turn.
const READ_BYTES_PER_ROUND: usize = 1024 * 1024;
/// Pauses before a failed query starts again.
const RESTART_BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

impl BrokerConfig {
    /// What the storage floor is told.
    pub fn storage_config(&self) -> StorageConfig {
        let expiration = self.kafka.defaults.producer_id_expiration.as_millis();
        StorageConfig {
            flush_delay_max: self.storage.flush_delay_max,
            async_flush_delay: self.storage.async_flush_delay,
            mmap: self.storage.mmap,
            producer_id_expiration_ms: i64::try_from(expiration).unwrap_or(i64::MAX),
            producer_ids_max: self.storage.producer_ids_max,
            batch_cache_bytes: self.storage.batch_cache_bytes,
            low_space_bytes: self.storage.low_space_bytes,
            pinned_bytes_max: self.storage.pinned_bytes_max,
            ..StorageConfig::new(&self.node.data_dir)
        }
    }

    /// What the controller lets through.
    pub fn change_rules(&self) -> ChangeRules {
        let defaults = &self.kafka.defaults;
        ChangeRules {
            default_partitions: defaults.num_partitions,
            default_replication_factor: defaults.default_replication_factor,
            deletion_enabled: defaults.delete_topics,
            max_topics: self.kafka.max_topics,
            max_partitions: self.kafka.max_partitions,
        }
    }

    /// What the stream processor is told.
    pub fn engine_config(&self) -> EngineConfig {
        EngineConfig {
            epoch_interval: self.sql.epoch_interval,
            query_memory_bytes_max: self.sql.memory_limit as u64,
            state_dir: self.sql.state_dir.clone(),
            statement_bytes_max: self.sql.max_statement_bytes,
            decompressed_batch_bytes_max: self.kafka.max_decompressed_bytes,
            read_bytes_per_round: READ_BYTES_PER_ROUND,
            restart_backoff_min: RESTART_BACKOFF.0,
            restart_backoff_max: RESTART_BACKOFF.1,
            select_memory_bytes_max: self.sql.select_memory_limit,
            max_queries: self.sql.max_queries,
            max_selects: self.sql.max_selects,
        }
    }
}
