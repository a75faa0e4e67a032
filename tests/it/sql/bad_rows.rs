//! Bad records: after the source's policy they are left out, mended, kept elsewhere, or stop the query; always counted.

use arrow::ipc::reader::StreamReader;
use serde_json::{Value, json};
use tests::batch::Record;
use tests::paths;
use tests::requests::Topic;
use tests::stream::{Bed, Row, cell};

use super::ask;

/// Of these, the last four are bad, each in its own way; the second has fields that nobody asked for.
const VALUES: [&str; 7] = [
    r#"{"id": 1, "n": 10}"#,
    r#"{"id": 2, "n": 20, "more": {"deep": [1, 2, {"x": null}]}}"#,
    r#"{"id": 3}"#,
    r#"{"id": 4, "n": "forty"}"#,
    r#"{"id": 5, "n": 3000000000}"#,
    r#"{"n": 60}"#,
    "not JSON at all",
];

const POLICIES: [&str; 4] = ["", "ON ERROR SKIP", "ON ERROR NULL", "ON ERROR DLQ 'dead'"];

fn records() -> Vec<Record> {
    let record = |(n, value): (usize, &&str)| Record {
        key: Some(format!("key {n}").into_bytes()),
        value: Some(value.as_bytes().to_vec()),
        headers: vec![("trace".to_owned(), Some(n.to_string().into_bytes()))],
        ..Record::default()
    };
    VALUES.iter().enumerate().map(record).collect()
}

fn source(bed: &Bed, topic: &Topic, policy: &str) {
    bed.http.sql(&format!(
        "CREATE SOURCE s (id BIGINT NOT NULL, n INT) WITH (topic = '{}', format = 'json') {policy}",
        topic.name
    ));
}

fn numbers(rows: &[Row]) -> Vec<Value> {
    let mut numbers: Vec<Value> = rows
        .iter()
        .map(|row| json!([row.json()["id"], row.json()["n"]]))
        .collect();
    numbers.sort_by_key(|row| row[0].as_i64());
    numbers
}

/// What is left of [`VALUES`].
fn expected(policy: &str) -> Vec<Value> {
    let mut rows = vec![json!([1, 10]), json!([2, 20]), json!([3, null])];
    if policy.contains("NULL") {
        // A field that must not be NULL cannot be mended, nor can what is no object.
        rows.extend([json!([4, null]), json!([5, null])]);
    }
    rows
}

#[test]
fn a_running_query_follows_the_policy_and_counts() {
    for policy in POLICIES {
        let mut bed = Bed::start();
        let topic = bed.topic("rows", 1);
        source(&bed, &topic, policy);
        bed.http
            .sql("CREATE SINK good AS SELECT id, n FROM s WITH (connector = 'topic', topic = 'good')");
        bed.send_records(&topic, 0, records());
        bed.caught_up("good", &topic.name);
        let expected = expected(policy);
        let rows = bed.rows_until("good", policy, |rows| rows.len() >= expected.len());
        assert_eq!(numbers(&rows), expected, "{policy}");
        assert_eq!(bed.query_metric("bad_rows_total", "good"), 4.0, "{policy}");
        assert_eq!(bed.query_metric("rows_read_total", "good"), 7.0, "{policy}");
        bed.status("good", "running");
    }
}

#[test]
fn a_bounded_select_follows_the_policy_too() {
    for policy in POLICIES {
        let mut bed = Bed::start();
        let topic = bed.topic("rows", 1);
        source(&bed, &topic, policy);
        bed.send_records(&topic, 0, records());
        let answer = bed.http.sql(SELECT);
        assert_eq!(answer["rows"], Value::from(expected(policy)), "{policy}");
        // What a NULL mends is a row; what it cannot mend is left out like everything bad elsewhere.
        let skipped = VALUES.len() - expected(policy).len();
        assert_eq!(answer["skipped_rows"], json!(skipped), "{policy}");
        assert_eq!(
            bed.http.metric("tidemill_select_bad_rows_total"),
            skipped as f64,
            "{policy}"
        );
    }
}

