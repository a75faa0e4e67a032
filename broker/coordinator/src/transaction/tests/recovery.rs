//! Recovery: the table, case by case, and a model of one query that is killed at any point.

use std::collections::BTreeMap;

use proptest::prelude::*;
use protocol::ids::{Offset, TopicPartition};

use super::machine::{apply, begin, commit, loaded, open, ours, partition};
use crate::transaction::{
    Decision, Marker, OpenTransaction, Producer, TransactionRecord, TransactionState, TransactionalId, Transactions,
};

#[test]
fn a_commit_is_finished_where_its_marker_is_missing() {
    let mut machine = loaded();
    let producer = open(&mut machine, 0, &ours());
    begin(
        &mut machine,
        1,
        &ours(),
        producer,
        &[("out", 0), ("out", 1), ("out", 2)],
    );
    commit(
        &mut machine,
        2,
        &ours(),
        producer,
        &[("out", 0, 5), ("out", 1, 7), ("out", 2, 9)],
    );

    // out-0 has no marker yet; out-1 has it; out-2 has it, and data of the epoch after the decision behind it.
    let open = [open_at("out", 0, producer, 4), open_at("out", 2, producer, 9)];
    let recovery = machine.recover(9, &open);
    assert!(recovery.records.is_empty());
    assert_eq!(recovery.unfinished, [(ours(), producer)]);
    assert_eq!(
        recovery.markers,
        [
            marker("out", 0, producer, Decision::Commit, Some(5)),
            marker("out", 2, producer, Decision::Abort, None),
        ]
    );
}

#[test]
fn a_partition_that_the_decision_does_not_know_is_aborted() {
    let mut machine = loaded();
    let producer = open(&mut machine, 0, &ours());
    begin(&mut machine, 1, &ours(), producer, &[("out", 0)]);
    commit(&mut machine, 2, &ours(), producer, &[("out", 0, 5)]);
    let recovery = machine.recover(9, &[open_at("other", 0, producer, 0)]);
    assert_eq!(recovery.markers, [marker("other", 0, producer, Decision::Abort, None)]);
}

#[test]
fn an_undecided_transaction_of_ours_is_aborted_and_its_producer_fenced() {
    let mut machine = loaded();
    let producer = open(&mut machine, 0, &ours());
    begin(&mut machine, 1, &ours(), producer, &[("out", 0)]);
    let recovery = machine.recover(9, &[open_at("out", 0, producer, 3), open_at("late", 0, producer, 0)]);
    let fence = Producer {
        epoch: producer.epoch + 1,
        ..producer
    };
    assert_eq!(
        recovery.markers,
        [
            marker("out", 0, fence, Decision::Abort, None),
            marker("late", 0, fence, Decision::Abort, None)
        ]
    );
    apply(&mut machine, &recovery.records);
    assert_eq!(machine.ids()[&ours()].state, TransactionState::PrepareAbort);
    assert_eq!(recovery.unfinished, [(ours(), fence)]);
    machine.markers_durable(&ours(), fence).expect("it is decided");
    assert_eq!(open(&mut machine, 10, &ours()).epoch, fence.epoch + 1);
}

#[test]
fn an_undecided_transaction_of_a_client_outlives_the_restart() {
    let mut machine = loaded();
    let id: TransactionalId = "clients".into();
    let producer = open(&mut machine, 0, &id);
    begin(&mut machine, 1, &id, producer, &[("out", 0)]);
    let recovery = machine.recover(9, &[open_at("out", 0, producer, 3), open_at("stray", 0, producer, 0)]);
    assert!(recovery.records.is_empty() && recovery.unfinished.is_empty());
    assert_eq!(recovery.markers, [marker("stray", 0, producer, Decision::Abort, None)]);
}

#[test]
fn what_is_open_for_nobody_is_aborted() {
    let mut machine = loaded();
    let producer = open(&mut machine, 0, &ours());
    let stranger = Producer { id: 77, epoch: 3 };
    let recovery = machine.recover(9, &[open_at("out", 0, producer, 3), open_at("out", 0, stranger, 8)]);
    assert!(recovery.records.is_empty() && recovery.unfinished.is_empty());
    assert_eq!(
        recovery.markers,
        [
            marker("out", 0, producer, Decision::Abort, None),
            marker("out", 0, stranger, Decision::Abort, None)
        ]
    );
}

#[test]
fn a_marker_written_again_is_due_below_the_end_only() {
    let producer = Producer { id: 1, epoch: 0 };
    let ended = marker("out", 0, producer, Decision::Commit, Some(5));
    assert!(ended.is_due(Some(4)));
    assert!(!ended.is_due(Some(5)));
    assert!(!ended.is_due(None));
    assert!(marker("out", 0, producer, Decision::Abort, None).is_due(Some(9)));
}

/// What one partition of the model's log holds for the one producer, as far as it is on the disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Partition {
    next: Offset,
    open: Option<(Offset, u32)>,
    committed: Vec<u32>,
}

impl Partition {
    fn write(&mut self, epoch: u32) {
        self.open.get_or_insert((self.next, epoch));
        self.next += 1;
    }

