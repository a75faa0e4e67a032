//! Objects come, are shown, survive a restart, and go.

use std::sync::atomic::Ordering;

use super::Setup;
use crate::engine::Engine;
use crate::error::SqlState;
use crate::ports::Topics;
use crate::sql::SessionSettings;
use crate::testing::wait;

pub(super) const COUNTS: &str = "CREATE MATERIALIZED VIEW counts AS SELECT window_start, url, count(*) AS clicks \
                      FROM TUMBLE(clicks, ts, INTERVAL '1 minute') GROUP BY window_start, window_end, url";

#[tokio::test]
async fn objects_are_listed_and_described() {
    let setup = Setup::with_clicks().await;
    assert_eq!(setup.run("SHOW SOURCES").await, ["clicks|website_clicks|json|ts|SKIP"]);
    assert_eq!(setup.run("SHOW TABLES").await, [""; 0]);
    setup.run("CREATE VIEW a AS SELECT url FROM clicks").await;
    assert_eq!(setup.run("SHOW VIEWS").await, ["a|false|NULL"]);
    assert_eq!(
        setup.run("SHOW CREATE VIEW a").await,
        ["a|CREATE VIEW a AS SELECT url FROM clicks"]
    );
    assert_eq!(setup.run("DESCRIBE a").await, ["url|TEXT|true|NULL"]);
    assert_eq!(
        setup.run("DESCRIBE clicks").await[..5],
        [
            "user_id|BIGINT|true|NULL",
            "url|TEXT|true|NULL",
            "price|NUMERIC(12,2)|true|NULL",
            "ts|TIMESTAMPTZ|false|event time",
            "_partition|INT|true|metadata"
        ]
    );
    assert_eq!(setup.run("DESCRIBE website_clicks").await.len(), 6);
    assert_eq!(
        setup.run("SHOW TOPICS").await[0].split('|').take(3).collect::<Vec<_>>(),
        ["website_clicks", "2", "5"]
    );
}

#[tokio::test]
async fn names_are_taken_once() {
    let setup = Setup::with_clicks().await;
    assert_eq!(
        setup.fail("CREATE VIEW clicks AS SELECT 1 AS x").await.code,
        SqlState::DUPLICATE_TABLE
    );
    assert_eq!(
        setup.run("CREATE SOURCE IF NOT EXISTS clicks (a INT)").await,
        ["CREATE SOURCE"]
    );
    assert_eq!(setup.columns("SELECT * FROM clicks").await.len(), 4);
    assert_eq!(setup.fail("DROP SOURCE nothing").await.code, SqlState::UNDEFINED_TABLE);
    assert_eq!(setup.run("DROP SOURCE IF EXISTS nothing").await, ["DROP SOURCE"]);
    assert_eq!(setup.fail("DROP VIEW clicks").await.code, SqlState::WRONG_OBJECT_TYPE);
}

#[tokio::test]
async fn a_failed_statement_leaves_nothing() {
    let setup = Setup::with_clicks().await;
    setup.world.catalog.refuse.store(true, Ordering::SeqCst);
    assert_eq!(setup.fail(COUNTS).await.code, SqlState::IO_ERROR);
    assert!(setup.world.topics.find("counts").is_none());
    assert_eq!(
        setup.fail("CREATE VIEW a AS SELECT url FROM clicks").await.code,
        SqlState::IO_ERROR
    );
    assert_eq!(setup.fail("DROP SOURCE clicks").await.code, SqlState::IO_ERROR);
    setup.world.catalog.refuse.store(false, Ordering::SeqCst);
    assert_eq!(setup.run("SHOW VIEWS").await, [""; 0]);
    assert_eq!(setup.run("SELECT count(*) FROM clicks").await, ["4"]);
}

