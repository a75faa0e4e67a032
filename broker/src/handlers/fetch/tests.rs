//! Limits, marks and errors of one pass, and the response made of it.

use std::sync::Arc;

use protocol::ErrorCode;
use protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use protocol::messages::{FetchRequest, FetchResponse, decode_response, encode_response};
use protocol::records::{Batch, Codec};
use storage::Isolation;

use super::plan::{Plan, Rejected, Target, Wanted};
use super::read::{self, Data, Limits, PartitionRead, Pass};
use super::respond;
use crate::partitions::fixture::{EPOCH, Logs, append, batch};
use crate::partitions::{FetchBudget, Partition};

const LIMITS: Limits = Limits {
    version: 12,
    isolation: Isolation::Uncommitted,
    max_bytes: 1 << 20,
};

fn from(partition: &Arc<Partition>, offset: i64, max_bytes: usize) -> Target {
    let wanted = Wanted {
        from: offset,
        max_bytes,
        leader_epoch: -1,
        last_fetched_epoch: -1,
    };
    Target {
        wanted,
        partition: Ok(Some(partition.clone())),
    }
}

fn pass(targets: Vec<Target>, limits: Limits) -> Pass {
    read::pass(&Plan { targets }, limits, &FetchBudget::new(1 << 30).connection(), None)
}

fn sizes(pass: &Pass) -> Vec<usize> {
    let size = |read: &PartitionRead| match read {
        PartitionRead::Data(data) => data.records.len(),
        read => panic!("no data: {read:?}"),
    };
    pass.reads.iter().map(size).collect()
}

fn only_code(pass: &Pass) -> ErrorCode {
    match pass.reads.as_slice() {
        [PartitionRead::Failed(code)] => *code,
        reads => panic!("not one failure: {reads:?}"),
    }
}

fn filled(logs: &Logs, index: i32, batches: usize) -> (Arc<Partition>, usize) {
    let partition = logs.partition("t", index);
    let batch = batch(Codec::None, 2, 500);
    for _ in 0..batches {
        append(&partition, &batch);
    }
    (partition, batch.bytes.len())
}

#[test]
fn the_first_batch_comes_whatever_the_limits_say_and_the_rest_is_strict() {
    let logs = Logs::new();
    let (first, size) = filled(&logs, 0, 3);
    let (second, _) = filled(&logs, 1, 3);
    let limits = Limits {
        max_bytes: 10,
        ..LIMITS
    };
    let found = pass(vec![from(&first, 0, 5), from(&second, 0, 1 << 20)], limits);
    assert_eq!((sizes(&found), found.bytes), (vec![size, 0], size));
}

#[test]
fn an_empty_partition_leaves_the_first_batch_to_the_next() {
    let logs = Logs::new();
    let (empty, (full, size)) = (logs.partition("t", 0), filled(&logs, 1, 1));
    let found = pass(vec![from(&empty, 0, 100), from(&full, 0, 5)], LIMITS);
    assert_eq!(sizes(&found), [0, size]);
}

#[test]
fn limits_count_whole_batches() {
    let logs = Logs::new();
    let (first, size) = filled(&logs, 0, 5);
    let (second, _) = filled(&logs, 1, 5);
    let limits = Limits {
        max_bytes: 4 * size + 1,
        ..LIMITS
    };
    let found = pass(vec![from(&first, 0, 3 * size - 1), from(&second, 0, 1 << 20)], limits);
    assert_eq!(sizes(&found), [2 * size, 2 * size]);
    let PartitionRead::Data(data) = &found.reads[0] else {
        panic!("data")
    };
    assert_eq!(data.record_count, 4);
}

#[test]
fn a_read_begins_with_the_batch_that_holds_the_offset() {
    let logs = Logs::new();
    let (partition, size) = filled(&logs, 0, 2);
    let found = pass(vec![from(&partition, 3, 1 << 20)], LIMITS);
    let PartitionRead::Data(Data { records, .. }) = &found.reads[0] else {
        panic!("data")
    };
    let only = Batch::parse(records.clone()).expect("one batch");
    assert_eq!((only.header.base_offset, records.len()), (2, size));
}

