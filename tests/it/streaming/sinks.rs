//! Sinks: rows computed one by one, to topics that are made for them or were there before.

use serde_json::{Value, json};
use tests::batch::Batch;
use tests::requests;
use tests::stream::{Bed, Row};

use super::{Event, base_ms, send, source};

fn values(rows: &[Row]) -> Vec<Value> {
    rows.iter().map(Row::json).collect()
}

fn event(n: i64, key: &str, value: Option<i64>) -> Event {
    Event {
        ts: base_ms() + n * 1_000,
        key: key.to_owned(),
        value,
    }
}

#[test]
fn projections_filters_and_cases_reach_a_topic() {
    let mut bed = Bed::start();
    let topic = bed.topic("in", 1);
    source(&bed, &topic, "");
    bed.http.sql(
        "CREATE SINK flagged AS
           SELECT upper(k) AS name, v * 2 AS twice, _offset AS place,
                  CASE WHEN v > 100 THEN 'fraud' WHEN v IS NULL THEN 'unknown' ELSE 'ok' END AS verdict
           FROM s WHERE k <> 'skip'
           WITH (connector = 'topic', topic = 'out', format = 'json', partitions = 1)",
    );
    let rows = [("a", Some(1)), ("skip", Some(5)), ("b", Some(101)), ("c", None)];
    let rows: Vec<Event> = (0..).zip(rows).map(|(n, (key, value))| event(n, key, value)).collect();
    send(&mut bed, &topic, 1, &rows);
    let out = bed.rows_until("out", "three rows", |rows| rows.len() >= 3);
    assert_eq!(
        values(&out),
        [
            json!({ "name": "A", "twice": 2, "place": 0, "verdict": "ok" }),
            json!({ "name": "B", "twice": 202, "place": 2, "verdict": "fraud" }),
            json!({ "name": "C", "twice": null, "place": 3, "verdict": "unknown" }),
        ]
    );
    assert!(
        out.iter().all(|row| row.key.is_none() && row.headers.is_empty()),
        "an append stream has no keys"
    );
    assert_eq!(
        out[0].value.as_deref(),
        Some(r#"{"name":"A","twice":2,"place":0,"verdict":"ok"}"#)
    );
    bed.caught_up("flagged", &topic.name);
    assert_eq!(bed.query_metric("rows_in_total", "flagged"), 4.0);
    assert_eq!(bed.query_metric("rows_out_total", "flagged"), 3.0);
    assert_eq!(
        bed.http.rows("SELECT count(*) FROM \"out\""),
        [[json!(3)]],
        "the result is a topic like any other"
    );
}

#[test]
fn a_key_decides_the_partition_as_clients_would() {
    let mut bed = Bed::start();
    let topic = bed.topic("in", 1);
    source(&bed, &topic, "");
    bed.http.sql(
        "CREATE SINK keyed AS SELECT k, v FROM s
         WITH (connector = 'topic', topic = 'keyed_out', key = 'k', partitions = 4)",
    );
    let rows: Vec<Event> = (0..40).map(|n| event(n, &format!("key{}", n % 8), Some(n))).collect();
    send(&mut bed, &topic, 1, &rows);
    let out = bed.rows_until("keyed_out", "forty rows", |rows| rows.len() >= 40);
    let mut partitions = std::collections::BTreeMap::new();
    for row in &out {
        let key = row.key.clone().expect("a key");
        let parsed: Value = serde_json::from_str(&key).expect("a key is a JSON object");
        assert_eq!(parsed, json!({ "k": row.json()["k"] }));
        assert_eq!(
            *partitions.entry(key).or_insert(row.partition),
            row.partition,
            "a key stays in its partition"
        );
    }
    assert_eq!(partitions.len(), 8);
    let used: std::collections::BTreeSet<i32> = partitions.values().copied().collect();
    assert!(used.len() > 1, "keys spread");
    for key in partitions.keys() {
        let mine: Vec<&Row> = out.iter().filter(|row| row.key.as_deref() == Some(key)).collect();
        let order: Vec<i64> = mine
            .iter()
            .map(|row| row.json()["v"].as_i64().expect("a number"))
            .collect();
        assert!(order.is_sorted(), "{key}: {order:?}");
    }
}

#[test]
fn sinks_may_share_a_topic_and_follow_views() {
    let mut bed = Bed::start();
    let topic = bed.topic("in", 2);
    source(&bed, &topic, "");
    let out = bed.topic("shared", 1).name;
    bed.http.sql("CREATE VIEW odd AS SELECT k, v FROM s WHERE v % 2 <> 0");
    bed.http.sql(&format!(
        "CREATE SINK one FROM odd WITH (connector = 'topic', topic = '{out}')"
    ));
    bed.http.sql(&format!(
        "CREATE SINK two AS SELECT k, v FROM s WHERE v % 2 = 0 WITH (connector = 'topic', topic = '{out}')"
    ));
    bed.http.sql("CREATE SINK hole FROM odd WITH (connector = 'blackhole')");
    let rows: Vec<Event> = (0..60).map(|n| event(n, "k", Some(n))).collect();
    send(&mut bed, &topic, 2, &rows);
    let mut numbers: Vec<i64> = bed
        .rows_until(&out, "sixty rows", |rows| rows.len() >= 60)
        .iter()
        .map(|row| row.json()["v"].as_i64().expect("a number"))
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..60).collect::<Vec<i64>>());
    bed.caught_up("hole", &topic.name);
    assert_eq!(
        bed.query_metric("rows_out_total", "hole"),
        30.0,
        "a blackhole counts what it swallows"
    );
    // The topic was there before and is nobody's: it outlives the sinks.
    bed.http.sql("DROP SINK one");
    bed.http.sql("DROP SINK two");
    assert_eq!(bed.rows(&out).len(), 60);
    let offset = requests::produce(&mut bed.connection, &named(&out), 0, &Batch::of_values(1, &["x"]));
    assert!(offset >= 60, "and clients may write it: {offset}");
}

