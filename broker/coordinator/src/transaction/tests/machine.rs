//! The rules of a transaction, call by call.

use std::collections::BTreeMap;

use protocol::ids::{Offset, TopicPartition};

use crate::transaction::{
    BeginError, Begun, CompleteError, DecideError, Decided, Decision, OpenError, Opened, Producer, ProducerError,
    RemoveError, TransactionRecord, TransactionState, TransactionalId, Transactions,
};

const TIMEOUT_MS: i32 = 60_000;
const FRESH_ID: i64 = 9_000;

#[test]
fn epochs_of_one_query_follow_each_other_without_a_new_producer_epoch() {
    let mut machine = loaded();
    let id = ours();
    let producer = open(&mut machine, 0, &id);
    assert_eq!(producer, Producer { id: FRESH_ID, epoch: 0 });

    begin(&mut machine, 10, &id, producer, &[("out", 0), ("out", 1)]);
    let decided = commit(&mut machine, 20, &id, producer, &[("out", 0, 5), ("out", 1, 7)]);
    let marked: Vec<_> = decided
        .markers
        .iter()
        .map(|m| (m.partition.to_string(), m.producer, m.end))
        .collect();
    assert_eq!(
        marked,
        [("out-0".into(), producer, Some(5)), ("out-1".into(), producer, Some(7))]
    );
    machine.markers_durable(&id, producer).expect("it is decided");

    // The completion and the next epoch are one batch.
    let begun = machine
        .begin(30, &id, producer, [partition("out", 1)])
        .expect("the markers are durable");
    assert_eq!(
        states(&begun.records),
        [TransactionState::CompleteCommit, TransactionState::Ongoing]
    );
    apply(&mut machine, &begun.records);
    let value = &machine.ids()[&id];
    assert_eq!(
        (value.producer(), value.started, value.partitions.len()),
        (producer, 30, 1)
    );
    assert_eq!(
        value.partitions[0].end, None,
        "the end of the transaction before is no end of this one"
    );
}

#[test]
fn the_next_transaction_waits_for_the_markers_of_the_last() {
    let mut machine = loaded();
    let id = ours();
    let producer = open(&mut machine, 0, &id);
    begin(&mut machine, 10, &id, producer, &[("out", 0)]);
    commit(&mut machine, 20, &id, producer, &[("out", 0, 5)]);

    let state = TransactionState::PrepareCommit;
    let too_early = machine.begin(30, &id, producer, [partition("out", 0)]);
    assert_eq!(
        too_early,
        Err(BeginError::Concurrent {
            transactional_id: id.clone(),
            state
        })
    );
    let too_early = machine.complete(30, &id, producer);
    assert_eq!(
        too_early,
        Err(CompleteError::MarkersOutstanding {
            transactional_id: id.clone()
        })
    );

    machine.markers_durable(&id, producer).expect("it is decided");
    let records = machine.complete(40, &id, producer).expect("the markers are durable");
    assert_eq!(states(&records), [TransactionState::CompleteCommit]);
    apply(&mut machine, &records);
    let state = TransactionState::CompleteCommit;
    let nothing_left = machine.complete(50, &id, producer);
    assert_eq!(
        nothing_left,
        Err(CompleteError::WrongState {
            transactional_id: id,
            state
        })
    );
}

#[test]
fn the_report_of_one_decisions_markers_does_not_count_for_the_next() {
    let mut machine = loaded();
    let id = ours();
    let producer = open(&mut machine, 0, &id);
    for (at, end) in [(10, 5), (20, 9)] {
        begin(&mut machine, at, &id, producer, &[("out", 0)]);
        commit(&mut machine, at, &id, producer, &[("out", 0, end)]);
        assert!(
            machine.begin(at, &id, producer, [partition("out", 0)]).is_err(),
            "no marker is durable at {at}"
        );
        machine.markers_durable(&id, producer).expect("it is decided");
    }
}

#[test]
fn partitions_are_added_once() {
    let mut machine = loaded();
    let id = ours();
    let producer = open(&mut machine, 0, &id);
    begin(&mut machine, 10, &id, producer, &[("b", 0)]);
    begin(&mut machine, 11, &id, producer, &[("a", 1), ("a", 1), ("b", 0)]);
    let names: Vec<_> = machine.ids()[&id]
        .partitions
        .iter()
        .map(|p| p.partition.to_string())
        .collect();
    assert_eq!(names, ["a-1", "b-0"]);
    assert_eq!(machine.ids()[&id].started, 10);
    let again = machine.begin(12, &id, producer, [partition("a", 1)]);
    assert_eq!(again, Ok(Begun { records: Vec::new() }));
}

