//! What holds for one topic: its own settings, then the broker's, then Kafka's defaults.

use std::collections::BTreeMap;

use protocol::records::Codec;
use storage::{Durability, LogConfig, TimestampType};

use super::keys::{BrokerSynonym, Key, KeyError, TOPIC_KEYS, topic_key};
use super::kinds::list_items;
use super::{BrokerConfig, RecordValidation};

/// Where a value comes from, as DescribeConfigs numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum ConfigSource {
    /// Set on the topic.
    Topic = 1,
    /// Set on one broker while it ran.
    DynamicBroker = 2,
    /// Set on all brokers while they ran.
    DynamicDefault = 3,
    /// Set in the configuration at start.
    Static = 4,
    /// Nobody set it.
    Default = 5,
}

/// One layer that gives a key a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synonym {
    /// Name of the key on that layer.
    pub name: &'static str,
    /// Its value, in the layer's own unit.
    pub value: Option<String>,
    /// The layer.
    pub source: ConfigSource,
}

/// The value that holds for a key, and every layer that has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// The value that holds, in the unit of the topic key.
    pub value: String,
    /// The layer it comes from.
    pub source: ConfigSource,
    /// All layers that have a value, the one that holds first.
    pub synonyms: Vec<Synonym>,
}

/// The layers behind a topic's own settings.
#[derive(Clone, Copy, Debug)]
pub struct BrokerLayers<'a> {
    /// Broker keys changed while running.
    pub dynamic: &'a BTreeMap<String, String>,
    /// Broker keys set in the configuration.
    pub fixed: &'a BTreeMap<String, String>,
}

/// The settings of one topic's logs.
///
/// `configs` are the topic's own settings; `dynamic` the broker keys changed while running (see
/// [`crate::cluster::Image::broker_configs`]).
pub fn log_config(
    config: &BrokerConfig,
    dynamic: &BTreeMap<String, String>,
    configs: &BTreeMap<String, String>,
) -> LogConfig {
    let layers = BrokerLayers {
        dynamic,
        fixed: &config.kafka.static_keys,
    };
    let values = Values { layers, configs };
    let policy = values.text("cleanup.policy");
    let cleans_by = |wanted: &str| list_items(&policy).any(|item| item == wanted);
    let deletes = cleans_by("delete");
    LogConfig {
        segment_bytes: values.number("segment.bytes"),
        segment_ms: values.number("segment.ms"),
        retention_ms: values.number_unless_negative("retention.ms").filter(|_| deletes),
        retention_bytes: values.number_unless_negative("retention.bytes").filter(|_| deletes),
        index_interval_bytes: values.number("index.interval.bytes"),
        segment_index_bytes: values.number("segment.index.bytes"),
        max_message_bytes: values.number("max.message.bytes"),
        timestamp_type: match values.text("message.timestamp.type").as_str() {
            "LogAppendTime" => TimestampType::LogAppendTime,
            _ => TimestampType::CreateTime,
        },
        timestamp_before_max_ms: values.number("message.timestamp.before.max.ms"),
        timestamp_after_max_ms: values.number("message.timestamp.after.max.ms"),
        compacted: cleans_by("compact"),
        durability: match values.text("tidemill.durability").as_str() {
            "async" => Durability::Async,
            _ => Durability::Fsync,
        },
        file_delete_delay_ms: values.number("file.delete.delay.ms"),
        preallocate: values.text("preallocate") == "true",
        compression: values.compression(),
        validate_records: config.kafka.validate == RecordValidation::Records,
        decompressed_bytes_max: config.kafka.max_decompressed_bytes,
    }
}

/// Checks one topic setting as a client gives it. `Ok(None)` is a key that is taken but not kept.
pub fn check_override(name: &str, value: Option<&str>) -> Result<Option<(&'static Key, String)>, KeyError> {
    if super::keys::is_ignored_topic_key(name) {
        return Ok(None);
    }
    let key = topic_key(name)?;
    let value = value.ok_or_else(|| KeyError::NullValue(name.to_owned()))?;
    Ok(Some((key, key.check(value)?)))
}

