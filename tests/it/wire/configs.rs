//! DescribeConfigs (32) and IncrementalAlterConfigs (44), for topics.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsResult};
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{
    DescribeConfigsRequest, DescribeConfigsResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};
use tests::requests::{self, Topic, text};

use super::Wire;

const TOPIC: i8 = 2;
const SOURCE_TOPIC: i8 = 1;
const SOURCE_DEFAULT: i8 = 5;
const TYPE_LONG: i8 = 5;
const TYPE_INT: i8 = 3;
const TYPE_SINCE: i16 = 3;
const OPERATION_SET: i8 = 0;

pub(crate) fn good_describe(wire: &Wire, version: i16) {
    let mut connection = wire.connect();
    let topic = requests::create_topic(&mut connection, "configs", 1, &[("retention.ms", "1234567")]);
    let mut response = connection.call(
        version,
        &describe_request(&topic, &["retention.ms", "max.message.bytes"]),
    );
    // Kafka has sent null and the empty text for "no error".
    assert!(
        response.results[0]
            .error_message
            .take()
            .is_none_or(|message| message.is_empty())
    );
    response.results[0]
        .configs
        .sort_by(|one, other| one.name.cmp(&other.name));
    let mut configs = vec![
        config("max.message.bytes", "1048588", SOURCE_DEFAULT),
        config("retention.ms", "1234567", SOURCE_TOPIC),
    ];
    if version >= TYPE_SINCE {
        configs[0].config_type = TYPE_INT;
        configs[1].config_type = TYPE_LONG;
        // Only on request.
        configs.iter_mut().for_each(|config| config.documentation = None);
    }
    assert_eq!(response, describe_answer(&topic, 0, configs));
}

pub(crate) fn bad_describe(wire: &Wire, version: i16) {
    let topic = Topic::unknown();
    let mut response = wire
        .connect()
        .call(version, &describe_request(&topic, &["retention.ms"]));
    response.results[0].error_message = None;
    assert_eq!(
        response,
        describe_answer(&topic, ResponseError::UnknownTopicOrPartition.code(), Vec::new())
    );
}

pub(crate) fn good_alter(wire: &Wire, version: i16) {
    let mut connection = wire.connect();
    let topic = requests::create_topic(&mut connection, "configs", 1, &[]);
    let mut response = connection.call(version, &alter_request(&topic, "retention.ms", "7654321"));
    // Kafka has sent null and the empty text for "no error".
    assert!(
        response.responses[0]
            .error_message
            .take()
            .is_none_or(|message| message.is_empty())
    );
    assert_eq!(response, alter_answer(&topic, 0));
    tests::wait::until("the new value to be described", || {
        let described = connection.call(4, &describe_request(&topic, &["retention.ms"]));
        described.results[0].configs[0].value == Some(text("7654321"))
    });
}

pub(crate) fn bad_alter(wire: &Wire, version: i16) {
    let mut connection = wire.connect();
    let topic = requests::create_topic(&mut connection, "configs", 1, &[]);
    let mut response = connection.call(version, &alter_request(&topic, "no.such.key", "1"));
    assert!(
        response.responses[0].error_message.take().is_some(),
        "a refusal says why"
    );
    assert_eq!(response, alter_answer(&topic, ResponseError::InvalidConfig.code()));
}

fn describe_request(topic: &Topic, keys: &[&str]) -> DescribeConfigsRequest {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(text(&topic.name))
        .with_configuration_keys(Some(keys.iter().map(|key| text(key)).collect()));
    DescribeConfigsRequest::default().with_resources(vec![resource])
}

fn config(name: &str, value: &str, source: i8) -> DescribeConfigsResourceResult {
    DescribeConfigsResourceResult::default()
        .with_name(text(name))
        .with_value(Some(text(value)))
        .with_config_source(source)
}

fn describe_answer(topic: &Topic, code: i16, configs: Vec<DescribeConfigsResourceResult>) -> DescribeConfigsResponse {
    let result = DescribeConfigsResult::default()
        .with_error_code(code)
        .with_error_message(None)
        .with_resource_type(TOPIC)
        .with_resource_name(text(&topic.name))
        .with_configs(configs);
    DescribeConfigsResponse::default().with_results(vec![result])
}

fn alter_request(topic: &Topic, key: &str, value: &str) -> IncrementalAlterConfigsRequest {
    let change = AlterableConfig::default()
        .with_name(text(key))
        .with_config_operation(OPERATION_SET)
        .with_value(Some(text(value)));
    let resource = AlterConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(text(&topic.name))
        .with_configs(vec![change]);
    IncrementalAlterConfigsRequest::default().with_resources(vec![resource])
}

fn alter_answer(topic: &Topic, code: i16) -> IncrementalAlterConfigsResponse {
    let result = AlterConfigsResourceResponse::default()
        .with_error_code(code)
        .with_error_message(None)
        .with_resource_type(TOPIC)
        .with_resource_name(text(&topic.name));
    IncrementalAlterConfigsResponse::default().with_responses(vec![result])
}
