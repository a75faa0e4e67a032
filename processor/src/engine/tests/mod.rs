//! Statements against an engine over real logs.

use std::sync::Arc;

use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::TryStreamExt;
use tokio_util::sync::CancellationToken;

use super::{Engine, StatementResult};
use crate::error::SqlError;
use crate::sql::{Parameter, SessionSettings, stream_error};
use crate::testing::World;

mod catalog;
mod decompression;
mod docs;
mod equivalence;
mod explain;
mod growth;
mod leftovers;
mod memory;
mod refusals;
mod repeated;
mod reread;
mod select;
mod settings;

/// An engine with its world.
pub(super) struct Setup {
    pub(super) world: World,
    pub(super) engine: Arc<Engine>,
    pub(super) session: SessionSettings,
}

impl Setup {
    pub(super) async fn new() -> Self {
        let world = World::new();
        let engine = Engine::start(world.config(), world.ports())
            .await
            .expect("an empty engine starts");
        Self {
            world,
            engine,
            session: SessionSettings::new(),
        }
    }

    /// The clicks of the examples: two partitions, one record that is no JSON.
    pub(super) async fn with_clicks() -> Self {
        let setup = Self::new().await;
        setup.world.topic("website_clicks", 2);
        let noon = crate::testing::NOON;
        setup.world.produce(
            "website_clicks",
            0,
            noon,
            &[
                r#"{"user_id":1,"url":"/a","ts":"2026-01-01T12:00:01Z","price":"1.50"}"#,
                r#"{"user_id":2,"url":"/b","ts":"2026-01-01T12:00:59.5Z","price":2.25}"#,
                "not json",
            ],
        );
        setup.world.produce(
            "website_clicks",
            1,
            noon + 60_000,
            &[
                r#"{"user_id":9007199254740993,"url":"/a","ts":"2026-01-01T12:01:00Z"}"#,
                r#"{"url":"/a","ts":1767268861000,"price":10}"#,
            ],
        );
        setup
            .run(
                "CREATE SOURCE clicks (user_id BIGINT, url TEXT, price NUMERIC(12,2), ts TIMESTAMPTZ, \
                 WATERMARK FOR ts AS ts - INTERVAL '5 seconds') \
                 WITH (topic = 'website_clicks', format = 'json', stop = 'latest')",
            )
            .await;
        setup
    }

    pub(super) async fn execute(&self, sql: &str, params: &[Parameter]) -> Result<StatementResult, SqlError> {
        self.engine
            .execute(sql, params, &self.session, CancellationToken::new())
            .await
    }

    /// The rows of a statement as text, cells joined by `|`; the tag of one without rows.
    pub(super) async fn try_run(&self, sql: &str, params: &[Parameter]) -> Result<Vec<String>, SqlError> {
        match self.execute(sql, params).await? {
            StatementResult::Command { tag } => Ok(vec![tag]),
            StatementResult::Rows { stream, .. } => {
                let batches: Vec<_> = stream.try_collect().await.map_err(|e| stream_error(&e))?;
                let mut rows = Vec::new();
                for batch in batches {
                    let options = FormatOptions::default().with_null("NULL");
                    let columns: Vec<_> = batch
                        .columns()
                        .iter()
                        .map(|column| ArrayFormatter::try_new(column, &options).expect("a printable type"))
                        .collect();
                    for row in 0..batch.num_rows() {
                        let cells: Vec<String> = columns.iter().map(|c| c.value(row).to_string()).collect();
                        rows.push(cells.join("|"));
                    }
                }
                Ok(rows)
            }
        }
    }

    /// Rows of each batch of a query's result.
    pub(super) async fn batches(&self, sql: &str) -> Vec<usize> {
        let Ok(StatementResult::Rows { stream, .. }) = self.execute(sql, &[]).await else {
            panic!("{sql} has no rows");
        };
        let batches: Vec<_> = stream.try_collect().await.expect("readable");
        batches.iter().map(arrow::array::RecordBatch::num_rows).collect()
    }

    pub(super) async fn run(&self, sql: &str) -> Vec<String> {
        match self.try_run(sql, &[]).await {
            Ok(rows) => rows,
            Err(error) => panic!("{sql}\n{} {error} hint {:?}", error.code, error.hint),
        }
    }

    pub(super) async fn fail(&self, sql: &str) -> SqlError {
        match self.try_run(sql, &[]).await {
            Ok(rows) => panic!("{sql}\nanswered {rows:?}"),
            Err(error) => error,
        }
    }

    /// Column names of a SELECT.
    pub(super) async fn columns(&self, sql: &str) -> Vec<String> {
        match self.execute(sql, &[]).await {
            Ok(StatementResult::Rows { schema, .. }) => schema
                .fields()
                .iter()
                .map(|f| format!("{} {}", f.name(), crate::sql::types::type_name(f.data_type())))
                .collect(),
            Ok(StatementResult::Command { tag }) => panic!("{sql}\nanswered {tag}"),
            Err(error) => panic!("{sql}\n{} {error}", error.code),
        }
    }
}
