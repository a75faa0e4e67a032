//! Topics and their settings: what may be created, changed, and deleted, and what is refused with which code.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResult;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{
    CreateTopicsRequest, DeleteTopicsRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest,
};
use tests::broker::Target;
use tests::client::Connection;
use tests::requests::{self, Topic, text, topic_name};
use tests::wait;
use uuid::Uuid;

const RESOURCE_TOPIC: i8 = 2;
const RESOURCE_BROKER: i8 = 4;
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;
const SOURCE_TOPIC: i8 = 1;

pub(crate) fn delete_topic(connection: &mut Connection, topic: &Topic) {
    let request = DeleteTopicsRequest::default()
        .with_topic_names(vec![topic.topic_name()])
        .with_timeout_ms(30_000);
    assert_eq!(connection.call(5, &request).responses[0].error_code, 0);
    wait::until("a deleted topic to be gone", || {
        let described = connection.call(12, &requests::metadata_request(&[&topic.name], false));
        described.topics[0].error_code == ResponseError::UnknownTopicOrPartition.code()
    });
}

/// Creates a topic of one partition under this very name.
pub(crate) fn create_named(connection: &mut Connection, name: &str) -> Uuid {
    let result = create(connection, wanted(name), false);
    assert_eq!(result.error_code, 0, "{result:?}");
    result.topic_id
}

pub(crate) fn wanted(name: &str) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(topic_name(name))
        .with_num_partitions(1)
        .with_replication_factor(1)
}

pub(crate) fn create(connection: &mut Connection, topic: CreatableTopic, validate_only: bool) -> CreatableTopicResult {
    let request = CreateTopicsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(30_000)
        .with_validate_only(validate_only);
    connection.call(7, &request).topics[0].clone()
}

fn describe(connection: &mut Connection, resource_type: i8, name: &str) -> DescribeConfigsResult {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(resource_type)
        .with_resource_name(text(name))
        .with_configuration_keys(None);
    let request = DescribeConfigsRequest::default()
        .with_resources(vec![resource])
        .with_include_synonyms(true)
        .with_include_documentation(true);
    connection.call(4, &request).results[0].clone()
}

fn value_of(connection: &mut Connection, topic: &Topic, key: &str) -> (String, i8) {
    let result = describe(connection, RESOURCE_TOPIC, &topic.name);
    let config = result.configs.iter().find(|config| &*config.name == key);
    let config = config.unwrap_or_else(|| panic!("no {key} in {result:?}"));
    (
        config.value.clone().unwrap_or_default().to_string(),
        config.config_source,
    )
}

fn alter(connection: &mut Connection, topic: &Topic, key: &str, operation: i8, value: Option<&str>) -> (i16, String) {
    alter_resource(connection, (RESOURCE_TOPIC, &topic.name), key, operation, value)
}