    fn mark(&mut self, decision: Decision) {
        self.next += 1;
        if let Some((_, epoch)) = self.open.take()
            && decision == Decision::Commit
        {
            self.committed.push(epoch);
        }
    }
}

proptest! {
    /// A query runs epochs over two partitions and is killed. Which of the writes that were under way reached the disk
    /// is arbitrary, within what each step waits for. After recovery every epoch is whole or not there at all, every
    /// decided one is there, and nothing is open.
    #[test]
    fn killed_at_any_point_every_epoch_is_whole_or_absent(
        epochs in 0..4_u32,
        stage in 0..6_u8,
        reached in proptest::array::uniform4(any::<bool>()),
    ) {
        let names = [partition("out", 0), partition("out", 1)];
        let mut logs: BTreeMap<TopicPartition, Partition> = names.iter().cloned().map(|name| (name, Partition::default())).collect();
        let mut machine = loaded();
        let producer = open(&mut machine, 0, &ours());
        for epoch in 0..epochs {
            let (begun, ends) = run_begin(&machine, &mut logs, producer, epoch, [true; 2]);
            apply(&mut machine, &begun);
            let decided = machine.decide(1, &ours(), producer, Decision::Commit, &ends).expect("it is open");
            apply(&mut machine, &decided.records);
            mark(&mut logs, &decided.markers, [true; 2]);
            machine.markers_durable(&ours(), producer).expect("it is decided");
        }

        // The epoch in which the kill comes.
        let mut decided_epochs = epochs;
        if 1 <= stage {
            let whole = 3 <= stage;
            let data = if whole { [true; 2] } else { [reached[0], reached[1]] };
            let (begun, ends) = run_begin(&machine, &mut logs, producer, epochs, data);
            // The record shares its flush with the data: before the flush is done either may be missing.
            if whole || reached[2] {
                apply(&mut machine, &begun);
            }
            if 4 <= stage {
                let decided = machine.decide(1, &ours(), producer, Decision::Commit, &ends).expect("it is open");
                apply(&mut machine, &decided.records);
                decided_epochs += 1;
                mark(&mut logs, &decided.markers, if stage == 4 { [reached[0], reached[1]] } else { [true; 2] });
            }
        }

        recover(&mut machine, &mut logs, producer);
        let expected: Vec<u32> = (0..decided_epochs).collect();
        for log in logs.values() {
            prop_assert_eq!(&log.committed, &expected);
            prop_assert_eq!(log.open, None);
        }
        let state = machine.ids()[&ours()].state;
        prop_assert!(state.preparing_decision().is_none() && state != TransactionState::Ongoing);
    }
}

/// Begins an epoch and writes its data; tells the records of the beginning and the ends of the partitions.
fn run_begin(
    machine: &Transactions,
    logs: &mut BTreeMap<TopicPartition, Partition>,
    producer: Producer,
    epoch: u32,
    reached: [bool; 2],
) -> (Vec<TransactionRecord>, BTreeMap<TopicPartition, Offset>) {
    let begun = machine
        .begin(1, &ours(), producer, logs.keys().cloned())
        .expect("the markers are durable");
    let mut ends = BTreeMap::new();
    for ((name, log), reached) in logs.iter_mut().zip(reached) {
        if reached {
            log.write(epoch);
        }
        ends.insert(name.clone(), log.next);
    }
    (begun.records, ends)
}

fn mark(logs: &mut BTreeMap<TopicPartition, Partition>, markers: &[Marker], reached: [bool; 2]) {
    for (marker, _) in markers.iter().zip(reached).filter(|(_, reached)| *reached) {
        logs.get_mut(&marker.partition)
            .expect("it exists")
            .mark(marker.decision);
    }
}

/// Starts again from what was applied, which stands for what was durable.
fn recover(machine: &mut Transactions, logs: &mut BTreeMap<TopicPartition, Partition>, producer: Producer) {
    let mut fresh = Transactions::new();
    for (id, value) in machine.ids() {
        fresh.apply(&TransactionRecord::State {
            transactional_id: id.clone(),
            value: Some(value.clone()),
        });
    }
    fresh.loaded();
    let open: Vec<OpenTransaction> = logs
        .iter()
        .filter_map(|(name, log)| {
            let (first_offset, _) = log.open?;
            Some(OpenTransaction {
                partition: name.clone(),
                producer,
                first_offset,
            })
        })
        .collect();
    let recovery = fresh.recover(9, &open);
    apply(&mut fresh, &recovery.records);
    for marker in &recovery.markers {
        logs.get_mut(&marker.partition)
            .expect("it exists")
            .mark(marker.decision);
    }
    for (id, producer) in recovery.unfinished {
        fresh.markers_durable(&id, producer).expect("it is decided");
        let records = fresh.complete(9, &id, producer).expect("the markers are durable");
        apply(&mut fresh, &records);
    }
    *machine = fresh;
}

fn open_at(topic: &str, number: i32, producer: Producer, first_offset: Offset) -> OpenTransaction {
    OpenTransaction {
        partition: partition(topic, number),
        producer,
        first_offset,
    }
}

fn marker(topic: &str, number: i32, producer: Producer, decision: Decision, end: Option<Offset>) -> Marker {
    Marker {
        partition: partition(topic, number),
        producer,
        decision,
        end,
    }
}
