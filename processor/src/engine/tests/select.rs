//! SELECT over topics, sources and views.

use super::Setup;
use crate::sql::Parameter;

#[tokio::test]
async fn sources_read_typed_rows_and_skip_bad_records() {
    let setup = Setup::with_clicks().await;
    assert_eq!(
        setup
            .run("SELECT user_id, url, price, ts FROM clicks ORDER BY ts")
            .await,
        [
            "1|/a|1.50|2026-01-01T12:00:01Z",
            "2|/b|2.25|2026-01-01T12:00:59.500Z",
            "9007199254740993|/a|NULL|2026-01-01T12:01:00Z",
            "NULL|/a|10.00|2026-01-01T12:01:01Z",
        ]
    );
}

#[tokio::test]
async fn star_leaves_metadata_out_and_metadata_can_be_asked_for() {
    let setup = Setup::with_clicks().await;
    let declared = ["user_id BIGINT", "url TEXT", "price NUMERIC(12,2)", "ts TIMESTAMPTZ"];
    assert_eq!(setup.columns("SELECT * FROM clicks").await, declared);
    let with_offset = setup
        .columns("SELECT *, _offset FROM clicks WHERE _partition = 1")
        .await;
    assert_eq!(with_offset[..4], declared);
    assert_eq!(with_offset[4], "_offset BIGINT");
    assert_eq!(setup.columns("SELECT c.*, c._offset FROM clicks c").await.len(), 5);
    assert_eq!(
        setup
            .columns("SELECT * FROM clicks a JOIN clicks b ON a._offset = b._offset")
            .await
            .len(),
        8
    );
    assert_eq!(
        setup
            .run("SELECT _partition, _offset, _timestamp FROM clicks ORDER BY 1, 2")
            .await,
        [
            "0|0|2026-01-01T12:00:00Z",
            "0|1|2026-01-01T12:00:00Z",
            "1|0|2026-01-01T12:01:00Z",
            "1|1|2026-01-01T12:01:00Z",
        ]
    );
}

/// As in PostgreSQL: the local time of an instant is a TIMESTAMP, the instant of a local time a TIMESTAMPTZ.
#[tokio::test]
async fn time_zones_take_an_instant_to_local_time_and_back() {
    let setup = Setup::new().await;
    let local = "(TIMESTAMPTZ '2026-01-01T23:30:00Z' AT TIME ZONE 'Europe/Paris')";
    for (expression, expected) in [
        (local.to_owned(), "2026-01-02T00:30:00"),
        (format!("date_trunc('day', {local})"), "2026-01-02T00:00:00"),
        (format!("to_char({local}, 'YYYY-MM-DD HH24:MI')"), "2026-01-02 00:30"),
        (format!("extract(hour FROM {local})"), "0"),
        (format!("{local}::DATE"), "2026-01-02"),
        (format!("{local} AT TIME ZONE 'UTC'"), "2026-01-02T00:30:00Z"),
        (format!("{local} AT TIME ZONE 'Europe/Paris'"), "2026-01-01T23:30:00Z"),
        (
            "TIMESTAMP '2026-07-01 12:00:00' AT TIME ZONE 'utc'".to_owned(),
            "2026-07-01T12:00:00Z",
        ),
        (
            "TIMESTAMP '2026-07-01 12:00:00' AT TIME ZONE 'Europe/Paris'".to_owned(),
            "2026-07-01T10:00:00Z",
        ),
        // An hour that clocks show twice, and one that they leave out.
        (
            "TIMESTAMP '2026-10-25 02:30:00' AT TIME ZONE 'Europe/Paris'".to_owned(),
            "2026-10-25T01:30:00Z",
        ),
        (
            "TIMESTAMP '2026-03-29 02:30:00' AT TIME ZONE 'Europe/Paris'".to_owned(),
            "2026-03-29T01:30:00Z",
        ),
        (
            "timezone('America/New_York', TIMESTAMPTZ '2026-01-01T23:30:00Z')".to_owned(),
            "2026-01-01T18:30:00",
        ),
        ("NULL::TIMESTAMPTZ AT TIME ZONE 'UTC'".to_owned(), "NULL"),
    ] {
        assert_eq!(
            setup.run(&format!("SELECT {expression}")).await,
            [expected],
            "{expression}"
        );
    }
    assert_eq!(setup.columns(&format!("SELECT {local}")).await, ["timezone TIMESTAMP"]);
    for (expression, code) in [
        ("now() AT TIME ZONE 'Europe/Pariss'", "22023"),
        ("now() AT TIME ZONE '+02:00'", "22023"),
        ("now() AT TIME ZONE 2", "42883"),
        ("1 AT TIME ZONE 'UTC'", "42883"),
    ] {
        let error = setup.fail(&format!("SELECT {expression}")).await;
        assert_eq!(error.code.0, code, "{expression}: {error}");
    }
}

