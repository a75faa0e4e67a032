//! The settings of the configuration file, section by section: one table with name, default and meaning.
//!
//! Kafka's own broker keys come under `kafka.defaults.` and stand in [`super::keys`].

/// Prefix of Kafka's own broker keys.
pub const KAFKA_DEFAULTS: &str = "kafka.defaults.";

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Section and key.
    pub path: &'static str,
    /// Default as it would be written.
    pub default: &'static str,
    /// How the value is written in TOML.
    pub form: Form,
    /// What it means.
    pub doc: &'static str,
}

/// How a value is written in TOML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// In quotes: texts, sizes, durations, addresses.
    Quoted,
    /// As it is: numbers and `true`/`false`.
    Bare,
}

/// Sections whose names are kept for what this version does not serve yet. Naming one is an error that says so: who
/// sets a listener expects somebody to listen.
pub const PLANNED_SECTIONS: [&str; 4] = ["schema_registry", "postgres", "internal", "security"];

const fn quoted(path: &'static str, default: &'static str, doc: &'static str) -> Setting {
    Setting {
        path,
        default,
        form: Form::Quoted,
        doc,
    }
}

const fn bare(path: &'static str, default: &'static str, doc: &'static str) -> Setting {
    Setting {
        path,
        default,
        form: Form::Bare,
        doc,
    }
}

/// All settings, grouped by section.
#[rustfmt::skip]
pub static SETTINGS: &[Setting] = &[
    bare("node.id", "1", "Number of this node in the cluster; fixed when the data folder is made."),
    quoted("node.data_dir", "tidemill-data", "The data folder; made when it is missing."),

    quoted("kafka.listen", "127.0.0.1:9092", "Address of the Kafka listener; port 0 picks a free one."),
    quoted("kafka.advertised", "", "Address that Kafka clients are told; empty is the address listened on."),
    bare("kafka.max_connections", "10000", "Most connections at one time (Kafka: max.connections)."),
    bare("kafka.max_connections_per_ip", "10000", "Most connections at one time from one address (Kafka: max.connections.per.ip)."),
    quoted("kafka.max_frame_bytes", "100MiB", "Largest request (Kafka: socket.request.max.bytes); at most 512MiB."),
    bare("kafka.max_in_flight", "128", "Most requests of one connection that wait for their response; further ones stay in the socket."),
    quoted("kafka.request_memory", "256MiB", "Memory for large requests of all connections together; at least kafka.max_frame_bytes."),
    quoted("kafka.fetch_memory", "256MiB", "Memory for the records in Fetch responses of all connections together."),
    quoted("kafka.frame_timeout", "30s", "Time for a started request to arrive, plus one second for every MiB of it."),
    quoted("kafka.idle_timeout", "10m", "A connection without traffic is closed after this time (Kafka: connections.max.idle.ms)."),
    quoted("kafka.validate", "header", "How closely produced batches are checked: header (checksum, counts, sizes) or records (every record is decoded)."),
    quoted("kafka.max_decompressed", "64MiB", "Most bytes that one record batch may decompress to; at most 512MiB."),
    bare("kafka.max_lookups", "4", "Most lookups of offsets by time that read records at one time, each of which may open a batch; further ones wait."),
    bare("kafka.max_topics", "20000", "Most topics that may exist."),
    bare("kafka.max_partitions", "100000", "Most partitions that may exist."),

    quoted("http.listen", "127.0.0.1:8080", "Address of the HTTP listener (API, metrics, health); port 0 picks a free one."),
    bare("http.max_connections", "1000", "Most HTTP connections at one time; further ones are closed."),
    quoted("http.request_timeout", "30s", "Time for the head of a request, and then for its body, to arrive; a connection without requests is closed after it."),
    quoted("http.write_timeout", "5m", "An HTTP client that takes in nothing of its answer for this time is disconnected."),
    quoted("http.max_body", "16MiB", "Largest HTTP request body."),
    quoted("http.max_result", "64MiB", "Largest result that is collected before it is sent; streamed results are not bounded by it."),

    quoted("storage.durability", "fsync", "What acks=all waits for: fsync (the device) or async (the page cache). Topics may choose with tidemill.durability."),
    quoted("storage.low_space", "256MiB", "Produce is refused when the file system has less room than this."),
    quoted("storage.max_pinned", "16GiB", "Bytes of one partition that queries may keep from retention. Beyond it the oldest records go, and a query that has not read them fails."),
    bare("storage.max_producer_ids", "100000", "Most producer ids that one partition remembers; at most 1000000. Beyond it the one that was silent for longest is forgotten, unless it has an open transaction."),
    quoted("storage.flush_delay", "10ms", "Longest time between an append and the beginning of its flush, where durability is fsync."),
    quoted("storage.async_flush_delay", "1s", "The same where durability is async: what a power cut may take. Never shorter than storage.flush_delay."),
    quoted("storage.batch_cache", "64MiB", "Memory for recently written batches, from which consumers at the tail are served."),
    bare("storage.mmap", "true", "Whether SQL scans map closed segments into memory. A disk error under a map ends the process."),

    bare("sql.parallelism", "1", "Tasks per query where the query does not say; only 1 in this version."),
    quoted("sql.epoch_interval", "100ms", "Time between two commits of a query."),
    quoted("sql.memory_limit", "256MiB", "Memory of one running query (materialized view or sink)."),
    quoted("sql.select_memory", "256MiB", "Memory of one SELECT that ends."),
    bare("sql.max_queries", "100", "Most running queries."),
    bare("sql.max_selects", "32", "Most SELECTs at one time, those included whose clients have not read their rows; further ones are refused."),
    quoted("sql.state_dir", "", "Folder of the queries' state; empty is state in the data folder."),
    quoted("sql.max_statement", "1MiB", "Longest SQL statement."),

    quoted("log.level", "info", "Which log lines are written: error, warn, info, debug, trace, or a filter such as info,broker::network=debug."),
    quoted("log.format", "text", "Form of log lines on stderr: text or json."),

    bare("metrics.per_partition", "false", "Whether /metrics has series for every partition."),
    bare("metrics.max_labels", "2000", "Most topics, and most groups, with series of their own; the rest is counted as _other."),
];

/// The setting of this path.
pub fn setting(path: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.path == path)
}