#[test]
fn the_end_is_empty_and_beyond_it_is_an_error() {
    let logs = Logs::new();
    let (partition, _) = filled(&logs, 0, 1);
    let found = pass(vec![from(&partition, 2, 100)], LIMITS);
    assert_eq!((sizes(&found), found.urgent), (vec![0], false));
    for offset in [-1, 3] {
        let found = pass(vec![from(&partition, offset, 100)], LIMITS);
        assert_eq!(
            (only_code(&found), found.urgent),
            (ErrorCode::OffsetOutOfRange, true),
            "{offset}"
        );
    }
}

#[test]
fn what_is_not_durable_is_not_an_error_and_not_there() {
    let logs = Logs::new();
    let partition = logs.partition_with("t", 0, storage::LogConfig::default());
    append(&partition, &batch(Codec::None, 2, 500));
    // Between the high watermark and the log end: an empty answer, or the records if the flush was faster.
    let found = pass(vec![from(&partition, 1, 100)], LIMITS);
    let PartitionRead::Data(data) = &found.reads[0] else {
        panic!("an error")
    };
    assert_eq!(data.records.is_empty(), data.marks.high_watermark == 0);
}

#[test]
fn epochs_are_compared_and_old_clients_need_none() {
    let logs = Logs::new();
    let (partition, _) = filled(&logs, 0, 1);
    let with_epoch = |leader_epoch| {
        let wanted = Wanted {
            from: 0,
            max_bytes: 100,
            leader_epoch,
            last_fetched_epoch: -1,
        };
        pass(
            vec![Target {
                wanted,
                partition: Ok(Some(partition.clone())),
            }],
            LIMITS,
        )
    };
    assert_eq!(only_code(&with_epoch(EPOCH - 1)), ErrorCode::FencedLeaderEpoch);
    assert_eq!(only_code(&with_epoch(EPOCH + 1)), ErrorCode::UnknownLeaderEpoch);
    assert!(with_epoch(EPOCH).bytes > 0 && with_epoch(-1).bytes > 0);
}

#[test]
fn a_log_that_diverged_is_told_where() {
    let logs = Logs::new();
    let (partition, _) = filled(&logs, 0, 1);
    let own = partition.log.leader_epoch();
    let fetched = |from, last_fetched_epoch| {
        let wanted = Wanted {
            from,
            max_bytes: 100,
            leader_epoch: -1,
            last_fetched_epoch,
        };
        pass(
            vec![Target {
                wanted,
                partition: Ok(Some(partition.clone())),
            }],
            LIMITS,
        )
    };
    assert!(fetched(1, own).bytes > 0, "within what both know");
    let beyond = fetched(9, own);
    assert!(matches!(beyond.reads[0], PartitionRead::Diverged { epoch, end: 2, .. } if epoch == own));
    assert!(beyond.urgent);
    assert_eq!(only_code(&fetched(1, own + 1)), ErrorCode::OffsetOutOfRange);
}

#[test]
fn zstd_needs_version_10() {
    let logs = Logs::new();
    let partition = logs.partition("t", 0);
    append(&partition, &batch(Codec::Zstd, 2, 500));
    let old = pass(vec![from(&partition, 0, 1 << 20)], Limits { version: 9, ..LIMITS });
    assert_eq!(only_code(&old), ErrorCode::UnsupportedCompressionType);
    assert!(pass(vec![from(&partition, 0, 1 << 20)], Limits { version: 10, ..LIMITS }).bytes > 0);
}

#[test]
fn a_spent_budget_asks_to_wait_and_never_takes_what_others_hold() {
    let logs = Logs::new();
    let (partition, size) = filled(&logs, 0, 1);
    let budget = FetchBudget::new(2 * size);
    let plan = Plan {
        targets: vec![from(&partition, 0, 1 << 20)],
    };
    let first = read::pass(&plan, LIMITS, &budget.connection(), None);
    let second = read::pass(&plan, LIMITS, &budget.connection(), None);
    assert_eq!((first.bytes, second.bytes, budget.free_bytes()), (size, size, 0));
    let third = read::pass(&plan, LIMITS, &budget.connection(), None);
    assert_eq!((third.bytes, third.needs_memory), (0, Some(size)));
    drop(first);
    assert_eq!(
        budget.free_bytes(),
        size,
        "memory returns with the last handle to the records"
    );
    assert_eq!(read::pass(&plan, LIMITS, &budget.connection(), None).bytes, size);
}

