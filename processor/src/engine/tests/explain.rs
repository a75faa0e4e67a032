//! Plans of queries that run on, as EXPLAIN prints them.

use super::Setup;

async fn check(setup: &Setup, statement: &str, expected: &[&str]) {
    assert_eq!(setup.run(&format!("EXPLAIN {statement}")).await, expected, "{statement}");
}

#[tokio::test]
async fn projections_and_filters() {
    let setup = Setup::with_clicks().await;
    check(
        &setup,
        "CREATE SINK s AS SELECT url, price * 2 AS twice FROM clicks WHERE user_id > 5 WITH (connector = 'blackhole')",
        &[],
    )
    .await;
}

#[tokio::test]
async fn windows() {
    let setup = Setup::with_clicks().await;
    check(
        &setup,
        "CREATE MATERIALIZED VIEW v AS SELECT window_start, url, count(*) AS clicks, count(DISTINCT user_id) AS users \
         FROM TUMBLE(clicks, ts, INTERVAL '1 minute') GROUP BY window_start, window_end, url \
         EMIT ON UPDATE EVERY '250 ms' AND ON WINDOW CLOSE",
        &[],
    )
    .await;
}
