//! One pass over the planned partitions: who gives how many bytes.
//!
//! The rules are Kafka's (`ReplicaManager.readFromLog`): partitions in request order; the first that has anything gives
//! at least one whole batch, whatever the limits say; after that the limits are strict. A pass is plain blocking code,
//! so that it can run in place when all it needs is in memory, and on a thread for disk reads when not.

use std::sync::Arc;

use bytes::Bytes;
use protocol::ErrorCode;
use protocol::ids::{LeaderEpoch, Offset};
use protocol::records::{Codec, HeaderIter};
use storage::{AbortedTransaction, Isolation, Log, Marks};

use super::plan::{Plan, Target, Wanted};
use crate::kafka_error;
use crate::partitions::{ConnectionBudget, Held, Partition};

/// First version whose clients know zstd (KIP-110).
const ZSTD_FROM: i16 = 10;
/// Up to this version KAFKA_STORAGE_ERROR is not known to clients.
const STORAGE_ERROR_UNKNOWN_UNTIL: i16 = 5;

/// The limits of one pass.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) version: i16,
    pub(super) isolation: Isolation,
    /// Bytes of the whole response.
    pub(super) max_bytes: usize,
}

/// What one pass found.
#[derive(Debug, Default)]
pub(super) struct Pass {
    /// One entry per target, in order.
    pub(super) reads: Vec<PartitionRead>,
    /// Bytes of records in all.
    pub(super) bytes: usize,
    /// Whether some partition must be answered at once, whatever `min_bytes` says.
    pub(super) urgent: bool,
    /// Memory ran out before anything could be read: wait until this many bytes are free and try again.
    pub(super) needs_memory: Option<usize>,
}

/// What one partition gives.
#[derive(Debug)]
pub(super) enum PartitionRead {
    /// Records, perhaps none.
    Data(Data),
    /// The client's log has diverged from ours (KIP-595): the end of the last epoch that both know.
    Diverged {
        epoch: LeaderEpoch,
        end: Offset,
        marks: Marks,
    },
    /// Nothing: the log is not made yet.
    Unmade,
    /// Nothing but this code.
    Failed(ErrorCode),
}

/// Records of one partition.
#[derive(Debug)]
pub(super) struct Data {
    pub(super) topic: Arc<str>,
    pub(super) records: Bytes,
    /// Records in whole batches, for metrics; the reader may skip the first few of them.
    pub(super) record_count: u64,
    pub(super) aborted: Vec<AbortedTransaction>,
    pub(super) marks: Marks,
    /// Where a later read would go on.
    pub(super) next: Offset,
}

/// Reads the plan once. `held` is memory that the caller has already taken for the first read.
pub(super) fn pass(plan: &Plan, limits: Limits, budget: &ConnectionBudget, mut held: Option<Held>) -> Pass {
    let mut pass = Pass {
        reads: Vec::with_capacity(plan.targets.len()),
        ..Pass::default()
    };
    let mut remaining = limits.max_bytes;
    for target in &plan.targets {
        let read = match &target.partition {
            Err(rejected) => {
                pass.urgent |= rejected.ends_wait;
                PartitionRead::Failed(for_version(rejected.code, limits.version))
            }
            Ok(None) if target.wanted.from == 0 => PartitionRead::Unmade,
            Ok(None) => PartitionRead::Failed(ErrorCode::OffsetOutOfRange),
            Ok(Some(partition)) => {
                let allowance = Allowance {
                    remaining,
                    first: pass.bytes == 0,
                };
                match read_partition(partition, &target.wanted, limits, allowance, budget, &mut held) {
                    Outcome::Read(read) => read,
                    Outcome::OutOfMemory(bytes) => {
                        pass.needs_memory = pass.needs_memory.or(Some(bytes).filter(|_| pass.bytes == 0));
                        empty(partition, &target.wanted)
                    }
                }
            }
        };
        pass.urgent |= match &read {
            PartitionRead::Data(_) | PartitionRead::Unmade => false,
            PartitionRead::Diverged { .. } => true,
            PartitionRead::Failed(_) => target.partition.is_ok(),
        };
        if let PartitionRead::Data(data) = &read {
            pass.bytes += data.records.len();
            remaining = remaining.saturating_sub(data.records.len());
        }
        pass.reads.push(read);
    }
    pass
}

/// Whether every partition that has something to read can be read without touching the disk.
pub(super) fn in_memory(plan: &Plan, isolation: Isolation) -> bool {
    plan.targets.iter().all(|Target { wanted, partition }| {
        let Ok(Some(partition)) = partition else { return true };
        let marks = partition.log.marks();
        isolation.bound(&marks) <= wanted.from || partition.log.cached(wanted.from)
    })
}

/// What is left for one partition.
#[derive(Clone, Copy)]
struct Allowance {
    remaining: usize,
    /// No partition has given anything yet, so that this one may exceed the limits by its first batch.
    first: bool,
}

enum Outcome {
    Read(PartitionRead),
    OutOfMemory(usize),
}