/// What a NUMERIC cannot hold is a DOUBLE PRECISION.
#[tokio::test]
async fn numbers_may_have_large_exponents() {
    let setup = Setup::new().await;
    for (number, expected) in [
        ("1e308", "DOUBLE PRECISION"),
        ("-1.5E+300", "DOUBLE PRECISION"),
        ("1e-300", "DOUBLE PRECISION"),
        ("0e999", "DOUBLE PRECISION"),
        ("1e39", "DOUBLE PRECISION"),
        ("CAST(1e308 AS DOUBLE PRECISION)", "DOUBLE PRECISION"),
        ("1.25e1", "NUMERIC(3,1)"),
        ("1e-3", "NUMERIC(3,3)"),
    ] {
        let columns = setup.columns(&format!("SELECT {number} AS n")).await;
        assert_eq!(columns, [format!("n {expected}")], "{number}");
    }
    assert_eq!(
        setup.run("SELECT 1e308 = 1e307 * 10, -1e-300 < 0, 0e999").await,
        ["true|true|0.0"]
    );
    for number in ["1e309", "1e-400", "1e99999999999999999999"] {
        assert_eq!(
            setup.fail(&format!("SELECT {number}")).await.code.0,
            "22003",
            "{number}"
        );
    }
}

#[tokio::test]
async fn time_zones_work_on_columns() {
    let setup = Setup::with_clicks().await;
    assert_eq!(
        setup
            .run("SELECT ts AT TIME ZONE zone FROM clicks, (VALUES ('UTC'), ('Asia/Tokyo')) AS z(zone) WHERE user_id = 1 \
                  ORDER BY 1")
            .await,
        ["2026-01-01T12:00:01", "2026-01-01T21:00:01"]
    );
    setup
        .run("CREATE MATERIALIZED VIEW local AS SELECT url, ts AT TIME ZONE 'Asia/Tokyo' AS at FROM clicks")
        .await;
    assert_eq!(setup.columns("SELECT at FROM local").await, ["at TIMESTAMP"]);
}

#[tokio::test]
async fn bare_topics_show_their_records() {
    let setup = Setup::with_clicks().await;
    assert_eq!(
        setup.columns("SELECT * FROM website_clicks").await,
        [
            "_partition INT",
            "_offset BIGINT",
            "_timestamp TIMESTAMPTZ",
            "_key TEXT",
            "_value TEXT",
            "_headers STRUCT<name TEXT, value BYTEA>[]"
        ]
    );
    assert_eq!(
        setup
            .run("SELECT _value ->> 'url' AS url FROM website_clicks WHERE _partition = 0 ORDER BY _offset")
            .await,
        ["/a", "/b", "NULL"]
    );
    assert_eq!(
        setup
            .run("SELECT _value FROM website_clicks WHERE _partition = 0 AND _offset = 2")
            .await,
        ["not json"]
    );
}

