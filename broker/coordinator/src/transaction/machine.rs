//! The machine of one `__transaction_state` partition.

use std::collections::{BTreeMap, BTreeSet};

use protocol::ids::{NO_PRODUCER_EPOCH, NO_PRODUCER_ID, Offset, ProducerId, TimestampMs, TopicPartition};

use super::{
    BeginError, CompleteError, DecideError, Decision, Marker, OpenError, Producer, ProducerError, RemoveError,
    TransactionLogValue, TransactionPartition, TransactionRecord, TransactionState, TransactionalId,
};
use crate::RESERVED_PREFIX;
use crate::producer_ids::next_epoch;

/// "No transaction is open" in the time of the start.
const NOT_STARTED: TimestampMs = -1;

/// Longest transactional id in bytes; the record schema ends at 32,767.
const TRANSACTIONAL_ID_BYTES_MAX: usize = 32_000;

/// All transactional ids of one `__transaction_state` partition.
///
/// Calling order: `new`, `apply` for every record of the partition, `loaded`, [`Self::recover`]; then any call, whose
/// records are appended and applied before the next one. One task owns it.
#[derive(Clone, Debug)]
pub struct Transactions {
    /// Hard state: the last record of each id. Changed by `apply`, by nothing else.
    pub(super) ids: BTreeMap<TransactionalId, TransactionLogValue>,
    /// Soft state: decided ids whose markers are all durable. After a restart recovery finds out anew.
    marked: BTreeSet<TransactionalId>,
    loading: bool,
}

/// The answer to [`Transactions::open`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// The id belongs to this incarnation once the records are durable.
    Ready {
        /// To append and apply.
        records: Vec<TransactionRecord>,
        /// The incarnation.
        producer: Producer,
    },
    /// A transaction of an incarnation before must be carried out first, then `open` again. A client is told
    /// `CONCURRENT_TRANSACTIONS` and asks again by itself.
    Unfinished(Decided),
}

/// The answer to [`Transactions::begin`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// To append and apply. Empty when the transaction has these partitions already; an answer to a client then still
    /// waits for the record that gave them to it.
    pub records: Vec<TransactionRecord>,
}

/// A decision: append and apply the records, wait until they are durable, write the markers, report them durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// To append and apply. Empty when the decision was made before.
    pub records: Vec<TransactionRecord>,
    /// To write to the partitions afterwards. Empty when the decision was carried out before.
    pub markers: Vec<Marker>,
}

impl Transactions {
    /// A machine without ids that waits for the records of its partition.
    pub const fn new() -> Self {
        Self {
            ids: BTreeMap::new(),
            marked: BTreeSet::new(),
            loading: true,
        }
    }

    /// What the records say, by transactional id.
    pub const fn ids(&self) -> &BTreeMap<TransactionalId, TransactionLogValue> {
        &self.ids
    }

    /// Takes over a record that was read from, or has just been appended to, the partition's log.
    pub fn apply(&mut self, record: &TransactionRecord) {
        let TransactionRecord::State {
            transactional_id,
            value,
        } = record
        else {
            return;
        };
        let keeps_marks = value
            .as_ref()
            .is_some_and(|value| value.state.preparing_decision().is_some());
        if !keeps_marks {
            self.marked.remove(transactional_id);
        }
        match value {
            Some(value) => self.ids.insert(transactional_id.clone(), value.clone()),
            None => self.ids.remove(transactional_id),
        };
    }

    /// Ends the load.
    pub fn loaded(&mut self) {
        assert!(self.loading, "a machine is loaded once");
        self.loading = false;
    }

