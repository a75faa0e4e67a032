//! Produce (0).

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ProduceResponse;
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use tests::batch::Batch;
use tests::requests::{self, PRODUCE_BY_ID, Topic};
use tests::wait;

use super::Wire;

const LOG_START_SINCE: i16 = 5;

pub(crate) fn good(wire: &Wire, version: i16) {
    let mut connection = wire.connect();
    let topic = requests::create_topic(&mut connection, "produce", 1, &[]);
    let first = Batch::of_values(requests::now_ms(), &["a", "b"]).encode();
    let response = connection.call(version, &requests::produce_request(version, &topic, 0, -1, first));
    assert_eq!(response, accepted(version, &topic, 0));
    let second = Batch::of_values(requests::now_ms(), &["c"]).encode();
    let response = connection.call(version, &requests::produce_request(version, &topic, 0, 1, second));
    assert_eq!(response, accepted(version, &topic, 2));
    // acks=1 is answered before the record is flushed, and only then is it visible.
    wait::until("the last record to be visible", || {
        requests::read_values(&mut connection, &topic, 0) == [b"a", b"b", b"c"]
    });
}

pub(crate) fn bad(wire: &Wire, version: i16) {
    let topic = Topic::unknown();
    let batch = Batch::of_values(requests::now_ms(), &["lost"]).encode();
    let request = requests::produce_request(version, &topic, 0, -1, batch);
    let mut response = wire.connect().call(version, &request);
    let code = if version < PRODUCE_BY_ID {
        ResponseError::UnknownTopicOrPartition.code()
    } else {
        ResponseError::UnknownTopicId.code()
    };
    // The wording is the broker's own.
    response.responses[0].partition_responses[0].error_message = None;
    let refused = PartitionProduceResponse::default()
        .with_error_code(code)
        .with_base_offset(-1);
    assert_eq!(response, answer(version, &topic, refused));
}

fn accepted(version: i16, topic: &Topic, base_offset: i64) -> ProduceResponse {
    let mut partition = PartitionProduceResponse::default().with_base_offset(base_offset);
    if version >= LOG_START_SINCE {
        partition.log_start_offset = 0;
    }
    answer(version, topic, partition)
}

fn answer(version: i16, topic: &Topic, partition: PartitionProduceResponse) -> ProduceResponse {
    let mut of_topic = TopicProduceResponse::default().with_partition_responses(vec![partition]);
    if version < PRODUCE_BY_ID {
        of_topic.name = topic.topic_name();
    } else {
        of_topic.topic_id = topic.id;
    }
    ProduceResponse::default().with_responses(vec![of_topic])
}
