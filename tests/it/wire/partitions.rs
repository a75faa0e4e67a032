//! CreatePartitions (37).

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};
use tests::requests::{self, Topic};

use super::Wire;

pub(crate) fn good(wire: &Wire, version: i16) {
    let mut connection = wire.connect();
    let topic = requests::create_topic(&mut connection, "partitions", 1, &[]);
    let response = connection.call(version, &request(&topic, 3));
    assert_eq!(response, answer(&topic, 0));
    requests::wait_for_leaders(&mut connection, &topic, 3);
}

/// A topic never loses partitions.
pub(crate) fn bad(wire: &Wire, version: i16) {
    let mut connection = wire.connect();
    let topic = requests::create_topic(&mut connection, "partitions", 2, &[]);
    let mut response = connection.call(version, &request(&topic, 1));
    assert!(response.results[0].error_message.take().is_some(), "a refusal says why");
    assert_eq!(response, answer(&topic, ResponseError::InvalidPartitions.code()));
}

fn request(topic: &Topic, count: i32) -> CreatePartitionsRequest {
    let wanted = CreatePartitionsTopic::default()
        .with_name(topic.topic_name())
        .with_count(count)
        .with_assignments(None);
    CreatePartitionsRequest::default()
        .with_topics(vec![wanted])
        .with_timeout_ms(30_000)
}

fn answer(topic: &Topic, code: i16) -> CreatePartitionsResponse {
    let result = CreatePartitionsTopicResult::default()
        .with_name(topic.topic_name())
        .with_error_code(code)
        .with_error_message(None);
    CreatePartitionsResponse::default().with_results(vec![result])
}
