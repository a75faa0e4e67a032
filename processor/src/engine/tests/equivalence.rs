//! A view over a source that ends has the rows that the same query has as a SELECT: two planners and two executions of
//! one text.

use super::Setup;
use crate::testing::wait;

/// Events in several partitions, out of order within the watermark's allowance, with NULLs and repeated values.
fn produce(setup: &Setup) {
    setup.world.topic("events", 3);
    let mut seed = 7_u64;
    for batch in 0..12_i64 {
        for partition in 0..3 {
            let values: Vec<String> = (0..25)
                .map(|_| {
                    seed = seed
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    let roll = i64::try_from(seed >> 40).unwrap_or_default();
                    let time = crate::testing::NOON + batch * 20_000 + roll % 15_000;
                    let amount = match roll % 7 {
                        0 => "null".to_owned(),
                        _ => format!("{}.{:02}", roll % 90 - 20, roll % 100),
                    };
                    format!(
                        r#"{{"card":"c{}","ts":{time},"amount":{amount},"big":{},"ratio":{}}}"#,
                        roll % 5,
                        9_007_199_254_740_993 + roll,
                        (roll % 16) * 2
                    )
                })
                .collect();
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            setup
                .world
                .produce("events", partition, crate::testing::NOON + batch * 20_000, &values);
        }
    }
}

const QUERIES: &[&str] = &[
    "SELECT card, amount, ts FROM events_ WHERE amount > 10",
    "SELECT card, CASE WHEN amount > 50 THEN 'dear' WHEN amount IS NULL THEN 'none' ELSE 'cheap' END AS judged, _offset FROM events_",
    "SELECT card, amount * 2 + 1 AS twice, to_char(ts, 'YYYY-MM-DD HH24:MI:SS.MS') AS at, date_trunc('minute', ts) AS minute FROM events_",
    "SELECT window_start, window_end, card, amount FROM TUMBLE(events_, ts, INTERVAL '30 seconds')",
    "SELECT window_start, window_end, card, count(*) AS n, count(amount) AS some, sum(amount) AS total, avg(amount) AS mean, \
     min(amount) AS least, max(amount) AS most, count(DISTINCT amount) AS different \
     FROM TUMBLE(events_, ts, INTERVAL '30 seconds') GROUP BY window_start, window_end, card",
    "SELECT window_start, card, sum(big) AS total, avg(big) AS mean, sum(ratio) AS r, avg(ratio) AS mr, max(card) AS last \
     FROM HOP(events_, ts, INTERVAL '10 seconds', INTERVAL '25 seconds') GROUP BY window_start, window_end, card",
    "SELECT window_end, count(*) FILTER (WHERE amount > 0) AS n, sum(amount) FILTER (WHERE card = 'c1') AS c1 \
     FROM TUMBLE(events_, ts, INTERVAL '1 minute', INTERVAL '15 seconds') GROUP BY window_start, window_end",
    "SELECT window_start, card, n, CASE WHEN n > 5 THEN true ELSE false END AS fraud FROM \
     (SELECT window_start, window_end, card, count(*) AS n FROM TUMBLE(events_, ts, INTERVAL '1 minute') \
      GROUP BY window_start, window_end, card) WHERE n > 3",
    "SELECT window_start, upper(card) AS c, count(*) AS n FROM TUMBLE(events_, ts, INTERVAL '1 minute') \
     WHERE amount IS NOT NULL GROUP BY window_start, window_end, upper(card) HAVING sum(amount) > 100",
    "SELECT window_end, count(*) AS n FROM TUMBLE(events_, ts, INTERVAL '1 minute') \
     WHERE window_end > '2026-01-01T12:02:00Z' GROUP BY window_end",
    "SELECT card, count(*) AS n, sum(amount) AS total, max(ts) AS last FROM events_ GROUP BY card",
    "SELECT _value ->> 'card' AS card, (_value ->> 'ratio')::DOUBLE PRECISION AS ratio FROM events",
    "SELECT card, n FROM per_card WHERE n > 10",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn views_have_the_rows_of_their_select() {
    let setup = Setup::new().await;
    produce(&setup);
    setup
        .run(
            "CREATE SOURCE events_ (card TEXT NOT NULL, ts TIMESTAMPTZ, amount NUMERIC(12,2), big BIGINT, ratio REAL, \
             WATERMARK FOR ts AS ts - INTERVAL '20 seconds') WITH (topic = 'events', stop = 'latest')",
        )
        .await;
    setup
        .run(
            "CREATE VIEW per_card AS SELECT window_start, card, count(*) AS n \
             FROM TUMBLE(events_, ts, INTERVAL '1 minute') GROUP BY window_start, window_end, card",
        )
        .await;
    for query in QUERIES {
        for emit in ["", " EMIT ON UPDATE EVERY '1 ms'"] {
            let groups = query.contains("GROUP BY") && !query.starts_with("SELECT window_end, count(*) FILTER");
            if !emit.is_empty() && !groups {
                continue;
            }
            let statement = format!("CREATE MATERIALIZED VIEW v AS {query}{emit}");
            if query.contains("FROM events ") || query.ends_with("FROM events") {
                continue;
            }
            let expected = sorted(setup.run(query).await);
            assert!(!expected.is_empty(), "{query}");
            match setup.try_run(&statement, &[]).await {
                Ok(_) => {}
                Err(error) if !emit.is_empty() && error.message.contains("is missing") => continue,
                Err(error) => panic!("{statement}\n{error}"),
            }
            super::catalog::finished(&setup, "v").await;
            assert_eq!(sorted(setup.run("SELECT * FROM v").await), expected, "{statement}");
            setup.run("DROP MATERIALIZED VIEW v").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_only_view_can_be_read_by_another_one() {
    let setup = Setup::new().await;
    produce(&setup);
    setup
        .run(
            "CREATE SOURCE events_ (card TEXT, ts TIMESTAMPTZ, WATERMARK FOR ts AS ts - INTERVAL '20 seconds') \
             WITH (topic = 'events', stop = 'latest')",
        )
        .await;
    setup
        .run(
            "CREATE MATERIALIZED VIEW minutes AS SELECT window_start, window_end, card, count(*) AS n \
             FROM TUMBLE(events_, ts, INTERVAL '1 minute') GROUP BY window_start, window_end, card",
        )
        .await;
    super::catalog::finished(&setup, "minutes").await;
    let explained = setup
        .run("EXPLAIN CREATE SINK s AS SELECT card, n FROM minutes WHERE n > 3 WITH (connector = 'topic', topic = 'often')")
        .await;
    assert!(
        explained
            .last()
            .expect("a source")
            .contains("Source minutes from topic \"minutes\""),
        "{explained:?}"
    );
    setup
        .run("CREATE SINK s AS SELECT card, n FROM minutes WHERE n > 3 WITH (connector = 'topic', topic = 'often')")
        .await;
    let expected = setup.run("SELECT card, n FROM minutes WHERE n > 3").await.len();
    wait::until(&format!("{expected} rows of the sink"), async || {
        setup.world.clock.advance(20);
        setup.world.values("often").len() == expected
    })
    .await;
}

fn sorted(mut rows: Vec<String>) -> Vec<String> {
    rows.sort();
    rows
}
