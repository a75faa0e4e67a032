//! Kafka's broker keys as typed values.

use std::collections::BTreeMap;
use std::time::Duration;

use super::keys::{BROKER_KEYS, Key, KeyError, broker_key};

/// The broker keys that act by themselves. Those that only give topics their defaults are resolved in
/// [`super::topic`], because they may change while the broker runs.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerDefaults {
    /// `auto.create.topics.enable`.
    pub auto_create_topics: bool,
    /// `delete.topic.enable`.
    pub delete_topics: bool,
    /// `num.partitions`.
    pub num_partitions: i32,
    /// `default.replication.factor`.
    pub default_replication_factor: i16,
    /// `fetch.max.bytes`.
    pub fetch_max_bytes: usize,
    /// `group.initial.rebalance.delay.ms`.
    pub group_initial_rebalance_delay: Duration,
    /// `group.min.session.timeout.ms`.
    pub group_min_session_timeout: Duration,
    /// `group.max.session.timeout.ms`.
    pub group_max_session_timeout: Duration,
    /// `group.max.size`.
    pub group_max_size: usize,
    /// `offsets.topic.num.partitions`.
    pub offsets_topic_partitions: i32,
    /// `offsets.retention.minutes`.
    pub offsets_retention: Duration,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval: Duration,
    /// `offset.metadata.max.bytes`.
    pub offset_metadata_max_bytes: usize,
    /// `log.retention.check.interval.ms`.
    pub retention_check_interval: Duration,
    /// `producer.id.expiration.ms`.
    pub producer_id_expiration: Duration,
}

impl BrokerDefaults {
    /// Reads the typed values out of the keys that were set and the defaults of the rest.
    pub fn from_keys(set: &BTreeMap<String, String>) -> Self {
        let keys = Values { set };
        Self {
            auto_create_topics: keys.boolean("auto.create.topics.enable"),
            delete_topics: keys.boolean("delete.topic.enable"),
            num_partitions: keys.number("num.partitions"),
            default_replication_factor: keys.number("default.replication.factor"),
            fetch_max_bytes: keys.number("fetch.max.bytes"),
            group_initial_rebalance_delay: keys.milliseconds("group.initial.rebalance.delay.ms"),
            group_min_session_timeout: keys.milliseconds("group.min.session.timeout.ms"),
            group_max_session_timeout: keys.milliseconds("group.max.session.timeout.ms"),
            group_max_size: keys.number("group.max.size"),
            offsets_topic_partitions: keys.number("offsets.topic.num.partitions"),
            offsets_retention: Duration::from_secs(60 * keys.number::<u64>("offsets.retention.minutes")),
            offsets_retention_check_interval: keys.milliseconds("offsets.retention.check.interval.ms"),
            offset_metadata_max_bytes: keys.number("offset.metadata.max.bytes"),
            retention_check_interval: keys.milliseconds("log.retention.check.interval.ms"),
            producer_id_expiration: keys.milliseconds("producer.id.expiration.ms"),
        }
    }
}

/// The broker key of this name, if the configuration may set it.
pub fn settable(name: &str) -> Result<&'static Key, KeyError> {
    let key = broker_key(name)?;
    match key.effect {
        super::keys::Effect::Fact => Err(KeyError::ReadOnly(key.name)),
        _ => Ok(key),
    }
}

/// Canonical values by name, with the table's defaults behind them.
struct Values<'a> {
    set: &'a BTreeMap<String, String>,
}

impl Values<'_> {
    fn text(&self, name: &str) -> &str {
        let default = || {
            BROKER_KEYS
                .iter()
                .find(|key| key.name == name)
                .and_then(|key| key.default)
        };
        self.set
            .get(name)
            .map(String::as_str)
            .or_else(default)
            .expect("the table has a default for this key")
    }

    fn boolean(&self, name: &str) -> bool {
        self.text(name) == "true"
    }

    fn number<T: TryFrom<i64>>(&self, name: &str) -> T {
        let number: i64 = self
            .text(name)
            .parse()
            .expect("values are checked against the table first");
        T::try_from(number).unwrap_or_else(|_| panic!("the bounds of {name} keep it in range"))
    }

    fn milliseconds(&self, name: &str) -> Duration {
        Duration::from_millis(self.number(name))
    }
}
