//! A year of real flights through the whole machine: one client produces them, SQL counts them, another client reads
//! the result with read_committed and compares it with what it computes from the file itself, and a bounded SELECT over
//! the same topic says the same. The same once more while the server is killed again and again.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tests::broker::TestBroker;
use tests::client::Connection;
use tests::http::{Http, run_script};
use tests::requests::{self, LATEST, Topic};
use tests::stream::{Bed, FREQUENT_RETENTION};
use tests::{half_committed, paths, wait};

use crate::program;

const BATCH: &str = "
    SELECT date_trunc('hour', time_hour) AS window_start, carrier, origin,
           count(*) AS scheduled, count(dep_time) AS departures,
           sum(CASE WHEN dep_time IS NULL THEN 1 ELSE 0 END) AS cancelled, sum(dep_delay) AS delay_sum,
           avg(dep_delay) AS delay_mean, min(dep_delay) AS delay_min, max(dep_delay) AS delay_max,
           count(DISTINCT dest) AS destinations
    FROM flights WHERE carrier <> 'end' GROUP BY 1, 2, 3";

const FLIGHTS: i64 = 336_776;
const PARTITIONS: i32 = 4;
/// Kills at random moments.
const KILLS: usize = 50;
/// Flights between one of them and the next, at most.
const BETWEEN_KILLS: i64 = 3_000;
/// How often a place in a commit is passed before the server dies there.
const PASSES: [u32; 2] = [1, 3];
/// Flights per second, so that they come as long as there are kills.
const PACE: &str = "6000";
const QUERIES: [&str; 2] = ["flights_hourly", "flights_cancelled"];
/// The bounded SELECT keeps a set of destinations for each of 117 thousand groups.
const SELECT_MEMORY: (&str, &str) = ("sql.select_memory", "2GiB");

#[test]
fn flights_of_a_year() {
    let broker = TestBroker::start_with(&[SELECT_MEMORY]);
    let http = Http::of(&broker);
    print!("{}", run(&broker, "produce"));

    run_script(&http, &statements());
    wait::until("both queries to finish", || {
        let queries = http.rows("SHOW QUERIES");
        for query in &queries {
            assert!(!says(query, "failed"), "{query:?}");
        }
        queries.iter().filter(|query| says(query, "finished")).count() == 2
    });

    print!("{}", run(&broker, "verify"));
    assert_streamed(&http, &by_key(http.rows(BATCH)));
}

/// Kills at named points and at random while an idempotent producer sends the flights, once with the state's folder
/// deleted; then the same once more when everything is read, and without the head of the topic, which retention took.
#[test]
fn flights_of_a_year_with_kills() {
    let mut bed = Bed::start_with(&[SELECT_MEMORY, FREQUENT_RETENTION]);
    let mut python = program::python("flights.py", &bed.broker.kafka_address());
    python.args(["produce", PACE]);
    let producing = std::thread::spawn(move || program::run(python));
    let topic = Topic {
        name: "flights".to_owned(),
        ..Topic::unknown()
    };
    requests::wait_for_leaders(&mut bed.connection, &topic, PARTITIONS);
    // The queries run on while the flights come; no partition may be taken for idle while the server is away.
    let endless = statements().replace("stop = 'latest'", "idle_timeout = '1 hour'");
    run_script(&bed.http, &endless);

    for point in half_committed::POINTS {
        for passes in PASSES {
            bed.die_at(point, passes);
        }
    }
    bed.restart();
    let mut random = StdRng::seed_from_u64(2013);
    for kill in 0..KILLS {
        let moment = log_end(&mut bed.connection, &topic) + random.random_range(0..BETWEEN_KILLS);
        wait::until("more flights", || {
            moment.min(FLIGHTS) <= log_end(&mut bed.connection, &topic)
        });
        bed.broker.kill();
        if kill == KILLS / 2 {
            bed.remove_state();
        }
        bed.restart();
    }
    print!("{}", producing.join().expect("every flight is produced"));
    assert_eq!(
        log_end(&mut bed.connection, &topic),
        FLIGHTS,
        "each flight is there once"
    );
    let batch = by_key(bed.http.rows(BATCH));

    lose_state(&mut bed, &topic);
    bed.lose_head(&topic, PARTITIONS);
    lose_state(&mut bed, &topic);

    send_one_more(&mut bed, &topic, "2014-06-01T00:00:00Z");
    for query in QUERIES {
        bed.caught_up(query, &topic.name);
    }
    // The windows that the last flights close may come in epochs of their own.
    wait::until("every window to close", || {
        bed.view_rows("SELECT count(*) FROM flights_hourly") == [[json!(batch.len())]]
    });
    print!("{}", run(&bed.broker, "verify"));
    assert_streamed(&bed.http, &batch);
}

/// Kills the server when everything is committed, and deletes the state of the queries. The state comes back from the
/// changelog: not one flight is read again.
fn lose_state(bed: &mut Bed, topic: &Topic) {
    for query in QUERIES {
        bed.caught_up(query, &topic.name);
    }
    bed.broker.kill();
    bed.remove_state();
    bed.restart();
    // What is read from here on ends with these.
    send_one_more(bed, topic, "2013-01-01T00:00:00Z");
    for query in QUERIES {
        bed.caught_up(query, &topic.name);
        let read = bed.query_metric("rows_read_total", query);
        assert_eq!(read, f64::from(PARTITIONS), "{query} read again what it had committed");
    }
}

fn statements() -> String {
    let script = paths::repository().join("tests/data/sql/flights.sql");
    std::fs::read_to_string(script).expect("the statements are in the repository")
}

fn log_end(connection: &mut Connection, topic: &Topic) -> i64 {
    (0..PARTITIONS)
        .map(|partition| requests::list_offset(connection, topic, partition, LATEST).offset)
        .sum()
}

/// One flight per partition that is in no result: late, or long after all others, which closes their windows.
fn send_one_more(bed: &mut Bed, topic: &Topic, time_hour: &str) {
    let flight = json!({
        "time_hour": time_hour, "carrier": "end", "flight": 0, "tailnum": null, "origin": "", "dest": "",
        "sched_dep_time": 0, "dep_time": 0, "dep_delay": 0, "arr_delay": 0, "air_time": 0, "distance": 0,
    });
    for partition in 0..PARTITIONS {
        bed.send(topic, partition, &[flight.to_string()]);
    }
}

/// The view holds what the batch gave.
fn assert_streamed(http: &Http, batch: &BTreeMap<Vec<String>, Vec<Value>>) {
    let streamed = by_key(http.rows("SELECT * FROM flights_hourly"));
    assert_eq!(streamed.len(), batch.len());
    for (key, row) in batch {
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
