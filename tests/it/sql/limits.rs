//! Every bound of the SQL port, set low enough to be met.

use serde_json::json;
use tests::broker::TestBroker;
use tests::http::Http;
use tests::stream::Bed;

use super::{ask, post};

const NDJSON: &str = "application/x-ndjson";

#[test]
fn statements_bodies_and_results_have_their_bounds() {
    let broker = TestBroker::start_with(&[
        ("sql.max_statement", "2KiB"),
        ("http.max_body", "8KiB"),
        ("http.max_result", "64KiB"),
    ]);
    let http = Http::of(&broker);
    let padded = |bytes: usize| format!("SELECT 1 {}", " ".repeat(bytes - "SELECT 1 ".len()));
    assert_eq!(http.try_sql(&padded(2048)).status, 200);
    let long = http.try_sql(&padded(2049));
    assert_eq!((long.status, long.error_code()), (413, "54000".into()), "{}", long.body);

    let body = |bytes: usize| {
        let around = json!({ "statement": "SELECT 1", "parameters": [""] }).to_string().len();
        json!({ "statement": "SELECT 1", "parameters": ["x".repeat(bytes - around)] }).to_string()
    };
    assert_eq!(post(&broker, None, body(8192).as_bytes()).status, 200);
    let large = post(&broker, None, body(8193).as_bytes());
    assert_eq!(
        (large.status, large.json()["error"]["code"].clone()),
        (413, json!("54000"))
    );

    let ten = "(VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9))";
    let rows = &format!("SELECT repeat('x', 100) AS filler FROM {ten} AS a(n), {ten} AS b(n), {ten} AS c(n)");
    let result = http.try_sql(rows);
    assert_eq!(
        (result.status, result.error_code()),
        (413, "54000".into()),
        "{}",
        result.body
    );
    assert!(
        result.json()["error"]["hint"]
            .as_str()
            .is_some_and(|hint| hint.contains(NDJSON)),
        "{}",
        result.body
    );
    assert_eq!(
        ask(&broker, NDJSON, rows).text().lines().count(),
        1001,
        "a streamed result is not gathered"
    );
    assert_eq!(http.try_sql(&format!("{rows} LIMIT 10")).status, 200);
}

#[test]
fn deep_and_wide_statements_are_too_complex() {
    let broker = TestBroker::start();
    let http = Http::of(&broker);
    let nested = format!("SELECT {}1{}", "(".repeat(500), ")".repeat(500));
    let wide = format!("SELECT {}1", "1 + ".repeat(20_000));
    let subqueries = format!("SELECT * FROM {}", "(SELECT * FROM ".repeat(400));
    for statement in [nested, wide, subqueries] {
        let answer = http.try_sql(&statement);
        assert!(
            answer.status == 400 || answer.status == 413,
            "{}: {}",
            answer.status,
            answer.body
        );
        assert!(
            ["54001", "54000", "42601"].contains(&answer.error_code().as_str()),
            "{}",
            answer.body
        );
    }
    assert_eq!(http.get("/livez").status, 200, "the stack held");
    let fair = format!("SELECT {}1 AS n", "1 + ".repeat(200));
    assert_eq!(http.rows(&fair)[0][0], json!(201));
}

#[test]
fn a_select_beyond_its_memory_fails_alone() {
    let mut bed = Bed::start_with(&[("sql.select_memory", "1MiB")]);
    let topic = bed.topic("wide", 1);
    for _ in 0..8 {
        let values: Vec<String> = (0..100).map(|n| format!("{n:05}{}", "y".repeat(4_000))).collect();
        bed.send(&topic, 0, &values);
    }
    let sorted = format!("SELECT _offset FROM \"{}\" ORDER BY _value, _offset", topic.name);
    let answer = bed.http.try_sql(&sorted);
    assert_eq!(
        (answer.status, answer.error_code()),
        (503, "53200".into()),
        "{}",
        &answer.body[..answer.body.len().min(300)]
    );
    let count = format!("SELECT count(*) AS n FROM \"{}\"", topic.name);
    assert_eq!(
        bed.http.rows(&count),
        [[json!(800)]],
        "a query that streams needs little"
    );
}

#[test]
fn the_number_of_running_queries_is_bounded() {
    let mut bed = Bed::start_with(&[("sql.max_queries", "2")]);
    let topic = bed.topic("few", 1).name;
    let create = |n: usize| format!("CREATE SINK q{n} AS SELECT * FROM \"{topic}\" WITH (connector = 'blackhole')");
    assert_eq!(bed.http.try_sql(&create(1)).status, 200);
    assert_eq!(bed.http.try_sql(&create(2)).status, 200);
    let third = bed.http.try_sql(&create(3));
    assert_eq!(
        (third.status, third.error_code()),
        (503, "53400".into()),
        "{}",
        third.body
    );
    bed.http.sql("DROP SINK q1");
    assert_eq!(bed.http.try_sql(&create(3)).status, 200);
}
