//! The door of the crate: statements in, results out. The broker holds one [`Engine`] and hands it the world's
//! [`Ports`].
//!
//! ```text
//! Engine::start(config, ports).await -> Result<Arc<Engine>, EngineError>       restores the stored queries
//! engine.execute(sql, &params, &session, cancel).await -> Result<StatementResult, SqlError>
//! engine.queries() -> Vec<QuerySnapshot>                                       metrics, SHOW QUERIES
//! engine.shutdown().await
//! ```
//!
//! Any number of statements may be executed at once. Statements that change the catalog wait for each other; all others
//! work on the catalog as it was when they began.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::catalog::Catalog;
use crate::config::EngineConfig;
use crate::error::{SqlError, SqlState};
use crate::plan::error::plan_error;
use crate::plan::{Mode, Planner, Scope, ViewReaders, prepare};
use crate::ports::{PortError, Ports};
pub use crate::query::SkippedRows;
use crate::query::{Execution, STEPS_AT_ONCE, ScanCounts, ScanLimits, ViewReader};
use crate::runtime::{QueryHandle, QueryStatus};
use crate::sql::statement::Statement;
use crate::sql::{Parameter, QueryOptions, SessionSettings, parse};
use crate::stats::{QueryStats, SelectSnapshot, SelectStats};

mod bounds;
mod create;
mod draft;
mod drop;
mod explain;
mod leftovers;
mod query;
mod restore;
mod rows;
mod show;
mod topics;

#[cfg(test)]
mod tests;

/// What a statement answers.
pub enum StatementResult {
    /// Nothing but its command tag, as PostgreSQL words it: `CREATE SOURCE`, `SET`.
    Command {
        /// The tag.
        tag: String,
    },
    /// Rows, which come while they are computed. Dropping the stream cancels the query.
    Rows {
        /// The columns; names are unique.
        schema: SchemaRef,
        /// The rows. Errors inside are turned into [`SqlError`] by [`crate::sql::stream_error`].
        stream: SendableRecordBatchStream,
        /// The command tag without the row count: `SELECT`, `SHOW`, `EXPLAIN`.
        tag: String,
        /// Bad records that were left out; complete when the stream has ended.
        skipped: SkippedRows,
    },
}

/// Why the engine could not start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// DataFusion could not be set up.
    #[error("query engine: {0}")]
    Setup(String),
    /// The world refused.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// A running query as metrics and `SHOW QUERIES` see it.
#[derive(Clone)]
pub struct QuerySnapshot {
    /// Name of the view or sink.
    pub name: String,
    /// `materialized view` or `sink`.
    pub kind: &'static str,
    /// Identity of the definition; another one after DROP and CREATE.
    pub id: String,
    /// Whether it runs.
    pub status: QueryStatus,
    /// Its counters.
    pub stats: Arc<QueryStats>,
}

/// The SQL engine of one broker.
pub struct Engine {
    config: EngineConfig,
    ports: Ports,
    planner: Planner,
    catalog: RwLock<Arc<Catalog>>,
    running: Mutex<BTreeMap<String, Arc<QueryHandle>>>,
    /// Held while the catalog changes; counts objects, so that they can be restored in the order of their creation.
    changes: tokio::sync::Mutex<u64>,
    /// What statements that end did, all together.
    selects: Arc<SelectStats>,
    /// One permit per SELECT that may run now.
    selecting: Arc<Semaphore>,
    /// One permit per step of reading that may run now.
    scan_steps: Arc<Semaphore>,
}

impl Engine {
    /// Starts the engine and every stored query. An object that cannot be restored is kept as failed, with the reason in
    /// `SHOW QUERIES` and in the log; it never keeps the others from starting.
    pub async fn start(config: EngineConfig, ports: Ports) -> Result<Arc<Self>, EngineError> {
        let planner = Planner::new().map_err(|e| EngineError::Setup(e.to_string()))?;
        let engine = Arc::new(Self {
            selecting: Arc::new(Semaphore::new(config.max_selects.min(Semaphore::MAX_PERMITS))),
            scan_steps: Arc::new(Semaphore::new(STEPS_AT_ONCE)),
            config,
            ports,
            planner,
            catalog: RwLock::default(),
            running: Mutex::default(),
            changes: tokio::sync::Mutex::new(0),
            selects: Arc::default(),
        });
        engine.restore().await;
        Ok(engine)
    }