fn read_partition(
    partition: &Partition,
    wanted: &Wanted,
    limits: Limits,
    allowance: Allowance,
    budget: &ConnectionBudget,
    held: &mut Option<Held>,
) -> Outcome {
    if let Err(mismatch) = partition.check_leader_epoch(wanted.leader_epoch) {
        return Outcome::Read(PartitionRead::Failed(kafka_error::leader_epoch(mismatch)));
    }
    let log = &partition.log;
    match divergence(log, wanted) {
        Ok(None) => {}
        Ok(Some((epoch, end))) => {
            return Outcome::Read(PartitionRead::Diverged {
                epoch,
                end,
                marks: log.marks(),
            });
        }
        Err(code) => return Outcome::Read(PartitionRead::Failed(code)),
    }
    let marks = log.marks();
    if wanted.from < marks.log_start || marks.log_end < wanted.from {
        return Outcome::Read(PartitionRead::Failed(ErrorCode::OffsetOutOfRange));
    }
    let max_bytes = wanted.max_bytes.min(allowance.remaining).min(budget.part());
    // At or beyond what may be seen is no error: a consumer may be ahead of the high watermark.
    let nothing_to_read = limits.isolation.bound(&marks) <= wanted.from || (max_bytes == 0 && !allowance.first);
    if nothing_to_read {
        return Outcome::Read(empty(partition, wanted));
    }
    let need = first_read_need(log, max_bytes, allowance.first);
    let Some(memory) = held.take().or_else(|| budget.try_take(need)) else {
        return Outcome::OutOfMemory(need);
    };
    Outcome::Read(read_log(
        log,
        wanted,
        limits,
        allowance.first,
        max_bytes.min(memory.bytes()),
        memory,
    ))
}

/// Memory for one read: as much as the limits allow, and for the first one room for a whole batch.
fn first_read_need(log: &Log, max_bytes: usize, first: bool) -> usize {
    // What a log holds in all bounds what it can give, so that small topics do not reserve large responses.
    let log_size = usize::try_from(log.size_bytes()).unwrap_or(usize::MAX);
    let wanted = max_bytes.min(log_size.max(1));
    match first {
        true => wanted.max(log.config().max_message_bytes.min(log_size.max(1))),
        false => wanted,
    }
}

fn read_log(log: &Log, wanted: &Wanted, limits: Limits, first: bool, max_bytes: usize, memory: Held) -> PartitionRead {
    let slice = match log.read(wanted.from, limits.isolation, max_bytes, first) {
        Ok(slice) => slice,
        Err(error) => return PartitionRead::Failed(for_version(kafka_error::read(&error), limits.version)),
    };
    let content = Content::of(&slice.bytes);
    if limits.version < ZSTD_FROM && content.zstd {
        return PartitionRead::Failed(ErrorCode::UnsupportedCompressionType);
    }
    let mut aborted = slice.aborted;
    aborted.sort_unstable_by_key(|transaction| (transaction.first_offset, transaction.producer_id));
    PartitionRead::Data(Data {
        topic: log.topic_partition().topic.clone(),
        records: memory.attach(slice.bytes),
        record_count: content.record_count,
        aborted,
        marks: slice.marks,
        next: slice.next_offset,
    })
}

/// Where the client's log parts from ours, if it says what it has (KIP-595; consumers do not).
fn divergence(log: &Log, wanted: &Wanted) -> Result<Option<(LeaderEpoch, Offset)>, ErrorCode> {
    if wanted.last_fetched_epoch < 0 {
        return Ok(None);
    }
    let Some((epoch, end)) = log.end_offset_for_epoch(wanted.last_fetched_epoch) else {
        return Err(ErrorCode::OffsetOutOfRange);
    };
    let diverged = epoch < wanted.last_fetched_epoch || end < wanted.from;
    Ok(diverged.then_some((epoch, end)))
}

fn empty(partition: &Partition, wanted: &Wanted) -> PartitionRead {
    PartitionRead::Data(Data {
        topic: partition.topic_partition.topic.clone(),
        records: Bytes::new(),
        record_count: 0,
        aborted: Vec::new(),
        marks: partition.log.marks(),
        next: wanted.from,
    })
}

/// What the headers of a run of batches say.
struct Content {
    record_count: u64,
    zstd: bool,
}

impl Content {
    fn of(batches: &[u8]) -> Self {
        let mut content = Self {
            record_count: 0,
            zstd: false,
        };
        for (_, header, _) in HeaderIter::new(batches).map_while(Result::ok) {
            content.record_count += u64::try_from(header.record_count).unwrap_or(0);
            content.zstd |= header.codec() == Codec::Zstd;
        }
        content
    }
}

/// The code as clients of this version know it: KAFKA_STORAGE_ERROR came with KIP-112.
pub(super) fn for_version(code: ErrorCode, version: i16) -> ErrorCode {
    match code {
        ErrorCode::KafkaStorageError if version <= STORAGE_ERROR_UNKNOWN_UNTIL => ErrorCode::NotLeaderOrFollower,
        code => code,
    }
}
