//! Every topic key as Apache Kafka 4.3 describes it: what DescribeConfigs of a topic without settings of its own says
//! there. The table is Kafka's answer; the test runs against Kafka too.

use kafka_protocol::messages::DescribeConfigsRequest;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsSynonym};
use tests::broker::Target;
use tests::client::Connection;
use tests::requests::{self, Topic, text};

const RESOURCE_TOPIC: i8 = 2;
const VERSION: i16 = 4;

const BOOLEAN: i8 = 1;
const STRING: i8 = 2;
const INT: i8 = 3;
const LONG: i8 = 5;
const DOUBLE: i8 = 6;
const LIST: i8 = 7;

const SOURCE_TOPIC: i8 = 1;
const SOURCE_CLUSTER: i8 = 3;
const SOURCE_STATIC: i8 = 4;
const SOURCE_DEFAULT: i8 = 5;

/// Name, type, and default. None is read-only and none is sensitive.
#[rustfmt::skip]
const KEYS: [(&str, i8, &str); 33] = [
    ("cleanup.policy", LIST, "delete"),
    ("compression.gzip.level", INT, "-1"),
    ("compression.lz4.level", INT, "9"),
    ("compression.type", STRING, "producer"),
    ("compression.zstd.level", INT, "3"),
    ("delete.retention.ms", LONG, "86400000"),
    ("file.delete.delay.ms", LONG, "60000"),
    ("flush.messages", LONG, "9223372036854775807"),
    ("flush.ms", LONG, "9223372036854775807"),
    ("follower.replication.throttled.replicas", LIST, ""),
    ("index.interval.bytes", INT, "4096"),
    ("leader.replication.throttled.replicas", LIST, ""),
    ("local.retention.bytes", LONG, "-2"),
    ("local.retention.ms", LONG, "-2"),
    ("max.compaction.lag.ms", LONG, "9223372036854775807"),
    ("max.message.bytes", INT, "1048588"),
    ("message.timestamp.after.max.ms", LONG, "3600000"),
    ("message.timestamp.before.max.ms", LONG, "9223372036854775807"),
    ("message.timestamp.type", STRING, "CreateTime"),
    ("min.cleanable.dirty.ratio", DOUBLE, "0.5"),
    ("min.compaction.lag.ms", LONG, "0"),
    ("min.insync.replicas", INT, "1"),
    ("preallocate", BOOLEAN, "false"),
    ("remote.log.copy.disable", BOOLEAN, "false"),
    ("remote.log.delete.on.disable", BOOLEAN, "false"),
    ("remote.storage.enable", BOOLEAN, "false"),
    ("retention.bytes", LONG, "-1"),
    ("retention.ms", LONG, "604800000"),
    ("segment.bytes", INT, "1073741824"),
    ("segment.index.bytes", INT, "10485760"),
    ("segment.jitter.ms", LONG, "0"),
    ("segment.ms", LONG, "604800000"),
    ("unclean.leader.election.enable", BOOLEAN, "false"),
];

/// Keys that we have and Kafka 4.3 lacks: those of Kafka 4.4, and our own.
const BEYOND: [&str; 4] = [
    "errors.deadletterqueue.group.enable",
    "remote.copy.lag.bytes",
    "remote.copy.lag.ms",
    "tidemill.durability",
];

/// The broker's file sets this one, for Kafka and for us (`scripts/kafka.sh`, `tests::broker`).
const SET_FOR_TESTS: (&str, &str) = ("segment.bytes", "1048576");

fn describe(connection: &mut Connection, topic: &Topic) -> Vec<DescribeConfigsResourceResult> {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(RESOURCE_TOPIC)
        .with_resource_name(text(&topic.name))
        .with_configuration_keys(None);
    let request = DescribeConfigsRequest::default()
        .with_resources(vec![resource])
        .with_include_synonyms(true);
    let mut response = connection.call(VERSION, &request);
    let result = response.results.remove(0);
    assert_eq!((result.error_code, result.resource_type), (0, RESOURCE_TOPIC));
    assert_eq!(&*result.resource_name, topic.name);
    let mut configs = result.configs;
    configs.sort_by(|one, other| one.name.cmp(&other.name));
    configs
}