fn alter_resource(
    connection: &mut Connection,
    (resource_type, name): (i8, &str),
    key: &str,
    operation: i8,
    value: Option<&str>,
) -> (i16, String) {
    let change = AlterableConfig::default()
        .with_name(text(key))
        .with_config_operation(operation)
        .with_value(value.map(text));
    let resource = AlterConfigsResource::default()
        .with_resource_type(resource_type)
        .with_resource_name(text(name))
        .with_configs(vec![change]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let response = connection.call(1, &request);
    let result = &response.responses[0];
    (
        result.error_code,
        result.error_message.clone().unwrap_or_default().to_string(),
    )
}

#[test]
fn names_are_checked() {
    let target = Target::start_with(&[]);
    let mut connection = Connection::open(&target.address());
    let too_long = "x".repeat(250);
    for name in ["", ".", "..", "with space", "slash/", "ünicode", too_long.as_str()] {
        let result = create(&mut connection, wanted(name), false);
        assert_eq!(
            result.error_code,
            ResponseError::InvalidTopicException.code(),
            "{name:?}: {result:?}"
        );
        assert!(result.error_message.is_some_and(|message| !message.is_empty()));
    }
    let longest = format!("{}-{}", requests::unique("l"), "x".repeat(249));
    let longest = &longest[..249];
    assert_eq!(create(&mut connection, wanted(longest), false).error_code, 0);
}

/// Metric names cannot tell `.` from `_`, so Kafka does not let two topics differ in nothing else.
#[test]
fn names_that_differ_in_dot_and_underscore_only_collide() {
    let target = Target::start_with(&[]);
    let mut connection = Connection::open(&target.address());
    let stem = requests::unique("collide");
    create_named(&mut connection, &format!("{stem}.a_b"));
    let result = create(&mut connection, wanted(&format!("{stem}_a.b")), false);
    assert_eq!(
        result.error_code,
        ResponseError::InvalidTopicException.code(),
        "{result:?}"
    );
}

#[test]
fn counts_are_checked_and_defaulted() {
    let target = Target::start_with(&[]);
    let mut connection = Connection::open(&target.address());
    let mut code = |partitions: i32, replicas: i16| {
        let topic = wanted(&requests::unique("counts"))
            .with_num_partitions(partitions)
            .with_replication_factor(replicas);
        let result = create(&mut connection, topic, false);
        (result.error_code, result.num_partitions, result.replication_factor)
    };
    assert_eq!(code(-1, -1), (0, 1, 1));
    assert_eq!(code(0, 1).0, ResponseError::InvalidPartitions.code());
    assert_eq!(code(-2, 1).0, ResponseError::InvalidPartitions.code());
    assert_eq!(code(1, 0).0, ResponseError::InvalidReplicationFactor.code());
    assert_eq!(
        code(1, 2).0,
        ResponseError::InvalidReplicationFactor.code(),
        "there is one node"
    );
}

#[test]
fn replicas_may_be_assigned_by_hand_to_the_one_node() {
    let target = Target::start_with(&[]);
    let mut connection = Connection::open(&target.address());
    let node = requests::cluster(&mut connection).node_id;
    let mut assigned = |broker: i32| {
        let assignment = |index: i32| {
            CreatableReplicaAssignment::default()
                .with_partition_index(index)
                .with_broker_ids(vec![broker.into()])
        };
        let topic = CreatableTopic::default()
            .with_name(topic_name(&requests::unique("assigned")))
            .with_num_partitions(-1)
            .with_replication_factor(-1)
            .with_assignments(vec![assignment(0), assignment(1)]);
        let result = create(&mut connection, topic, false);
        (result.error_code, result.num_partitions)
    };
    assert_eq!(assigned(node), (0, 2));
    assert_eq!(assigned(node + 1).0, ResponseError::InvalidReplicaAssignment.code());
}

#[test]
fn a_topic_named_twice_in_one_request_is_refused() {
    let target = Target::start_with(&[]);
    let mut connection = Connection::open(&target.address());
    let name = requests::unique("twice");
    let request = CreateTopicsRequest::default()
        .with_topics(vec![wanted(&name), wanted(&name)])
        .with_timeout_ms(30_000);
    let response = connection.call(7, &request);
    assert!(!response.topics.is_empty());
    assert!(
        response
            .topics
            .iter()
            .all(|topic| topic.error_code == ResponseError::InvalidRequest.code()),
        "{response:?}"
    );
}

#[test]
fn validate_only_checks_everything_and_creates_nothing() {
    let target = Target::start_with(&[]);
    let mut connection = Connection::open(&target.address());
    let name = requests::unique("dry");
    let result = create(&mut connection, wanted(&name), true);
    assert_eq!((result.error_code, result.num_partitions), (0, 1), "{result:?}");
    let described = connection.call(12, &requests::metadata_request(&[&name], false));
    assert_eq!(
        described.topics[0].error_code,
        ResponseError::UnknownTopicOrPartition.code()
    );
}

#[test]
fn settings_are_checked_at_creation() {
    let target = Target::start_with(&[]);
    let mut connection = Connection::open(&target.address());
    let bad = [
        ("no.such.key", "1"),
        ("retention.ms", "soon"),
        ("retention.ms", "-2"),
        ("segment.bytes", "1000"),
        ("cleanup.policy", "shred"),
        ("compression.type", "rar"),
        ("max.message.bytes", "-1"),
        ("message.timestamp.type", "Never"),
    ];
    for (key, value) in bad {
        let config = CreatableTopicConfig::default()
            .with_name(text(key))
            .with_value(Some(text(value)));
        let topic = wanted(&requests::unique("settings")).with_configs(vec![config]);
        let result = create(&mut connection, topic, false);
        assert_eq!(
            result.error_code,
            ResponseError::InvalidConfig.code(),
            "{key}={value}: {result:?}"
        );
        let message = result.error_message.unwrap_or_default();
        assert!(message.contains(key), "the message names the key: {message}");
    }
}

#[test]
fn a_policy_is_read_back_as_it_was_set() {
    let target = Target::start_with(&[]);
    let mut connection = Connection::open(&target.address());
    let topic = requests::create_topic(&mut connection, "described", 1, &[("cleanup.policy", "compact")]);
    // Schema Registry, Connect, and Streams read this one back and stop when it is not what they set.
    assert_eq!(
        value_of(&mut connection, &topic, "cleanup.policy"),
        ("compact".to_owned(), SOURCE_TOPIC)
    );
}

#[test]
fn the_broker_describes_itself() {
    let target = Target::start_with(&[]);
    let mut connection = Connection::open(&target.address());
    let node = requests::cluster(&mut connection).node_id;
    let result = describe(&mut connection, RESOURCE_BROKER, &node.to_string());
    assert_eq!(result.error_code, 0, "{result:?}");
    for key in [
        "auto.create.topics.enable",
        "num.partitions",
        "message.max.bytes",
        "delete.topic.enable",
    ] {
        let config = result.configs.iter().find(|config| &*config.name == key);
        assert!(config.is_some_and(|config| config.value.is_some()), "{key}");
    }
    // What nobody set and what has no default is null; an empty text would be a value.
    let unset = result.configs.iter().find(|config| &*config.name == "log.retention.ms");
    assert_eq!(unset.map(|config| config.value.clone()), Some(None));
    let nobody = describe(&mut connection, RESOURCE_BROKER, "4711");
    assert_eq!(nobody.error_code, ResponseError::InvalidRequest.code(), "{nobody:?}");
}

#[test]
fn settings_are_set_deleted_appended_and_subtracted() {
    let target = Target::start_with(&[]);
    let mut connection = Connection::open(&target.address());
    let topic = requests::create_topic(&mut connection, "altered", 1, &[]);
    let default = value_of(&mut connection, &topic, "retention.ms").0;
    let mut expect = |key: &str, operation: i8, value: Option<&str>, expected: &str| {
        let (code, message) = alter(&mut connection, &topic, key, operation, value);
        assert_eq!(code, 0, "{message}");
        let mut seen = String::new();
        wait::until("the change to be described", || {
            seen = value_of(&mut connection, &topic, key).0;
            seen == expected
        });
    };
    expect("retention.ms", SET, Some("60000"), "60000");
    expect("retention.ms", DELETE, None, &default);
    expect("retention.ms", DELETE, None, &default);
    expect("cleanup.policy", APPEND, Some("compact"), "delete,compact");
    expect("cleanup.policy", SUBTRACT, Some("delete"), "compact");

    let (code, _) = alter(&mut connection, &topic, "retention.ms", APPEND, Some("1"));
    assert_eq!(
        code,
        ResponseError::InvalidConfig.code(),
        "only lists can be appended to"
    );
    let (code, _) = alter(&mut connection, &topic, "retention.ms", 9, Some("1"));
    assert_ne!(code, 0, "there is no such operation");
    let (code, _) = alter(&mut connection, &Topic::unknown(), "retention.ms", SET, Some("1"));
    assert_eq!(code, ResponseError::UnknownTopicOrPartition.code());
}

/// A key that Kafka has and that does nothing here yet says so where it is described. It takes its default, and refuses
/// everything else with the same words.
#[test]
fn keys_that_do_not_act_yet_are_refused_with_the_reason() {
    let broker = tests::broker::TestBroker::start();
    let mut connection = Connection::open(&broker.kafka_address());
    let topic = requests::create_topic(&mut connection, "inert", 1, &[]);
    let node = requests::cluster(&mut connection).node_id.to_string();
    for (resource, least) in [
        ((RESOURCE_TOPIC, topic.name.as_str()), 20),
        ((RESOURCE_BROKER, &node), 10),
    ] {
        let (mut refused, described) = (0, describe(&mut connection, resource.0, resource.1));
        for config in described.configs.iter().filter(|config| !config.read_only) {
            let documentation = config.documentation.clone().unwrap_or_default();
            let Some((_, reason)) = documentation.split_once("Has no effect yet: ") else {
                continue;
            };
            let default = config.value.as_deref();
            let other = another_value(config.config_type, default.unwrap_or_default());
            let (code, message) = alter_resource(&mut connection, resource, &config.name, SET, Some(&other));
            let name = &config.name;
            assert_eq!(code, ResponseError::InvalidConfig.code(), "{name}={other}: {message}");
            let says_why = message.contains(&**name) && message.contains(reason.trim_end_matches('.'));
            assert!(says_why, "{name}={other}: {message}; due is: {reason}");
            if default.is_some() {
                let (code, message) = alter_resource(&mut connection, resource, name, SET, default);
                assert_eq!(code, 0, "{name}={default:?}: {message}");
            }
            refused += 1;
        }
        assert!(refused >= least, "{refused} keys of {resource:?} do not act");
    }
}

/// A value of the type that is allowed and not the one given.
fn another_value(config_type: i8, value: &str) -> String {
    const BOOLEAN: i8 = 1;
    const DOUBLE: i8 = 6;
    const LIST: i8 = 7;
    match config_type {
        BOOLEAN => (value != "true").to_string(),
        DOUBLE => "0.75".to_owned(),
        LIST => "*".to_owned(),
        _ => match value.parse::<i64>() {
            Ok(number) if number < i64::from(i32::MAX) => (number + 1).to_string(),
            _ => "1".to_owned(),
        },
    }
}

/// A setting acts at once on what comes after it.
#[test]
fn a_larger_message_limit_acts_without_a_restart() {
    let target = Target::start_with(&[]);
    let mut connection = Connection::open(&target.address());
    let topic = requests::create_topic(&mut connection, "altered", 1, &[("segment.bytes", "16777216")]);
    let large = tests::batch::Batch::of_total_bytes(requests::now_ms(), 2_000_000);
    let refused = requests::produce_bytes(&mut connection, &topic, 0, large.encode());
    assert_eq!(refused.error_code, ResponseError::MessageTooLarge.code());
    assert_eq!(
        alter(&mut connection, &topic, "max.message.bytes", SET, Some("2097152")).0,
        0
    );
    wait::until("the new limit to act", || {
        requests::produce_bytes(&mut connection, &topic, 0, large.encode()).error_code == 0
    });
}