const SELECT: &str = "SELECT id, n FROM s ORDER BY id";

#[test]
fn a_select_says_what_it_left_out_in_its_own_answer_only() {
    let mut bed = Bed::start();
    let topic = bed.topic("rows", 1);
    source(&bed, &topic, "");
    bed.send_records(&topic, 0, records());
    let events = ask(&bed.broker, "text/event-stream", SELECT).text();
    assert!(
        events.ends_with("event: end\ndata: {\"command\":\"SELECT\",\"row_count\":3,\"skipped_rows\":4}\n\n"),
        "{events}"
    );
    // Bounds leave it out before it is read, and what is good has nothing to say.
    let good = bed.http.sql("SELECT id, n FROM s WHERE _offset < 3");
    assert_eq!((&good["row_count"], good.get("skipped_rows")), (&json!(3), None));
    assert_eq!(bed.http.metric("tidemill_select_bad_rows_total"), 4.0);

    let mut command = std::process::Command::new(paths::tidemill_binary());
    command.args(["sql", "--server", &bed.broker.http_url(), "-o", "csv", "-c", SELECT]);
    let output = command.output().expect("the binary can be run");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "id,n\n1,10\n2,20\n3,\n");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("4 bad records left out"), "{said}");
}

/// Where there is room for columns and rows alone, the metric is what tells.
#[test]
fn forms_of_rows_alone_leave_the_count_to_the_metric() {
    let mut bed = Bed::start();
    let topic = bed.topic("rows", 1);
    source(&bed, &topic, "");
    bed.send_records(&topic, 0, records());
    let metric = || bed.http.metric("tidemill_select_bad_rows_total");
    let columns = r#"[{"name":"id","type":"BIGINT"},{"name":"n","type":"INT"}]"#;
    let ndjson = ask(&bed.broker, "application/x-ndjson", SELECT).text();
    assert_eq!(ndjson, format!("{columns}\n[1,10]\n[2,20]\n[3,null]\n"));
    assert_eq!(metric(), 4.0);
    let csv = ask(&bed.broker, "text/csv", SELECT).text();
    assert_eq!(csv, "id,n\n1,10\n2,20\n3,\n");
    assert_eq!(metric(), 8.0);
    let arrow = ask(&bed.broker, "application/vnd.apache.arrow.stream", SELECT);
    let reader = StreamReader::try_new(arrow.body.as_slice(), None).expect("an Arrow stream");
    assert!(reader.schema().metadata().is_empty());
    let rows: usize = reader.map(|batch| batch.expect("a whole batch").num_rows()).sum();
    assert_eq!((rows, metric()), (3, 12.0));
}

