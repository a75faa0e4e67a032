//! TUMBLE and HOP with every aggregate and every way to emit, against a model that knows nothing but the events.

use std::collections::BTreeMap;

use serde_json::Value;
use tests::stream::{Bed, Row};

use super::{AGGREGATES, Event, Results, assert_same, base_ms, close_windows, events, keyed, model, send, source};

const PARTITIONS: i32 = 3;

/// The final rows of a sink: every window once.
fn once(rows: &[Row]) -> Results {
    let mut results = Results::new();
    for row in rows {
        let (key, value) = keyed(row.json());
        assert!(results.insert(key.clone(), value).is_none(), "{key:?} comes twice");
    }
    results
}

/// The last row of every key: what a compacted topic comes down to.
fn folded(rows: &[Row]) -> Results {
    let mut last: BTreeMap<String, &Row> = BTreeMap::new();
    for row in rows {
        last.insert(row.key.clone().expect("an upsert has a key"), row);
    }
    last.into_values()
        .filter(|row| row.value.is_some())
        .map(|row| keyed(row.json()))
        .collect()
}

fn without_end(results: Results) -> Results {
    results.into_iter().filter(|((_, key), _)| key != "end").collect()
}

fn windowed(table: &str, emit: &str) -> String {
    format!("SELECT window_start, k, {AGGREGATES} FROM {table} GROUP BY window_start, window_end, k EMIT {emit}")
}

fn sink(bed: &Bed, name: &str, table: &str, emit: &str) {
    let query = windowed(table, emit);
    bed.http.sql(&format!(
        "CREATE SINK {name} AS {query} WITH (connector = 'topic', topic = '{name}', partitions = 2)"
    ));
}

/// Sends a part before and the rest after the query exists, with every window closed at the end.
fn feed(bed: &mut Bed, topic: &tests::requests::Topic, events: &[Event], create: impl Fn(&Bed)) {
    let half = events.len() / 2;
    send(bed, topic, PARTITIONS, &events[..half]);
    create(bed);
    send(bed, topic, PARTITIONS, &events[half..]);
    close_windows(bed, topic, PARTITIONS);
}

#[test]
fn tumbling_windows_are_emitted_once_when_they_close() {
    let mut bed = Bed::start();
    let topic = bed.topic("in", PARTITIONS);
    source(&bed, &topic, "");
    let events = events(1, base_ms(), 1_200);
    feed(&mut bed, &topic, &events, |bed| {
        sink(bed, "closed", "TUMBLE(s, ts, INTERVAL '10 seconds')", "ON WINDOW CLOSE")
    });
    let expected = model(&events, 10_000, 10_000);
    let rows = bed.rows_until("closed", "every window", |rows| rows.len() >= expected.len());
    assert_same(&once(&rows), &expected);
    bed.caught_up("closed", &topic.name);
    assert_same(&once(&bed.rows("closed")), &expected);
    assert_eq!(bed.query_metric("late_rows_total", "closed"), 0.0);
}

#[test]
fn hopping_windows_overlap() {
    let mut bed = Bed::start();
    let topic = bed.topic("in", PARTITIONS);
    source(&bed, &topic, "");
    let events = events(2, base_ms(), 800);
    feed(&mut bed, &topic, &events, |bed| {
        sink(
            bed,
            "hops",
            "HOP(s, ts, INTERVAL '4 seconds', INTERVAL '10 seconds')",
            "ON WINDOW CLOSE",
        );
        let flink = "TABLE(HOP(TABLE s, DESCRIPTOR(ts), INTERVAL '4' SECOND, INTERVAL '10' SECOND))";
        sink(bed, "flink", flink, "ON WINDOW CLOSE");
    });
    let expected = model(&events, 10_000, 4_000);
    for name in ["hops", "flink"] {
        let rows = bed.rows_until(name, "every window", |rows| rows.len() >= expected.len());
        assert_same(&once(&rows), &expected);
    }
}