/// What a key of the table says when the topic sets nothing.
fn unset(name: &str, config_type: i8, default: &str) -> DescribeConfigsResourceResult {
    let (value, source) = match name == SET_FOR_TESTS.0 {
        true => (SET_FOR_TESTS.1, SOURCE_STATIC),
        false => (default, SOURCE_DEFAULT),
    };
    DescribeConfigsResourceResult::default()
        .with_name(text(name))
        .with_value(Some(text(value)))
        .with_config_type(config_type)
        .with_read_only(false)
        .with_is_sensitive(false)
        .with_config_source(source)
        .with_synonyms(Vec::new())
        .with_documentation(None)
}

/// Synonyms end with the default where there is one; here they are judged, and then taken out.
fn without_synonyms(mut config: DescribeConfigsResourceResult, default: &str) -> DescribeConfigsResourceResult {
    let synonyms: Vec<DescribeConfigsSynonym> = std::mem::take(&mut config.synonyms);
    for synonym in synonyms.iter().filter(|synonym| synonym.source == SOURCE_DEFAULT) {
        // A broker key may count hours where the topic's counts milliseconds.
        let is_same = !synonym.name.ends_with(".hours");
        assert!(
            !is_same || synonym.value == Some(text(default)),
            "{synonym:?} of {config:?}"
        );
    }
    if let Some(strongest) = synonyms.first() {
        assert_eq!(strongest.source, config.config_source, "{strongest:?} of {config:?}");
    }
    config
}

#[test]
fn topic_keys_are_described_as_kafka_describes_them() {
    let target = Target::start_with(&[]);
    let mut connection = Connection::open(&target.address());
    let topic = requests::create_topic(&mut connection, "described", 1, &[]);
    let described = describe(&mut connection, &topic);
    let names: Vec<&str> = described.iter().map(|config| &*config.name).collect();
    let mut due: Vec<&str> = KEYS.iter().map(|(name, ..)| *name).collect();
    if target.own().is_some() {
        due.extend(BEYOND);
        due.sort_unstable();
    }
    assert_eq!(names, due);
    for (name, config_type, default) in KEYS {
        let mut config = described
            .iter()
            .find(|config| &*config.name == name)
            .cloned()
            .expect("named above");
        config = without_synonyms(config, default);
        if target.own().is_none() && config.config_source == SOURCE_CLUSTER {
            // Kafka writes the default of min.insync.replicas into the cluster's settings when it makes a cluster.
            assert_eq!(name, "min.insync.replicas");
            config.config_source = SOURCE_DEFAULT;
        }
        assert_eq!(config, unset(name, config_type, default));
    }
}

/// Each key that takes another value is described with that value as the topic's own, and all others stay as they were.
#[test]
fn a_topics_own_values_are_described_as_its_own() {
    const OWN: [(&str, &str); 6] = [
        ("cleanup.policy", "compact"),
        ("compression.type", "zstd"),
        ("max.message.bytes", "2097152"),
        ("message.timestamp.type", "LogAppendTime"),
        ("retention.bytes", "123456789"),
        ("segment.bytes", "2097152"),
    ];
    let target = Target::start_with(&[]);
    let mut connection = Connection::open(&target.address());
    let plain = requests::create_topic(&mut connection, "plain", 1, &[]);
    let own = requests::create_topic(&mut connection, "own", 1, &OWN);
    let (plain, own) = (describe(&mut connection, &plain), describe(&mut connection, &own));
    assert_eq!(plain.len(), own.len());
    for (plain, own) in plain.into_iter().zip(own) {
        let Some((name, value)) = OWN.into_iter().find(|(name, _)| *name == &*plain.name) else {
            assert_eq!(plain, own);
            continue;
        };
        assert_eq!((own.value.as_deref(), own.config_source), (Some(value), SOURCE_TOPIC));
        let topics = DescribeConfigsSynonym::default()
            .with_name(text(name))
            .with_value(Some(text(value)))
            .with_source(SOURCE_TOPIC);
        assert_eq!(own.synonyms, [vec![topics], plain.synonyms.clone()].concat());
        let as_plain = own
            .with_value(plain.value.clone())
            .with_config_source(plain.config_source)
            .with_synonyms(plain.synonyms.clone());
        assert_eq!(as_plain, plain);
    }
}
