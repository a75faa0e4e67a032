//! Every kind of statement once: its command tag, what it leaves behind, and what it says about objects.

use serde_json::{Value, json};
use tests::stream::{Bed, cell, objects};

use super::{refused, tag};

const SOURCE: &str = "CREATE SOURCE orders (
  id BIGINT NOT NULL, customer TEXT, amount NUMERIC(12,2), ts TIMESTAMPTZ,
  WATERMARK FOR ts AS ts - INTERVAL '5 seconds'
) WITH (topic = 'order_events', format = 'json') ON ERROR NULL";
const VIEW: &str = "CREATE VIEW big AS SELECT id, amount FROM orders WHERE amount > 100";
const MATERIALIZED: &str = "CREATE MATERIALIZED VIEW per_customer AS
  SELECT window_start, customer, count(*) AS n, sum(amount) AS total
  FROM TUMBLE(orders, ts, INTERVAL '1 minute') GROUP BY window_start, window_end, customer EMIT ON UPDATE";
const SINK: &str =
    "CREATE SINK big_out AS SELECT * FROM big WITH (connector = 'topic', topic = 'big_orders', format = 'json')";
const BLACKHOLE: &str = "CREATE SINK nowhere AS SELECT * FROM orders WITH (connector = 'blackhole')";

/// One object of each kind over a topic of three partitions.
fn with_objects() -> Bed {
    let bed = Bed::start_with(&[("kafka.defaults.num.partitions", "3")]);
    // Metadata with auto-creation is how clients make topics that nobody declared.
    let mut connection = tests::client::Connection::open(&bed.broker.kafka_address());
    let request = tests::requests::metadata_request(&["order_events"], true);
    tests::wait::until("an auto-created topic", || {
        connection.call(12, &request).topics[0].error_code == 0
    });
    assert_eq!(tag(&bed.http, SOURCE), "CREATE SOURCE");
    assert_eq!(tag(&bed.http, VIEW), "CREATE VIEW");
    assert_eq!(tag(&bed.http, MATERIALIZED), "CREATE MATERIALIZED VIEW");
    assert_eq!(tag(&bed.http, SINK), "CREATE SINK");
    assert_eq!(tag(&bed.http, BLACKHOLE), "CREATE SINK");
    bed
}

fn names(answer: &Value) -> Vec<String> {
    objects(answer).iter().map(|row| cell(row, "name")).collect()
}

#[test]
fn lists_show_what_was_created() {
    let bed = with_objects();
    let shown = |list: &str| {
        let answer = bed.http.sql(list);
        assert_eq!(answer["command"], "SHOW", "{list}");
        assert_eq!(
            answer["row_count"],
            json!(answer["rows"].as_array().map(Vec::len)),
            "{list}"
        );
        answer
    };
    let sources = objects(&shown("SHOW SOURCES"));
    assert_eq!(sources.len(), 1);
    assert_eq!(
        (cell(&sources[0], "name"), cell(&sources[0], "topic")),
        ("orders".into(), "order_events".into())
    );
    assert_eq!(names(&shown("SHOW TABLES")), [""; 0]);
    assert_eq!(names(&shown("SHOW VIEWS")), ["big", "per_customer"]);
    assert_eq!(names(&shown("SHOW SINKS")), ["big_out", "nowhere"]);
    assert_eq!(names(&shown("SHOW QUERIES")), ["big_out", "nowhere", "per_customer"]);
    let topics = names(&shown("show topics;"));
    assert_eq!(
        topics,
        ["big_orders", "order_events", "per_customer"],
        "internal topics are not listed"
    );
}

