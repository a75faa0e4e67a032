//! ListOffsets (2). Version 11 is laid out like 10.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
use tests::batch::{Batch, Record};
use tests::requests::{self, Topic};

use super::Wire;

const LEADER_EPOCH_SINCE: i16 = 4;
const LAYOUT_MAX: i16 = 10;

pub(crate) fn good(wire: &Wire, version: i16) {
    let mut connection = wire.connect();
    let topic = requests::create_topic(&mut connection, "list-offsets", 1, &[]);
    let start = requests::now_ms() - 60_000;
    let records = (0..3)
        .map(|second| Record {
            timestamp_delta: second * 1_000,
            ..Record::default()
        })
        .collect();
    requests::produce(&mut connection, &topic, 0, &Batch::of_records(start, records));
    let leader_epoch = requests::leader_epoch(&mut connection, &topic, 0);

    let response = call(wire, version, &requests::list_offsets_request(&topic, 0, start + 500));
    let mut found = ListOffsetsPartitionResponse::default()
        .with_timestamp(start + 1_000)
        .with_offset(1);
    if version >= LEADER_EPOCH_SINCE {
        found.leader_epoch = leader_epoch;
    }
    assert_eq!(response, answer(&topic, found));
}

pub(crate) fn bad(wire: &Wire, version: i16) {
    let topic = Topic::unknown();
    let response = call(
        wire,
        version,
        &requests::list_offsets_request(&topic, 0, requests::LATEST),
    );
    let refused = ListOffsetsPartitionResponse::default()
        .with_error_code(ResponseError::UnknownTopicOrPartition.code())
        .with_timestamp(-1)
        .with_offset(-1);
    assert_eq!(response, answer(&topic, refused));
}

fn call(wire: &Wire, version: i16, request: &ListOffsetsRequest) -> ListOffsetsResponse {
    wire.connect().call_as(version, version.min(LAYOUT_MAX), request)
}

fn answer(topic: &Topic, partition: ListOffsetsPartitionResponse) -> ListOffsetsResponse {
    let of_topic = ListOffsetsTopicResponse::default()
        .with_name(topic.topic_name())
        .with_partitions(vec![partition]);
    ListOffsetsResponse::default().with_topics(vec![of_topic])
}