/// Waits until the bounded query has read everything and committed.
pub(super) async fn finished(setup: &Setup, name: &str) {
    wait::until(&format!("query {name} to finish"), async || {
        let mut queries = setup.engine.queries().into_iter();
        let status = queries.find(|query| query.name == name).expect("it runs").status;
        assert_ne!(status.name(), "FAILED", "{status:?}");
        status.name() == "FINISHED"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bounded_view_equals_the_select_and_survives_a_restart() {
    let setup = Setup::with_clicks().await;
    setup.run(COUNTS).await;
    finished(&setup, "counts").await;
    let select = "SELECT window_start, url, count(*) AS clicks FROM TUMBLE(clicks, ts, INTERVAL '1 minute') \
                  GROUP BY window_start, window_end, url ORDER BY 1, 2";
    let expected = setup.run(select).await;
    assert_eq!(expected.len(), 3);
    assert_eq!(setup.run("SELECT * FROM counts ORDER BY 1, 2").await, expected);
    let mut rows = setup.world.values("counts");
    rows.sort();
    assert_eq!(
        rows,
        [
            r#"{"window_start":"2026-01-01T12:00:00.000000Z","url":"/a","clicks":1}"#,
            r#"{"window_start":"2026-01-01T12:00:00.000000Z","url":"/b","clicks":1}"#,
            r#"{"window_start":"2026-01-01T12:01:00.000000Z","url":"/a","clicks":2}"#,
        ]
    );
    assert_eq!(setup.fail("DROP SOURCE clicks").await.code, SqlState::DEPENDENT_OBJECTS);

    setup.engine.shutdown().await;
    let Setup { world, engine, .. } = setup;
    drop(engine);
    let engine = Engine::start(world.config(), world.ports())
        .await
        .expect("starts again");
    let setup = Setup {
        world,
        engine,
        session: SessionSettings::new(),
    };
    finished(&setup, "counts").await;
    assert_eq!(setup.run("SELECT * FROM counts ORDER BY 1, 2").await, expected);
    assert_eq!(setup.world.values("counts").len(), 3, "nothing is written twice");

    assert_eq!(setup.run("DROP SOURCE clicks CASCADE").await, ["DROP SOURCE"]);
    assert_eq!(setup.run("SHOW QUERIES").await, [""; 0]);
    assert!(
        setup.world.topics.list().iter().all(|t| &*t.name == "website_clicks"),
        "topics are cleared away"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sinks_write_topics_and_follow_views() {
    let setup = Setup::with_clicks().await;
    setup
        .run(
            "CREATE SINK big AS SELECT url, price FROM clicks WHERE price > 2 \
             WITH (connector = 'topic', topic = 'big_clicks', format = 'json')",
        )
        .await;
    finished(&setup, "big").await;
    let mut rows = setup.world.values("big_clicks");
    rows.sort();
    assert_eq!(rows, [r#"{"url":"/a","price":10.00}"#, r#"{"url":"/b","price":2.25}"#]);
    assert_eq!(setup.fail("SELECT * FROM big").await.code, SqlState::WRONG_OBJECT_TYPE);

    setup.run(&format!("{COUNTS} EMIT ON UPDATE")).await;
    setup
        .run("CREATE SINK copy FROM counts WITH (connector = 'topic', topic = 'copied')")
        .await;
    finished(&setup, "counts").await;
    finished(&setup, "copy").await;
    let last = |rows: Vec<String>| rows.into_iter().collect::<std::collections::BTreeSet<_>>();
    let (copied, kept) = (last(setup.world.values("copied")), last(setup.world.values("counts")));
    for row in ["/a\",\"clicks\":2}", "/b\",\"clicks\":1}"] {
        assert!(copied.iter().any(|r| r.ends_with(row)), "{copied:?}");
        assert!(kept.iter().any(|r| r.ends_with(row)), "{kept:?}");
    }
    assert_eq!(
        setup.run("SHOW SINKS").await,
        ["big|topic|big_clicks|FINISHED", "copy|topic|copied|FINISHED"]
    );
}

#[tokio::test]
async fn an_object_that_cannot_be_restored_is_kept_and_can_be_dropped() {
    let setup = Setup::with_clicks().await;
    let mut objects = crate::ports::CatalogStore::load(setup.world.catalog.as_ref());
    let mut broken = objects.pop().expect("the source");
    broken.payload =
        bytes::Bytes::from_static(br#"{"version":1,"sql":"CREATE VIEW v AS SELECT nothing FROM nowhere","order":9}"#);
    broken.name = "v".to_owned();
    crate::ports::CatalogStore::put(setup.world.catalog.as_ref(), broken)
        .await
        .expect("stored");
    let engine = Engine::start(setup.world.config(), setup.world.ports())
        .await
        .expect("starts");
    let setup = Setup { engine, ..setup };
    assert!(setup.run("SHOW VIEWS").await[0].starts_with("v|false|FAILED: relation \"nowhere\""));
    assert_eq!(setup.fail("SELECT * FROM v").await.code, SqlState::NOT_IN_STATE);
    assert_eq!(setup.run("SELECT count(*) FROM clicks").await, ["4"]);
    assert_eq!(setup.run("DROP VIEW v").await, ["DROP VIEW"]);
}

/// A newer version may have written what this one cannot read; its state must be there when it comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_unreadable_object_may_need_is_kept() {
    let setup = Setup::with_clicks().await;
    setup.run(COUNTS).await;
    finished(&setup, "counts").await;
    setup.engine.shutdown().await;
    let Setup { world, engine, .. } = setup;
    drop(engine);
    let state_dir = world.config().state_dir;
    let folders = || {
        let entries = std::fs::read_dir(&state_dir).expect("the state folder");
        entries.flatten().map(|entry| entry.file_name()).collect::<Vec<_>>()
    };
    let (query, foreign) = (folders(), state_dir.join("somebody-else's"));
    assert_eq!(query.len(), 1);
    std::fs::create_dir(&foreign).expect("a folder");
    let topics = || world.topics.list().len();
    let before = topics();

    let objects = crate::ports::CatalogStore::load(world.catalog.as_ref());
    let counts = objects.iter().find(|object| object.name == "counts").expect("the view");
    for payload in [&b"\xffno json"[..], &counts.payload[..]] {
        let object = crate::ports::StoredObject {
            name: "counts".to_owned(),
            payload: bytes::Bytes::copy_from_slice(payload),
        };
        let stored = crate::ports::CatalogStore::put(world.catalog.as_ref(), object).await;
        stored.expect("stored");
        let engine = Engine::start(world.config(), world.ports()).await.expect("starts");
        engine.shutdown().await;
        assert_eq!((folders().len(), topics()), (2, before), "state and changelog are kept");
    }
    crate::ports::CatalogStore::remove(world.catalog.as_ref(), "counts")
        .await
        .expect("removed");
    let engine = Engine::start(world.config(), world.ports()).await.expect("starts");
    engine.shutdown().await;
    assert!(
        foreign.is_dir() && folders().len() == 1,
        "what nobody needs is cleared away, and nothing else"
    );
    assert!(topics() < before);
}

#[tokio::test]
async fn settings_belong_to_the_session() {
    let setup = Setup::with_clicks().await;
    assert_eq!(setup.run("SHOW epoch_interval").await, ["10 ms"]);
    assert_eq!(setup.run("SET epoch_interval = '250 ms'").await, ["SET"]);
    assert_eq!(setup.run("SHOW epoch_interval").await, ["250 ms"]);
    assert_eq!(setup.run("RESET epoch_interval").await, ["SET"]);
    assert_eq!(setup.run("SHOW epoch_interval").await, ["10 ms"]);
    let unknown = setup.fail("SET epoch_intervall = '1 s'").await;
    assert_eq!(
        (unknown.code, unknown.hint.as_deref()),
        (SqlState::UNDEFINED_OBJECT, Some("did you mean \"epoch_interval\"?"))
    );
    assert_eq!(
        setup.fail("SET parallelism = 4").await.code,
        SqlState::FEATURE_NOT_SUPPORTED
    );
}
