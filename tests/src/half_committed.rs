//! The output of a query whose server died in the middle of a commit, at a point of the test's choice. Clients cannot
//! leave a transaction half done, because their transactions are not served.

use crate::batch::Batch;
use crate::client::Connection;
use crate::requests::{self, Topic};
use crate::stream::Bed;

/// Every place in a commit at which the server can be made to die, in order.
pub const POINTS: [&str; 5] = [
    "after-output",
    UNDECIDED,
    DECIDED,
    "before-state-write",
    "after-state-write",
];

/// Where all of an epoch is durable but the decision: the next start aborts it.
pub const UNDECIDED: &str = "before-decision";
/// Where the decision is durable, and only one of the two markers: the next start writes the other.
pub const DECIDED: &str = "between-markers";

/// Rows of which each half goes into the output: the first is committed, the second is half way when the server dies.
const ROWS: usize = 200;
/// Markers go out in the order of topics' names, so the changelog's comes first.
const OUTPUT: &str = "zz_output";
const PRODUCE: i16 = 12;

/// The server is down, and the last transaction in the output is half done.
pub struct HalfCommitted {
    /// The server and its sides.
    pub bed: Bed,
    /// What the query reads, in one partition.
    pub input: Topic,
    /// What the query writes, in one partition; only its name is known.
    pub output: Topic,
}

impl HalfCommitted {
    /// Starts a server with a query and has it die at `point` of the second epoch with rows.
    #[must_use]
    pub fn at(point: &str) -> HalfCommitted {
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
        bed.broker.run_until_it_dies(point, || {
            let batch = Batch::of_values(requests::now_ms(), &rows(ROWS / 2..ROWS));
            let request = requests::produce_request(PRODUCE, &input, 0, -1, batch.encode());
            // Whether the answer comes before the end is up to the server.
            Connection::open_once_up(&bed.broker.kafka_address()).send(PRODUCE, &request);
        });
        HalfCommitted {
            bed,
            input,
            output: Topic {
                name: OUTPUT.to_owned(),
                ..Topic::unknown()
            },
        }
    }

    /// Starts the server again, and waits until every row is committed once.
    pub fn restart_and_catch_up(&mut self) {
        self.bed.restart();
        self.catch_up();
    }

    /// Waits until every row is committed once.
    ///
    /// # Panics
    /// When one is missing, doubled, or out of order.
    pub fn catch_up(&self) {
        let numbers: Vec<usize> = self.committed(ROWS);
        assert_eq!(numbers, (0..ROWS).collect::<Vec<_>>());
    }

    /// Sends one more row and waits until the query, which goes on, has committed it.
    pub fn goes_on(&mut self) {
        self.bed.send(&self.input, 0, &rows(ROWS..ROWS + 1));
        assert_eq!(self.committed(ROWS + 1).last(), Some(&ROWS));
    }

    /// The committed numbers, once there are so many.
    fn committed(&self, count: usize) -> Vec<usize> {
        let rows = self.bed.rows_until(OUTPUT, "every row", |rows| count <= rows.len());
        let number = |row: &crate::stream::Row| row.json()["n"].as_u64().and_then(|n| usize::try_from(n).ok());
        rows.iter().map(|row| number(row).expect("a number")).collect()
    }
}

fn rows(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|n| format!("{{\"n\": {n}}}")).collect()
}
