//! From what was read to the response.

use bytes::Bytes;
use protocol::ErrorCode;
use protocol::ids::PartitionId;
use protocol::messages::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchResponse, FetchableTopicResponse, PartitionData,
};
use protocol::messages::{FetchRequest, ProducerId};
use storage::{Isolation, Marks};

use super::plan;
use super::read::{Data, PartitionRead, Pass};

/// The marks of a log that nobody has made yet.
const UNMADE: Marks = Marks {
    log_start: 0,
    last_stable: 0,
    high_watermark: 0,
    log_end: 0,
    durable: 0,
};

/// The response: topics and partitions in the order of the request.
pub(super) fn response(request: FetchRequest, pass: Pass) -> FetchResponse {
    let isolation = plan::isolation(&request);
    let mut reads = pass.reads.into_iter();
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|wanted| {
            // A pass that was broken off by a stopping broker has no reads; the client looks for the next broker.
            let read = reads
                .next()
                .unwrap_or(PartitionRead::Failed(ErrorCode::NotLeaderOrFollower));
            partition(wanted.partition, isolation, read)
        });
        FetchableTopicResponse::default()
            .with_partitions(partitions.collect())
            .with_topic(topic.topic)
            .with_topic_id(topic.topic_id)
    });
    FetchResponse::default().with_responses(topics.collect())
}

fn partition(index: PartitionId, isolation: Isolation, read: PartitionRead) -> PartitionData {
    match read {
        PartitionRead::Data(data) => with_records(at(index, data.marks), isolation, data),
        PartitionRead::Diverged { epoch, end, marks } => {
            at(index, marks).with_diverging_epoch(EpochEndOffset::default().with_epoch(epoch).with_end_offset(end))
        }
        PartitionRead::Unmade => at(index, UNMADE).with_records(Some(Bytes::new())),
        PartitionRead::Failed(code) => PartitionData::default()
            .with_partition_index(index)
            .with_error_code(code.code())
            .with_high_watermark(-1)
            .with_aborted_transactions(None),
    }
}

fn at(index: PartitionId, marks: Marks) -> PartitionData {
    PartitionData::default()
        .with_partition_index(index)
        .with_high_watermark(marks.high_watermark)
        .with_last_stable_offset(marks.last_stable)
        .with_log_start_offset(marks.log_start)
        .with_aborted_transactions(None)
}

fn with_records(partition: PartitionData, isolation: Isolation, data: Data) -> PartitionData {
    let aborted = match isolation {
        Isolation::Committed => Some(data.aborted.into_iter().map(to_wire).collect()),
        Isolation::Uncommitted | Isolation::LogEnd => None,
    };
    partition
        .with_aborted_transactions(aborted)
        .with_records(Some(data.records))
}

fn to_wire(aborted: storage::AbortedTransaction) -> AbortedTransaction {
    AbortedTransaction::default()
        .with_producer_id(ProducerId(aborted.producer_id))
        .with_first_offset(aborted.first_offset)
}
