//! One log that cannot be opened: its partition is offline, everything else works, and nothing is lost when it is back.

use std::path::PathBuf;

use tests::batch::Batch;
use tests::requests::{self, Topic};
use tests::stream::Bed;

use crate::exactly_once::run_until_it_dies;

const KAFKA_STORAGE_ERROR: i16 = 56;
const ACTIVE_SEGMENT: &str = "00000000000000000000.log";

/// A log whose active segment has been put aside, with a link that leads nowhere but to itself in its place.
struct Blocked {
    segment: PathBuf,
    aside: PathBuf,
}

impl Blocked {
    /// The server must be down.
    fn new(bed: &Bed, topic: &str) -> Blocked {
        let data_dir = bed.broker.data_dir();
        let segment = data_dir.join("topics").join(format!("{topic}-0")).join(ACTIVE_SEGMENT);
        let aside = data_dir.join(format!("{topic}.aside"));
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

/// The decision to commit is durable, one of two markers is written, and the other one's log is offline at the next
/// start. The commit must wait for it, and must not turn into an abort.
#[test]
fn a_decision_waits_for_an_offline_partition() {
    // Markers go out in the order of names: the changelog's comes first.
    const OUTPUT: &str = "zz_output";
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
        let dying = scope.spawn(|| run_until_it_dies(&bed, "between-markers:1"));
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

    let blocked = Blocked::new(&bed, OUTPUT);
    bed.restart();
    assert!(bed.broker.terminate().success());
    blocked.undo();
    bed.restart();
    let rows = bed.rows_until(OUTPUT, "the row of the decided epoch", |rows| rows.len() > 1);
    assert_eq!(rows.len(), 2);
    assert_eq!(send(&mut bed, &input), 0);
    let rows = bed.rows_until(OUTPUT, "a row of a later epoch", |rows| rows.len() > 2);
    let numbers: Vec<i64> = rows.iter().filter_map(|row| row.json()["n"].as_i64()).collect();
    assert_eq!(numbers, [1, 2, 1]);
}
