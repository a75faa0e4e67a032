//! Readers of committed records beside a transaction that is open, and after it was aborted: ListOffsets and Fetch.

use kafka_protocol::messages::fetch_response::{AbortedTransaction, PartitionData};
use kafka_protocol::messages::list_offsets_response::ListOffsetsPartitionResponse;
use tests::batch::{Batch, TRANSACTIONAL};
use tests::blocked::Blocked;
use tests::client::Connection;
use tests::half_committed::{HalfCommitted, UNDECIDED};
use tests::requests::{self, EARLIEST, LATEST, MAX_TIMESTAMP, Topic};

const FETCH: i16 = 12;
const READ_UNCOMMITTED: i8 = 0;
const READ_COMMITTED: i8 = 1;

fn list(connection: &mut Connection, version: i16, topic: &Topic, isolation: i8, timestamp: i64) -> (i64, i64) {
    let request = requests::list_offsets_request(topic, 0, timestamp).with_isolation_level(isolation);
    let response = connection.call(version, &request);
    let answer: &ListOffsetsPartitionResponse = &response.topics[0].partitions[0];
    assert_eq!(answer.error_code, 0, "{answer:?}");
    (answer.offset, answer.timestamp)
}

fn fetch_committed(connection: &mut Connection, topic: &Topic, offset: i64) -> PartitionData {
    let request = requests::fetch_request(FETCH, topic, 0, offset)
        .with_isolation_level(READ_COMMITTED)
        .with_max_wait_ms(0);
    let answer = connection.call(FETCH, &request).responses[0].partitions[0].clone();
    assert_eq!(answer.error_code, 0, "{answer:?}");
    answer
}

/// What lies behind the last marker: the batches of the transaction that is open.
fn open(batches: &[Batch]) -> &[Batch] {
    let markers = batches.iter().rposition(Batch::is_control);
    let open = &batches[markers.expect("the first half is committed") + 1..];
    assert!(!open.is_empty() && open.iter().all(|batch| batch.attributes & TRANSACTIONAL != 0));
    open
}

#[test]
fn an_open_transaction_is_the_end_for_readers_of_committed_records() {
    let mut undecided = HalfCommitted::at(UNDECIDED);
    let hidden = Blocked::transaction_state(undecided.bed.broker.data_dir());
    undecided.bed.restart();
    let (connection, topic) = (&mut undecided.bed.connection, &undecided.output);
    let batches = requests::read_all(connection, topic, 0);
    let open = open(&batches);
    let (stable, end) = (open[0].base_offset, open[open.len() - 1].last_offset() + 1);
    assert!(0 < stable && stable < end);

    for version in 2..=10 {
        assert_eq!(list(connection, version, topic, READ_UNCOMMITTED, LATEST), (end, -1));
        assert_eq!(
            list(connection, version, topic, READ_COMMITTED, LATEST),
            (stable, -1),
            "version {version}"
        );
        assert_eq!(list(connection, version, topic, READ_COMMITTED, EARLIEST), (0, -1));
    }
    let mut at = |isolation: i8, timestamp: i64| list(connection, 10, topic, isolation, timestamp);
    let (before, inside) = (batches[0].base_timestamp, open[0].base_timestamp);
    assert!(before < inside, "the server was started in between");
    for isolation in [READ_UNCOMMITTED, READ_COMMITTED] {
        assert_eq!(at(isolation, before), (0, before));
    }
    assert_eq!(at(READ_UNCOMMITTED, inside), (stable, inside));
    assert_eq!(at(READ_COMMITTED, inside), (-1, -1), "nothing as late is committed");
    assert!(stable <= at(READ_UNCOMMITTED, MAX_TIMESTAMP).0);
    assert_eq!(
        at(READ_COMMITTED, MAX_TIMESTAMP),
        (-1, -1),
        "the latest record is not committed"
    );

    let answer = fetch_committed(connection, topic, 0);
    assert_eq!((answer.last_stable_offset, answer.high_watermark), (stable, end));
    let read = Batch::decode_all(&answer.records.expect("records are never null"));
    assert_eq!(read, batches[..batches.len() - open.len()]);
    let answer = fetch_committed(connection, topic, stable);
    assert_eq!(answer.records.map(|records| records.len()), Some(0));

    assert!(undecided.bed.broker.terminate().success());
    hidden.undo();
    undecided.restart_and_catch_up();
    assert_aborted(&mut undecided.bed.connection, &undecided.output, &open[0]);
}

/// The transaction that began with `first` is over, and readers of committed records are told to leave it out.
fn assert_aborted(connection: &mut Connection, topic: &Topic, first: &Batch) {
    tests::wait::until("the last transaction to be over", || {
        let end = list(connection, 10, topic, READ_UNCOMMITTED, LATEST);
        list(connection, 10, topic, READ_COMMITTED, LATEST) == end
    });
    let answer = fetch_committed(connection, topic, first.base_offset);
    assert_eq!(answer.last_stable_offset, answer.high_watermark);
    let aborted = AbortedTransaction::default()
        .with_producer_id(first.producer_id.into())
        .with_first_offset(first.base_offset);
    assert_eq!(answer.aborted_transactions, Some(vec![aborted]));
}
