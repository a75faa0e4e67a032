//! From the texts of all layers to the typed configuration.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use processor::quantity::{parse_duration, parse_size};
use storage::Durability;

use super::brokers::{BrokerDefaults, settable};
use super::layers::{ConfigError, Origin, Sourced};
use super::sections::KAFKA_DEFAULTS;
use super::{
    BrokerConfig, HttpConfig, KafkaConfig, LogFormat, LogSettings, MetricsConfig, NodeConfig, RecordValidation,
    SqlConfig, StorageSettings,
};

/// Settings that exist under a Kafka name too. Where only the Kafka name was set, it holds for both.
const TWINS: [(&str, &str, Twin); 5] = [
    ("kafka.max_connections", "max.connections", Twin::Number),
    ("kafka.max_connections_per_ip", "max.connections.per.ip", Twin::Number),
    ("kafka.max_frame_bytes", "socket.request.max.bytes", Twin::Size),
    ("kafka.idle_timeout", "connections.max.idle.ms", Twin::Milliseconds),
    ("storage.durability", "tidemill.durability", Twin::Text),
];

/// How the value of a setting translates to that of its Kafka twin.
#[derive(Clone, Copy)]
enum Twin {
    Number,
    Size,
    Milliseconds,
    Text,
}

/// Builds the typed form, or names the first value that cannot stand.
pub(super) fn validate(values: &BTreeMap<String, Sourced>) -> Result<BrokerConfig, ConfigError> {
    let mut static_keys = kafka_keys(values)?;
    let values = with_twins(values, &mut static_keys)?;
    let reader = Reader { values: &values };
    let config = BrokerConfig {
        node: node(&reader)?,
        kafka: kafka(&reader, static_keys)?,
        http: HttpConfig {
            listen: reader.parsed("http.listen")?,
            max_connections: reader.positive("http.max_connections")?,
            request_timeout: reader.duration("http.request_timeout")?,
            write_timeout: reader.duration("http.write_timeout")?,
            max_body_bytes: reader.size("http.max_body")?,
            max_result_bytes: reader.size("http.max_result")?,
        },
        storage: storage(&reader)?,
        sql: sql(&reader)?,
        log: log(&reader)?,
        metrics: MetricsConfig {
            per_partition: reader.parsed("metrics.per_partition")?,
            max_labels: reader.positive("metrics.max_labels")?,
        },
    };
    check_relations(&reader, &config)?;
    Ok(config)
}

fn node(reader: &Reader<'_>) -> Result<NodeConfig, ConfigError> {
    let id: i32 = reader.parsed("node.id")?;
    if id < 0 {
        return Err(reader.invalid("node.id", "a node id is not negative"));
    }
    Ok(NodeConfig {
        id,
        data_dir: reader.path("node.data_dir")?,
    })
}

fn kafka(reader: &Reader<'_>, static_keys: BTreeMap<String, String>) -> Result<KafkaConfig, ConfigError> {
    let advertised = match reader.text("kafka.advertised") {
        "" => None,
        _ => Some(reader.parsed("kafka.advertised")?),
    };
    Ok(KafkaConfig {
        listen: reader.parsed("kafka.listen")?,
        advertised,
        max_connections: reader.positive("kafka.max_connections")?,
        max_connections_per_ip: reader.positive("kafka.max_connections_per_ip")?,
        max_frame_bytes: reader.size("kafka.max_frame_bytes")?,
        max_in_flight: reader.positive("kafka.max_in_flight")?,
        request_memory_bytes: reader.size("kafka.request_memory")?,
        fetch_memory_bytes: reader.size("kafka.fetch_memory")?,
        frame_timeout: reader.duration("kafka.frame_timeout")?,
        idle_timeout: reader.duration("kafka.idle_timeout")?,
        validate: reader.choice(
            "kafka.validate",
            &[
                ("header", RecordValidation::Header),
                ("records", RecordValidation::Records),
            ],
        )?,
        max_decompressed_bytes: reader.size("kafka.max_decompressed")?,
        max_lookups: reader.positive("kafka.max_lookups")?,
        max_topics: reader.positive("kafka.max_topics")?,
        max_partitions: reader.positive("kafka.max_partitions")?,
        defaults: BrokerDefaults::from_keys(&static_keys),
        static_keys,
    })
}