    /// Executes one statement. Parameters are the values of `$1`, `$2`, ...; `SET` changes `session`; `cancel` ends a
    /// query whose rows are being read.
    pub async fn execute(
        &self,
        sql: &str,
        params: &[Parameter],
        session: &SessionSettings,
        cancel: CancellationToken,
    ) -> Result<StatementResult, SqlError> {
        let statement = parse(sql, self.config.statement_bytes_max)?;
        match statement {
            Statement::Query(query) => self.select(sql, *query, params, session, cancel).await,
            Statement::Explain { verbose, statement } => self.explain(sql, *statement, verbose, params, session).await,
            Statement::CreateSource(source) => self.create_source(sql, &source).await,
            Statement::CreateView(view) => self.create_view(sql, &view).await,
            Statement::CreateMaterializedView(view) => self.create_materialized_view(sql, &view, session).await,
            Statement::CreateSink(sink) => self.create_sink(sql, &sink, session).await,
            Statement::Drop(drop) => self.drop_object(&drop).await,
            Statement::Show(list) => self.show(list),
            Statement::ShowCreate(name) => self.show_create(&name),
            Statement::ShowSetting(name) => self.show_setting(&name, session),
            Statement::Describe(name) => self.describe(&name),
            Statement::Set { name, value } => {
                session.set(&name, value.as_deref())?;
                Ok(command("SET"))
            }
        }
    }

    /// The running queries, by name.
    pub fn queries(&self) -> Vec<QuerySnapshot> {
        let catalog = self.catalog();
        let running = self.running();
        running
            .iter()
            .filter_map(|(name, handle)| {
                let object = catalog.find(name)?;
                Some(QuerySnapshot {
                    name: name.clone(),
                    kind: object.kind().words(),
                    id: object.running()?.stored.id.clone(),
                    status: handle.status(),
                    stats: handle.stats(),
                })
            })
            .collect()
    }

    /// The counters of all statements that end.
    pub fn select_stats(&self) -> SelectSnapshot {
        self.selects.snapshot()
    }

    /// Stops every query after its current epoch. Statements that come later are refused.
    pub async fn shutdown(&self) {
        let _changes = self.changes.lock().await;
        let handles = std::mem::take(&mut *self.running());
        futures::future::join_all(handles.values().map(|handle| handle.stop())).await;
    }

    fn catalog(&self) -> Arc<Catalog> {
        self.catalog.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts a changed copy of the catalog in place. Only while `changes` is held.
    fn change_catalog(&self, change: impl FnOnce(&mut Catalog)) {
        let mut catalog = self.catalog().as_ref().clone();
        change(&mut catalog);
        *self.catalog.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(catalog);
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<String, Arc<QueryHandle>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn scope<'a>(&'a self, catalog: &'a Catalog) -> Scope<'a> {
        Scope {
            catalog,
            topics: self.ports.topics.as_ref(),
            views: self,
            committed_only: None,
            limits: ScanLimits {
                read_bytes: self.config.read_bytes_per_round,
                decompressed_bytes: self.config.decompressed_batch_bytes_max,
                memory_bytes: self.config.select_memory_bytes_max,
                steps: self.scan_steps.clone(),
            },
            counts: ScanCounts::new(&self.selects),
        }
    }

    /// The scope of a statement with settings or options of its own.
    fn scope_under<'a>(&'a self, catalog: &'a Catalog, options: &QueryOptions) -> Scope<'a> {
        let scope = self.scope(catalog);
        let memory_bytes = self.select_memory(options);
        Scope {
            committed_only: options.committed_only,
            limits: ScanLimits {
                memory_bytes,
                ..scope.limits
            },
            ..scope
        }
    }
}

impl ViewReaders for Engine {
    fn reader(&self, view: &str) -> Result<ViewReader, SqlError> {
        let handle = self.running().get(view).cloned();
        match handle {
            Some(handle) => Ok(ViewReader::new(view, handle, Arc::clone(&self.ports.clock))),
            None => {
                let message = format!("materialized view \"{view}\" does not run");
                Err(SqlError::new(SqlState::NOT_IN_STATE, message).with_hint("SHOW QUERIES tells why"))
            }
        }
    }
}

fn command(tag: impl Into<String>) -> StatementResult {
    StatementResult::Command { tag: tag.into() }
}
