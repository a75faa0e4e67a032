//! Settings act, on what ends and on what runs on.

use super::Setup;
use super::catalog::finished;
use crate::testing::NOON;

/// A topic with one record outside of any transaction and two in one that is open, then aborted.
async fn with_transaction() -> Setup {
    let setup = Setup::new().await;
    setup.world.topic("t", 1);
    setup.world.produce("t", 0, NOON, &[r#"{"n":1}"#]);
    setup.world.produce_open("t", &[r#"{"n":2}"#, r#"{"n":3}"#]);
    for (name, isolation) in [("clean", "read_committed"), ("dirty", "read_uncommitted")] {
        setup
            .run(&format!(
                "CREATE SOURCE {name} (n BIGINT) WITH (topic = 't', stop = 'latest', isolation = '{isolation}')"
            ))
            .await;
    }
    setup
}

/// What a SELECT and a query that runs on see of a relation.
async fn counted(setup: &Setup, relation: &str, options: &str) -> usize {
    let view = format!("CREATE MATERIALIZED VIEW seen {options} AS SELECT n FROM {relation}");
    setup.run(&view).await;
    finished(setup, "seen").await;
    let seen = setup.world.values("seen").len();
    setup.run("DROP MATERIALIZED VIEW seen").await;
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn isolation_acts_as_option_of_a_source_of_a_query_and_as_setting() {
    let setup = with_transaction().await;
    for state in ["open", "aborted"] {
        if state == "aborted" {
            setup.world.abort("t");
        }
        for (setting, clean, dirty) in [("DEFAULT", 1, 3), ("read_uncommitted", 3, 3), ("read_committed", 1, 1)] {
            setup.run(&format!("SET isolation = {setting}")).await;
            for (relation, expected) in [("clean", clean), ("dirty", dirty), ("t", clean)] {
                let case = format!("{relation} under {setting}, {state}");
                let count = format!("SELECT count(*) FROM {relation}");
                assert_eq!(setup.run(&count).await, [expected.to_string()], "{case}");
                if relation != "t" {
                    assert_eq!(counted(&setup, relation, "").await, expected, "{case}");
                }
            }
            // The option of a query counts before the session's setting.
            for (isolation, expected) in [("read_committed", 1), ("read_uncommitted", 3)] {
                let options = format!("WITH (isolation = '{isolation}')");
                assert_eq!(counted(&setup, "clean", &options).await, expected, "{setting}, {state}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_a_view_are_committed_under_any_isolation() {
    let setup = with_transaction().await;
    setup.run("CREATE MATERIALIZED VIEW kept AS SELECT n FROM clean").await;
    finished(&setup, "kept").await;
    setup.world.produce_open("kept", &[r#"{"n":9}"#]);
    setup.run("SET isolation = 'read_uncommitted'").await;
    assert_eq!(setup.run("SELECT n FROM kept").await, ["1"]);
    let explained = setup
        .run("EXPLAIN VERBOSE CREATE MATERIALIZED VIEW again AS SELECT n FROM kept")
        .await;
    assert!(
        explained
            .iter()
            .any(|line| line.contains("isolation") && line.contains("read_committed"))
    );
}

#[tokio::test]
async fn a_session_may_have_less_memory_than_the_configuration_gives_and_not_more() {
    let setup = Setup::new().await;
    setup.world.topic("big", 1);
    let value = "x".repeat(1000);
    for _ in 0..40 {
        setup.world.produce("big", 0, 0, &vec![value.as_str(); 100]);
    }
    let sort = "SELECT _offset FROM big ORDER BY _value, _offset DESC LIMIT 3000";
    assert_eq!(setup.run(sort).await.len(), 3000);
    setup.run("SET memory_limit = '1MiB'").await;
    assert_eq!(setup.fail(sort).await.code.0, "53200");
    let mut config = setup.world.config();
    config.select_memory_bytes_max = 1 << 20;
    let engine = super::Engine::start(config, setup.world.ports()).await.expect("starts");
    let setup = Setup { engine, ..setup };
    setup.run("SET memory_limit = '1GiB'").await;
    assert_eq!(setup.fail(sort).await.code.0, "53200");
}