/// The value that holds for a topic key.
pub fn effective(key: &'static Key, configs: &BTreeMap<String, String>, layers: BrokerLayers<'_>) -> Effective {
    let mut synonyms = Vec::new();
    if let Some(value) = configs.get(key.name) {
        synonyms.push(Synonym {
            name: key.name,
            value: Some(value.clone()),
            source: ConfigSource::Topic,
        });
    }
    let mut value = configs.get(key.name).cloned();
    for (source, set) in [
        (ConfigSource::DynamicDefault, layers.dynamic),
        (ConfigSource::Static, layers.fixed),
    ] {
        for broker_key in key.broker_keys {
            let Some(found) = set.get(broker_key.name) else {
                continue;
            };
            synonyms.push(Synonym {
                name: broker_key.name,
                value: Some(found.clone()),
                source,
            });
            value.get_or_insert_with(|| scaled(found, *broker_key));
        }
    }
    let default_name = key.broker_keys.last().map_or(key.name, |last| last.name);
    let default = default_of(key);
    synonyms.push(Synonym {
        name: default_name,
        value: Some(default.1),
        source: ConfigSource::Default,
    });
    let source = synonyms.first().map_or(ConfigSource::Default, |first| first.source);
    Effective {
        value: value.unwrap_or(default.0),
        source,
        synonyms,
    }
}

/// A key's default in its own unit, and as the weakest broker key behind it states it.
fn default_of(key: &'static Key) -> (String, String) {
    let own = key.default.unwrap_or_default().to_owned();
    let stated = match (key.broker_keys.last(), own.parse::<i64>()) {
        (Some(last), Ok(number)) if last.factor != 1 => (number / last.factor).to_string(),
        _ => own.clone(),
    };
    (own, stated)
}

fn scaled(value: &str, key: BrokerSynonym) -> String {
    match value.parse::<i64>() {
        // A negative number means "without limit" in every unit.
        Ok(number) if key.factor != 1 && 0 <= number => number.saturating_mul(key.factor).to_string(),
        Ok(number) if key.factor != 1 => number.to_string(),
        _ => value.to_owned(),
    }
}

/// Effective values by name; they passed the key table when they were set.
struct Values<'a> {
    layers: BrokerLayers<'a>,
    configs: &'a BTreeMap<String, String>,
}