/// Most producer ids that one partition may be told to remember: what it keeps of each is written at every roll, and a
/// start reads no file of producers beyond 256 MiB.
const PRODUCER_IDS_MAX: usize = 1_000_000;

fn producer_ids_max(reader: &Reader<'_>) -> Result<usize, ConfigError> {
    let path = "storage.max_producer_ids";
    match reader.positive(path)? {
        number if PRODUCER_IDS_MAX < number => Err(reader.invalid(path, format!("must be at most {PRODUCER_IDS_MAX}"))),
        number => Ok(number),
    }
}

fn storage(reader: &Reader<'_>) -> Result<StorageSettings, ConfigError> {
    let durabilities = [("fsync", Durability::Fsync), ("async", Durability::Async)];
    Ok(StorageSettings {
        durability: reader.choice("storage.durability", &durabilities)?,
        pinned_bytes_max: reader.size("storage.max_pinned")? as u64,
        producer_ids_max: producer_ids_max(reader)?,
        low_space_bytes: parse_size(reader.text("storage.low_space"))
            .map_err(|error| reader.invalid("storage.low_space", error))?,
        flush_delay_max: reader.duration("storage.flush_delay")?,
        async_flush_delay: reader.duration("storage.async_flush_delay")?,
        batch_cache_bytes: reader.size("storage.batch_cache")?,
        mmap: reader.parsed("storage.mmap")?,
    })
}

fn sql(reader: &Reader<'_>) -> Result<SqlConfig, ConfigError> {
    // Nothing but 1 is taken yet, so nobody reads it.
    if reader.positive("sql.parallelism")? != 1 {
        return Err(reader.invalid("sql.parallelism", "a query runs as one task in this version"));
    }
    let state_dir = match reader.text("sql.state_dir") {
        "" => reader.path("node.data_dir")?.join("state"),
        _ => reader.path("sql.state_dir")?,
    };
    let epoch_interval = reader.duration("sql.epoch_interval")?;
    if epoch_interval.is_zero() {
        return Err(reader.invalid("sql.epoch_interval", "an epoch takes some time"));
    }
    Ok(SqlConfig {
        epoch_interval,
        memory_limit: reader.size("sql.memory_limit")?,
        select_memory_limit: reader.size("sql.select_memory")?,
        max_queries: reader.positive("sql.max_queries")?,
        max_selects: reader.positive("sql.max_selects")?,
        state_dir,
        max_statement_bytes: reader.size("sql.max_statement")?,
    })
}

fn log(reader: &Reader<'_>) -> Result<LogSettings, ConfigError> {
    let level = reader.text("log.level").to_owned();
    level
        .parse::<tracing_subscriber::EnvFilter>()
        .map_err(|error| reader.invalid("log.level", error))?;
    let format = reader.choice("log.format", &[("text", LogFormat::Text), ("json", LogFormat::Json)])?;
    Ok(LogSettings { level, format })
}

/// Largest batch of records that may be configured, as it arrives and decompressed. SQL puts the records of a batch into
/// columns of less than 2 GiB, in which bytes that are no text take twice their room.
const BATCH_BYTES_MAX: usize = 512 << 20;

/// Bounds that only make sense together.
fn check_relations(reader: &Reader<'_>, config: &BrokerConfig) -> Result<(), ConfigError> {
    let kafka = &config.kafka;
    if kafka.request_memory_bytes < kafka.max_frame_bytes {
        return Err(reader.invalid(
            "kafka.request_memory",
            "must hold at least one request of kafka.max_frame_bytes",
        ));
    }
    if kafka.max_frame_bytes < 1024 || BATCH_BYTES_MAX < kafka.max_frame_bytes {
        return Err(reader.invalid("kafka.max_frame_bytes", "must lie between 1 KiB and 512 MiB"));
    }
    if BATCH_BYTES_MAX < kafka.max_decompressed_bytes {
        return Err(reader.invalid("kafka.max_decompressed", "must not be above 512 MiB"));
    }
    if kafka.frame_timeout.is_zero() {
        return Err(reader.invalid("kafka.frame_timeout", "a request takes some time to arrive"));
    }
    let defaults = &kafka.defaults;
    if defaults.group_max_session_timeout < defaults.group_min_session_timeout {
        return Err(reader.invalid(
            "kafka.defaults.group.max.session.timeout.ms",
            "must not be below group.min.session.timeout.ms",
        ));
    }
    Ok(())
}

