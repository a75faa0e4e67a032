//! One log that cannot be opened: its partition is offline, everything else works, and nothing is lost when it is back.

use std::path::PathBuf;

use tests::batch::Batch;
use tests::requests::{self, Topic};
use tests::stream::Bed;

const KAFKA_STORAGE_ERROR: i16 = 56;
const ACTIVE_SEGMENT: &str = "00000000000000000000.log";

/// A log whose active segment has been put aside, with a link that leads nowhere but to itself in its place.
struct Blocked {
    segment: PathBuf,
    aside: PathBuf,
}

impl Blocked {
    /// The log of a topic's first partition. The server must be down.
    fn new(bed: &Bed, topic: &str) -> Blocked {
        Blocked::log(bed, &format!("{topic}-0"))
    }

    /// The only log of the coordinator of transactions that holds anything.
    fn transaction_state(bed: &Bed) -> Blocked {
        let logs = std::fs::read_dir(bed.broker.data_dir().join("topics")).expect("the folder of the logs");
        let used = logs.map(|log| log.expect("readable")).filter(|log| {
            let segment = std::fs::metadata(log.path().join(ACTIVE_SEGMENT));
            segment.is_ok_and(|segment| segment.len() > 0)
        });
        let names = used.map(|log| log.file_name().to_string_lossy().into_owned());
        let state: Vec<String> = names.filter(|name| name.starts_with("__transaction_state-")).collect();
        let [log] = state.as_slice() else {
            panic!("one query has one: {state:?}");
        };
        Blocked::log(bed, log)
    }

    fn log(bed: &Bed, log: &str) -> Blocked {
        let data_dir = bed.broker.data_dir();
        let segment = data_dir.join("topics").join(log).join(ACTIVE_SEGMENT);
        let aside = data_dir.join(format!("{log}.aside"));
        std::fs::rename(&segment, &aside).expect("the segment is there");
        std::os::unix::fs::symlink(&segment, &segment).expect("its place is free");
        Blocked { segment, aside }
    }

    fn undo(self) {
        std::fs::remove_file(&self.segment).expect("the link is still there");
        std::fs::rename(&self.aside, &self.segment).expect("the segment is where it was put");
    }
}

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
    let blocked = Blocked::new(&bed, &broken.name);
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

    assert!(bed.broker.terminate().success());
    blocked.undo();
    bed.restart();
    assert_eq!(requests::read_values(&mut bed.connection, &broken, 0).len(), 1);
    assert_eq!(send(&mut bed, &broken), 0);
    assert!(bed.query("counted").is_none(), "what was dropped stays so");
}

/// Output of the query; markers go out in the order of names, so the changelog's comes first.
const OUTPUT: &str = "zz_output";

/// A query whose second epoch is decided and has one of its two markers; the server is down.
fn half_marked() -> (Bed, Topic) {
    let mut bed = Bed::start();
    let input = bed.topic("input", 1);
    bed.http
        .sql(&format!("CREATE SOURCE s (n BIGINT) WITH (topic = '{}')", input.name));
    bed.http.sql(&format!(
        "CREATE SINK copy AS SELECT n FROM s WITH (connector = 'topic', topic = '{OUTPUT}')"
    ));
    assert_eq!(send(&mut bed, &input), 0);
    assert_eq!(
        bed.rows_until(OUTPUT, "the first row", |rows| !rows.is_empty()).len(),
        1
    );
    assert!(bed.broker.terminate().success());
    bed.restart();
    // The next epoch dies between its two markers.
    bed.broker.kill();
    let crash = std::thread::scope(|scope| {
        let dying = scope.spawn(|| bed.broker.run_until_it_dies("between-markers:1"));
        let address = bed.broker.kafka_address();
        let mut connection = tests::wait::until_some("the server that is going to die", || {
            std::net::TcpStream::connect(&address).ok()?;
            Some(tests::client::Connection::open(&address))
        });
        let batch = Batch::of_values(requests::now_ms(), &[r#"{"n": 2}"#]);
        requests::produce_bytes(&mut connection, &input, 0, batch.encode());
        dying.join()
    });
    crash.expect("it died at its point");
    (bed, input)
}

/// The decided epoch is committed, and the query goes on.
fn assert_committed(bed: &mut Bed, input: &Topic) {
    let rows = bed.rows_until(OUTPUT, "the row of the decided epoch", |rows| rows.len() > 1);
    assert_eq!(rows.len(), 2);
    assert_eq!(send(bed, input), 0);
    let rows = bed.rows_until(OUTPUT, "a row of a later epoch", |rows| rows.len() > 2);
    let numbers: Vec<i64> = rows.iter().filter_map(|row| row.json()["n"].as_i64()).collect();
    assert_eq!(numbers, [1, 2, 1]);
}

/// The marker's log is offline at the next start. The commit must wait for it, and must not turn into an abort.
#[test]
fn a_decision_waits_for_an_offline_partition() {
    let (mut bed, input) = half_marked();
    let blocked = Blocked::new(&bed, OUTPUT);
    bed.restart();
    assert!(bed.broker.terminate().success());
    blocked.undo();
    bed.restart();
    assert_committed(&mut bed, &input);
}

/// What holds the decision is offline at the next start. Nobody else may decide in its place, and everything else works.
#[test]
fn a_decision_in_an_offline_log_is_not_undone() {
    let (mut bed, input) = half_marked();
    let blocked = Blocked::transaction_state(&bed);
    bed.restart();
    let other = bed.topic("other", 1);
    assert_eq!(send(&mut bed, &other), 0);
    assert!(bed.broker.terminate().success());
    blocked.undo();
    bed.restart();
    assert_committed(&mut bed, &input);
}