    /// Gives the transactional id to a new incarnation and fences the one before by the next epoch. When the epochs of
    /// a producer id are used up, `fresh_id` takes its place; a new id uses it as well.
    pub fn open(
        &self,
        now: TimestampMs,
        transactional_id: &TransactionalId,
        timeout_ms: i32,
        fresh_id: ProducerId,
    ) -> Result<Opened, OpenError> {
        if self.loading {
            return Err(OpenError::Loading);
        }
        if TRANSACTIONAL_ID_BYTES_MAX < transactional_id.len() {
            return Err(OpenError::NameTooLong {
                bytes: transactional_id.len(),
            });
        }
        let Some(current) = self.ids.get(transactional_id) else {
            let value = empty_value(Producer { id: fresh_id, epoch: 0 }, NO_PRODUCER_ID, timeout_ms, now);
            return Ok(Opened::ready(transactional_id, vec![value]));
        };
        match current.state {
            TransactionState::Ongoing => Ok(Opened::Unfinished(self.abort_fenced(now, transactional_id, current))),
            TransactionState::PrepareCommit | TransactionState::PrepareAbort => {
                let Some(completed) = self.completion(now, transactional_id, current) else {
                    return Ok(Opened::Unfinished(Decided {
                        records: Vec::new(),
                        markers: markers_of(current),
                    }));
                };
                let value = reopened(&completed, timeout_ms, fresh_id, now);
                Ok(Opened::ready(transactional_id, vec![completed, value]))
            }
            TransactionState::Empty
            | TransactionState::CompleteCommit
            | TransactionState::CompleteAbort
            | TransactionState::Dead
            | TransactionState::PrepareEpochFence => Ok(Opened::ready(
                transactional_id,
                vec![reopened(current, timeout_ms, fresh_id, now)],
            )),
        }
    }

    /// Begins a transaction with `partitions`, or adds them to the one that is open.
    pub fn begin(
        &self,
        now: TimestampMs,
        transactional_id: &TransactionalId,
        producer: Producer,
        partitions: impl IntoIterator<Item = TopicPartition>,
    ) -> Result<Begun, BeginError> {
        let current = self.check_producer(transactional_id, producer)?;
        let mut values = Vec::new();
        let mut next = current.clone();
        match current.state {
            TransactionState::Ongoing => {}
            TransactionState::Empty | TransactionState::CompleteCommit | TransactionState::CompleteAbort => {
                next.started = now;
            }
            TransactionState::PrepareCommit
            | TransactionState::PrepareAbort
            | TransactionState::Dead
            | TransactionState::PrepareEpochFence => {
                let completed =
                    self.completion(now, transactional_id, current)
                        .ok_or_else(|| BeginError::Concurrent {
                            transactional_id: transactional_id.clone(),
                            state: current.state,
                        })?;
                next = TransactionLogValue {
                    started: now,
                    ..completed.clone()
                };
                values.push(completed);
            }
        }
        let before = next.partitions.len();
        add_partitions(&mut next.partitions, partitions);
        if current.state == TransactionState::Ongoing && next.partitions.len() == before {
            return Ok(Begun { records: Vec::new() });
        }
        next.state = TransactionState::Ongoing;
        next.last_update = now;
        values.push(next);
        Ok(Begun {
            records: records_of(transactional_id, values),
        })
    }

    /// Decides the open transaction. `ends` holds, for each partition, the offset behind the transaction's last record;
    /// for a client's transaction, and for an abort, it may be empty. Deciding again the same way repeats what is not carried out yet.
    pub fn decide(
        &self,
        now: TimestampMs,
        transactional_id: &TransactionalId,
        producer: Producer,
        decision: Decision,
        ends: &BTreeMap<TopicPartition, Offset>,
    ) -> Result<Decided, DecideError> {
        let current = self.check_producer(transactional_id, producer)?;
        if current.state == TransactionState::Ongoing {
            let next = prepared(current, decision, now, ends);
            check_ends(transactional_id, &next)?;
            let markers = markers_of(&next);
            return Ok(Decided {
                records: records_of(transactional_id, vec![next]),
                markers,
            });
        }
        if current.state == TransactionState::preparing(decision) {
            let is_carried_out = self.marked.contains(transactional_id);
            let markers = if is_carried_out {
                Vec::new()
            } else {
                markers_of(current)
            };
            return Ok(Decided {
                records: Vec::new(),
                markers,
            });
        }
        if current.state == TransactionState::completed(decision) {
            return Ok(Decided {
                records: Vec::new(),
                markers: Vec::new(),
            });
        }
        Err(DecideError::WrongState {
            transactional_id: transactional_id.clone(),
            state: current.state,
        })
    }

    /// Notes that every marker of the decision is durable.
    pub fn markers_durable(
        &mut self,
        transactional_id: &TransactionalId,
        producer: Producer,
    ) -> Result<(), CompleteError> {
        let current = self.check_producer(transactional_id, producer)?;
        if current.state.preparing_decision().is_none() {
            let transactional_id = transactional_id.clone();
            return Err(CompleteError::WrongState {
                transactional_id,
                state: current.state,
            });
        }
        self.marked.insert(transactional_id.clone());
        Ok(())
    }