#[test]
fn dead_letters_keep_everything_and_say_why() {
    let mut bed = Bed::start();
    let topic = bed.topic("rows", 2);
    source(&bed, &topic, "ON ERROR DLQ 'dead'");
    bed.http
        .sql("CREATE SINK good AS SELECT id, n FROM s WITH (connector = 'topic', topic = 'good')");
    bed.send(&topic, 1, &[r#"{"id": 100, "n": 1}"#]);
    bed.send_records(&topic, 1, records());
    let dead = bed.rows_until("dead", "four dead letters", |rows| rows.len() >= 4);
    assert_eq!(dead.len(), 4);
    for (row, n) in dead.iter().zip([3_usize, 4, 5, 6]) {
        assert_eq!(row.key.as_deref(), Some(format!("key {n}").as_str()));
        assert_eq!(row.value.as_deref(), Some(VALUES[n]));
        assert_eq!(
            row.header("trace"),
            Some(n.to_string().as_str()),
            "the record's own headers stay"
        );
        assert_eq!(row.header("tidemill.topic"), Some(topic.name.as_str()));
        assert_eq!(row.header("tidemill.partition"), Some("1"));
        assert_eq!(row.header("tidemill.offset"), Some((n + 1).to_string().as_str()));
        assert!(
            row.header("tidemill.error").is_some_and(|error| !error.is_empty()),
            "{row:?}"
        );
    }
    assert!(
        dead[0]
            .header("tidemill.error")
            .is_some_and(|error| error.contains("\"n\"")),
        "{:?}",
        dead[0]
    );
    assert_eq!(bed.rows("good").len(), 4);
}

#[test]
fn fail_stops_the_query_and_says_where() {
    let mut bed = Bed::start();
    let topic = bed.topic("rows", 1);
    source(&bed, &topic, "ON ERROR FAIL");
    bed.http
        .sql("CREATE SINK strict AS SELECT id, n FROM s WITH (connector = 'topic', topic = 'good')");
    bed.http.sql(&format!(
        "CREATE SINK other AS SELECT _offset FROM \"{}\" WITH (connector = 'topic', topic = 'all')",
        topic.name
    ));
    bed.send_records(&topic, 0, records());
    bed.status("strict", "failed");
    let row = bed.query("strict").expect("a failed query is shown");
    let reason = cell(&row, "reason");
    assert!(reason.contains("offset 3") && reason.contains(&topic.name), "{row:?}");
    let series = "tidemill_query_state{query=\"strict\",state=\"FAILED\"}";
    assert_eq!(bed.http.metric(series), 1.0);
    assert_eq!(
        bed.rows("good").len(),
        0,
        "the epoch with the bad record was not committed"
    );
    bed.caught_up("other", &topic.name);
    assert_eq!(
        bed.rows_until("all", "the neighbour", |rows| rows.len() >= 7).len(),
        7,
        "a neighbour is not touched"
    );
    let select = bed.http.try_sql("SELECT * FROM s");
    assert_eq!((select.status, select.error_code()), (400, "22000".into()));

    // It is dropped like any other, and created again over what comes after.
    bed.http.sql("DROP SOURCE s CASCADE");
    bed.http.sql(&format!(
        "CREATE SOURCE s (id BIGINT NOT NULL, n INT) WITH (topic = '{}', start = '0:7') ON ERROR FAIL",
        topic.name
    ));
    bed.http
        .sql("CREATE SINK strict AS SELECT id, n FROM s WITH (connector = 'topic', topic = 'good')");
    bed.send(&topic, 0, &[r#"{"id": 8, "n": 80}"#]);
    assert_eq!(
        numbers(&bed.rows_until("good", "the next record", |rows| !rows.is_empty())),
        [json!([8, 80])]
    );
}

/// A record that is readable and whose watermark cannot be computed is one record among others.
#[test]
fn a_watermark_that_fails_follows_the_policy() {
    for policy in POLICIES.iter().copied().chain(["ON ERROR FAIL"]) {
        let mut bed = Bed::start();
        let topic = bed.topic("rows", 1);
        bed.http.sql(&format!(
            "CREATE SOURCE s (d BIGINT, ts TIMESTAMPTZ, WATERMARK FOR ts AS CASE WHEN 10 / d > 0 THEN ts ELSE ts END)
             WITH (topic = '{}') {policy}",
            topic.name
        ));
        bed.http
            .sql("CREATE SINK good AS SELECT d FROM s WITH (connector = 'topic', topic = 'good')");
        let value = |d: i64| format!(r#"{{"d":{d},"ts":"2026-01-01T00:00:00Z"}}"#);
        bed.send(&topic, 0, &[3, 0, 2, 0, 1].map(value));
        if policy.ends_with("FAIL") {
            bed.status("good", "failed");
            let row = bed.query("good").expect("a failed query is shown");
            assert!(cell(&row, "reason").contains("offset 1"), "{row:?}");
            continue;
        }
        bed.caught_up("good", &topic.name);
        let rows: Vec<Value> = bed.rows("good").iter().map(|row| row.json()["d"].clone()).collect();
        assert_eq!(rows, [3, 2, 1], "{policy}");
        assert_eq!(bed.query_metric("bad_rows_total", "good"), 2.0, "{policy}");
        if policy.contains("DLQ") {
            let dead: Vec<_> = bed.rows("dead").into_iter().filter_map(|row| row.value).collect();
            assert_eq!(dead, [value(0), value(0)]);
        }
    }
}
