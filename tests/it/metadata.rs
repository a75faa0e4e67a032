//! Metadata: which topics are asked for and how, and topics that come into being by being asked for.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{MetadataRequest, MetadataResponse};
use tests::broker::{Target, TestBroker};
use tests::client::Connection;
use tests::requests::{self, Topic};
use tests::wait;
use uuid::Uuid;

fn named<'a>(response: &'a MetadataResponse, name: &str) -> Option<&'a MetadataResponseTopic> {
    response
        .topics
        .iter()
        .find(|topic| topic.name.as_ref().is_some_and(|found| &***found == name))
}

#[test]
fn null_means_all_topics_and_empty_means_none_except_in_version_0() {
    let target = Target::start_with(&[]);
    let mut connection = Connection::open(&target.address());
    let topic = requests::create_topic(&mut connection, "listed", 1, &[]);
    let all = MetadataRequest::default().with_topics(None);
    let none = MetadataRequest::default().with_topics(Some(Vec::new()));
    for version in 1..=13 {
        assert!(
            named(&connection.call(version, &all), &topic.name).is_some(),
            "version {version}"
        );
        assert!(connection.call(version, &none).topics.is_empty(), "version {version}");
    }
    assert!(named(&connection.call(0, &none), &topic.name).is_some());
}

#[test]
fn topics_are_found_by_id_from_version_12() {
    let target = Target::start_with(&[]);
    let mut connection = Connection::open(&target.address());
    let topic = requests::create_topic(&mut connection, "by-id", 1, &[]);
    let mut by_id = |id: Uuid| {
        let wanted = MetadataRequestTopic::default().with_name(None).with_topic_id(id);
        let request = MetadataRequest::default()
            .with_topics(Some(vec![wanted]))
            .with_allow_auto_topic_creation(false);
        connection.call(12, &request).topics[0].clone()
    };
    let found = by_id(topic.id);
    assert_eq!((found.error_code, found.name), (0, Some(topic.topic_name())));
    let unknown = Uuid::new_v4();
    let missing = by_id(unknown);
    assert_eq!(
        (missing.error_code, missing.topic_id),
        (ResponseError::UnknownTopicId.code(), unknown)
    );
}

/// Created when both the request and the broker allow it; the client asks again until there is a leader.
#[test]
fn asking_for_a_topic_creates_it_where_both_sides_allow() {
    let target = Target::start_with(&[]);
    let mut connection = Connection::open(&target.address());
    let name = requests::unique("auto");
    let refused = connection.call(12, &requests::metadata_request(&[&name], false));
    assert_eq!(
        refused.topics[0].error_code,
        ResponseError::UnknownTopicOrPartition.code()
    );

    wait::until("the topic to be created", || {
        let response = connection.call(12, &requests::metadata_request(&[&name], true));
        let topic = &response.topics[0];
        let not_yet = [
            ResponseError::LeaderNotAvailable.code(),
            ResponseError::UnknownTopicOrPartition.code(),
            0,
        ];
        assert!(not_yet.contains(&topic.error_code), "{topic:?}");
        topic.error_code == 0 && !topic.topic_id.is_nil() && topic.partitions.len() == 1
    });
}

#[test]
fn nothing_is_created_where_the_broker_does_not_allow_it() {
    let broker = TestBroker::start_with(&[("kafka.defaults.auto.create.topics.enable", "false")]);
    let mut connection = Connection::open(&broker.kafka_address());
    let name = requests::unique("auto");
    for _ in 0..2 {
        let response = connection.call(12, &requests::metadata_request(&[&name], true));
        assert_eq!(
            response.topics[0].error_code,
            ResponseError::UnknownTopicOrPartition.code()
        );
    }
}

#[test]
fn the_brokers_default_partition_count_is_used() {
    let broker = TestBroker::start_with(&[("kafka.defaults.num.partitions", "4")]);
    let mut connection = Connection::open(&broker.kafka_address());
    let name = requests::unique("auto");
    wait::until("the topic to be created", || {
        let response = connection.call(12, &requests::metadata_request(&[&name], true));
        response.topics[0].error_code == 0 && response.topics[0].partitions.len() == 4
    });
}

#[test]
fn the_offsets_topic_is_internal_and_has_50_partitions() {
    let broker = TestBroker::start();
    let mut connection = Connection::open(&broker.kafka_address());
    let topic = requests::create_topic(&mut connection, "committed", 1, &[]);
    crate::groups::commit_simple(&mut connection, &requests::unique("internal"), &topic, 1);
    let response = connection.call(12, &MetadataRequest::default().with_topics(None));
    let offsets = named(&response, "__consumer_offsets").expect("a commit creates it");
    assert!(offsets.is_internal);
    assert_eq!(offsets.partitions.len(), 50);
    assert!(!named(&response, &topic.name).expect("an ordinary topic").is_internal);
}

/// KIP-516: a topic that is deleted and created again under its name is another topic.
#[test]
fn a_topic_created_again_has_another_id_and_nothing_of_the_old_one() {
    let target = Target::start_with(&[]);
    let mut connection = Connection::open(&target.address());
    let old = requests::create_topic(&mut connection, "again", 1, &[]);
    let batch = tests::batch::Batch::of_values(requests::now_ms(), &["old"]);
    requests::produce(&mut connection, &old, 0, &batch);
    crate::admin::delete_topic(&mut connection, &old);
    let new_id = crate::admin::create_named(&mut connection, &old.name);
    assert_ne!(new_id, old.id);
    let new = Topic {
        name: old.name.clone(),
        id: new_id,
    };
    requests::wait_for_leaders(&mut connection, &new, 1);
    assert_eq!(
        requests::list_offset(&mut connection, &new, 0, requests::LATEST).offset,
        0
    );

    let response = connection.call(13, &requests::fetch_request(13, &old, 0, 0).with_max_wait_ms(0));
    let code = response.responses[0].partitions[0].error_code;
    assert_eq!(code, ResponseError::UnknownTopicId.code());
}