#[test]
fn objects_are_described_and_shown_as_they_were_created() {
    let bed = with_objects();
    let columns = |name: &str| -> Vec<(String, String)> {
        let rows = objects(&bed.http.sql(&format!("DESCRIBE {name}")));
        rows.iter()
            .map(|row| (cell(row, "column"), cell(row, "type")))
            .collect()
    };
    let source = columns("orders");
    let expected = [
        ("id", "BIGINT"),
        ("customer", "TEXT"),
        ("amount", "NUMERIC(12,2)"),
        ("ts", "TIMESTAMPTZ"),
    ];
    for (index, (name, sql_type)) in expected.into_iter().enumerate() {
        assert_eq!(source[index], (name.to_owned(), sql_type.to_owned()));
    }
    let metadata: Vec<&str> = source[4..].iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        metadata,
        ["_partition", "_offset", "_timestamp", "_key", "_value", "_headers"]
    );
    assert_eq!(columns("big")[1], ("amount".into(), "NUMERIC(12,2)".into()));
    let view: Vec<String> = columns("per_customer").into_iter().map(|(name, _)| name).collect();
    assert_eq!(view, ["window_start", "customer", "n", "total"]);
    assert_eq!(columns("big_out").len(), 2);
    assert_eq!(
        columns("order_events").len(),
        6,
        "a bare topic has its metadata columns"
    );
    assert_eq!(columns("\"order_events\"")[4], ("_value".into(), "TEXT".into()));

    for (name, statement) in [
        ("orders", SOURCE),
        ("big", VIEW),
        ("per_customer", MATERIALIZED),
        ("big_out", SINK),
    ] {
        let answer = bed.http.sql(&format!("SHOW CREATE {name}"));
        assert_eq!(cell(&objects(&answer)[0], "statement"), statement);
    }
}

#[test]
fn explain_says_how_and_does_nothing() {
    let bed = with_objects();
    let plan = |statement: &str| -> String {
        let answer = bed.http.sql(statement);
        assert_eq!(answer["command"], "EXPLAIN");
        let lines = answer["rows"].as_array().expect("rows").iter();
        lines
            .map(|row| row[0].as_str().expect("a line").to_owned() + "\n")
            .collect()
    };
    let created = plan(&format!("EXPLAIN {}", MATERIALIZED.replace("per_customer", "other")));
    for part in ["other", "Aggregate", "upsert", "window_start", "order_events"] {
        assert!(created.contains(part), "{part} is missing in\n{created}");
    }
    let verbose = plan(&format!("EXPLAIN VERBOSE {}", SINK.replace("big_out", "other")));
    assert!(
        verbose.contains("parallelism: 1") && verbose.contains("append"),
        "{verbose}"
    );
    assert!(plan("EXPLAIN SELECT count(*) FROM orders").lines().count() > 1);
    assert!(plan("EXPLAIN VERBOSE SELECT count(*) FROM orders").lines().count() > 3);
    assert_eq!(
        refused(&bed.http, "DESCRIBE other"),
        (404, "42P01".into()),
        "EXPLAIN created nothing"
    );
}

#[test]
fn drop_follows_kinds_and_dependents() {
    let bed = with_objects();
    let http = &bed.http;
    assert_eq!(refused(http, SOURCE), (409, "42P07".into()));
    assert_eq!(
        tag(http, &SOURCE.replace("SOURCE orders", "SOURCE IF NOT EXISTS orders")),
        "CREATE SOURCE"
    );
    assert_eq!(
        tag(http, &SINK.replace("SINK big_out", "SINK IF NOT EXISTS big_out")),
        "CREATE SINK"
    );
    assert_eq!(refused(http, "DROP SOURCE orders"), (409, "2BP01".into()));
    assert_eq!(refused(http, "DROP VIEW big RESTRICT"), (409, "2BP01".into()));
    assert_eq!(refused(http, "DROP SINK big"), (400, "42809".into()));
    assert_eq!(
        refused(http, "DROP VIEW per_customer"),
        (400, "42809".into()),
        "a materialized view is no view"
    );
    assert_eq!(refused(http, "DROP SOURCE missing"), (404, "42P01".into()));
    assert_eq!(refused(http, "DROP SINK missing"), (404, "42704".into()));
    assert_eq!(tag(http, "DROP SINK IF EXISTS missing"), "DROP SINK");
    assert_eq!(tag(http, "DROP SINK nowhere"), "DROP SINK");
    assert_eq!(
        tag(http, "DROP MATERIALIZED VIEW per_customer"),
        "DROP MATERIALIZED VIEW"
    );
    assert_eq!(tag(http, "DROP SOURCE orders CASCADE"), "DROP SOURCE");
    assert_eq!(names(&http.sql("SHOW QUERIES")), [""; 0]);
    assert_eq!(names(&http.sql("SHOW VIEWS")), [""; 0]);
    assert_eq!(
        names(&http.sql("SHOW TOPICS")),
        ["big_orders", "order_events"],
        "a view's topic goes with it"
    );
    assert_eq!(tag(http, SOURCE), "CREATE SOURCE", "the names are free again");
}