    /// Writes the completion without waiting for a next transaction, for example when a query stops.
    pub fn complete(
        &self,
        now: TimestampMs,
        transactional_id: &TransactionalId,
        producer: Producer,
    ) -> Result<Vec<TransactionRecord>, CompleteError> {
        let current = self.check_producer(transactional_id, producer)?;
        if current.state.preparing_decision().is_none() {
            let transactional_id = transactional_id.clone();
            return Err(CompleteError::WrongState {
                transactional_id,
                state: current.state,
            });
        }
        let completed =
            self.completion(now, transactional_id, current)
                .ok_or_else(|| CompleteError::MarkersOutstanding {
                    transactional_id: transactional_id.clone(),
                })?;
        Ok(records_of(transactional_id, vec![completed]))
    }

    /// Removes an id that nobody needs any more, for example of a query that was dropped. An unknown id is no error.
    pub fn remove(&self, transactional_id: &TransactionalId) -> Result<Vec<TransactionRecord>, RemoveError> {
        if self.loading {
            return Err(RemoveError::Loading);
        }
        let Some(current) = self.ids.get(transactional_id) else {
            return Ok(Vec::new());
        };
        match current.state {
            TransactionState::Ongoing | TransactionState::PrepareCommit | TransactionState::PrepareAbort => {
                Err(RemoveError::Busy {
                    transactional_id: transactional_id.clone(),
                    state: current.state,
                })
            }
            TransactionState::Empty
            | TransactionState::CompleteCommit
            | TransactionState::CompleteAbort
            | TransactionState::Dead
            | TransactionState::PrepareEpochFence => Ok(vec![TransactionRecord::State {
                transactional_id: transactional_id.clone(),
                value: None,
            }]),
        }
    }

    /// Aborts every transaction that has been open for longer than it may. The epoch goes up, so that the
    /// producer learns of it.
    pub fn abort_timed_out(&self, now: TimestampMs) -> Vec<(TransactionalId, Decided)> {
        let timed_out = self.ids.iter().filter(|(_, value)| {
            value.state == TransactionState::Ongoing && value.started.saturating_add(i64::from(value.timeout_ms)) <= now
        });
        timed_out
            .map(|(id, value)| (id.clone(), self.abort_fenced(now, id, value)))
            .collect()
    }

    /// Ends an open transaction in the name of nobody: with the next epoch, which fences its holder.
    pub(super) fn abort_fenced(
        &self,
        now: TimestampMs,
        id: &TransactionalId,
        current: &TransactionLogValue,
    ) -> Decided {
        assert_eq!(
            current.state,
            TransactionState::Ongoing,
            "only an open transaction is aborted"
        );
        let mut next = prepared(current, Decision::Abort, now, &BTreeMap::new());
        // The last epoch is never given to a producer, so that this cannot overflow for a producer of ours; a
        // producer at the very end, as another writer of the log may have left it, keeps its epoch.
        next.producer_epoch = next.producer_epoch.saturating_add(1);
        let markers = markers_of(&next);
        Decided {
            records: records_of(id, vec![next]),
            markers,
        }
    }

    /// The completed form of a decided id whose markers are durable.
    fn completion(
        &self,
        now: TimestampMs,
        id: &TransactionalId,
        current: &TransactionLogValue,
    ) -> Option<TransactionLogValue> {
        let decision = current.state.preparing_decision()?;
        if !self.marked.contains(id) {
            return None;
        }
        let mut completed = current.clone();
        completed.state = TransactionState::completed(decision);
        completed.partitions.clear();
        completed.started = NOT_STARTED;
        completed.last_update = now;
        Some(completed)
    }

    fn check_producer(
        &self,
        transactional_id: &TransactionalId,
        producer: Producer,
    ) -> Result<&TransactionLogValue, ProducerError> {
        if self.loading {
            return Err(ProducerError::Loading);
        }
        let transactional_id = transactional_id.clone();
        let Some(current) = self.ids.get(&transactional_id) else {
            return Err(ProducerError::Unknown { transactional_id });
        };
        if current.producer_id != producer.id {
            let (asked, current) = (producer.id, current.producer_id);
            return Err(ProducerError::WrongProducerId {
                transactional_id,
                asked,
                current,
            });
        }
        if current.producer_epoch != producer.epoch {
            let (asked, current) = (producer.epoch, current.producer_epoch);
            return Err(ProducerError::Fenced {
                transactional_id,
                asked,
                current,
            });
        }
        Ok(current)
    }
}

