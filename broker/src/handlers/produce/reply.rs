//! From outcomes to the response.

use protocol::ErrorCode;
use protocol::messages::StrBytes;
use protocol::messages::produce_request::ProduceRequest;
use protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, ProduceResponse, TopicProduceResponse,
};

use super::append::{PartitionOutcome, Refusal, TopicOutcome};

/// What stands where an offset or a time is not known.
const UNKNOWN: i64 = -1;

/// The response: topics and partitions in the order of the request.
pub(super) fn response(outcomes: Vec<TopicOutcome>) -> ProduceResponse {
    let topics = outcomes.into_iter().map(|topic| {
        TopicProduceResponse::default()
            .with_name(topic.name)
            .with_topic_id(topic.topic_id)
            .with_partition_responses(topic.partitions.into_iter().map(partition).collect())
    });
    ProduceResponse::default().with_responses(topics.collect())
}

/// A response that refuses every partition for the same reason.
pub(super) fn all_refused(request: ProduceRequest, code: ErrorCode) -> ProduceResponse {
    let outcomes = request.topic_data.into_iter().map(|topic| TopicOutcome {
        name: topic.name,
        topic_id: topic.topic_id,
        partitions: topic
            .partition_data
            .into_iter()
            .map(|data| PartitionOutcome {
                index: data.index,
                result: Err(code.into()),
            })
            .collect(),
    });
    response(outcomes.collect())
}

fn partition(outcome: PartitionOutcome) -> PartitionProduceResponse {
    let response = PartitionProduceResponse::default().with_index(outcome.index);
    match outcome.result {
        Ok(appended) => response
            .with_base_offset(appended.base_offset)
            .with_log_append_time_ms(appended.log_append_time.unwrap_or(UNKNOWN))
            .with_log_start_offset(appended.log_start_offset),
        Err(refusal) => refused(response, refusal),
    }
}

fn refused(response: PartitionProduceResponse, refusal: Refusal) -> PartitionProduceResponse {
    // The crate leaves the message and the record out where the version has no place for them.
    let message = refusal.message.map(StrBytes::from_string);
    let record_errors = refusal.record.map(|index| {
        BatchIndexAndErrorMessage::default()
            .with_batch_index(index)
            .with_batch_index_error_message(message.clone())
    });
    response
        .with_error_code(refusal.code.code())
        .with_base_offset(UNKNOWN)
        .with_log_append_time_ms(UNKNOWN)
        .with_log_start_offset(UNKNOWN)
        .with_record_errors(record_errors.into_iter().collect())
        .with_error_message(message)
}