#[test]
fn objects_survive_a_restart() {
    let mut bed = with_objects();
    let before: Vec<Value> = LISTS.iter().map(|list| bed.http.sql(list)["rows"].clone()).collect();
    for _ in 0..2 {
        bed.kill_and_restart();
        for (list, before) in LISTS.iter().zip(&before) {
            assert_eq!(&bed.http.sql(list)["rows"], before, "{list}");
        }
    }
    assert_eq!(bed.broker.terminate().code(), Some(0));
    bed.restart();
    bed.status("per_customer", "running");
    assert_eq!(tag(&bed.http, "DROP SOURCE orders CASCADE"), "DROP SOURCE");
    bed.kill_and_restart();
    assert_eq!(
        names(&bed.http.sql("SHOW VIEWS")),
        [""; 0],
        "what was dropped stays dropped"
    );
}

const LISTS: [&str; 5] = [
    "SHOW SOURCES",
    "SHOW VIEWS",
    "SHOW CREATE per_customer",
    "DESCRIBE per_customer",
    "DESCRIBE orders",
];

#[test]
fn settings_are_set_shown_and_belong_to_one_request() {
    let bed = Bed::start();
    let shown = |statement: &str| bed.http.rows(statement)[0][0].clone();
    assert_eq!(shown("SHOW epoch_interval"), json!("100 ms"));
    assert_eq!(shown("SHOW parallelism"), json!("1"));
    assert_eq!(shown("SHOW isolation"), json!("read_committed"));
    assert_eq!(
        bed.http.sql("SET epoch_interval = '250 ms'")["settings"],
        json!({ "epoch_interval": "250 ms" })
    );
    assert_eq!(bed.http.sql("RESET epoch_interval")["settings"], json!({}));
    assert_eq!(tag(&bed.http, "SET SESSION isolation TO read_uncommitted"), "SET");
    assert_eq!(tag(&bed.http, "RESET epoch_interval"), "SET");
    assert_eq!(
        shown("SHOW epoch_interval"),
        json!("100 ms"),
        "HTTP has no connection that would remember"
    );
    let body = json!({ "statement": "SHOW epoch_interval", "settings": { "epoch_interval": "1 s" } }).to_string();
    assert_eq!(
        super::post(&bed.broker, None, body.as_bytes()).json()["rows"][0][0],
        json!("1 s")
    );
    assert_eq!(refused(&bed.http, "SET epoch_interval = 'soon'"), (400, "22023".into()));
    assert_eq!(refused(&bed.http, "SET nonsense = 1"), (404, "42704".into()));
    assert_eq!(refused(&bed.http, "SHOW nonsense"), (404, "42704".into()));
}

#[test]
fn queries_without_topics_are_answered_too() {
    let bed = Bed::start();
    assert_eq!(
        bed.http.rows("SELECT 1 AS one, 'a' || 'b' AS ab, true"),
        [[json!(1), json!("ab"), json!(true)]]
    );
    assert_eq!(
        bed.http.rows("VALUES (1, 'x'), (2, NULL)"),
        [[json!(1), json!("x")], [json!(2), Value::Null]]
    );
    let with = "WITH t(n) AS (VALUES (1), (2), (3)) SELECT sum(n) AS total FROM t WHERE n > 1;";
    assert_eq!(bed.http.rows(with), [[json!(5)]]);
    let topics = "SELECT x.n FROM (VALUES (3), (1), (2)) AS x(n) ORDER BY n DESC LIMIT 2";
    assert_eq!(bed.http.rows(topics), [[json!(3)], [json!(2)]]);
}
