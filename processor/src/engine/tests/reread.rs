//! A view whose rows are final keeps them in its topic, where SELECT and other views read them: what its query computed,
//! not what a stranger might have written.

use super::Setup;
use super::catalog::finished;
use crate::testing::wait;

/// Values at the ends of what the types hold.
const EXTREMES: &[&str] = &[
    "'NaN'::DOUBLE PRECISION",
    "'Infinity'::DOUBLE PRECISION",
    "'-Infinity'::REAL",
    "'NaN'::REAL",
    "'3.4028235e38'::REAL",
    "-0.0::DOUBLE PRECISION",
    "99999999999999999999999999999999999999::NUMERIC(38,0) + 1",
    "-0.5::NUMERIC(38,10)",
    "9223372036854775807",
    "32767::SMALLINT",
    "arrow_cast(255, 'UInt8')",
    "arrow_cast(18446744073709551615, 'UInt64')",
    "ts + INTERVAL '10000 years'",
    "(ts + INTERVAL '10000 years')::DATE",
    "'0001-01-01'::DATE",
    "ts::TIMESTAMP",
    "'23:59:59.999999'::TIME",
    "'a\"\\é'",
    "decode('00ff', 'hex')",
    "url = '/a'",
    "NULL",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_of_every_type_come_back() {
    let setup = Setup::with_clicks().await;
    let columns: Vec<String> = (0..).zip(EXTREMES).map(|(at, e)| format!("{e} AS c{at}")).collect();
    let query = format!("SELECT {}, _key, _value, _timestamp FROM clicks", columns.join(", "));
    assert_same(&setup, &query).await;
}

/// The view of a query has the rows of its SELECT.
async fn assert_same(setup: &Setup, query: &str) {
    let mut expected = setup.run(query).await;
    assert!(!expected.is_empty(), "{query}");
    setup.run(&format!("CREATE MATERIALIZED VIEW v AS {query}")).await;
    finished(setup, "v").await;
    let mut rows = setup.run("SELECT * FROM v").await;
    rows.sort();
    expected.sort();
    assert_eq!(rows, expected, "{query}");
}

#[tokio::test]
async fn a_view_keeps_no_lists_and_a_sink_does() {
    let setup = Setup::with_clicks().await;
    for (query, shown) in [
        ("SELECT make_array(user_id, 1) AS h FROM clicks", "BIGINT[]"),
        ("SELECT _headers AS h FROM clicks", "STRUCT<name TEXT, value BYTEA>[]"),
        ("SELECT named_struct('a', user_id) AS h FROM clicks", "STRUCT<a BIGINT>"),
    ] {
        let error = setup.fail(&format!("CREATE MATERIALIZED VIEW v AS {query}")).await;
        assert_eq!(
            (error.code.0, error.message.as_str()),
            (
                "0A000",
                format!("column \"h\" is a {shown}, which a materialized view cannot keep").as_str()
            ),
        );
        assert!(error.hint.is_some());
    }
    let error = setup
        .fail("CREATE SINK s AS SELECT make_array(ts - ts) AS h FROM clicks WITH (connector = 'topic', topic = 'out')")
        .await;
    assert_eq!(error.code.0, "0A000", "{error}");
    setup
        .run(
            "CREATE SINK s AS SELECT make_array(user_id, 1) AS h FROM clicks WITH (connector = 'topic', topic = 'out')",
        )
        .await;
    finished(&setup, "s").await;
    assert!(setup.world.values("out").contains(&r#"{"h":[2,1]}"#.to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn columns_may_have_the_names_of_metadata() {
    let setup = Setup::with_clicks().await;
    assert_same(
        &setup,
        "SELECT _partition, _offset, _timestamp, url FROM clicks WHERE url = '/b'",
    )
    .await;
    assert_eq!(setup.run("SELECT url FROM v WHERE _offset = 1").await, ["/b"]);
    assert_eq!(setup.run("SELECT url FROM v WHERE _offset = 0").await, [""; 0]);
    assert_eq!(setup.run("SELECT *, _key FROM v").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_that_end_far_ahead_are_read_by_others() {
    let setup = Setup::with_clicks().await;
    setup
        .run(
            "CREATE MATERIALIZED VIEW days AS SELECT window_start, window_end, url, count(*) AS n \
             FROM TUMBLE(clicks, ts, INTERVAL '1 day') GROUP BY window_start, window_end, url",
        )
        .await;
    finished(&setup, "days").await;
    setup
        .run(
            "CREATE MATERIALIZED VIEW weeks AS SELECT window_start, sum(n) AS n \
             FROM TUMBLE((SELECT window_end AS day_end, n FROM days), day_end, INTERVAL '7 days') \
             GROUP BY window_start, window_end EMIT ON UPDATE",
        )
        .await;
    wait::until("all clicks of the week", async || {
        setup.world.clock.advance(20);
        let queries = setup.engine.queries();
        assert!(
            queries.iter().all(|query| query.status.name() != "FAILED"),
            "a query failed"
        );
        setup.run("SELECT n FROM weeks").await == ["4"]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_without_all_columns_of_its_group_is_read() {
    let setup = Setup::with_clicks().await;
    assert_same(
        &setup,
        "SELECT window_end, count(*) AS n FROM TUMBLE(clicks, ts, INTERVAL '1 day') GROUP BY window_start, window_end, url",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_column_that_is_called_window_end_is_no_window() {
    let setup = Setup::with_clicks().await;
    assert_same(
        &setup,
        "SELECT CASE WHEN user_id > 1 THEN ts + INTERVAL '1 year' END AS window_end, url FROM clicks",
    )
    .await;
    let error = setup
        .fail(
            "CREATE MATERIALIZED VIEW w AS SELECT window_start, count(*) AS n \
             FROM TUMBLE((SELECT window_end AS at FROM v), at, INTERVAL '1 day') GROUP BY window_start, window_end",
        )
        .await;
    assert_eq!(error.code.0, "0A000");
    assert!(error.message.contains("which is _timestamp"), "{error}");
}
