//! A topic in which a transaction is open, and then aborted: the output of a query whose server died when all of an
//! epoch was durable but the decision. Clients cannot make one, because their transactions are not served.

use std::fs;
use std::path::{Path, PathBuf};

use crate::batch::Batch;
use crate::client::Connection;
use crate::requests::{self, Topic};
use crate::stream::Bed;

/// Rows of which each half goes into the output: the first is committed, the second dies with the server.
const ROWS: usize = 200;
const OUTPUT: &str = "output";
const PRODUCE: i16 = 12;

/// The server is down, and the last transaction in the output is open.
pub struct Undecided {
    /// The server and its sides.
    pub bed: Bed,
    /// What the query writes, in one partition; only its name is known.
    pub output: Topic,
}

impl Undecided {
    /// Starts a server with a query and has it die.
    #[must_use]
    pub fn new() -> Undecided {
        let mut bed = Bed::start();
        let input = bed.topic("input", 1);
        bed.http
            .sql(&format!("CREATE SOURCE s (n BIGINT) WITH (topic = '{}')", input.name));
        bed.http.sql(&format!(
            "CREATE SINK copy AS SELECT n FROM s WITH (connector = 'topic', topic = '{OUTPUT}')"
        ));
        bed.send(&input, 0, &rows(0..ROWS / 2));
        bed.rows_until(OUTPUT, "the first half", |rows| rows.len() == ROWS / 2);
        assert!(bed.broker.terminate().success());
        bed.broker.restart_until_it_dies("before-decision", |broker| {
            let batch = Batch::of_values(requests::now_ms(), &rows(ROWS / 2..ROWS));
            let request = requests::produce_request(PRODUCE, &input, 0, -1, batch.encode());
            // Whether the answer comes before the end is up to the server.
            Connection::open(&broker.kafka_address()).send(PRODUCE, &request);
        });
        Undecided {
            bed,
            output: Topic {
                name: OUTPUT.to_owned(),
                ..Topic::unknown()
            },
        }
    }

    /// Starts the server again, which aborts what was open, and waits until the query has committed every row.
    pub fn restart_and_catch_up(&mut self) {
        self.bed.restart();
        let rows = self.bed.rows_until(OUTPUT, "every row", |rows| rows.len() >= ROWS);
        assert_eq!(rows.len(), ROWS, "every row is committed once");
    }

    /// Takes away the logs that tell what was decided: without them nobody may end the transaction. The server must be
    /// down.
    #[must_use]
    pub fn hide_decisions(&self) -> Hidden {
        let topics = self.bed.broker.data_dir().join("topics");
        let logs = fs::read_dir(topics).expect("the folder of the logs");
        let logs = logs.map(|log| log.expect("readable").path());
        let segments = logs
            .filter(|log| is_decisions(log))
            .map(|log| log.join("00000000000000000000.log"));
        let used = segments.filter(|segment| fs::metadata(segment).is_ok_and(|segment| segment.len() > 0));
        let hidden: Vec<PathBuf> = used.collect();
        assert!(!hidden.is_empty(), "a query has its state somewhere");
        for segment in &hidden {
            fs::rename(segment, aside(segment)).expect("the segment is there");
            // A link to itself: there is a file, and nobody can open it.
            std::os::unix::fs::symlink(segment, segment).expect("its place is free");
        }
        Hidden(hidden)
    }
}

impl Default for Undecided {
    fn default() -> Undecided {
        Undecided::new()
    }
}

/// Segments that were put aside.
#[derive(Debug)]
pub struct Hidden(Vec<PathBuf>);

impl Hidden {
    /// Puts them back. The server must be down.
    ///
    /// # Panics
    /// When the server wrote something in their place.
    pub fn undo(self) {
        for segment in self.0 {
            fs::remove_file(&segment).expect("the link is still there");
            fs::rename(aside(&segment), &segment).expect("the segment is where it was put");
        }
    }
}

fn is_decisions(log: &Path) -> bool {
    let name = log.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("__transaction_state-")
}

/// Beside the folder of the logs, in which nothing may be but logs.
fn aside(segment: &Path) -> PathBuf {
    let log = segment.parent().expect("a segment is in a log");
    let data_dir = log.parent().and_then(Path::parent).expect("a log is in topics");
    let name = log.file_name().expect("a log has a name").to_string_lossy();
    data_dir.join(format!("{name}.aside"))
}

fn rows(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|n| format!("{{\"n\": {n}}}")).collect()
}