#[tokio::test]
async fn metadata_conditions_prune_and_stay_exact() {
    let setup = Setup::with_clicks().await;
    let count = |condition: &str| format!("SELECT count(*) FROM website_clicks WHERE {condition}");
    for (condition, rows) in [
        ("_offset >= 1", "3"),
        ("_offset > 1", "1"),
        ("_offset BETWEEN 1 AND 1", "2"),
        ("_partition IN (1)", "2"),
        ("_partition = 7", "0"),
        ("_timestamp >= '2026-01-01T12:00:30Z'", "2"),
        ("_timestamp < '2026-01-01T12:00:30Z'", "3"),
        ("_timestamp > '2027-01-01'", "0"),
        ("_offset = 0 OR _partition = 1", "3"),
    ] {
        assert_eq!(setup.run(&count(condition)).await, [rows], "{condition}");
    }
}

#[tokio::test]
async fn windows_in_a_select_are_the_streaming_ones() {
    let setup = Setup::with_clicks().await;
    assert_eq!(
        setup
            .run(
                "SELECT window_start, url, count(*) AS clicks, count(DISTINCT user_id) AS users \
                 FROM TUMBLE(clicks, ts, INTERVAL '1 minute') GROUP BY window_start, window_end, url ORDER BY 1, 2"
            )
            .await,
        [
            "2026-01-01T12:00:00Z|/a|1|1",
            "2026-01-01T12:00:00Z|/b|1|1",
            "2026-01-01T12:01:00Z|/a|2|1"
        ]
    );
    assert_eq!(
        setup
            .run(
                "SELECT window_start, window_end, count(*) FROM \
                 TABLE(HOP(TABLE clicks, DESCRIPTOR(ts), INTERVAL '30' SECOND, INTERVAL '1' MINUTE)) \
                 GROUP BY window_start, window_end ORDER BY 1"
            )
            .await,
        [
            "2026-01-01T11:59:30Z|2026-01-01T12:00:30Z|1",
            "2026-01-01T12:00:00Z|2026-01-01T12:01:00Z|2",
            "2026-01-01T12:00:30Z|2026-01-01T12:01:30Z|3",
            "2026-01-01T12:01:00Z|2026-01-01T12:02:00Z|2",
        ]
    );
    assert_eq!(
        setup
            .run("SELECT min(window_start) FROM TUMBLE(clicks, ts, INTERVAL '1 hour', INTERVAL '15 minutes') AS w")
            .await,
        ["2026-01-01T11:15:00Z"]
    );
    assert_eq!(
        setup
            .run(
                "WITH a AS (SELECT ts, url FROM clicks WHERE url = '/a') \
                 SELECT count(*) FROM TUMBLE(DATA => TABLE a, TIMECOL => DESCRIPTOR(ts), SIZE => INTERVAL '1 day')"
            )
            .await,
        ["3"]
    );
}

#[tokio::test]
async fn arithmetic_fails_instead_of_wrapping() {
    let setup = Setup::new().await;
    for (sql, code) in [
        ("SELECT 9223372036854775807 + 1", "22003"),
        ("SELECT -9223372036854775807 - 2", "22003"),
        ("SELECT 9223372036854775807 * 2", "22003"),
        ("SELECT a * a FROM (VALUES (9223372036854775807)) AS t(a)", "22003"),
        ("SELECT - a - 2 FROM (VALUES (9223372036854775807)) AS t(a)", "22003"),
        ("SELECT 1 / 0", "22012"),
        ("SELECT 1 % 0", "22012"),
        ("SELECT 1.5 / 0", "22012"),
        ("SELECT CAST(1 AS DOUBLE PRECISION) / 0", "22012"),
        ("SELECT CAST('x' AS INT)", "22P02"),
        ("SELECT CAST(70000 AS SMALLINT)", "22003"),
    ] {
        assert_eq!(setup.fail(sql).await.code.0, code, "{sql}");
    }
    assert_eq!(
        setup
            .run("SELECT sum(a), avg(a) FROM (VALUES (9223372036854775807), (1)) AS t(a)")
            .await,
        ["9223372036854775808|4611686018427387904.000000"]
    );
    assert_eq!(
        setup.run("SELECT mod(7, 3), 7 / 2, 0.1 + 0.2, -7 % 3").await,
        ["1|3|0.3|-1"]
    );
    assert_eq!(
        setup
            .run("SELECT CASE WHEN b <> 0 THEN a / b END FROM (VALUES (6, 3), (1, 0)) AS t(a, b)")
            .await,
        ["2", "NULL"]
    );
}

