//! What is left of a query that died between two steps of DROP or CREATE.

use std::sync::atomic::Ordering;

use super::Setup;
use super::catalog::{COUNTS, finished};
use crate::engine::Engine;
use crate::error::SqlState;
use crate::ports::{CatalogStore, TopicSpec, Topics};

impl Setup {
    async fn restarted(self) -> Self {
        self.engine.shutdown().await;
        drop(self.engine);
        let engine = Engine::start(self.world.config(), self.world.ports())
            .await
            .expect("starts again");
        Self { engine, ..self }
    }

    fn topics(&self) -> Vec<String> {
        let topics = self.world.topics.list();
        topics.into_iter().map(|topic| topic.name.to_string()).collect()
    }

    async fn transactional_id(&self) -> String {
        let queries = self.engine.queries();
        format!("tidemill.query.{}-1", queries[0].id)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_no_object_has_is_cleared_away_at_the_start() {
    let setup = Setup::with_clicks().await;
    setup.run(COUNTS).await;
    finished(&setup, "counts").await;
    let id = setup.transactional_id().await;
    setup.engine.shutdown().await;
    setup.world.catalog.remove("counts").await.expect("removed");
    setup.world.epochs.take_gone();
    let setup = setup.restarted().await;
    assert_eq!(setup.topics(), ["website_clicks"]);
    assert_eq!(
        setup.world.epochs.take_gone(),
        ["tidemill.query.counts".to_owned(), id],
        "the group and the transactional id went with them"
    );
    setup.run(COUNTS).await;
    finished(&setup, "counts").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_of_a_query_that_was_never_stored_are_no_obstacle() {
    let setup = Setup::with_clicks().await;
    let orphan = || TopicSpec {
        name: "counts".to_owned(),
        partitions: Some(1),
        configs: Vec::new(),
        owner: Some("nobody".to_owned()),
        internal: false,
    };
    setup.world.topics.create(orphan()).await.expect("created");
    setup.run(COUNTS).await;
    setup.run("DROP MATERIALIZED VIEW counts").await;
    setup.world.topics.create(orphan()).await.expect("created");
    let setup = setup.restarted().await;
    assert_eq!(setup.topics(), ["website_clicks"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_drop_could_not_clear_is_cleared_later() {
    let setup = Setup::with_clicks().await;
    setup.run(COUNTS).await;
    finished(&setup, "counts").await;
    let id = setup.transactional_id().await;
    setup.world.epochs.take_gone();
    setup.world.topics.refuse.store(true, Ordering::SeqCst);
    setup.world.epochs.refuse.store(true, Ordering::SeqCst);
    setup.run("DROP MATERIALIZED VIEW counts").await;
    assert_eq!(setup.topics().len(), 3, "view and changelog are still there");
    assert_eq!(setup.fail(COUNTS).await.code, SqlState::DUPLICATE_TABLE);

    setup.world.topics.refuse.store(false, Ordering::SeqCst);
    setup.run(COUNTS).await;
    finished(&setup, "counts").await;
    assert_eq!(
        setup.topics().len(),
        4,
        "the changelog tells what is still to be retired"
    );
    setup.world.epochs.refuse.store(false, Ordering::SeqCst);
    let setup = setup.restarted().await;
    finished(&setup, "counts").await;
    assert_eq!(setup.topics().len(), 3);
    let gone = setup.world.epochs.take_gone();
    assert!(gone.contains(&id), "{gone:?}");
    assert_eq!(setup.run("SELECT count(*) FROM counts").await, ["3"]);
}
