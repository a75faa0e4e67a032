//! A year of real flights through the whole machine: one client produces them, SQL counts them, another client reads
//! the result with read_committed and compares it with what it computes from the file itself, and a bounded SELECT over
//! the same topic says the same.

use std::collections::BTreeMap;

use serde_json::Value;
use tests::broker::TestBroker;
use tests::http::{Http, run_script};
use tests::{paths, wait};

use crate::program;

const BATCH: &str = "
    SELECT date_trunc('hour', time_hour) AS window_start, carrier, origin,
           count(*) AS scheduled, count(dep_time) AS departures,
           sum(CASE WHEN dep_time IS NULL THEN 1 ELSE 0 END) AS cancelled, sum(dep_delay) AS delay_sum,
           avg(dep_delay) AS delay_mean, min(dep_delay) AS delay_min, max(dep_delay) AS delay_max,
           count(DISTINCT dest) AS destinations
    FROM flights GROUP BY 1, 2, 3";

#[test]
fn flights_of_a_year() {
    // The bounded SELECT keeps a set of destinations for each of 117 thousand groups.
    let broker = TestBroker::start_with(&[("sql.select_memory", "2GiB")]);
    let http = Http::of(&broker);
    print!("{}", run(&broker, "produce"));

    let script = paths::repository().join("tests/data/sql/flights.sql");
    run_script(
        &http,
        &std::fs::read_to_string(script).expect("the statements are in the repository"),
    );
    wait::until("both queries to finish", || {
        let queries = http.rows("SHOW QUERIES");
        for query in &queries {
            assert!(!says(query, "failed"), "{query:?}");
        }
        queries.iter().filter(|query| says(query, "finished")).count() == 2
    });

    print!("{}", run(&broker, "verify"));
    let streamed = by_key(http.rows("SELECT * FROM flights_hourly"));
    let batch = by_key(http.rows(BATCH));
    assert_eq!(streamed.len(), batch.len());
    for (key, row) in &batch {
        assert_same(
            key,
            streamed.get(key).unwrap_or_else(|| panic!("{key:?} is missing")),
            row,
        );
    }
}

fn run(broker: &TestBroker, step: &str) -> String {
    let mut python = program::python("flights.py", &broker.kafka_address());
    python.arg(step);
    program::run(python)
}

fn says(row: &[Value], word: &str) -> bool {
    row.iter()
        .any(|cell| cell.as_str().is_some_and(|text| text.eq_ignore_ascii_case(word)))
}

/// Rows by (window_start, carrier, origin), their first three columns.
fn by_key(rows: Vec<Vec<Value>>) -> BTreeMap<Vec<String>, Vec<Value>> {
    let keyed = rows.into_iter().map(|mut row| {
        let values = row.split_off(3);
        (row.into_iter().map(|cell| cell.to_string()).collect(), values)
    });
    keyed.collect()
}

/// Integers and NULL are the same; a mean of integers has six decimals at least.
#[track_caller]
fn assert_same(key: &[String], one: &[Value], other: &[Value]) {
    for (left, right) in one.iter().zip(other) {
        let close = match (left.as_f64(), right.as_f64()) {
            (Some(left), Some(right)) => (left - right).abs() <= 1e-6,
            _ => left == right,
        };
        assert!(close, "{key:?}: {one:?} and {other:?}");
    }
    assert_eq!(one.len(), other.len());
}