fn kafka_keys(values: &BTreeMap<String, Sourced>) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut keys = BTreeMap::new();
    for (path, sourced) in values {
        let Some(name) = path.strip_prefix(KAFKA_DEFAULTS) else {
            continue;
        };
        let checked = settable(name).and_then(|key| key.check(&sourced.value));
        let value = checked.map_err(|error| ConfigError::Invalid {
            key: path.clone(),
            value: sourced.value.clone(),
            origin: sourced.origin.clone(),
            reason: error.to_string(),
        })?;
        keys.insert(name.to_owned(), value);
    }
    Ok(keys)
}

/// Makes each setting and its Kafka twin say the same; our name wins where both were set.
fn with_twins(
    values: &BTreeMap<String, Sourced>,
    static_keys: &mut BTreeMap<String, String>,
) -> Result<BTreeMap<String, Sourced>, ConfigError> {
    let mut values = values.clone();
    for (path, key, twin) in TWINS {
        let kafka_path = format!("{KAFKA_DEFAULTS}{key}");
        if values[path].origin == Origin::Default
            && let Some(set) = values.get(&kafka_path).cloned()
        {
            let value = match twin {
                Twin::Milliseconds => format!("{}ms", static_keys[key]),
                Twin::Number | Twin::Size | Twin::Text => static_keys[key].clone(),
            };
            values.insert(
                path.to_owned(),
                Sourced {
                    value,
                    origin: set.origin,
                },
            );
        }
        let reader = Reader { values: &values };
        let text = match twin {
            Twin::Number => reader.positive(path)?.to_string(),
            Twin::Size => reader.size(path)?.to_string(),
            Twin::Milliseconds => reader.duration(path)?.as_millis().to_string(),
            Twin::Text => reader.text(path).to_owned(),
        };
        let checked = settable(key).and_then(|key| Ok((key.default, key.check(&text)?)));
        let (default, value) = checked.map_err(|error| reader.invalid(path, error))?;
        // What nobody set and is Kafka's default too shall not look as if somebody had set it.
        if default != Some(value.as_str()) || values[path].origin != Origin::Default {
            static_keys.insert(key.to_owned(), value);
        }
    }
    Ok(values)
}

/// Reads values by path and says where a bad one was written.
struct Reader<'a> {
    values: &'a BTreeMap<String, Sourced>,
}

impl Reader<'_> {
    fn text(&self, path: &str) -> &str {
        self.values[path].value.trim()
    }

    fn invalid(&self, path: &str, reason: impl Display) -> ConfigError {
        let sourced = self.values.get(path);
        ConfigError::Invalid {
            key: path.to_owned(),
            value: sourced.map(|sourced| sourced.value.clone()).unwrap_or_default(),
            origin: sourced.map_or(Origin::Default, |sourced| sourced.origin.clone()),
            reason: reason.to_string(),
        }
    }

    fn parsed<T: FromStr<Err: Display>>(&self, path: &str) -> Result<T, ConfigError> {
        self.text(path).parse().map_err(|error| self.invalid(path, error))
    }

    fn positive(&self, path: &str) -> Result<usize, ConfigError> {
        match self.parsed::<usize>(path)? {
            0 => Err(self.invalid(path, "must be at least 1")),
            number => Ok(number),
        }
    }

    fn size(&self, path: &str) -> Result<usize, ConfigError> {
        let bytes = parse_size(self.text(path)).map_err(|error| self.invalid(path, error))?;
        match usize::try_from(bytes) {
            Ok(0) => Err(self.invalid(path, "must be at least 1")),
            Ok(bytes) => Ok(bytes),
            Err(_) => Err(self.invalid(path, "is too large for this machine")),
        }
    }

    fn duration(&self, path: &str) -> Result<Duration, ConfigError> {
        parse_duration(self.text(path)).map_err(|error| self.invalid(path, error))
    }

    fn path(&self, path: &str) -> Result<PathBuf, ConfigError> {
        match self.text(path) {
            "" => Err(self.invalid(path, "a folder is needed")),
            text => Ok(PathBuf::from(text)),
        }
    }

    fn choice<T: Copy>(&self, path: &str, words: &[(&str, T)]) -> Result<T, ConfigError> {
        let text = self.text(path);
        words
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, value)| *value)
            .ok_or_else(|| {
                let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                self.invalid(path, format!("expected one of {}", known.join(", ")))
            })
    }
}