#[test]
fn one_connection_leaves_the_larger_part_of_the_memory_to_others() {
    let logs = Logs::new();
    let (partition, size) = filled(&logs, 0, 20);
    let budget = FetchBudget::new(20 * size);
    let plan = Plan {
        targets: vec![from(&partition, 0, 1 << 20)],
    };
    let connection = budget.connection();
    let first = read::pass(&plan, LIMITS, &connection, None);
    assert_eq!((first.bytes, budget.free_bytes()), (5 * size, 15 * size));
    assert_eq!(read::pass(&plan, LIMITS, &connection, None).bytes, 0, "it has its part");
    assert_eq!(budget.free_bytes(), 15 * size);
}

#[test]
fn unknown_partitions_do_not_end_a_wait_and_broken_ones_do() {
    let rejected = |code, ends_wait| Target {
        wanted: Wanted {
            from: 0,
            max_bytes: 1,
            leader_epoch: -1,
            last_fetched_epoch: -1,
        },
        partition: Err(Rejected { code, ends_wait }),
    };
    assert!(!pass(vec![rejected(ErrorCode::UnknownTopicId, false)], LIMITS).urgent);
    let offline = || vec![rejected(ErrorCode::KafkaStorageError, true)];
    assert!(pass(offline(), LIMITS).urgent);
    assert_eq!(
        only_code(&pass(offline(), Limits { version: 5, ..LIMITS })),
        ErrorCode::NotLeaderOrFollower
    );
    assert_eq!(
        only_code(&pass(offline(), Limits { version: 6, ..LIMITS })),
        ErrorCode::KafkaStorageError
    );
}

#[test]
fn the_response_keeps_the_order_of_the_request_in_every_version() {
    let logs = Logs::new();
    let (partition, size) = filled(&logs, 7, 1);
    for version in 4..=18 {
        let limits = Limits { version, ..LIMITS };
        let found = pass(
            vec![from(&partition, 0, 1 << 20), from(&partition, 99, 1 << 20)],
            limits,
        );
        let response = sent(version, respond::response(request(version), found));
        let partitions: Vec<_> = response.responses[0]
            .partitions
            .iter()
            .map(|partition| {
                (
                    partition.partition_index,
                    partition.error_code,
                    partition.high_watermark,
                )
            })
            .collect();
        assert_eq!(partitions, [(7, 0, 2), (3, 1, -1)], "version {version}");
        let records = response.responses[0].partitions[0].records.as_ref();
        assert_eq!(records.map(bytes::Bytes::len), Some(size));
    }
}

#[test]
fn aborted_transactions_are_listed_for_committed_reads_only() {
    let logs = Logs::new();
    let (partition, _) = filled(&logs, 7, 1);
    let listed = |isolation_level| {
        let request = request(12).with_isolation_level(isolation_level);
        let targets = vec![from(&partition, 0, 1 << 20), from(&partition, 0, 1 << 20)];
        let response = respond::response(request, pass(targets, LIMITS));
        response.responses[0].partitions[0].aborted_transactions.clone()
    };
    assert_eq!((listed(0), listed(1)), (None, Some(Vec::new())));
}

fn request(version: i16) -> FetchRequest {
    let partitions = [7, 3]
        .map(|index| FetchPartition::default().with_partition(index))
        .to_vec();
    let topic = FetchTopic::default().with_partitions(partitions);
    let topic = match version {
        13.. => topic.with_topic_id(uuid::Uuid::from_u128(5)),
        _ => topic.with_topic(protocol::messages::StrBytes::from_static_str("t").into()),
    };
    FetchRequest::default().with_topics(vec![topic])
}

/// The response as a client reads it.
fn sent(version: i16, response: FetchResponse) -> FetchResponse {
    let frame = encode_response(version, 1, &response).expect("every version can say it");
    decode_response(version, frame.slice(4..))
        .expect("and a client can read it")
        .1
}