#[test]
fn a_new_incarnation_fences_the_old_one() {
    let mut machine = loaded();
    let id = ours();
    let old = open(&mut machine, 0, &id);
    let new = open(&mut machine, 1, &id);
    assert_eq!((new.id, new.epoch), (old.id, old.epoch + 1));

    let fenced = ProducerError::Fenced {
        transactional_id: id.clone(),
        asked: old.epoch,
        current: new.epoch,
    };
    let begun = machine.begin(2, &id, old, [partition("out", 0)]);
    assert_eq!(begun, Err(BeginError::Producer(fenced.clone())));
    let decided = machine.decide(2, &id, old, Decision::Commit, &BTreeMap::new());
    assert_eq!(decided, Err(DecideError::Producer(fenced.clone())));
    assert_eq!(machine.markers_durable(&id, old), Err(CompleteError::Producer(fenced)));

    let other = Producer { id: 1, epoch: 0 };
    let wrong = ProducerError::WrongProducerId {
        transactional_id: id.clone(),
        asked: 1,
        current: new.id,
    };
    assert_eq!(machine.begin(2, &id, other, []), Err(BeginError::Producer(wrong)));
    let nobody: TransactionalId = "nobody".into();
    let unknown = ProducerError::Unknown {
        transactional_id: nobody.clone(),
    };
    assert_eq!(machine.begin(2, &nobody, other, []), Err(BeginError::Producer(unknown)));
}

#[test]
fn an_open_transaction_is_aborted_before_a_new_incarnation_gets_in() {
    let mut machine = loaded();
    let id = ours();
    let old = open(&mut machine, 0, &id);
    begin(&mut machine, 10, &id, old, &[("out", 0)]);

    let Ok(Opened::Unfinished(decided)) = machine.open(20, &id, TIMEOUT_MS, FRESH_ID) else {
        panic!("it is open")
    };
    assert_eq!(states(&decided.records), [TransactionState::PrepareAbort]);
    assert_eq!(decided.markers[0].decision, Decision::Abort);
    assert_eq!(
        decided.markers[0].producer.epoch,
        old.epoch + 1,
        "the marker fences the old incarnation in the log"
    );
    apply(&mut machine, &decided.records);
    assert!(
        machine
            .decide(21, &id, old, Decision::Commit, &BTreeMap::new())
            .is_err()
    );

    // Asking again before the markers are durable repeats them.
    let again = machine.open(22, &id, TIMEOUT_MS, FRESH_ID);
    let expected = Decided {
        records: Vec::new(),
        markers: decided.markers,
    };
    assert_eq!(again, Ok(Opened::Unfinished(expected)));

    let fence = machine.ids()[&id].producer();
    machine.markers_durable(&id, fence).expect("it is decided");
    let Ok(Opened::Ready { records, producer }) = machine.open(23, &id, TIMEOUT_MS, FRESH_ID) else {
        panic!("nothing is open any more")
    };
    assert_eq!(
        states(&records),
        [TransactionState::CompleteAbort, TransactionState::Empty]
    );
    assert_eq!(
        producer,
        Producer {
            id: old.id,
            epoch: old.epoch + 2
        }
    );
}

#[test]
fn a_decision_is_made_once_and_may_be_asked_for_again() {
    let mut machine = loaded();
    let id = ours();
    let producer = open(&mut machine, 0, &id);
    let wrong = |state| {
        Err(DecideError::WrongState {
            transactional_id: ours(),
            state,
        })
    };
    let nothing = BTreeMap::new();
    for decision in [Decision::Commit, Decision::Abort] {
        assert_eq!(
            machine.decide(1, &id, producer, decision, &nothing),
            wrong(TransactionState::Empty)
        );
    }

    begin(&mut machine, 10, &id, producer, &[("out", 0)]);
    let decided = commit(&mut machine, 20, &id, producer, &[("out", 0, 5)]);
    let again = machine.decide(21, &id, producer, Decision::Commit, &nothing);
    assert_eq!(
        again,
        Ok(Decided {
            records: Vec::new(),
            markers: decided.markers
        })
    );
    let other = machine.decide(21, &id, producer, Decision::Abort, &nothing);
    assert_eq!(other, wrong(TransactionState::PrepareCommit));

    machine.markers_durable(&id, producer).expect("it is decided");
    let done = Ok(Decided {
        records: Vec::new(),
        markers: Vec::new(),
    });
    assert_eq!(machine.decide(22, &id, producer, Decision::Commit, &nothing), done);
    let records = machine.complete(23, &id, producer).expect("the markers are durable");
    apply(&mut machine, &records);
    assert_eq!(machine.decide(24, &id, producer, Decision::Commit, &nothing), done);
    let other = machine.decide(24, &id, producer, Decision::Abort, &nothing);
    assert_eq!(other, wrong(TransactionState::CompleteCommit));
}

#[test]
fn a_commit_of_ours_names_every_end() {
    let mut machine = loaded();
    let id = ours();
    let producer = open(&mut machine, 0, &id);
    begin(&mut machine, 10, &id, producer, &[("out", 0), ("out", 1)]);
    let one_missing = ends(&[("out", 0, 5)]);
    let decided = machine.decide(20, &id, producer, Decision::Commit, &one_missing);
    let partition = partition("out", 1);
    assert_eq!(
        decided,
        Err(DecideError::EndMissing {
            transactional_id: id.clone(),
            partition
        })
    );
    assert!(machine.decide(20, &id, producer, Decision::Abort, &one_missing).is_ok());
}