#[tokio::test]
async fn sums_and_averages_have_one_type_rule() {
    let setup = Setup::new().await;
    let sql = "SELECT sum(i), avg(i), sum(b), avg(b), sum(n), avg(n), sum(d), avg(d) FROM \
               (SELECT CAST(1 AS INT) i, CAST(1 AS BIGINT) b, CAST(1 AS NUMERIC(12,2)) n, CAST(1 AS REAL) d) t";
    assert_eq!(
        setup.columns(sql).await,
        [
            "sum BIGINT",
            "avg NUMERIC(38,6)",
            "sum_1 NUMERIC(38,0)",
            "avg_1 NUMERIC(38,6)",
            "sum_2 NUMERIC(38,2)",
            "avg_2 NUMERIC(38,6)",
            "sum_3 DOUBLE PRECISION",
            "avg_3 DOUBLE PRECISION"
        ]
    );
    assert_eq!(
        setup.run("SELECT avg(a), avg(a) FILTER (WHERE a > 1), sum(a) FILTER (WHERE a > 5) FROM (VALUES (1), (2), (2)) AS t(a)").await,
        ["1.666667|2.000000|NULL"]
    );
    assert_eq!(
        setup
            .run("SELECT g, avg(a) FROM (VALUES (1, 1), (1, 2), (2, 5)) AS t(g, a) GROUP BY g ORDER BY g")
            .await,
        ["1|1.500000", "2|5.000000"]
    );
    assert_eq!(
        setup
            .run("SELECT sum(DISTINCT a) FROM (VALUES (1), (1), (2)) AS t(a)")
            .await,
        ["3"]
    );
}