impl Values<'_> {
    fn text(&self, name: &str) -> String {
        let key = TOPIC_KEYS
            .iter()
            .find(|key| key.name == name)
            .expect("the table holds every key used here");
        effective(key, self.configs, self.layers).value
    }

    fn number<T: TryFrom<i64>>(&self, name: &str) -> T {
        let number: i64 = self.text(name).parse().expect("values are checked when they are set");
        T::try_from(number).unwrap_or_else(|_| panic!("the bounds of {name} keep it in range"))
    }

    fn number_unless_negative<T: TryFrom<i64>>(&self, name: &str) -> Option<T> {
        let number: i64 = self.text(name).parse().expect("values are checked when they are set");
        T::try_from(number).ok().filter(|_| 0 <= number)
    }

    /// The codec that batches are stored in, with its level where it has one; `None` keeps the producer's.
    fn compression(&self) -> Option<(Codec, Option<i32>)> {
        match self.text("compression.type").as_str() {
            "producer" => None,
            "gzip" => Some((Codec::Gzip, self.number_unless_negative("compression.gzip.level"))),
            "zstd" => Some((Codec::Zstd, Some(self.number("compression.zstd.level")))),
            "lz4" => Some((Codec::Lz4, None)),
            "snappy" => Some((Codec::Snappy, None)),
            _ => Some((Codec::None, None)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn effective_of(name: &str, topic: &[(&str, &str)], dynamic: &[(&str, &str)], fixed: &[(&str, &str)]) -> Effective {
        let (dynamic, fixed) = (map(dynamic), map(fixed));
        let key = topic_key(name).expect(name);
        effective(
            key,
            &map(topic),
            BrokerLayers {
                dynamic: &dynamic,
                fixed: &fixed,
            },
        )
    }

    #[test]
    fn the_nearest_layer_wins() {
        let hours = &[("log.retention.hours", "2")];
        let ms = &[("log.retention.ms", "5")];
        assert_eq!(effective_of("retention.ms", &[], &[], &[]).value, "604800000");
        assert_eq!(effective_of("retention.ms", &[], &[], hours).value, "7200000");
        assert_eq!(effective_of("retention.ms", &[], ms, hours).value, "5");
        let own = effective_of("retention.ms", &[("retention.ms", "-1")], ms, hours);
        assert_eq!((own.value.as_str(), own.source), ("-1", ConfigSource::Topic));
        let sources: Vec<_> = own
            .synonyms
            .iter()
            .map(|synonym| (synonym.name, synonym.source))
            .collect();
        assert_eq!(
            sources,
            [
                ("retention.ms", ConfigSource::Topic),
                ("log.retention.ms", ConfigSource::DynamicDefault),
                ("log.retention.hours", ConfigSource::Static),
                ("log.retention.hours", ConfigSource::Default),
            ]
        );
        assert_eq!(own.synonyms[3].value.as_deref(), Some("168"));
    }

    #[test]
    fn endless_hours_stay_endless() {
        assert_eq!(
            effective_of("retention.ms", &[], &[], &[("log.retention.hours", "-1")]).value,
            "-1"
        );
    }

    #[test]
    fn settings_reach_the_log() {
        let overrides = crate::config::Overrides::default();
        let config = crate::config::load(&overrides).expect("defaults").config;
        let of = |topic: &[(&str, &str)]| log_config(&config, &BTreeMap::new(), &map(topic));
        assert_eq!(of(&[]), LogConfig::default());
        for (policy, deletes, compacts) in [
            ("compact", false, true),
            ("", false, false),
            ("delete", true, false),
            ("compact,delete", true, true),
        ] {
            let config = of(&[("cleanup.policy", policy), ("retention.bytes", "9")]);
            assert_eq!(config.retention_ms.is_some(), deletes, "{policy:?}");
            assert_eq!(config.retention_bytes.is_some(), deletes, "{policy:?}");
            assert_eq!(config.compacted, compacts, "{policy:?}");
        }
        let numbers = of(&[
            ("segment.bytes", "1048577"),
            ("segment.ms", "2"),
            ("index.interval.bytes", "3"),
            ("segment.index.bytes", "8"),
            ("max.message.bytes", "4"),
            ("message.timestamp.before.max.ms", "5"),
            ("message.timestamp.after.max.ms", "6"),
            ("file.delete.delay.ms", "7"),
            ("preallocate", "true"),
            ("message.timestamp.type", "LogAppendTime"),
        ]);
        let expected = LogConfig {
            segment_bytes: 1_048_577,
            segment_ms: 2,
            index_interval_bytes: 3,
            segment_index_bytes: 8,
            max_message_bytes: 4,
            timestamp_before_max_ms: 5,
            timestamp_after_max_ms: 6,
            file_delete_delay_ms: 7,
            preallocate: true,
            timestamp_type: TimestampType::LogAppendTime,
            ..LogConfig::default()
        };
        assert_eq!(numbers, expected);
        assert_eq!(
            of(&[("retention.ms", "-1"), ("retention.bytes", "9")]).retention_bytes,
            Some(9)
        );
        assert_eq!(of(&[("retention.ms", "-1")]).retention_ms, None);
        let codec = |name: &str| of(&[("compression.type", name)]).compression;
        assert_eq!(codec("zstd"), Some((Codec::Zstd, Some(3))));
        assert_eq!(codec("gzip"), Some((Codec::Gzip, None)));
        let level = |name: &str, key: &str, level: &str| of(&[("compression.type", name), (key, level)]).compression;
        assert_eq!(
            level("zstd", "compression.zstd.level", "7"),
            Some((Codec::Zstd, Some(7)))
        );
        assert_eq!(
            level("gzip", "compression.gzip.level", "2"),
            Some((Codec::Gzip, Some(2)))
        );
        assert_eq!(codec("uncompressed"), Some((Codec::None, None)));
        assert_eq!(of(&[("tidemill.durability", "async")]).durability, Durability::Async);
    }

    #[test]
    fn overrides_are_checked() {
        let kept = check_override("segment.bytes", Some(" 1048576 ")).expect("the smallest segment");
        assert_eq!(
            kept.map(|(key, value)| (key.name, value)),
            Some(("segment.bytes", "1048576".to_owned()))
        );
        assert_eq!(
            check_override("message.format.version", Some("2.0")).map(|kept| kept.is_none()),
            Ok(true)
        );
        assert!(matches!(
            check_override("segment.bytes", Some("1048575")),
            Err(KeyError::Invalid { .. })
        ));
        assert!(matches!(
            check_override("segment.bytes", None),
            Err(KeyError::NullValue(_))
        ));
        assert!(matches!(
            check_override("flush.messages", Some("1")),
            Err(KeyError::NotYet { .. })
        ));
        assert!(check_override("flush.messages", Some("9223372036854775807")).is_ok());
        let Err(KeyError::Unknown { nearest, .. }) = check_override("retention.mss", Some("1")) else {
            panic!("an unknown key");
        };
        assert_eq!(nearest, Some("retention.ms"));
    }
}