impl Default for Transactions {
    fn default() -> Self {
        Self::new()
    }
}

impl Opened {
    fn ready(transactional_id: &TransactionalId, values: Vec<TransactionLogValue>) -> Self {
        let last = values.last().expect("opening writes a state");
        let producer = Producer {
            id: last.producer_id,
            epoch: last.producer_epoch,
        };
        Self::Ready {
            records: records_of(transactional_id, values),
            producer,
        }
    }
}

impl TransactionLogValue {
    /// The incarnation in use.
    pub const fn producer(&self) -> Producer {
        Producer {
            id: self.producer_id,
            epoch: self.producer_epoch,
        }
    }
}

/// The same transactional id for its next incarnation.
fn reopened(
    current: &TransactionLogValue,
    timeout_ms: i32,
    fresh_id: ProducerId,
    now: TimestampMs,
) -> TransactionLogValue {
    match next_epoch(current.producer_epoch) {
        Some(epoch) => empty_value(
            Producer {
                id: current.producer_id,
                epoch,
            },
            NO_PRODUCER_ID,
            timeout_ms,
            now,
        ),
        None => empty_value(
            Producer { id: fresh_id, epoch: 0 },
            current.producer_id,
            timeout_ms,
            now,
        ),
    }
}

fn empty_value(
    producer: Producer,
    previous_producer_id: ProducerId,
    timeout_ms: i32,
    now: TimestampMs,
) -> TransactionLogValue {
    TransactionLogValue {
        producer_id: producer.id,
        previous_producer_id,
        next_producer_id: NO_PRODUCER_ID,
        producer_epoch: producer.epoch,
        next_producer_epoch: NO_PRODUCER_EPOCH,
        timeout_ms,
        state: TransactionState::Empty,
        partitions: Vec::new(),
        last_update: now,
        started: NOT_STARTED,
        client_version: 0,
    }
}

fn prepared(
    current: &TransactionLogValue,
    decision: Decision,
    now: TimestampMs,
    ends: &BTreeMap<TopicPartition, Offset>,
) -> TransactionLogValue {
    let mut next = current.clone();
    next.state = TransactionState::preparing(decision);
    next.last_update = now;
    for partition in &mut next.partitions {
        partition.end = ends.get(&partition.partition).copied();
    }
    next
}

/// A commit of a producer that keeps its epoch must be recognisable in the logs.
fn check_ends(transactional_id: &TransactionalId, next: &TransactionLogValue) -> Result<(), DecideError> {
    if next.state != TransactionState::PrepareCommit || !transactional_id.starts_with(RESERVED_PREFIX) {
        return Ok(());
    }
    match next.partitions.iter().find(|partition| partition.end.is_none()) {
        None => Ok(()),
        Some(missing) => {
            let (transactional_id, partition) = (transactional_id.clone(), missing.partition.clone());
            Err(DecideError::EndMissing {
                transactional_id,
                partition,
            })
        }
    }
}

fn add_partitions(all: &mut Vec<TransactionPartition>, added: impl IntoIterator<Item = TopicPartition>) {
    for partition in added {
        if let Err(at) = all.binary_search_by(|known| known.partition.cmp(&partition)) {
            all.insert(at, TransactionPartition { partition, end: None });
        }
    }
}

/// The markers of a decided transaction.
pub(super) fn markers_of(value: &TransactionLogValue) -> Vec<Marker> {
    let decision = value.state.preparing_decision().expect("markers follow a decision");
    let markers = value
        .partitions
        .iter()
        .map(|TransactionPartition { partition, end }| Marker {
            partition: partition.clone(),
            producer: value.producer(),
            decision,
            end: *end,
        });
    markers.collect()
}

fn records_of(transactional_id: &TransactionalId, values: Vec<TransactionLogValue>) -> Vec<TransactionRecord> {
    let records = values.into_iter().map(|value| TransactionRecord::State {
        transactional_id: transactional_id.clone(),
        value: Some(value),
    });
    records.collect()
}
