//! What to do at start with transactions that the run before left open.

use std::collections::BTreeMap;

use protocol::ids::{Offset, ProducerId, TimestampMs, TopicPartition};

use super::machine::Transactions;
use super::{
    Decided, Decision, Marker, Producer, TransactionLogValue, TransactionRecord, TransactionState, TransactionalId,
};
use crate::RESERVED_PREFIX;

/// A transaction that is open in the log of a partition: data without a marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenTransaction {
    /// The partition.
    pub partition: TopicPartition,
    /// Who wrote the data.
    pub producer: Producer,
    /// Offset of its first record.
    pub first_offset: Offset,
}

/// What recovery has to do, in this order: append and apply the records and wait until they are durable; write the
/// markers and wait until they are durable; then, for each id of `unfinished`, report its markers durable and complete
/// it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Decisions to abort what was not decided.
    pub records: Vec<TransactionRecord>,
    /// One for each open transaction that has to end.
    pub markers: Vec<Marker>,
    /// Decided ids, with the incarnation to name in `markers_durable` and `complete`.
    pub unfinished: Vec<(TransactionalId, Producer)>,
}

impl Transactions {
    /// Works out how to end what the run before left open. `open` lists every open transaction of every log.
    ///
    /// | state found | open in a log | what happens |
    /// |---|---|---|
    /// | `PrepareCommit` | begins below the partition's end offset | commit marker |
    /// | `PrepareAbort` | begins below the partition's end offset | abort marker |
    /// | either | begins at or above it, or in a partition of no interest to the decision | abort marker: it is newer |
    /// | either | nothing | the marker is there already |
    /// | `Ongoing`, ours | anything | decided to abort now, with the next epoch |
    /// | `Ongoing`, a client's | in a partition of the transaction | left open until its timeout |
    /// | `Ongoing`, a client's | elsewhere | abort marker |
    /// | `Empty`, `Complete…`, unknown | anything | abort marker |
    pub fn recover(&self, now: TimestampMs, open: &[OpenTransaction]) -> Recovery {
        let mut recovery = Recovery::default();
        let mut by_producer: BTreeMap<ProducerId, TransactionLogValue> = BTreeMap::new();
        for (id, value) in &self.ids {
            let mut value = value.clone();
            if value.state == TransactionState::Ongoing && id.starts_with(RESERVED_PREFIX) {
                let Decided { records, .. } = self.abort_fenced(now, id, &value);
                value = last_value(&records);
                recovery.records.extend(records);
            }
            if value.state.preparing_decision().is_some() {
                recovery.unfinished.push((id.clone(), value.producer()));
            }
            by_producer.insert(value.producer_id, value);
        }
        recovery.markers.extend(
            open.iter()
                .filter_map(|open| end_of(open, by_producer.get(&open.producer.id))),
        );
        recovery
    }
}

/// The marker that ends an open transaction, given what is known of its producer.
fn end_of(open: &OpenTransaction, known: Option<&TransactionLogValue>) -> Option<Marker> {
    let mut marker = Marker {
        partition: open.partition.clone(),
        producer: open.producer,
        decision: Decision::Abort,
        end: None,
    };
    let Some(known) = known else { return Some(marker) };
    let mine = known.partitions.iter().find(|mine| mine.partition == open.partition);
    if known.state == TransactionState::Ongoing && mine.is_some() {
        return None;
    }
    // An older incarnation's marker would be refused where the log has seen a newer one, and the other way round.
    marker.producer.epoch = known.producer_epoch.max(open.producer.epoch);
    if let (Some(decision), Some(mine)) = (known.state.preparing_decision(), mine)
        && mine.end.is_none_or(|end| open.first_offset < end)
    {
        marker.decision = decision;
        marker.end = mine.end;
    }
    Some(marker)
}

fn last_value(records: &[TransactionRecord]) -> TransactionLogValue {
    match records.last() {
        Some(TransactionRecord::State { value: Some(value), .. }) => value.clone(),
        _ => unreachable!("a decision is written as a state"),
    }
}
