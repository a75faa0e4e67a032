//! What is refused: SQLSTATE, HTTP status, a hint where there is something to do, and the position where it is known.

use serde_json::{Value, json};
use tests::broker::TestBroker;
use tests::http::Http;
use tests::stream::Bed;

use super::post;

/// A statement, its HTTP status and SQLSTATE, a part of its message, and a part of its hint ("" where none is due).
type Case = (&'static str, u16, &'static str, &'static str, &'static str);

fn check(http: &Http, cases: &[Case]) {
    let mut wrong = Vec::new();
    for (statement, status, code, message, hint) in cases {
        let answer = http.try_sql(statement);
        let error = answer.json()["error"].clone();
        let text = |field: &str| error[field].as_str().unwrap_or_default().to_lowercase();
        let right = answer.status == *status
            && error["code"] == *code
            && text("message").contains(&message.to_lowercase())
            && text("hint").contains(&hint.to_lowercase());
        if !right {
            wrong.push(format!(
                "{statement}\n  got      {} {error}\n  expected {status} {code} {message} {hint}",
                answer.status
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Statements that are wrong whatever there is.
#[rustfmt::skip]
const STATEMENTS: &[Case] = &[
    ("SELEC 1", 400, "42601", "selec", ""),
    ("", 400, "42601", "empty", ""),
    ("SELECT 1; SELECT 2", 400, "42601", "one statement", ""),
    ("SELECT 'open", 400, "42601", "", ""),
    ("SELECT (1", 400, "42601", "", ""),
    ("SELECT * FROM missing", 404, "42P01", "\"missing\"", ""),
    ("SELECT nope FROM (VALUES (1)) AS t(n)", 400, "42703", "nope", ""),
    ("SELECT nam FROM (VALUES (1)) AS t(name)", 400, "42703", "nam", "name"),
    ("SELECT no_such_function(1)", 400, "42883", "no_such_function", ""),
    ("SELECT 1 / 0", 400, "22012", "division by zero", ""),
    ("SELECT 9223372036854775807 + 1", 400, "22003", "", ""),
    ("SELECT 'abc'::INT", 400, "22P02", "abc", ""),
    ("SELECT n FROM (VALUES (1)) AS a(n), (VALUES (1)) AS b(n)", 400, "42702", "n", ""),
    ("SELECT n, count(*) FROM (VALUES (1)) AS a(n)", 400, "42803", "", ""),
    ("SELECT * FROM (VALUES (1)) AS a(n) WHERE n", 400, "42804", "", ""),
    ("SELECT $1", 400, "42P02", "$1", ""),
    ("SELECT (SELECT n FROM (VALUES (1), (2)) AS t(n))", 400, "21000", "more than one row", ""),
    ("SELECT now() - now() AS d", 501, "0A000", "\"d\" is of type INTERVAL", "extract(epoch"),
    ("SELECT sum(DISTINCT n), count(*) FROM (VALUES (1), (1)) AS t(n)", 501, "0A000", "sum(DISTINCT)", "subquery"),
    ("SELECT * FROM (VALUES (1)) AS a(n), LATERAL (SELECT m FROM (VALUES (2)) AS b(m) WHERE m > n LIMIT 1) AS l",
     501, "0A000", "refers to the query around it", "join"),
    ("SELECT 1e400", 400, "22003", "1e400", ""),
    ("SELECT * FROM (VALUES (1)) AS a(n) FOR UPDATE", 501, "0A000", "FOR UPDATE", ""),
    ("SELECT 1 EMIT CHANGES", 501, "0A000", "EMIT", ""),
    ("DROP SOURCE missing", 404, "42P01", "missing", ""),
    ("SHOW CREATE missing", 404, "42P01", "missing", ""),
    ("DESCRIBE missing", 404, "42P01", "missing", ""),
    ("SHOW epoch_intervall", 404, "42704", "epoch_intervall", "epoch_interval"),
];

#[test]
fn wrong_statements() {
    let broker = TestBroker::start();
    check(&Http::of(&broker), STATEMENTS);
}

/// Statements of the language that this release does not have.
#[rustfmt::skip]
const NOT_YET: &[Case] = &[
    ("CREATE TABLE t (id BIGINT PRIMARY KEY) WITH (topic = 't')", 501, "0A000", "CREATE TABLE", "CREATE SOURCE"),
    ("CREATE OR REPLACE VIEW v AS SELECT 1", 501, "0A000", "OR REPLACE", "drop"),
    ("CREATE TASK t SCHEDULE CRON '* * * * *' AS SELECT 1", 501, "0A000", "TASK", ""),
    ("CREATE SECRET s AS 'x'", 501, "0A000", "SECRET", ""),
    ("INSERT INTO t SELECT 1", 501, "0A000", "INSERT", ""),
    ("UPDATE t SET a = 1", 501, "0A000", "UPDATE", ""),
    ("DELETE FROM t", 501, "0A000", "DELETE", ""),
    ("SUBSCRIBE TO v", 501, "0A000", "SUBSCRIBE", ""),
    ("PAUSE QUERY q", 501, "0A000", "PAUSE", ""),
    ("EXPLAIN ANALYZE q", 501, "0A000", "ANALYZE", "SHOW QUERIES"),
    ("SET parallelism = 4", 501, "0A000", "parallelism", ""),
];

#[test]
fn what_is_planned_and_not_there_yet_says_so() {
    let broker = TestBroker::start();
    check(&Http::of(&broker), NOT_YET);
}

/// Definitions that are wrong; `s` is a source.
#[rustfmt::skip]
const DEFINITIONS: &[Case] = &[
    ("CREATE SOURCE x (a INT) WITH (topik = 't')", 400, "22023", "topik", "topic"),
    ("CREATE SOURCE x (a INT) WITH (topic = 't', format = 'avro')", 501, "0A000", "avro", "json"),
    ("CREATE SOURCE x (a INT) WITH (topic = 't', start = 'yesterday')", 400, "22023", "start", ""),
    ("CREATE SOURCE x (a INT, a TEXT)", 400, "42701", "\"a\"", ""),
    ("CREATE SOURCE x (_offset INT)", 400, "42701", "_offset", ""),
    ("CREATE SOURCE x (a GEOMETRY)", 501, "0A000", "\"a\"", "TEXT"),
    ("CREATE SOURCE x (a INT, WATERMARK FOR a)", 400, "42804", "TIMESTAMPTZ", ""),
    ("CREATE SOURCE x (a INT, WATERMARK FOR b)", 400, "42703", "\"b\"", ""),
    ("CREATE SOURCE x (a NUMERIC(50,2))", 400, "22023", "50", ""),
    ("CREATE SOURCE x (id INT, PRIMARY KEY (id))", 501, "0A000", "primary key", "materialized view"),
    ("CREATE SINK x AS SELECT * FROM s", 400, "22023", "connector", "connector = 'topic'"),
    ("CREATE SINK x AS SELECT * FROM s WITH (connector = 'postgres')", 501, "0A000", "postgres", "blackhole"),
    ("CREATE SINK x AS SELECT * FROM s WITH (connector = 'topic', topic = '__consumer_offsets')",
     400, "42602", "__", ""),
    ("CREATE SINK x AS SELECT * FROM s WITH (connector = 'topic', topic = 'a b')", 400, "42602", "' '", ""),
    ("CREATE MATERIALIZED VIEW \"a b\" AS SELECT k FROM s", 400, "42602", "' '", ""),
    ("CREATE MATERIALIZED VIEW x AS SELECT k FROM missing", 404, "42P01", "missing", ""),
    ("CREATE MATERIALIZED VIEW x WITH (parallelism = 2) AS SELECT k FROM s", 501, "0A000", "parallelism", ""),
    ("CREATE MATERIALIZED VIEW x WITH (state_ttl = '1 h') AS SELECT k FROM s", 501, "0A000", "state_ttl", ""),
    ("CREATE MATERIALIZED VIEW s AS SELECT k FROM s", 409, "42P07", "\"s\"", ""),
    ("CREATE SINK x AS SELECT * FROM s WITH (connector = 'blackhole', topic = 't')",
     400, "22023", "\"topic\"", "connector = 'topic'"),
    ("CREATE SINK x AS SELECT * FROM s WITH (connector = 'blackhole', partitions = 2)",
     400, "22023", "\"partitions\"", "connector = 'topic'"),
    ("CREATE SINK x AS SELECT * FROM s WITH (connector = 'blackhole', format = 'avro')",
     400, "22023", "\"format\"", "connector = 'topic'"),
    ("CREATE SINK x AS SELECT * FROM s WITH (connector = 'topic', format = 'avro')", 501, "0A000", "avro", "json"),
    ("CREATE SINK x WITH (connector = 'topic', topic = 'a') AS SELECT * FROM s WITH (topic = 'b')",
     400, "42601", "\"topic\" is given twice", "one of them"),
    ("CREATE MATERIALIZED VIEW x WITH (partitions = 1) AS SELECT k FROM s WITH (partitions = 2)",
     400, "42601", "\"partitions\" is given twice", "one of them"),
];

#[test]
fn wrong_definitions() {
    let mut bed = Bed::start();
    let topic = bed.topic("events", 2).name;
    bed.http.sql(&format!(
        "CREATE SOURCE s (k TEXT, v INT, ts TIMESTAMPTZ, WATERMARK FOR ts) WITH (topic = '{topic}', format = 'json')"
    ));
    check(&bed.http, DEFINITIONS);
    assert_eq!(
        bed.http.rows("SHOW QUERIES").len(),
        0,
        "nothing of a refused statement stays"
    );
    let exists = bed
        .http
        .try_sql(&format!("CREATE MATERIALIZED VIEW \"{topic}\" AS SELECT k FROM s"));
    assert_eq!(
        (exists.status, exists.error_code()),
        (409, "42P07".into()),
        "a view does not take a topic over"
    );
}

/// Queries over the source `s` that cannot be maintained.
#[rustfmt::skip]
const QUERIES: &[Case] = &[
    ("CREATE MATERIALIZED VIEW x AS SELECT a.k FROM s a JOIN s b ON a.k = b.k",
     501, "0A000", "join", "materialized view"),
    ("CREATE MATERIALIZED VIEW x AS SELECT DISTINCT k FROM s", 501, "0A000", "DISTINCT", "GROUP BY"),
    ("CREATE MATERIALIZED VIEW x AS SELECT k FROM s ORDER BY k", 501, "0A000", "ORDER BY", "SELECT"),
    ("CREATE MATERIALIZED VIEW x AS SELECT k FROM s LIMIT 3", 501, "0A000", "LIMIT", "SELECT"),
    ("CREATE MATERIALIZED VIEW x AS SELECT count(*) AS n FROM s", 501, "0A000", "whole stream", "GROUP BY"),
    ("CREATE MATERIALIZED VIEW x AS SELECT k, now() AS t FROM s", 501, "0A000", "now()", "event time"),
    ("CREATE MATERIALIZED VIEW x AS SELECT k, stddev(v) AS d FROM s GROUP BY k", 501, "0A000", "stddev", "count"),
    ("CREATE MATERIALIZED VIEW x AS SELECT k, count(*) AS n FROM s GROUP BY k EMIT ON WINDOW CLOSE",
     501, "0A000", "window", "EMIT ON UPDATE"),
    ("CREATE MATERIALIZED VIEW x AS SELECT k FROM s LATE TO 'late'", 501, "0A000", "LATE TO", "late"),
    ("CREATE MATERIALIZED VIEW x AS SELECT count(*) AS n FROM TUMBLE(s, ts, INTERVAL '1 minute') GROUP BY \
      window_start, window_end, k EMIT ON UPDATE",
     501, "0A000", "missing", "SELECT list"),
    ("CREATE MATERIALIZED VIEW x AS SELECT window_start, count(*) AS n FROM SESSION(s, ts, INTERVAL '1 minute') GROUP \
      BY window_start",
     501, "0A000", "session", "TUMBLE"),
    ("CREATE MATERIALIZED VIEW x AS SELECT 1 AS one", 501, "0A000", "no topic", ""),
];

#[test]
fn what_cannot_be_maintained_is_refused_with_what_to_write_instead() {
    let mut bed = Bed::start();
    let topic = bed.topic("events", 1).name;
    bed.http.sql(&format!(
        "CREATE SOURCE s (k TEXT, v INT, ts TIMESTAMPTZ, WATERMARK FOR ts) WITH (topic = '{topic}')"
    ));
    check(&bed.http, QUERIES);
}

#[test]
fn positions_count_characters_from_one() {
    let broker = TestBroker::start();
    let http = Http::of(&broker);
    let position = |statement: &str| http.try_sql(statement).json()["error"]["position"].clone();
    assert_eq!(position("SELEC 1"), json!(1));
    assert_eq!(
        position("SELECT 1; SELECT 2"),
        json!(9),
        "the semicolon behind which there is more"
    );
    assert_eq!(position("SELECT 'ä', nope FROM (VALUES (1)) AS t(n)"), json!(13));
    assert_eq!(position("CREATE SOURCE x (a INT) WITH (topik = 't')"), json!(31));
    assert_eq!(position("SELECT\n  nope FROM (VALUES (1)) AS t(n)"), json!(10));
}

#[test]
fn requests_that_are_none() {
    let broker = TestBroker::start();
    for body in [
        "",
        "not JSON",
        "[]",
        "{}",
        "{\"statement\": 5}",
        "{\"statement\": \"SELECT 1\", \"extra\": 1}",
    ] {
        let reply = post(&broker, None, body.as_bytes());
        assert_eq!(
            (reply.status, reply.json()["error"]["code"].clone()),
            (400, json!("42601")),
            "{body}"
        );
    }
    let lists = json!({ "statement": "SELECT $1", "parameters": [[1, 2]] });
    let reply = post(&broker, None, lists.to_string().as_bytes());
    assert_eq!(
        (reply.status, reply.json()["error"]["code"].clone()),
        (501, json!("0A000"))
    );
    let get = Http::of(&broker).get("/v1/sql");
    assert_eq!((get.status, get.json()["error"]["message"].is_string()), (405, true));
    assert_eq!(
        Http::of(&broker).get("/v1/nothing").json()["error"]["code"],
        Value::from("42704")
    );
}