#[tokio::test]
async fn result_columns_have_postgres_names_made_unique() {
    let setup = Setup::with_clicks().await;
    let names = |columns: Vec<String>| -> Vec<String> {
        columns
            .into_iter()
            .map(|c| c.split(' ').next().unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(
        names(
            setup
                .columns(
                    "SELECT count(*), count(*), 1 + 1, upper(url), CAST(ts AS DATE), ts FROM clicks GROUP BY url, ts"
                )
                .await
        ),
        ["count", "count_1", "?column?", "upper", "ts_1", "ts"]
    );
    assert_eq!(
        names(
            setup
                .columns(
                    "SELECT '1'::INT, CAST(1 AS DOUBLE PRECISION), 1::NUMERIC(4,1), 'x'::TEXT, TIMESTAMPTZ '2026-01-01'"
                )
                .await
        ),
        ["int4", "float8", "numeric", "text", "timestamptz"]
    );
    assert_eq!(
        names(setup.columns("SELECT a.url, b.url FROM clicks a, clicks b").await),
        ["url", "url_1"]
    );
    assert_eq!(
        names(
            setup
                .columns("SELECT * FROM (SELECT 1 AS x) a, (SELECT 2 AS x) b")
                .await
        ),
        ["x", "x_1"]
    );
    assert_eq!(
        setup
            .run("SELECT url, count(*) FROM clicks GROUP BY url HAVING count(*) > 1 ORDER BY count(*)")
            .await,
        ["/a|3"]
    );
    assert_eq!(
        setup
            .run("SELECT DISTINCT upper(url) FROM clicks ORDER BY upper(url)")
            .await,
        ["/A", "/B"]
    );
}

#[tokio::test]
async fn everything_else_is_datafusion() {
    let setup = Setup::with_clicks().await;
    assert_eq!(setup.run("VALUES (1, 'a'), (2, 'b')").await, ["1|a", "2|b"]);
    assert_eq!(
        setup
            .run(
                "WITH per AS (SELECT url, count(*) AS n FROM clicks GROUP BY url) \
                 SELECT c.url, per.n FROM clicks c JOIN per ON c.url = per.url WHERE user_id = 2"
            )
            .await,
        ["/b|1"]
    );
    assert_eq!(
        setup
            .run("SELECT to_char(ts, 'YYYY-MM-DD HH24:MI') FROM clicks ORDER BY ts LIMIT 1")
            .await,
        ["2026-01-01 12:00"]
    );
    assert_eq!(
        setup.run("SELECT date_trunc('hour', ts) FROM clicks LIMIT 1").await,
        ["2026-01-01T12:00:00Z"]
    );
    assert_eq!(
        setup.run("SELECT now() = TIMESTAMPTZ '2026-01-01T12:00:00Z'").await,
        ["true"]
    );
    assert_eq!(
        setup.run("SELECT TIMESTAMPTZ '2026-01-01 00:00:00+02'").await,
        ["2025-12-31T22:00:00Z"]
    );
    assert_eq!(
        setup
            .run("SELECT '{\"a\":[1,{\"b\":\"x\"}]}' -> 'a' -> 1 ->> 'b'")
            .await,
        ["x"]
    );
    assert_eq!(
        setup
            .run("SELECT row_number() OVER (ORDER BY ts) FROM clicks LIMIT 1")
            .await,
        ["1"]
    );
}

#[tokio::test]
async fn parameters_take_the_type_of_their_place() {
    let setup = Setup::with_clicks().await;
    let text = |t: &str| Parameter::Text(t.to_owned());
    let number = |t: &str| Parameter::Number(t.to_owned());
    let rows = setup
        .try_run(
            "SELECT url FROM clicks WHERE user_id = $1 AND ts < $2",
            &[number("2"), text("2026-01-01T12:30:00Z")],
        )
        .await;
    assert_eq!(rows, Ok(vec!["/b".to_owned()]));
    let rows = setup
        .try_run(
            "SELECT $1, $2, $3, $4",
            &[number("-1.50"), Parameter::Null, Parameter::Boolean(true), text("it's")],
        )
        .await;
    assert_eq!(rows, Ok(vec!["-1.50|NULL|true|it's".to_owned()]));
    assert_eq!(
        setup
            .try_run("SELECT $2", &[number("1")])
            .await
            .expect_err("missing")
            .code
            .0,
        "42P02"
    );
}

#[tokio::test]
async fn views_are_named_queries() {
    let setup = Setup::with_clicks().await;
    setup
        .run("CREATE VIEW a_clicks AS SELECT ts, url, price FROM clicks WHERE url = '/a'")
        .await;
    setup
        .run("CREATE VIEW priced (moment, cost) AS SELECT ts, price FROM a_clicks WHERE price IS NOT NULL")
        .await;
    assert_eq!(
        setup.columns("SELECT * FROM priced").await,
        ["moment TIMESTAMPTZ", "cost NUMERIC(12,2)"]
    );
    assert_eq!(
        setup
            .run("SELECT sum(cost) FROM priced p WHERE p.moment > '2026-01-01'")
            .await,
        ["11.50"]
    );
}

#[tokio::test]
async fn memory_is_bounded_and_cancelling_ends_a_query() {
    let setup = Setup::new().await;
    setup.world.topic("big", 1);
    let value = "x".repeat(1000);
    for _ in 0..40 {
        setup.world.produce("big", 0, 0, &vec![value.as_str(); 100]);
    }
    let mut config = setup.world.config();
    config.select_memory_bytes_max = 1 << 20;
    let small = super::Engine::start(config, setup.world.ports()).await.expect("starts");
    let small = Setup { engine: small, ..setup };
    assert_eq!(
        small
            .fail("SELECT _value, _offset FROM big ORDER BY _value, _offset DESC")
            .await
            .code
            .0,
        "53200"
    );
    assert_eq!(small.run("SELECT count(*) FROM big").await, ["4000"]);

    let cancel = tokio_util::sync::CancellationToken::new();
    let result = small
        .engine
        .execute("SELECT * FROM big", &[], &small.session, cancel.clone())
        .await;
    let Ok(super::StatementResult::Rows { stream, .. }) = result else {
        panic!("rows were expected");
    };
    cancel.cancel();
    let error = futures::TryStreamExt::try_collect::<Vec<_>>(stream)
        .await
        .expect_err("canceled");
    assert_eq!(crate::sql::stream_error(&error).code.0, "57014");
}
