//! Fetch (1).

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::FetchResponse;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use tests::batch::Batch;
use tests::requests::{self, FETCH_BY_ID, Topic};

use super::Wire;

const LOG_START_SINCE: i16 = 5;

pub(crate) fn good(wire: &Wire, version: i16) {
    let mut connection = wire.connect();
    let topic = requests::create_topic(&mut connection, "fetch", 1, &[]);
    let sent = Batch::of_values(requests::now_ms(), &["a", "b", "c"]);
    assert_eq!(requests::produce(&mut connection, &topic, 0, &sent), 0);
    let leader_epoch = requests::leader_epoch(&mut connection, &topic, 0);

    // Offset 1 lies inside the batch: it comes whole, and the client skips.
    let response = connection.call(version, &requests::fetch_request(version, &topic, 0, 1));
    let records = response.responses[0].partitions[0]
        .records
        .clone()
        .expect("records are never null");
    assert_eq!(Batch::decode_all(&records), [Batch { leader_epoch, ..sent }]);

    let mut partition = PartitionData::default()
        .with_high_watermark(3)
        .with_last_stable_offset(3);
    if version >= LOG_START_SINCE {
        partition.log_start_offset = 0;
    }
    assert_eq!(without_records(response), answer(version, &topic, partition));
}

pub(crate) fn bad(wire: &Wire, version: i16) {
    let topic = Topic::unknown();
    let response = wire
        .connect()
        .call(version, &requests::fetch_request(version, &topic, 0, 0));
    let code = if version < FETCH_BY_ID {
        ResponseError::UnknownTopicOrPartition.code()
    } else {
        ResponseError::UnknownTopicId.code()
    };
    let partition = PartitionData::default().with_error_code(code).with_high_watermark(-1);
    assert_eq!(without_records(response), answer(version, &topic, partition));
}

/// Clears what is compared apart, and the difference between no list of aborted transactions and an empty one.
fn without_records(mut response: FetchResponse) -> FetchResponse {
    for partition in response.responses.iter_mut().flat_map(|topic| &mut topic.partitions) {
        partition.records = Some(bytes::Bytes::new());
        partition.aborted_transactions.get_or_insert_default();
    }
    response
}

fn answer(version: i16, topic: &Topic, partition: PartitionData) -> FetchResponse {
    let mut of_topic = FetchableTopicResponse::default().with_partitions(vec![partition]);
    if version < FETCH_BY_ID {
        of_topic.topic = topic.topic_name();
    } else {
        of_topic.topic_id = topic.id;
    }
    FetchResponse::default().with_responses(vec![of_topic])
}
