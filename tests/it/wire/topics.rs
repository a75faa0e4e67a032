//! CreateTopics (19) and DeleteTopics (20).

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse};
use tests::requests::{self, Topic, text, topic_name};
use tests::wait;

use super::Wire;

const CONFIGS_SINCE: i16 = 5;
const TOPIC_ID_SINCE: i16 = 7;
const DELETE_BY_ID_SINCE: i16 = 6;

pub(crate) fn good_create(wire: &Wire, version: i16) {
    let mut connection = wire.connect();
    let name = requests::unique("create");
    let mut response = connection.call(version, &create_request(&name));
    let result = &mut response.topics[0];
    let configs = result.configs.take().unwrap_or_default();
    if version >= CONFIGS_SINCE {
        let ours = configs
            .iter()
            .find(|config| &*config.name == "retention.ms")
            .expect("all keys are returned");
        assert_eq!(ours.value, Some(text("1234567")));
        assert_eq!(
            (ours.read_only, ours.config_source, ours.is_sensitive),
            (false, 1, false)
        );
        assert!(configs.iter().any(|config| &*config.name == "cleanup.policy"));
    }
    let id = std::mem::take(&mut result.topic_id);
    assert_eq!(id.is_nil(), version < TOPIC_ID_SINCE);

    let mut expected = CreatableTopicResult::default()
        .with_name(topic_name(&name))
        .with_error_message(None)
        .with_configs(None);
    if version >= CONFIGS_SINCE {
        expected = expected.with_num_partitions(2).with_replication_factor(1);
    }
    assert_eq!(response, CreateTopicsResponse::default().with_topics(vec![expected]));
    let created = Topic { name, id };
    requests::wait_for_leaders(&mut connection, &created, 2);
}

pub(crate) fn bad_create(wire: &Wire, version: i16) {
    let mut connection = wire.connect();
    let topic = requests::create_topic(&mut connection, "create", 1, &[]);
    let mut response = connection.call(version, &create_request(&topic.name));
    let result = &mut response.topics[0];
    let message = result.error_message.take().expect("a refusal says why");
    assert!(message.contains(&topic.name), "{message}");
    assert!(result.configs.take().unwrap_or_default().is_empty());
    let expected = CreatableTopicResult::default()
        .with_name(topic.topic_name())
        .with_error_code(ResponseError::TopicAlreadyExists.code())
        .with_error_message(None)
        .with_configs(None);
    assert_eq!(response, CreateTopicsResponse::default().with_topics(vec![expected]));
}

pub(crate) fn good_delete(wire: &Wire, version: i16) {
    let mut connection = wire.connect();
    let topic = requests::create_topic(&mut connection, "delete", 1, &[]);
    let response = connection.call(version, &delete_request(version, &topic));
    let mut deleted = DeletableTopicResult::default().with_name(Some(topic.topic_name()));
    if version >= DELETE_BY_ID_SINCE {
        deleted.topic_id = topic.id;
    }
    assert_eq!(response, DeleteTopicsResponse::default().with_responses(vec![deleted]));
    wait::until("a deleted topic to be gone", || {
        let described = connection.call(12, &requests::metadata_request(&[&topic.name], false));
        described.topics[0].error_code == ResponseError::UnknownTopicOrPartition.code()
    });
}

pub(crate) fn bad_delete(wire: &Wire, version: i16) {
    let topic = Topic::unknown();
    let mut response = wire.connect().call(version, &delete_request(version, &topic));
    response.responses[0].error_message = None;
    let refused = if version < DELETE_BY_ID_SINCE {
        DeletableTopicResult::default()
            .with_name(Some(topic.topic_name()))
            .with_error_code(ResponseError::UnknownTopicOrPartition.code())
    } else {
        DeletableTopicResult::default()
            .with_name(None)
            .with_topic_id(topic.id)
            .with_error_code(ResponseError::UnknownTopicId.code())
    };
    assert_eq!(response, DeleteTopicsResponse::default().with_responses(vec![refused]));
}

fn create_request(name: &str) -> CreateTopicsRequest {
    let config = CreatableTopicConfig::default()
        .with_name(text("retention.ms"))
        .with_value(Some(text("1234567")));
    let topic = CreatableTopic::default()
        .with_name(topic_name(name))
        .with_num_partitions(2)
        .with_replication_factor(1)
        .with_configs(vec![config]);
    CreateTopicsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(30_000)
}

/// By id where ids exist, else by name.
fn delete_request(version: i16, topic: &Topic) -> DeleteTopicsRequest {
    let request = DeleteTopicsRequest::default().with_timeout_ms(30_000);
    if version < DELETE_BY_ID_SINCE {
        return request.with_topic_names(vec![topic.topic_name()]);
    }
    request.with_topics(vec![
        DeleteTopicState::default().with_name(None).with_topic_id(topic.id),
    ])
}