fn named(name: &str) -> requests::Topic {
    requests::Topic {
        name: name.to_owned(),
        ..requests::Topic::unknown()
    }
}

#[test]
fn where_a_source_starts_and_stops_is_settled_at_creation() {
    let mut bed = Bed::start();
    let topic = bed.topic("in", 1);
    let rows: Vec<Event> = (0..30).map(|n| event(n, "k", Some(n))).collect();
    send(&mut bed, &topic, 1, &rows[..10]);
    for (name, options) in [
        ("all", "start = 'earliest'"),
        ("later", "start = 'latest'"),
        ("from_four", "start = '0:4'"),
        ("to_seven", "stop = '0:7'"),
        ("so_far", "stop = 'latest'"),
    ] {
        bed.http.sql(&format!(
            "CREATE SOURCE {name} (v BIGINT) WITH (topic = '{}', format = 'json', {options})",
            topic.name
        ));
        bed.http.sql(&format!(
            "CREATE SINK {name}_sink AS SELECT v FROM {name} WITH (connector = 'topic', topic = '{name}_out')"
        ));
    }
    send(&mut bed, &topic, 1, &rows[10..]);
    bed.kill_and_restart();
    for (name, numbers) in [
        ("all", 0..30),
        ("later", 10..30),
        ("from_four", 4..30),
        ("to_seven", 0..7),
        ("so_far", 0..10),
    ] {
        let expected: Vec<i64> = numbers.collect();
        let out = bed.rows_until(&format!("{name}_out"), name, |rows| rows.len() >= expected.len());
        let got: Vec<i64> = out
            .iter()
            .map(|row| row.json()["v"].as_i64().expect("a number"))
            .collect();
        assert_eq!(got, expected, "{name}");
    }
    bed.status("to_seven_sink", "finished");
    bed.status("so_far_sink", "finished");
    bed.status("all_sink", "running");
}
