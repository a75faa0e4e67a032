//! Values keep what they are: 64-bit integers and NUMERIC to the last digit, times to the microsecond, bytes, and what
//! JSON has no word for.

use serde_json::{Value, json};
use tests::stream::Bed;

use super::with_parameters;

/// The text of an answer's rows, in which every digit shows.
fn rows_text(bed: &Bed, statement: &str) -> String {
    let answer = bed.http.try_sql(statement);
    assert_eq!(answer.status, 200, "{statement}\n{}", answer.body);
    let rows = answer.body.split_once("\"rows\":").expect("rows").1;
    rows.split_once(",\"command\"").expect("a command").0.to_owned()
}

#[test]
fn json_numbers_are_exact_from_topic_to_result() {
    let mut bed = Bed::start();
    let topic = bed.topic("numbers", 1);
    bed.send(
        &topic,
        0,
        &[
            r#"{"big": 9223372036854775807, "small": -32768, "money": 12345678901234567890.12, "x": 0.1}"#,
            r#"{"big": -9223372036854775808, "small": 32767, "money": -0.01, "x": 1e300}"#,
            r#"{"big": 9007199254740993, "money": 1e2, "x": -0.0}"#,
        ],
    );
    bed.http.sql(&format!(
        "CREATE SOURCE numbers (big BIGINT, small SMALLINT, money NUMERIC(30,2), x DOUBLE PRECISION)
         WITH (topic = '{}', format = 'json')",
        topic.name
    ));
    assert_eq!(
        rows_text(&bed, "SELECT big, small, money FROM numbers ORDER BY _offset"),
        "[[9223372036854775807,-32768,12345678901234567890.12],[-9223372036854775808,32767,-0.01],\
         [9007199254740993,null,100.00]]"
    );
    assert_eq!(
        rows_text(&bed, "SELECT sum(money) AS total FROM numbers"),
        "[[12345678901234567990.11]]"
    );
    assert_eq!(
        rows_text(&bed, "SELECT big - 1 AS less FROM numbers WHERE big = 9007199254740993"),
        "[[9007199254740992]]"
    );
    assert_eq!(
        rows_text(&bed, "SELECT max(big) AS m, min(small) AS s FROM numbers"),
        "[[9223372036854775807,-32768]]"
    );
    let overflow = bed.http.try_sql("SELECT big + 1 FROM numbers");
    assert_eq!(overflow.error_code(), "22003", "an overflow is an error and no wrap");
    let parsed: Value = bed.http.rows("SELECT x FROM numbers ORDER BY _offset")[1][0].clone();
    assert_eq!(parsed.as_f64(), Some(1e300));
}

#[test]
fn every_type_of_a_source_has_its_form_in_results() {
    let mut bed = Bed::start();
    let topic = bed.topic("types", 1);
    let value = r#"{"b": true, "i": 5, "r": 1.5, "t": "ä\n\u20ac", "y": "AQID", "d": "2026-02-28", "c": "23:59:59.5",
        "ts": "2026-02-28T12:00:00.123456", "tz": "2026-02-28T13:00:00.5+01:00", "o": {"a": [1, 2]}, "extra": 1}"#;
    bed.send(&topic, 0, &[value, "{}"]);
    bed.http.sql(&format!(
        "CREATE SOURCE types (b BOOLEAN, i INT, r REAL, t TEXT, y BYTEA, d DATE, c TIME, ts TIMESTAMP, tz TIMESTAMPTZ, o TEXT)
         WITH (topic = '{}')",
        topic.name
    ));
    let rows = bed.http.rows("SELECT * FROM types ORDER BY _offset");
    let expected = [
        json!(true),
        json!(5),
        json!(1.5),
        json!("ä\n€"),
        json!("AQID"),
        json!("2026-02-28"),
        json!("23:59:59.500000"),
        json!("2026-02-28T12:00:00.123456"),
        json!("2026-02-28T12:00:00.500000Z"),
        json!("{\"a\": [1, 2]}"),
    ];
    assert_eq!(rows[0], expected);
    assert_eq!(rows[1], vec![Value::Null; 10], "a missing field is NULL");
    assert_eq!(
        bed.http
            .rows("SELECT o -> 'a' -> 1 AS two, o ->> 'a' AS a FROM types WHERE b"),
        [[json!("2"), json!("[1, 2]")]]
    );
}

#[test]
fn timestamps_in_json_may_be_numbers() {
    let mut bed = Bed::start();
    let topic = bed.topic("times", 1);
    bed.send(&topic, 0, &[r#"{"at": 1767225600}"#]);
    for (unit, expected) in [
        ("s", "2026-01-01T00:00:00.000000Z"),
        ("ms", "1970-01-21T10:53:45.600000Z"),
    ] {
        let name = format!("in_{unit}");
        bed.http.sql(&format!(
            "CREATE SOURCE {name} (at TIMESTAMPTZ) WITH (topic = '{}', timestamp.unit = '{unit}')",
            topic.name
        ));
        assert_eq!(bed.http.rows(&format!("SELECT at FROM {name}")), [[json!(expected)]]);
    }
}

#[test]
fn floats_that_json_lacks_are_texts() {
    let bed = Bed::start();
    let rows = bed
        .http
        .rows("SELECT 'NaN'::DOUBLE PRECISION, 'Infinity'::DOUBLE PRECISION, '-Infinity'::REAL");
    assert_eq!(rows, [[json!("NaN"), json!("Infinity"), json!("-Infinity")]]);
}

#[test]
fn parameters_are_exact_and_typed_by_their_place() {
    let bed = Bed::start();
    let row = |statement: &str, parameters: Value| {
        let reply = with_parameters(&bed.broker, statement, &parameters);
        assert_eq!(reply.status, 200, "{statement}: {}", reply.text());
        reply.json()["rows"][0].clone()
    };
    assert_eq!(
        row("SELECT $1 AS n", json!([9_223_372_036_854_775_807_i64])),
        json!([9_223_372_036_854_775_807_i64])
    );
    let numeric: Value = serde_json::from_str("[12345678901234567890.10]").expect("a number");
    let reply = with_parameters(&bed.broker, "SELECT $1 AS n", &numeric);
    assert!(reply.text().contains("[12345678901234567890.10]"), "{}", reply.text());
    assert_eq!(
        row(
            "SELECT $1 AS t, $2 AS b, $3 AS n, $1 AS again",
            json!(["it's", false, null])
        ),
        json!(["it's", false, null, "it's"])
    );
    let typed = "SELECT n FROM (VALUES (1), (2), (3)) AS t(n) WHERE n >= $1 AND n < $2 ORDER BY n";
    assert_eq!(row(typed, json!([2, 3])), json!([2]));
    let time = "SELECT t FROM (VALUES (TIMESTAMPTZ '2026-01-01T00:00:00Z')) AS x(t) WHERE t < $1";
    assert_eq!(
        row(time, json!(["2026-01-02T00:00:00Z"])),
        json!(["2026-01-01T00:00:00.000000Z"])
    );
    let reply = with_parameters(&bed.broker, "SELECT $2", &json!([1]));
    assert_eq!(
        (reply.status, reply.json()["error"]["code"].clone()),
        (400, json!("42P02"))
    );
}
