//! A transaction log in memory for one query at a time: real transactional batches and markers in real logs, with
//! failures at chosen points.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use protocol::ids::TopicPartition;
use protocol::records::{Batch, BatchStamp, ControlType, marker_batch};
use storage::{AppendOrigin, Appended};

use crate::ports::{EpochLog, EpochReceipt, EpochWrite, EpochWriter, PortError, Topics};
use crate::testing::NOON;

const PRODUCER: i64 = 77;

/// Where a commit fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The output is in the logs, nothing is decided.
    AfterOutput,
    /// The decision stands, one marker is written.
    BetweenMarkers,
    /// Everything is done, and the query is not told.
    AfterMarkers,
}

/// A failure to come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failure {
    /// Which commit fails, counted from 1 over all runs.
    pub(super) commit: u32,
    /// Where.
    pub(super) stage: Stage,
    /// True ends the query for good, as a crash of the process would; false lets it restart.
    pub(super) fatal: bool,
}

/// The transactions of one query.
pub(super) struct Ledger {
    topics: Arc<dyn Topics>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    epoch: i16,
    commits: u32,
    open: BTreeSet<TopicPartition>,
    decided: bool,
    failure: Option<Failure>,
    groups: Vec<(String, Vec<(TopicPartition, i64)>)>,
}

impl Ledger {
    pub(super) fn new(topics: Arc<dyn Topics>) -> Arc<Self> {
        Arc::new(Self {
            topics,
            state: Mutex::default(),
        })
    }

    pub(super) fn fail(&self, failure: Failure) {
        self.state.lock().unwrap().failure = Some(failure);
    }

    /// Number of commits that were begun.
    pub(super) fn commits(&self) -> u32 {
        self.state.lock().unwrap().commits
    }

    /// Source offsets of the last decided epoch, as mirrored.
    pub(super) fn mirrored(&self) -> Vec<(TopicPartition, i64)> {
        let state = self.state.lock().unwrap();
        state
            .groups
            .last()
            .map(|(_, offsets)| offsets.clone())
            .unwrap_or_default()
    }

    fn append(&self, partition: &TopicPartition, batch: &Batch) -> Result<Appended, PortError> {
        let topic = self.topics.find(&partition.topic);
        let topic = topic.ok_or_else(|| PortError::UnknownTopic(partition.topic.to_string()))?;
        let log = &topic.partitions[usize::try_from(partition.partition).unwrap()];
        log.append(batch, AppendOrigin::Coordinator, NOON)
            .map_err(|error| PortError::Storage(error.to_string()))
    }

    fn mark(&self, partition: &TopicPartition, epoch: i16, kind: ControlType) {
        let marker = marker_batch(PRODUCER, epoch, kind, 0, NOON);
        self.append(partition, &marker).unwrap();
    }
}

/// The ledger as a port.
pub(super) struct LedgerPort(pub(super) Arc<Ledger>);

#[async_trait]
impl EpochLog for LedgerPort {
    async fn open(&self, _: &str) -> Result<Box<dyn EpochWriter>, PortError> {
        let ledger = &self.0;
        let (open, decided, epoch) = {
            let mut state = ledger.state.lock().unwrap();
            state.epoch += 1;
            (
                std::mem::take(&mut state.open),
                std::mem::take(&mut state.decided),
                state.epoch,
            )
        };
        let (kind, marker_epoch) = match decided {
            true => (ControlType::Commit, epoch - 1),
            false => (ControlType::Abort, epoch),
        };
        for partition in &open {
            ledger.mark(partition, marker_epoch, kind);
        }
        Ok(Box::new(Writer {
            ledger: Arc::clone(ledger),
            epoch,
            sequences: BTreeMap::new(),
        }))
    }

    async fn delete_progress_group(&self, _: &str, _: &str) -> Result<(), PortError> {
        Ok(())
    }

    async fn remove_transactional_id(&self, _: &str) -> Result<(), PortError> {
        Ok(())
    }
}

struct Writer {
    ledger: Arc<Ledger>,
    epoch: i16,
    sequences: BTreeMap<TopicPartition, i32>,
}

impl Writer {
    fn fails_at(&self, stage: Stage) -> Result<(), PortError> {
        let state = self.ledger.state.lock().unwrap();
        match state.failure {
            Some(failure) if (failure.commit, failure.stage) == (state.commits, stage) => Err(match failure.fatal {
                true => PortError::Fenced("test".into()),
                false => PortError::Storage(format!("commit {} fails", state.commits)),
            }),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl EpochWriter for Writer {
    async fn commit(&mut self, epoch: EpochWrite) -> Result<EpochReceipt, PortError> {
        {
            let mut state = self.ledger.state.lock().unwrap();
            assert_eq!(state.epoch, self.epoch, "a fenced writer writes");
            state.commits += 1;
        }
        let mut ends = BTreeMap::new();
        for write in epoch.writes {
            let sequence = self.sequences.entry(write.partition.clone()).or_insert(0);
            let count = i32::try_from(write.records.count()).unwrap();
            let batch = write.records.finish(BatchStamp {
                producer_id: PRODUCER,
                producer_epoch: self.epoch,
                base_sequence: *sequence,
                transactional: true,
                control: false,
            });
            *sequence += count;
            let appended = self.ledger.append(&write.partition, &batch)?;
            self.ledger.state.lock().unwrap().open.insert(write.partition.clone());
            ends.insert(write.partition, appended.last_offset + 1);
        }
        self.fails_at(Stage::AfterOutput)?;
        {
            let mut state = self.ledger.state.lock().unwrap();
            state.decided = true;
            state.groups.push((epoch.group.unwrap_or_default(), epoch.sources));
        }
        for partition in ends.keys() {
            self.ledger.mark(partition, self.epoch, ControlType::Commit);
            self.ledger.state.lock().unwrap().open.remove(partition);
            self.fails_at(Stage::BetweenMarkers)?;
        }
        self.ledger.state.lock().unwrap().decided = false;
        self.fails_at(Stage::AfterMarkers)?;
        Ok(EpochReceipt {
            ends: ends.into_iter().collect(),
        })
    }
}
