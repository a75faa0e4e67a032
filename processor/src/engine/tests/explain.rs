//! Plans of queries that run on, as EXPLAIN prints them.

use super::Setup;

async fn check(setup: &Setup, statement: &str, expected: &[&str]) {
    let lines = setup.run(&format!("EXPLAIN {statement}")).await;
    assert_eq!(lines, expected, "{statement}\n{}", lines.join("\n"));
}

const WINDOW: &str = "FROM TUMBLE(clicks, ts, INTERVAL '1 minute') GROUP BY window_start, window_end, url";

#[tokio::test]
async fn projections_and_filters() {
    let setup = Setup::with_clicks().await;
    check(
        &setup,
        "CREATE SINK s AS SELECT url, price * 2 AS twice FROM clicks WHERE user_id > 5 WITH (connector = 'blackhole')",
        &[
            "Sink s to nowhere [append, no key]",
            "  -> Project url, price * 2 AS twice [append]",
            "    -> Filter user_id > 5 [append]",
            "      -> Source clicks from topic \"website_clicks\" as json: user_id, url, price, ts [append]",
        ],
    )
    .await;
    check(
        &setup,
        "CREATE MATERIALIZED VIEW v AS SELECT _value ->> 'a' AS a FROM website_clicks",
        &[
            "MaterializedView v to topic \"v\" [append, no key]",
            "  -> Project json_get_text(_value, a) AS a [append]",
            "    -> Source website_clicks from topic \"website_clicks\" as raw: _value, _timestamp [append]",
        ],
    )
    .await;
}

#[tokio::test]
async fn windows_have_the_group_columns_as_key() {
    let setup = Setup::with_clicks().await;
    check(
        &setup,
        &format!(
            "CREATE MATERIALIZED VIEW v AS SELECT window_start, url, count(*) AS clicks, count(DISTINCT user_id) AS users \
             {WINDOW} EMIT ON UPDATE EVERY '250 ms' AND ON WINDOW CLOSE"
        ),
        &[
            "MaterializedView v to topic \"v\" [upsert, key: window_start, url]",
            "  -> Project window_start, url, count(*) AS clicks, count(DISTINCT clicks.user_id) AS users [upsert]",
            "    -> Aggregate TUMBLE 1m over window_start by url: count(*), count(DISTINCT user_id) [upsert, emit on update every 250ms and on window close]",
            "      -> Project user_id, url, ts AS window_start, ts AS window_end [append]",
            "        -> Source clicks from topic \"website_clicks\" as json: user_id, url, ts [append]",
        ],
    )
    .await;
    check(
        &setup,
        &format!("CREATE MATERIALIZED VIEW v AS SELECT max(price) AS most {WINDOW}"),
        &[
            "MaterializedView v to topic \"v\" [append, no key]",
            "  -> Project max(clicks.price) AS most [append]",
            "    -> Aggregate TUMBLE 1m over window_start by url: max(price) [append, emit on window close]",
            "      -> Project url, price, ts AS window_start, ts AS window_end [append]",
            "        -> Source clicks from topic \"website_clicks\" as json: url, price, ts [append]",
        ],
    )
    .await;
}

#[tokio::test]
async fn views_and_subqueries_are_flattened() {
    let setup = Setup::with_clicks().await;
    setup
        .run("CREATE VIEW priced AS SELECT ts, url AS page, price FROM clicks WHERE price IS NOT NULL")
        .await;
    check(
        &setup,
        "CREATE SINK s AS WITH dear AS (SELECT * FROM priced WHERE price > 2) \
         SELECT page, count(*) FILTER (WHERE price > 5) AS n, CASE WHEN sum(price) > 100 THEN 'much' ELSE 'little' END AS judged \
         FROM HOP(dear, ts, INTERVAL '5 minutes', INTERVAL '1 hour') GROUP BY window_start, window_end, page HAVING count(*) > 1 \
         WITH (connector = 'topic', topic = 'judged')",
        &[
            "Sink s to topic \"judged\" [append, no key]",
            "  -> Project page, count(*) FILTER (WHERE dear.price > Int64(5)) AS n, CASE WHEN sum(dear.price) > 100.00 THEN much ELSE little END AS judged [append]",
            "    -> Filter count(*) > 1 [append]",
            "      -> Project page, count(*) FILTER (WHERE dear.price > Int64(5)), sum(dear.price), count(*) [append]",
            "        -> Aggregate HOP 1h every 5m over window_start by page: count(*) FILTER (WHERE price > 5.00), sum(price), count(*) [append, emit on window close]",
            "          -> Project page, price, ts AS window_start, ts AS window_end [append]",
            "            -> Filter price > 2.00 [append]",
            "              -> Project ts, url AS page, price [append]",
            "                -> Filter price IS NOT NULL [append]",
            "                  -> Source clicks from topic \"website_clicks\" as json: url, price, ts [append]",
        ],
    )
    .await;
}

#[tokio::test]
async fn verbose_tells_state_and_options() {
    let setup = Setup::with_clicks().await;
    let statement =
        format!("CREATE MATERIALIZED VIEW v AS SELECT window_start, url, count(*) AS n {WINDOW} LATE TO 'late'");
    let lines = setup.run(&format!("EXPLAIN VERBOSE {statement}")).await;
    for detail in [
        "columns: window_start TIMESTAMPTZ, url TEXT, n BIGINT",
        "state: one row per key",
        "state: one entry per window and key, freed when the window closes",
        "late rows: to topic \"late\"",
        "watermark: ts - INTERVAL '5 seconds'",
        "stop: 0:3,1:2",
        "on error: SKIP",
        "parallelism: 1",
    ] {
        assert!(
            lines.iter().any(|line| line.trim() == detail),
            "{detail}\n{}",
            lines.join("\n")
        );
    }
    assert!(
        setup
            .run("EXPLAIN SELECT count(*) FROM clicks WHERE _offset > 1")
            .await
            .join("\n")
            .contains("_offset > Int64(1)")
    );
}
