//! What reads a view whose rows are updated repeats its query, and sees what the view sees: the same records from the
//! first to the last.

use super::Setup;
use super::catalog::finished;
use crate::error::SqlState;
use crate::ports::Topics;
use crate::testing::{NOON, wait};

const COUNTS: &str = "CREATE MATERIALIZED VIEW counts AS SELECT k, count(*) AS n FROM events GROUP BY k";

const SINK: &str = "CREATE SINK out FROM counts WITH (connector = 'topic', topic = 'out')";

/// A topic with three records of key `a`, and a source over it with these options.
async fn setup(options: &str) -> Setup {
    let setup = Setup::new().await;
    setup.world.topic("events_topic", 1);
    produce(&setup, 3);
    setup
        .run(&format!(
            "CREATE SOURCE events (k TEXT) WITH (topic = 'events_topic'{options})"
        ))
        .await;
    setup
}

fn produce(setup: &Setup, records: usize) {
    setup
        .world
        .produce("events_topic", 0, NOON, &vec![r#"{"k":"a"}"#; records]);
}

async fn counted(setup: &Setup, view: &str, count: usize) {
    wait::until(&format!("{view} to count {count}"), async || {
        setup.world.clock.advance(20);
        setup.run(&format!("SELECT n FROM {view}")).await == [count.to_string()]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_begins_where_its_view_does() {
    let setup = setup(", start = 'latest'").await;
    setup.run(COUNTS).await;
    produce(&setup, 5);
    counted(&setup, "counts", 5).await;
    setup.run("CREATE VIEW named AS SELECT * FROM counts").await;
    setup.run("CREATE MATERIALIZED VIEW copy AS SELECT * FROM named").await;
    setup.run(SINK).await;
    setup
        .run("CREATE MATERIALIZED VIEW copy_of_copy AS SELECT * FROM copy")
        .await;
    produce(&setup, 1);
    for view in ["counts", "copy", "copy_of_copy"] {
        counted(&setup, view, 6).await;
    }
    wait::until("the sink to count 6", async || {
        setup
            .world
            .values("out")
            .last()
            .is_some_and(|last| last == r#"{"k":"a","n":6}"#)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_ends_where_its_view_does() {
    let setup = setup(", stop = 'latest'").await;
    setup.run(COUNTS).await;
    finished(&setup, "counts").await;
    produce(&setup, 1);
    setup.run("CREATE MATERIALIZED VIEW copy AS SELECT * FROM counts").await;
    finished(&setup, "copy").await;
    assert_eq!(setup.run("SELECT * FROM counts").await, ["a|3"]);
    assert_eq!(setup.run("SELECT * FROM copy").await, ["a|3"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_gone_from_the_topic_cannot_be_counted_again() {
    for options in ["", ", start = '0:1'"] {
        let setup = setup(options).await;
        setup.run(COUNTS).await;
        let count = if options.is_empty() { 3 } else { 2 };
        counted(&setup, "counts", count).await;
        let topic = setup.world.topics.find("events_topic").expect("the topic");
        topic.partitions[0].delete_records(1, NOON).expect("deleted");
        let copy = "CREATE MATERIALIZED VIEW copy AS SELECT * FROM counts";
        if !options.is_empty() {
            setup.run(copy).await;
            counted(&setup, "copy", count).await;
            topic.partitions[0].delete_records(2, NOON).expect("deleted");
        }
        let error = setup.fail(SINK).await;
        assert_eq!(error.code, SqlState::NOT_IN_STATE, "{error}");
        assert!(error.hint.is_some());
        // Anew, it begins where the topic does, and so does its copy.
        setup.run("DROP MATERIALIZED VIEW counts CASCADE").await;
        if options.is_empty() {
            setup.run(COUNTS).await;
            setup.run(copy).await;
            counted(&setup, "counts", 2).await;
            counted(&setup, "copy", 2).await;
        }
    }
}
