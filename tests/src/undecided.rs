//! A topic in which a transaction is open, and then aborted: the output of a query whose server died when all of an
//! epoch was durable but the decision. Clients cannot make one, because their transactions are not served.

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
        bed.broker.run_until_it_dies("before-decision", || {
            let batch = Batch::of_values(requests::now_ms(), &rows(ROWS / 2..ROWS));
            let request = requests::produce_request(PRODUCE, &input, 0, -1, batch.encode());
            // Whether the answer comes before the end is up to the server.
            Connection::open_once_up(&bed.broker.kafka_address()).send(PRODUCE, &request);
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
}

impl Default for Undecided {
    fn default() -> Undecided {
        Undecided::new()
    }
}

fn rows(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|n| format!("{{\"n\": {n}}}")).collect()
}
