//! What cannot be done: each with its SQLSTATE and a part of its message.

use super::Setup;
use crate::sql::parser::TERMS_MAX;

/// A statement, its SQLSTATE and a part of its message.
type Case = (&'static str, &'static str, &'static str);

async fn assert_refused(setup: &Setup, sql: &str, code: &str, part: &str) {
    let error = setup.fail(sql).await;
    assert_eq!(error.code.0, code, "{sql}: {error}");
    assert!(error.message.contains(part), "{sql}: {error}");
}

/// Queries that cannot be maintained.
#[rustfmt::skip]
const QUERIES: &[Case] = &[
    ("SELECT a.url FROM clicks a JOIN clicks b ON a.url = b.url", "0A000", "join"),
    ("SELECT url FROM clicks UNION ALL SELECT url FROM clicks", "0A000", "UNION"),
    ("SELECT DISTINCT url FROM clicks", "0A000", "DISTINCT"),
    ("SELECT url FROM clicks ORDER BY url", "0A000", "ORDER BY"),
    ("SELECT url FROM clicks LIMIT 3", "0A000", "LIMIT"),
    ("SELECT url, row_number() OVER (ORDER BY ts) FROM clicks", "0A000", "OVER"),
    ("SELECT url FROM clicks WHERE url IN (SELECT url FROM clicks)", "0A000", "subquery"),
    ("SELECT url, now() FROM clicks", "0A000", "now()"),
    ("SELECT url, random() FROM clicks", "0A000", "random()"),
    ("SELECT 1 AS one", "0A000", "no topic"),
    ("SELECT count(*) FROM clicks", "0A000", "whole stream"),
    ("SELECT url, stddev(price) AS s FROM clicks GROUP BY url", "0A000", "stddev"),
    ("SELECT url, sum(DISTINCT user_id) AS s FROM clicks GROUP BY url", "0A000", "sum(DISTINCT)"),
    ("SELECT url, count(*) AS n FROM clicks GROUP BY ROLLUP (url)", "0A000", "ROLLUP"),
    ("SELECT url, count(*) AS n FROM clicks GROUP BY url EMIT ON WINDOW CLOSE", "0A000", "needs a window"),
    ("SELECT url FROM clicks EMIT ON WINDOW CLOSE", "0A000", "needs an aggregate"),
    ("SELECT url FROM clicks LATE TO 'late'", "0A000", "LATE TO"),
    ("SELECT url FROM clicks EMIT CHANGES", "0A000", "EMIT CHANGES"),
    ("SELECT count(*) AS n FROM TUMBLE(clicks, ts, INTERVAL '1 minute') GROUP BY window_start, window_end, url EMIT \
      ON UPDATE",
     "0A000", "url is missing"),
    ("SELECT at, count(*) AS n FROM TUMBLE(plain, at, INTERVAL '1 minute') GROUP BY window_start, window_end, at",
     "0A000", "event time"),
    ("SELECT url, count(*) AS n FROM HOP(clicks, ts, INTERVAL '1 minute', INTERVAL '5 minutes') GROUP BY url",
     "0A000", "HOP"),
    ("SELECT url, window_start FROM HOP(clicks, ts, INTERVAL '1 minute', INTERVAL '5 minutes')", "0A000", "HOP"),
    ("SELECT url FROM TUMBLE(clicks, ts, INTERVAL '1 month')", "0A000", "months"),
    ("SELECT url FROM TUMBLE(clicks, url, INTERVAL '1 minute')", "42804", "timestamp"),
    ("SELECT url FROM TUMBLE(clicks, ts, 5)", "42804", "interval"),
    ("SELECT url FROM TUMBLE(clicks, ts)", "42601", "TUMBLE(relation"),
    ("SELECT url FROM TUMBLE(clicks, ts, INTERVAL '0 seconds')", "22023", "positive"),
    ("SELECT url FROM SESSION(clicks PARTITION BY url, ts, INTERVAL '1 minute')", "0A000", "session"),
    ("SELECT url FROM CUMULATE(clicks, ts, INTERVAL '1 minute', INTERVAL '1 hour')", "0A000", "CUMULATE"),
    ("SELECT url FROM clicks FOR SYSTEM_TIME AS OF now()", "0A000", "SYSTEM_TIME"),
    ("SELECT url FROM clicks TABLESAMPLE BERNOULLI (10)", "0A000", "TABLESAMPLE"),
    ("SELECT url FROM clicks FOR UPDATE", "0A000", "FOR UPDATE"),
    ("SELECT nothing FROM clicks", "42703", "nothing"),
    ("SELECT url FROM nothing", "42P01", "nothing"),
    ("SELECT nothing(url) FROM clicks", "42883", "nothing"),
    ("SELECT url, count(*) AS n FROM clicks", "42803", ""),
    ("SELECT ts - ts AS d FROM clicks", "0A000", "INTERVAL"),
    ("SELECT url FROM clicks WITH (parallelism = 2)", "0A000", "parallelism"),
    ("SELECT url FROM clicks WITH (state_ttl = '1 h')", "0A000", "state_ttl"),
    ("SELECT url FROM clicks WITH (speed = 'high')", "22023", "speed"),
];

/// Clauses of a SELECT that would change nothing.
#[rustfmt::skip]
const SELECTS: &[Case] = &[
    ("SELECT url FROM clicks TABLESAMPLE BERNOULLI (10)", "0A000", "TABLESAMPLE"),
    ("SELECT url FROM clicks AS c TABLESAMPLE SYSTEM (10) REPEATABLE (1)", "0A000", "TABLESAMPLE"),
    ("SELECT url FROM (SELECT url FROM clicks) AS c TABLESAMPLE SYSTEM (10)", "0A000", "TABLESAMPLE"),
    ("SELECT url FROM TUMBLE(clicks, ts, INTERVAL '1 minute') AS w TABLESAMPLE SYSTEM (10)", "0A000", "TABLESAMPLE"),
    ("SELECT * FROM clicks WITH ORDINALITY", "0A000", "WITH ORDINALITY"),
    ("SELECT * FROM generate_series(1, 3) WITH ORDINALITY", "0A000", "WITH ORDINALITY"),
    ("SELECT * FROM UNNEST(make_array(1, 2)) WITH ORDINALITY", "0A000", "WITH ORDINALITY"),
    ("SELECT url FROM clicks FOR UPDATE", "0A000", "FOR UPDATE"),
    ("SELECT url FROM clicks FOR SHARE SKIP LOCKED", "0A000", "FOR SHARE"),
    ("SELECT url FROM clicks WHERE url IN (SELECT url FROM clicks FOR UPDATE)", "0A000", "FOR UPDATE"),
];

/// Statements that define something, or ask about it.
#[rustfmt::skip]
const DEFINITIONS: &[Case] = &[
    ("CREATE SOURCE s WITH (topic = 'website_clicks')", "42P16", "no columns"),
    ("CREATE SINK s AS SELECT url FROM clicks WITH (connector = 'topic', topic = 'website_clicks')",
     "42P16", "read again"),
    ("CREATE SINK s AS SELECT url, count(*) FROM TUMBLE(clicks, ts, INTERVAL '1 minute') GROUP BY window_start, \
      window_end, url LATE TO 'website_clicks' WITH (connector = 'blackhole')",
     "42P16", "read again"),
    ("CREATE MATERIALIZED VIEW v AS SELECT url, count(*) AS n FROM TUMBLE(clicks, ts, INTERVAL '1 minute') GROUP BY \
      window_start, window_end, url LATE TO 'v'",
     "42P17", "\"v\" is named twice: as the output of the query and by LATE TO"),
    ("CREATE SINK s AS SELECT url, count(*) AS n FROM TUMBLE(clicks, ts, INTERVAL '1 minute') GROUP BY window_start, \
      window_end, url LATE TO 'there' WITH (connector = 'topic', topic = 'there')",
     "42P17", "\"there\" is named twice"),
    ("CREATE SINK s AS SELECT url FROM strict WITH (connector = 'topic', topic = 'dead')",
     "42P17", "as the output of the query and by ON ERROR DLQ"),
    ("CREATE SINK s AS SELECT url, count(*) AS n FROM TUMBLE(strict, _timestamp, INTERVAL '1 minute') GROUP BY \
      window_start, window_end, url LATE TO 'dead' WITH (connector = 'blackhole')",
     "42P17", "by LATE TO and by ON ERROR DLQ"),
    ("CREATE SOURCE s (a INT, a INT)", "42701", "twice"),
    ("CREATE SOURCE s (_offset INT)", "42701", "metadata"),
    ("CREATE SOURCE s (a UUID)", "0A000", "UUID"),
    ("CREATE SOURCE s (a VARCHAR(10))", "0A000", "VARCHAR(10)"),
    ("CREATE SOURCE s (a NUMERIC(40,2))", "22023", "precision"),
    ("CREATE SOURCE s (a INT PRIMARY KEY)", "0A000", "primary key"),
    ("CREATE SOURCE s (a INT DEFAULT 5)", "0A000", "DEFAULT"),
    ("CREATE SOURCE s (a INT, WATERMARK FOR b)", "42703", "\"b\""),
    ("CREATE SOURCE s (a INT, WATERMARK FOR a)", "42804", "TIMESTAMPTZ"),
    ("CREATE SOURCE s (a TIMESTAMPTZ, WATERMARK FOR a AS 5)", "42804", "watermark"),
    ("CREATE SOURCE s (a TIMESTAMPTZ, WATERMARK FOR a AS now())", "0A000", "now()"),
    ("CREATE SOURCE s (a TIMESTAMPTZ, WATERMARK FOR a AS b - INTERVAL '1 s')", "42703", "b"),
    ("CREATE SOURCE s (a INT) WITH (format = 'avro')", "0A000", "avro"),
    ("CREATE SOURCE s (a INT) WITH (stop = 'never')", "22023", "stop"),
    ("CREATE SOURCE s (a INT) WITH (idle_timeout = 'long')", "22023", "idle_timeout"),
    ("CREATE OR REPLACE SOURCE s (a INT)", "0A000", "OR REPLACE"),
    ("CREATE TABLE t (a INT)", "0A000", "TABLE"),
    ("CREATE SINK s AS SELECT url FROM clicks", "22023", "connector"),
    ("CREATE SINK s AS SELECT url FROM clicks WITH (connector = 'postgres')", "0A000", "postgres"),
    ("CREATE SINK s AS SELECT url FROM clicks WITH (connector = 'topic', topic = 'a b')", "42602", "a b"),
    ("CREATE SINK s AS SELECT url FROM clicks WITH (connector = 'topic', topic = 'tidemill.x')", "42602", "reserved"),
    ("CREATE SINK s AS SELECT url FROM clicks WITH (connector = 'topic', topic = 'kept')", "55006", "kept"),
    ("CREATE SINK s AS SELECT url FROM clicks WITH (connector = 'topic', topic = 'there', partitions = 7)",
     "22023", "has 2"),
    ("CREATE SINK s AS SELECT url FROM clicks WITH (connector = 'topic', key = 'nothing')", "42703", "nothing"),
    ("CREATE SINK s FROM nothing WITH (connector = 'blackhole')", "42P01", "nothing"),
    ("CREATE MATERIALIZED VIEW website_clicks AS SELECT url FROM clicks", "42P07", "website_clicks"),
    ("CREATE MATERIALIZED VIEW \"a b\" AS SELECT url FROM clicks", "42602", "a b"),
    ("CREATE VIEW v AS SELECT url FROM clicks EMIT ON UPDATE", "42601", "EMIT"),
    ("CREATE VIEW v AS SELECT url FROM clicks WHERE x = $1", "42P02", "$1"),
    ("INSERT INTO clicks VALUES (1)", "0A000", "INSERT"),
    ("SUBSCRIBE TO clicks", "0A000", "SUBSCRIBE"),
    ("EXPLAIN ANALYZE SELECT 1", "0A000", "ANALYZE"),
    ("EXPLAIN SHOW TOPICS", "0A000", "no plan"),
    ("SHOW CREATE nothing", "42P01", "nothing"),
    ("DESCRIBE nothing", "42P01", "nothing"),
];

#[tokio::test]
async fn queries_that_run_on() {
    let setup = Setup::with_clicks().await;
    setup
        .run("CREATE SOURCE plain (id BIGINT, at TIMESTAMPTZ) WITH (topic = 'website_clicks')")
        .await;
    for (query, code, part) in QUERIES {
        assert_refused(&setup, &format!("CREATE MATERIALIZED VIEW v AS {query}"), code, part).await;
    }
    assert_eq!(setup.run("SHOW VIEWS").await, [""; 0]);
}

#[tokio::test]
async fn clauses_that_would_be_ignored() {
    let setup = Setup::with_clicks().await;
    for (sql, code, part) in SELECTS {
        assert_refused(&setup, sql, code, part).await;
    }
}

#[tokio::test]
async fn sources_and_sinks() {
    let setup = Setup::with_clicks().await;
    setup
        .run("CREATE MATERIALIZED VIEW kept AS SELECT url FROM clicks")
        .await;
    setup.world.topic("there", 2);
    setup
        .run("CREATE SOURCE strict (url TEXT) WITH (topic = 'website_clicks') ON ERROR DLQ 'dead'")
        .await;
    for (sql, code, part) in DEFINITIONS {
        assert_refused(&setup, sql, code, part).await;
    }
}

#[tokio::test]
async fn positions_count_characters_from_one() {
    let setup = Setup::with_clicks().await;
    for (sql, code, position) in [
        ("SELECT nothing FROM clicks", "42703", 8),
        ("SELECT 'é', nothing FROM clicks", "42703", 13),
        ("SELEC 1", "42601", 1),
        ("SELECT 1 +", "42601", 11),
        ("SELECT url FROM clicks WHERE", "42601", 29),
        ("SELECT 1 FROM", "42601", 14),
        ("SELECT 'x", "42601", 8),
        ("CREATE SOURCE s (a INT) WITH (topik = 'x')", "22023", 31),
        ("CREATE SINK s AS SELECT 1 FROM clicks EMIT ON", "42601", 46),
        ("SELECT 1; SELECT 2", "42601", 9),
    ] {
        let error = setup.fail(sql).await;
        assert_eq!((error.code.0, error.position), (code, Some(position)), "{sql}: {error}");
    }
}

#[tokio::test]
async fn statements_are_bounded() {
    let setup = Setup::new().await;
    assert_eq!(
        setup.fail(&format!("SELECT '{}'", "x".repeat(1 << 20))).await.code.0,
        "54000"
    );
    assert_eq!(
        setup
            .fail(&format!("SELECT {}1{}", "(".repeat(500), ")".repeat(500)))
            .await
            .code
            .0,
        "54001"
    );
    assert_eq!(
        setup.fail(&format!("SELECT 1{}", "+1".repeat(20_000))).await.code.0,
        "54001"
    );
    // The longest chains of operators that are let through end well.
    assert_eq!(
        setup.run(&format!("SELECT 1{}", "+1".repeat(TERMS_MAX))).await,
        [(TERMS_MAX + 1).to_string()]
    );
    let either = setup
        .try_run(&format!("SELECT true{}", " OR x".repeat(TERMS_MAX)), &[])
        .await;
    assert_eq!(either.expect_err("no such column").code.0, "42703");
    assert_eq!(
        setup
            .fail(&format!("SELECT 1{}", "+1".repeat(TERMS_MAX + 1)))
            .await
            .code
            .0,
        "54001"
    );
}