#[test]
fn used_up_epochs_bring_a_new_producer_id() {
    let mut machine = loaded();
    let id = ours();
    let first = open(&mut machine, 0, &id);
    let mut last = first;
    for _ in 0..32_766 {
        last = open(&mut machine, 0, &id);
    }
    assert_eq!((last.id, last.epoch), (first.id, 32_766));
    let Ok(Opened::Ready { records, producer }) = machine.open(1, &id, TIMEOUT_MS, 9_001) else {
        panic!("it is free")
    };
    assert_eq!(producer, Producer { id: 9_001, epoch: 0 });
    apply(&mut machine, &records);
    assert_eq!(machine.ids()[&id].previous_producer_id, first.id);
}

#[test]
fn a_transaction_that_is_open_for_too_long_is_aborted() {
    let mut machine = loaded();
    let id: TransactionalId = "clients".into();
    let producer = open(&mut machine, 0, &id);
    begin(&mut machine, 1_000, &id, producer, &[("out", 0)]);
    assert!(machine.abort_timed_out(60_999).is_empty());
    let timed_out = machine.abort_timed_out(61_000);
    assert_eq!((timed_out.len(), &timed_out[0].0), (1, &id));
    apply(&mut machine, &timed_out[0].1.records);
    assert_eq!(machine.ids()[&id].producer_epoch, producer.epoch + 1);
    assert!(machine.abort_timed_out(70_000).is_empty());
}

#[test]
fn only_an_id_at_rest_is_removed() {
    let mut machine = loaded();
    let id = ours();
    assert_eq!(machine.remove(&id), Ok(Vec::new()));
    let producer = open(&mut machine, 0, &id);
    begin(&mut machine, 10, &id, producer, &[("out", 0)]);
    let state = TransactionState::Ongoing;
    assert_eq!(
        machine.remove(&id),
        Err(RemoveError::Busy {
            transactional_id: id.clone(),
            state
        })
    );
    commit(&mut machine, 20, &id, producer, &[("out", 0, 5)]);
    machine.markers_durable(&id, producer).expect("it is decided");
    let records = machine.complete(30, &id, producer).expect("the markers are durable");
    apply(&mut machine, &records);
    let records = machine.remove(&id).expect("it is at rest");
    apply(&mut machine, &records);
    assert!(machine.ids().is_empty());
}

#[test]
fn nothing_is_answered_while_records_are_being_read() {
    let machine = Transactions::new();
    let producer = Producer { id: 1, epoch: 0 };
    assert_eq!(machine.open(0, &ours(), TIMEOUT_MS, FRESH_ID), Err(OpenError::Loading));
    assert_eq!(
        machine.begin(0, &ours(), producer, []),
        Err(BeginError::Producer(ProducerError::Loading))
    );
    assert_eq!(machine.remove(&ours()), Err(RemoveError::Loading));
}

pub(super) fn loaded() -> Transactions {
    let mut machine = Transactions::new();
    machine.loaded();
    machine
}

pub(super) fn ours() -> TransactionalId {
    "tidemill.query.q.1".into()
}

/// Applies records as the log gives them back.
pub(super) fn apply(machine: &mut Transactions, records: &[TransactionRecord]) {
    for record in records {
        let encoded = record.encode();
        let read = TransactionRecord::decode(&encoded.key, encoded.value.as_deref());
        assert_eq!(read.as_ref(), Ok(record), "a record is read as it was written");
        machine.apply(record);
    }
}

pub(super) fn open(machine: &mut Transactions, now: i64, id: &TransactionalId) -> Producer {
    match machine.open(now, id, TIMEOUT_MS, FRESH_ID) {
        Ok(Opened::Ready { records, producer }) => {
            apply(machine, &records);
            producer
        }
        other => panic!("{id} is not free: {other:?}"),
    }
}

pub(super) fn begin(
    machine: &mut Transactions,
    now: i64,
    id: &TransactionalId,
    producer: Producer,
    partitions: &[(&str, i32)],
) {
    let partitions = partitions.iter().map(|(topic, number)| partition(topic, *number));
    let begun = machine.begin(now, id, producer, partitions).expect("it may begin");
    apply(machine, &begun.records);
}

pub(super) fn commit(
    machine: &mut Transactions,
    now: i64,
    id: &TransactionalId,
    producer: Producer,
    at: &[(&str, i32, Offset)],
) -> Decided {
    let decided = machine
        .decide(now, id, producer, Decision::Commit, &ends(at))
        .expect("it is open");
    apply(machine, &decided.records);
    decided
}

pub(super) fn ends(at: &[(&str, i32, Offset)]) -> BTreeMap<TopicPartition, Offset> {
    at.iter()
        .map(|(topic, number, end)| (partition(topic, *number), *end))
        .collect()
}

pub(super) fn partition(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition {
        topic: topic.into(),
        partition,
    }
}

fn states(records: &[TransactionRecord]) -> Vec<TransactionState> {
    let state = |record: &TransactionRecord| match record {
        TransactionRecord::State { value: Some(value), .. } => value.state,
        other => panic!("not a state: {other:?}"),
    };
    records.iter().map(state).collect()
}
