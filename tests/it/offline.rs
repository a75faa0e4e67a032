//! One log that cannot be opened: its partition is offline, everything else works, and nothing is lost when it is back.

use tests::batch::Batch;
use tests::blocked::Blocked;
use tests::half_committed::{DECIDED, HalfCommitted};
use tests::requests::{self, Topic};
use tests::stream::{Bed, FREQUENT_RETENTION};
use tests::wait;

const KAFKA_STORAGE_ERROR: i16 = 56;
/// SQLSTATE.
const IO_ERROR: &str = "58030";

fn send(bed: &mut Bed, topic: &Topic) -> i16 {
    let batch = Batch::of_values(requests::now_ms(), &[r#"{"n": 1}"#]);
    requests::produce_bytes(&mut bed.connection, topic, 0, batch.encode()).error_code
}

#[test]
fn an_offline_partition_is_nobody_elses_business() {
    let mut bed = Bed::start();
    let (broken, healthy) = (bed.topic("broken", 1), bed.topic("healthy", 1));
    assert_eq!((send(&mut bed, &broken), send(&mut bed, &healthy)), (0, 0));
    assert!(bed.broker.terminate().success());
    let blocked = Blocked::topic(bed.broker.data_dir(), &broken.name);
    bed.restart();

    assert_eq!(send(&mut bed, &broken), KAFKA_STORAGE_ERROR);
    assert_eq!(send(&mut bed, &healthy), 0);
    requests::new_producer(&mut bed.connection);
    let new = bed.topic("new", 2);
    assert_eq!(send(&mut bed, &new), 0, "a topic that was answered for is there");
    bed.http
        .sql(&format!("CREATE SOURCE s (n BIGINT) WITH (topic = '{}')", healthy.name));
    bed.http
        .sql("CREATE MATERIALIZED VIEW counted AS SELECT n, count(*) AS c FROM s GROUP BY n");
    bed.caught_up("counted", &healthy.name);
    bed.http.sql("DROP MATERIALIZED VIEW counted");
    assert!(bed.query("counted").is_none());
    for statement in [
        format!("SELECT count(*) FROM \"{}\"", broken.name),
        format!(
            "CREATE SINK copy AS SELECT _value FROM \"{}\" WITH (connector = 'topic')",
            broken.name
        ),
    ] {
        let refused = bed.http.try_sql(&statement);
        assert_eq!(refused.error_code(), IO_ERROR, "{}", refused.body);
        assert!(refused.body.contains(&format!("{}-0", broken.name)), "{}", refused.body);
    }
    let columns = bed.http.rows(&format!("DESCRIBE \"{}\"", broken.name)).len();
    assert_eq!(columns, bed.http.rows(&format!("DESCRIBE \"{}\"", healthy.name)).len());

    assert!(bed.broker.terminate().success());
    blocked.undo();
    bed.restart();
    assert_eq!(requests::read_values(&mut bed.connection, &broken, 0).len(), 1);
    assert_eq!(send(&mut bed, &broken), 0);
    assert!(bed.query("counted").is_none(), "what was dropped stays so");
}

/// Bytes of the records that retention looks at.
const FILLER_BYTES: usize = 600_000;

/// A query over two partitions of which the first is offline, and a topic that nobody reads. Retention takes all but the
/// last segment of both.
fn half_offline(settings: &[(&str, &str)]) -> (Bed, Topic, Topic, Blocked) {
    let mut all = vec![FREQUENT_RETENTION];
    all.extend(settings);
    let mut bed = Bed::start_with(&all);
    let (read, free) = (bed.topic("read", 2), bed.topic("free", 2));
    bed.http.sql(&format!(
        "CREATE SINK copy AS SELECT _partition AS p FROM \"{}\" WITH (connector = 'topic', topic = 'copy')",
        read.name
    ));
    for partition in 0..2 {
        bed.send(&read, partition, &["first"]);
    }
    bed.rows_until("copy", "the first rows", |rows| rows.len() == 2);
    bed.caught_up("copy", &read.name);
    assert!(bed.broker.terminate().success());
    let blocked = Blocked::topic(bed.broker.data_dir(), &read.name);
    bed.restart();
    let filler = "x".repeat(FILLER_BYTES);
    for topic in [&free, &read] {
        for _ in 0..10 {
            bed.send(topic, 1, &[&filler]);
        }
    }
    for topic in [&read, &free] {
        requests::set_config(&mut bed.connection, topic, "retention.bytes", "1048576");
    }
    (bed, read, free, blocked)
}

fn earliest(bed: &mut Bed, topic: &Topic) -> i64 {
    requests::list_offset(&mut bed.connection, topic, 1, requests::EARLIEST).offset
}

/// A query that waits for a partition of its source still has to read the others: retention must leave them alone.
#[test]
fn retention_waits_for_a_query_that_waits_for_a_partition() {
    let (mut bed, read, free, blocked) = half_offline(&[]);
    wait::until("retention to take what nobody reads", || earliest(&mut bed, &free) > 1);
    let start = earliest(&mut bed, &read);
    assert!(start <= 1, "the query has read one record and not the second: {start}");
    assert!(bed.broker.terminate().success());
    blocked.undo();
    bed.restart();
    bed.caught_up("copy", &read.name);
    assert_eq!(bed.rows("copy").len(), 12);
}

/// But not without end: the disk is everybody's. The query is told what it lost, and skips nothing by itself.
#[test]
fn retention_waits_for_no_more_than_it_may() {
    let (mut bed, read, _, blocked) = half_offline(&[("storage.max_pinned", "3MiB")]);
    wait::until("what is beyond 3 MiB to be taken", || earliest(&mut bed, &read) > 3);
    let kept =
        requests::list_offset(&mut bed.connection, &read, 1, requests::LATEST).offset - earliest(&mut bed, &read);
    assert!(4 <= kept, "{kept} records of 600 kB are less than it may keep");
    assert!(bed.broker.terminate().success());
    blocked.undo();
    bed.restart();
    bed.status("copy", "failed");
    let query = bed.query("copy").expect("it is still there");
    let said = format!("{query:?}");
    assert!(said.contains("starts at offset"), "{said}");
    assert_eq!(bed.rows("copy").len(), 2);
}

/// The decided epoch is committed and was not read again, and the query goes on.
fn assert_committed(decided: &mut HalfCommitted) {
    decided.restart_and_catch_up();
    assert_eq!(decided.bed.query_metric("rows_read_total", "copy"), 0.0);
    decided.goes_on();
}

/// The marker's log is offline at the next start. The commit must wait for it, and must not turn into an abort.
#[test]
fn a_decision_waits_for_an_offline_partition() {
    let mut decided = HalfCommitted::at(DECIDED);
    let blocked = Blocked::topic(decided.bed.broker.data_dir(), &decided.output.name);
    decided.bed.restart();
    assert!(decided.bed.broker.terminate().success());
    blocked.undo();
    assert_committed(&mut decided);
}

/// What holds the decision is offline at the next start. Nobody else may decide in its place, and everything else works.
#[test]
fn a_decision_in_an_offline_log_is_not_undone() {
    let mut decided = HalfCommitted::at(DECIDED);
    let bed = &mut decided.bed;
    let blocked = Blocked::transaction_state(bed.broker.data_dir());
    bed.restart();
    let other = bed.topic("other", 1);
    assert_eq!(send(bed, &other), 0);
    assert!(bed.broker.terminate().success());
    blocked.undo();
    assert_committed(&mut decided);
}
