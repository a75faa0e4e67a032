//! Every metric that the broker serves, apart from those of the process: one table, from which what is counted and what is
//! looked up take name, labels and help text, and from which docs/metrics.md is written.

/// Type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// May go up and down.
    Gauge,
    /// Only goes up, from the start of the process on.
    Counter,
    /// Counts observations by size.
    Histogram,
}

impl Kind {
    /// Prometheus' word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
        }
    }
}

/// What all series of one name have in common.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// Name in full; it tells the unit, which is a base unit.
    pub name: &'static str,
    /// Type.
    pub kind: Kind,
    /// Names of the labels, in the order in which their values are given.
    pub labels: &'static [&'static str],
    /// What it means, as a sentence.
    pub help: &'static str,
}

macro_rules! families {
    ($($constant:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub static $constant: Family =
                Family { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };
        )*
        /// All of them.
        #[cfg(test)]
        pub static FAMILIES: &[&Family] = &[$(&$constant),*];
    };
}

families! {
    // The program.
    BUILD_INFO: Gauge "tidemill_build_info" ["version"] "Version of the program; always 1.";
    UPTIME: Gauge "tidemill_uptime_seconds" [] "Time since the start.";

    // Connections and requests.
    CONNECTIONS: Gauge "tidemill_connections" [] "Open Kafka connections.";
    CONNECTIONS_REJECTED: Counter "tidemill_connections_rejected_total" ["reason"] "Refused connections.";
    REQUESTS: Counter "tidemill_kafka_requests_total" ["api", "code"] "Answered requests by outcome.";
    REQUESTS_UNANSWERED: Counter "tidemill_kafka_requests_unanswered_total" ["api"]
        "Requests that closed their connection.";
    REQUEST_DURATION: Histogram "tidemill_kafka_request_duration_seconds" ["api"]
        "Time from the arrival of a request to its response, waits of long polls included.";

    // Topics, and the logs that hold them.
    TOPICS: Gauge "tidemill_topics" [] "Topics, internal ones included.";
    PARTITIONS: Gauge "tidemill_partitions" [] "Partitions, internal ones included.";
    TOPIC_BYTES_IN: Counter "tidemill_topic_bytes_in_total" ["topic"]
        "Bytes of record batches produced by clients, as stored.";
    TOPIC_RECORDS_IN: Counter "tidemill_topic_records_in_total" ["topic"] "Records produced by clients.";
    TOPIC_BYTES_OUT: Counter "tidemill_topic_bytes_out_total" ["topic"] "Bytes of record batches fetched by clients.";
    TOPIC_RECORDS_OUT: Counter "tidemill_topic_records_out_total" ["topic"] "Records in batches fetched by clients.";
    LOG_START: Gauge "tidemill_log_start_offset" ["topic"] "Log start offsets of a topic's partitions, added up.";
    LOG_END: Gauge "tidemill_log_end_offset" ["topic"] "Log end offsets of a topic's partitions, added up.";
    LOG_SIZE: Gauge "tidemill_log_size_bytes" ["topic"] "Bytes of a topic's logs.";
    SEGMENTS: Gauge "tidemill_segments" ["topic"] "Segments of a topic's logs.";
    PARTITION_START: Gauge "tidemill_partition_start_offset" ["topic", "partition"] "Log start offset.";
    PARTITION_HIGH_WATERMARK: Gauge "tidemill_partition_high_watermark_offset" ["topic", "partition"] "High watermark.";
    PARTITION_STABLE: Gauge "tidemill_partition_stable_offset" ["topic", "partition"] "Last stable offset.";

    // The disk.
    FLUSH_DURATION: Histogram "tidemill_fsync_duration_seconds" [] "Time of a flush round of the logs.";
    FLUSH_LOGS: Histogram "tidemill_flush_batch_logs" [] "Logs in a flush round.";
    FLUSH_BYTES: Histogram "tidemill_flush_batch_bytes" [] "Bytes made durable by a flush round.";
    FLUSH_ERRORS: Counter "tidemill_fsync_errors_total" [] "Flush rounds that failed.";
    LOGS_STOPPED: Gauge "tidemill_logs_stopped" [] "Logs that stopped after a failed write.";
    LOG_QUARANTINED: Gauge "tidemill_log_quarantined_ranges" [] "Damaged ranges found in logs.";
    LOG_CORRUPT_READS: Counter "tidemill_log_corrupt_reads_total" [] "Reads that met damage.";
    DISK_LOW: Gauge "tidemill_disk_low" [] "1 while produce is refused for want of space.";

    // Consumer groups.
    GROUP_LAG: Gauge "tidemill_group_lag_records" ["group", "topic"] "Records a group has yet to read.";
    GROUP_LAG_SECONDS: Gauge "tidemill_group_lag_seconds" ["group", "topic"]
        "Age of the oldest record a group has yet to read; 0 when it has read all.";
    GROUP_LAG_MAX: Gauge "tidemill_group_lag_max_records" ["group"]
        "Records a group has yet to read in the partition where it has most.";

    // SQL: statements that end, and queries that run on.
    SELECT_BATCHES_READ: Counter "tidemill_select_batches_read_total" []
        "Record batches that SELECTs read from topics.";
    SELECT_BATCHES_DECOMPRESSED: Counter "tidemill_select_batches_decompressed_total" []
        "Record batches that SELECTs decompressed.";
    SELECT_BAD_ROWS: Counter "tidemill_select_bad_rows_total" [] "Bad records that SELECTs left out.";
    QUERY_STATE: Gauge "tidemill_query_state" ["query", "state"] "State of a query; 1 for the one it is in.";
    QUERY_BATCHES_READ: Counter "tidemill_query_batches_read_total" ["query"]
        "Record batches read from topics, repeated reads included.";
    QUERY_BATCHES_DECOMPRESSED: Counter "tidemill_query_batches_decompressed_total" ["query"]
        "Record batches that a query decompressed.";
    QUERY_ROWS_READ: Counter "tidemill_query_rows_read_total" ["query"]
        "Records read from topics, repeated reads included.";
    QUERY_ROWS_IN: Counter "tidemill_query_rows_in_total" ["query"] "Rows that entered a query.";
    QUERY_ROWS_OUT: Counter "tidemill_query_rows_out_total" ["query"] "Rows that left a query.";
    QUERY_LATE_ROWS: Counter "tidemill_query_late_rows_total" ["query"] "Rows that came after their window.";
    QUERY_BAD_ROWS: Counter "tidemill_query_bad_rows_total" ["query"] "Records that could not be decoded.";
    QUERY_FAILED_RESULTS: Counter "tidemill_query_failed_results_total" ["query"]
        "Results that were held back because an expression failed on them.";
    QUERY_EPOCHS: Counter "tidemill_query_epochs_total" ["query"] "Epochs committed.";
    QUERY_EPOCH_DURATION: Histogram "tidemill_query_epoch_duration_seconds" ["query"]
        "Time of a query's epochs from barrier to commit.";
    QUERY_WATERMARK_LAG: Gauge "tidemill_query_watermark_lag_seconds" ["query"]
        "Distance of a query's watermark from the clock.";
    QUERY_STATE_BYTES: Gauge "tidemill_query_state_bytes" ["query"] "Bytes of a query's state.";
    QUERY_RESTARTS: Counter "tidemill_query_restarts_total" ["query"] "Restarts of a query.";
}
