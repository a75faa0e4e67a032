//! Configuration: built once at start, validated, and never changed afterwards.
//!
//! The road of a value: default, then file ([`file`]), then environment, then `-X` ([`layers`]); the merged text form
//! becomes the typed form of this file in [`validate`], of which each part of the broker gets what concerns it ([`parts`]).
//! Kafka's own keys stand in one table ([`keys`]).

pub mod address;
pub mod brokers;
pub mod file;
pub mod keys;
pub mod kinds;
pub mod layers;
mod parts;
pub mod sections;
pub mod topic;
mod validate;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub use address::HostPort;
pub use brokers::BrokerDefaults;
pub use layers::{ConfigError, LoadedConfig, Overrides, load};

/// The whole configuration of a broker.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// Who this node is and where its data lies.
    pub node: NodeConfig,
    /// The Kafka listener, its bounds, and Kafka's own broker keys.
    pub kafka: KafkaConfig,
    /// The HTTP listener.
    pub http: HttpConfig,
    /// Durability and disk.
    pub storage: StorageSettings,
    /// The stream processor.
    pub sql: SqlConfig,
    /// Log lines.
    pub log: LogSettings,
    /// What `/metrics` shows.
    pub metrics: MetricsConfig,
}

/// `[node]`.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Kafka's `node.id`.
    pub id: i32,
    /// The data folder.
    pub data_dir: PathBuf,
}

/// `[kafka]`.
#[derive(Clone, Debug)]
pub struct KafkaConfig {
    /// Where to listen; port 0 picks a free one.
    pub listen: HostPort,
    /// What clients are told; by default the address that is really listened on.
    pub advertised: Option<HostPort>,
    /// Connections at one time, over all clients.
    pub max_connections: usize,
    /// Connections at one time from one IP address.
    pub max_connections_per_ip: usize,
    /// Largest request frame in bytes (`socket.request.max.bytes`).
    pub max_frame_bytes: usize,
    /// Requests of one connection that may wait for their response at one time.
    pub max_in_flight: usize,
    /// Bytes that large request frames of all connections may take together.
    pub request_memory_bytes: usize,
    /// Bytes that fetch responses of all connections may take together.
    pub fetch_memory_bytes: usize,
    /// A started frame must be complete within this time plus one second for every MiB of it.
    pub frame_timeout: Duration,
    /// A connection without any traffic is closed after this time (`connections.max.idle.ms`).
    pub idle_timeout: Duration,
    /// How closely produced batches are looked at.
    pub validate: RecordValidation,
    /// Most bytes that one batch may decompress to where records are looked at.
    pub max_decompressed_bytes: usize,
    /// Lookups by time that read records at one time.
    pub max_lookups: usize,
    /// Most topics that may exist, internal ones included.
    pub max_topics: usize,
    /// Most partitions that may exist, internal ones included.
    pub max_partitions: usize,
    /// Kafka's broker keys as typed values.
    pub defaults: BrokerDefaults,
    /// Kafka's broker keys that were set in the configuration, as text.
    pub static_keys: BTreeMap<String, String>,
}

/// How closely a produced batch is looked at (`kafka.validate`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordValidation {
    /// Header, checksum, count and sizes; the records stay unread.
    Header,
    /// Every record is decoded and checked, as Apache Kafka does.
    Records,
}

/// `[http]`.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// Where to listen; port 0 picks a free one.
    pub listen: HostPort,
    /// Most connections at one time.
    pub max_connections: usize,
    /// Time for the head of a request, and then for its body, to arrive; a connection without requests ends as soon.
    pub request_timeout: Duration,
    /// A connection whose client takes in nothing of its answer is closed after this time.
    pub write_timeout: Duration,
    /// Largest request body in bytes.
    pub max_body_bytes: usize,
    /// Largest result in bytes that is collected before it is sent; streaming forms are not bounded by it.
    pub max_result_bytes: usize,
}

/// `[storage]`.
#[derive(Clone, Debug)]
pub struct StorageSettings {
    /// Default durability of topics.
    pub durability: storage::Durability,
    /// Produce is refused when the file system has less room than this.
    pub low_space_bytes: u64,
    /// Bytes of one partition that queries may keep from retention.
    pub pinned_bytes_max: u64,
    /// Producer ids that one partition remembers.
    pub producer_ids_max: usize,
    /// Longest time between an append and its flush.
    pub flush_delay_max: Duration,
    /// The same for a topic with durability `async`; never shorter.
    pub async_flush_delay: Duration,
    /// Memory for recently written batches.
    pub batch_cache_bytes: usize,
    /// Whether SQL scans map sealed segments into memory.
    pub mmap: bool,
}

/// `[sql]`.
#[derive(Clone, Debug)]
pub struct SqlConfig {
    /// Time between barriers.
    pub epoch_interval: Duration,
    /// Memory of one running query in bytes.
    pub memory_limit: usize,
    /// Memory of one bounded SELECT in bytes.
    pub select_memory_limit: usize,
    /// Running queries that may exist at once.
    pub max_queries: usize,
    /// Bounded SELECTs that may run at once.
    pub max_selects: usize,
    /// Folder of the queries' state; by default `state` in the data folder.
    pub state_dir: PathBuf,
    /// Longest statement in bytes.
    pub max_statement_bytes: usize,
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Filter in the form of `tracing`'s `EnvFilter`, for example `info` or `info,broker::network=debug`.
    pub level: String,
    /// Form of the lines.
    pub format: LogFormat,
}

/// Form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// `[metrics]`.
#[derive(Clone, Debug)]
pub struct MetricsConfig {
    /// Whether series per partition are shown.
    pub per_partition: bool,
    /// Most different topics (and groups) that get a label of their own; the others are counted as `_other`.
    pub max_labels: usize,
}