#[test]
fn updates_fold_to_the_same_result_and_show_before_windows_close() {
    let mut bed = Bed::start();
    let topic = bed.topic("in", PARTITIONS);
    source(&bed, &topic, "");
    let events = events(3, base_ms(), 600);
    let expected = model(&events, 60_000, 60_000);
    for (name, emit) in [
        ("updates", "ON UPDATE"),
        ("both", "ON UPDATE EVERY '50 ms' AND ON WINDOW CLOSE"),
    ] {
        sink(&bed, name, "TUMBLE(s, ts, INTERVAL '1 minute')", emit);
    }
    send(&mut bed, &topic, PARTITIONS, &events);
    for name in ["updates", "both"] {
        // No window has closed yet, except by the events themselves: the last ones are still open.
        let rows = bed.rows_until(name, "the newest counts", |rows| same_counts(&folded(rows), &expected));
        assert_same(&folded(&rows), &expected);
    }
    close_windows(&mut bed, &topic, PARTITIONS);
    for name in ["updates", "both"] {
        bed.caught_up(name, &topic.name);
        let rows = bed.rows_until(name, "the last event", |rows| {
            let results = folded(rows);
            results.keys().any(|(_, key)| key == "end") && same_counts(&without_end(results), &expected)
        });
        assert_same(&without_end(folded(&rows)), &expected);
        assert!(
            rows.iter().all(|row| row.value.is_some()),
            "a window that closes deletes nothing"
        );
    }
}

fn same_counts(actual: &Results, expected: &Results) -> bool {
    let counts = |results: &Results| {
        results
            .iter()
            .map(|(key, row)| (key.clone(), row["n"].clone()))
            .collect::<Vec<_>>()
    };
    counts(actual) == counts(expected)
}

#[test]
fn a_filter_on_an_aggregate_and_having_and_offsets_of_windows() {
    let mut bed = Bed::start();
    let topic = bed.topic("in", PARTITIONS);
    source(&bed, &topic, "");
    let events = events(4, base_ms(), 400);
    bed.http.sql(
        "CREATE SINK filtered AS
           SELECT window_start, window_end, k, count(*) FILTER (WHERE v > 0) AS positive, count(*) AS n
           FROM TUMBLE(s, ts, INTERVAL '10 seconds', INTERVAL '3 seconds')
           GROUP BY window_start, window_end, k HAVING count(*) > 5
           WITH (connector = 'topic', topic = 'filtered')",
    );
    send(&mut bed, &topic, PARTITIONS, &events);
    close_windows(&mut bed, &topic, PARTITIONS);
    let shifted: Vec<Event> = events
        .iter()
        .map(|event| Event {
            ts: event.ts - 3_000,
            ..event.clone()
        })
        .collect();
    let mut groups: BTreeMap<(i64, String), (i64, i64)> = BTreeMap::new();
    for event in &shifted {
        let start = event.ts - event.ts.rem_euclid(10_000) + 3_000;
        let group = groups.entry((start, event.key.clone())).or_default();
        group.0 += i64::from(event.value > Some(0));
        group.1 += 1;
    }
    groups.retain(|_, (_, n)| *n > 5);
    let rows = bed.rows_until("filtered", "every window", |rows| rows.len() >= groups.len());
    let expected: Results = groups
        .into_iter()
        .map(|(key, (positive, n))| (key, serde_json::json!({ "positive": positive, "n": n })))
        .collect();
    let end = |row: &Value| super::milliseconds(row["window_end"].as_str().expect("a time"));
    let start = |row: &Value| super::milliseconds(row["window_start"].as_str().expect("a time"));
    assert!(rows.iter().all(|row| end(&row.json()) - start(&row.json()) == 10_000));
    assert_same(&once(&rows), &expected);
}

#[test]
fn groups_without_a_window_are_updated_for_ever() {
    let mut bed = Bed::start();
    let topic = bed.topic("in", PARTITIONS);
    source(&bed, &topic, "");
    bed.http.sql(&format!(
        "CREATE MATERIALIZED VIEW totals AS SELECT k, {AGGREGATES} FROM s GROUP BY k"
    ));
    let events = events(5, base_ms(), 500);
    let mut expected = BTreeMap::new();
    for (round, part) in events.chunks(250).enumerate() {
        send(&mut bed, &topic, PARTITIONS, part);
        let so_far = &events[..(round + 1) * 250];
        expected = so_far
            .iter()
            .fold(BTreeMap::new(), |mut groups: BTreeMap<String, Vec<_>>, event| {
                groups.entry(event.key.clone()).or_default().push(event.value);
                groups
            });
        tests::wait::until("the view to be up to date", || {
            bed.view_rows("SELECT sum(n) FROM totals")[0][0].as_f64() == Some(so_far.len() as f64)
        });
    }
    for row in tests::stream::objects(&bed.http.sql("SELECT * FROM totals")) {
        let mut row = serde_json::to_value(row).expect("an object");
        let key = row.as_object_mut().and_then(|row| row.remove("k")).expect("a key");
        let values = &expected[key.as_str().expect("text")];
        assert!(super::same(&row, &super::aggregate(values)), "{key}: {row}");
    }
    assert_eq!(
        bed.http.rows("SELECT count(*) FROM totals")[0][0],
        serde_json::json!(expected.len())
    );
}
