//! Functions that make much of little. Goal: neither a record nor a statement makes the server take more memory than it
//! may, or fall. Method: both ask for gigabytes, and the most that the process has held is looked at afterwards.

use serde_json::json;
use tests::stream::Bed;

use super::bombs::memory_peak;

/// What the server may hold at its most. Each of the values asked for is larger.
const HELD_MAX: usize = 640 << 20;

#[test]
fn a_record_that_asks_for_a_huge_value_is_a_bad_record() {
    let mut bed = Bed::start();
    let topic = bed.topic("widths", 1);
    bed.http.sql(&format!(
        "CREATE SOURCE widths (s TEXT, w BIGINT) WITH (topic = '{}')",
        topic.name
    ));
    bed.http
        .sql("CREATE SINK padded AS SELECT lpad(s, w, '.') AS padded FROM widths WITH (connector = 'topic', topic = 'padded')");
    bed.send(
        &topic,
        0,
        &[
            r#"{"s":"a","w":3}"#,
            r#"{"s":"a","w":2000000000}"#,
            r#"{"s":"b","w":2}"#,
        ],
    );
    bed.caught_up("padded", &topic.name);
    assert_eq!(bed.query_metric("bad_rows_total", "padded"), 1.0);
    let rows: Vec<_> = bed.rows("padded").into_iter().filter_map(|row| row.value).collect();
    assert_eq!(rows, [r#"{"padded":"..a"}"#, r#"{"padded":".b"}"#]);
    let held = memory_peak(bed.broker.pid());
    assert!(held < HELD_MAX, "{held} bytes");
}

#[test]
fn a_statement_that_asks_for_a_huge_value_fails_alone() {
    let mut bed = Bed::start();
    let topic = bed.topic("few", 1);
    let values: Vec<String> = (0..1_000).map(|n| format!(r#"{{"n":{n}}}"#)).collect();
    bed.send(&topic, 0, &values);
    bed.http
        .sql(&format!("CREATE SOURCE few (n INT) WITH (topic = '{}')", topic.name));
    for huge in [
        "SELECT length(repeat('a', 1000000000))",
        "SELECT length(lpad('a', 2000000000)) FROM few",
        "SELECT array_length(range(1000000000), 1)",
    ] {
        let answer = bed.http.try_sql(huge);
        assert_eq!(answer.error_code(), "54000", "{huge}: {}", answer.body);
    }
    let windows = "SELECT count(*) FROM HOP(few, _timestamp, INTERVAL '1 second', INTERVAL '2 hours')";
    assert_eq!(bed.http.rows(windows), [[json!(7_200_000)]]);
    let held = memory_peak(bed.broker.pid());
    assert!(held < HELD_MAX, "{held} bytes");
}
