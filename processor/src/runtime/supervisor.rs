//! Keeps a query running: one thread, restarts with back-off from the last committed epoch, a clear end where another
//! try makes no sense. A panic of a query ends its run and nothing else.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::build::has_view_table;
use super::error::{Retry, RunError};
use super::run::{Run, RunContext, RunEnd};
use super::source::SourcePins;
use super::start::{Start, open_state, start};
use super::view::{ViewError, ViewRows};
use super::{QuerySpec, QueryStatus};
use crate::config::EngineConfig;
use crate::ports::Ports;
use crate::state::Rocks;
use crate::stats::QueryStats;

/// Panics in a row, without a committed epoch in between, after which a query is given up.
const PANICS_MAX: u32 = 5;

/// Starts queries.
pub struct Supervisor;

impl Supervisor {
    /// Starts a query on a thread of its own and returns at once; from then on retention keeps what it has to read. Must
    /// be called within a tokio runtime, on which the query's commits run. Failures show in [`QueryHandle::status`].
    pub fn start(spec: QuerySpec, ports: Ports, config: &EngineConfig) -> QueryHandle {
        let (stop, stop_seen) = watch::channel(false);
        let (ended, ended_seen) = watch::channel(false);
        let shared = Arc::new(Shared {
            status: Mutex::new(QueryStatus::Running),
            stats: Arc::new(QueryStats::new()),
            state: Mutex::new(None),
        });
        let handle = QueryHandle {
            spec: Arc::new(spec),
            shared: Arc::clone(&shared),
            stop,
            ended: ended_seen,
        };
        let pins = SourcePins::new(handle.spec.transactional_id.as_str());
        pins.hold(&ports.topics.open_logs(&handle.spec.plan.source.topic));
        let supervised = Supervised {
            pins: Arc::new(pins),
            path: config.state_dir.join(handle.spec.state_folder()),
            spec: Arc::clone(&handle.spec),
            ports,
            config: config.clone(),
            shared,
            runtime: Handle::current(),
            stop: stop_seen,
        };
        let name = format!("query-{}", handle.spec.name);
        let spawned = std::thread::Builder::new().name(name).spawn(move || {
            supervised.supervise();
            // Nobody may be waiting any more.
            let _ = ended.send(true);
        });
        if let Err(error) = spawned {
            handle.shared.set_status(QueryStatus::Failed {
                reason: format!("no thread for the query: {error}"),
            });
        }
        handle
    }
}

/// A query that was started. Dropping it stops the query, without waiting.
pub struct QueryHandle {
    spec: Arc<QuerySpec>,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    ended: watch::Receiver<bool>,
}

impl QueryHandle {
    /// Its counters.
    pub fn stats(&self) -> Arc<QueryStats> {
        Arc::clone(&self.shared.stats)
    }

    /// Whether it runs.
    pub fn status(&self) -> QueryStatus {
        self.shared.lock_status().clone()
    }

    /// Asks the query to stop and waits until its thread has ended: the epoch in flight is finished, the one that is
    /// being processed is given up. Its state folder is closed then; who is still reading its rows is told to stop.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        self.ended().await;
        self.shared.set_rocks(None);
    }

    /// Waits until the query's thread has ended: it has finished, failed for good, or was stopped.
    pub async fn ended(&self) {
        let mut ended = self.ended.clone();
        // An error means that the thread is gone.
        let _ = ended.wait_for(|ended| *ended).await;
    }

    /// The rows of a keyed view at the last committed epoch. Never waits, neither for the query nor for the disk.
    pub fn view_rows(&self) -> Result<ViewRows, ViewError> {
        if !has_view_table(&self.spec.plan) {
            return Err(ViewError::NoTable);
        }
        let state = self.shared.lock_state();
        let open = state.as_ref().ok_or(ViewError::Recovering)?;
        Ok(ViewRows {
            rocks: Arc::clone(&open.rocks),
            schema: self.spec.plan.output.schema.clone(),
            closing: open.closing.clone(),
        })
    }
}

impl Drop for QueryHandle {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

/// What the query's thread and its handle share.
struct Shared {
    status: Mutex<QueryStatus>,
    stats: Arc<QueryStats>,
    /// The state, once it stands at the last committed epoch.
    state: Mutex<Option<OpenState>>,
}

/// State that may be read.
struct OpenState {
    rocks: Arc<Rocks>,
    /// Fires when it is to be closed.
    closing: CancellationToken,
}

impl Shared {
    fn lock_status(&self) -> MutexGuard<'_, QueryStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_status(&self, status: QueryStatus) {
        *self.lock_status() = status;
    }

    fn lock_state(&self) -> MutexGuard<'_, Option<OpenState>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_rocks(&self, rocks: Option<Arc<Rocks>>) {
        let mut state = self.lock_state();
        // The same state after a restart: its readers may go on.
        if let (Some(open), Some(rocks)) = (&*state, &rocks)
            && Arc::ptr_eq(&open.rocks, rocks)
        {
            return;
        }
        if let Some(open) = state.take() {
            open.closing.cancel();
        }
        *state = rocks.map(|rocks| OpenState {
            rocks,
            closing: CancellationToken::new(),
        });
    }
}

/// The query as its thread knows it.
struct Supervised {
    spec: Arc<QuerySpec>,
    ports: Ports,
    config: EngineConfig,
    path: PathBuf,
    shared: Arc<Shared>,
    pins: Arc<SourcePins>,
    runtime: Handle,
    stop: watch::Receiver<bool>,
}

/// How a run failed.
enum Failure {
    Error(RunError),
    Panic(String),
}

impl Supervised {
    fn supervise(mut self) {
        // Open across restarts: a reader of the view may hold it, and RocksDB cannot be opened twice.
        let mut rocks = None;
        let mut backoff = self.config.restart_backoff_min;
        let mut panics = 0;
        while !*self.stop.borrow() {
            let epochs = self.shared.stats.snapshot().epochs;
            let run = catch_unwind(AssertUnwindSafe(|| self.run(&mut rocks)));
            let failure = match run {
                Ok(Ok(RunEnd::Stopped)) => return self.close(rocks.as_deref()),
                Ok(Ok(RunEnd::Finished)) => return self.finish(),
                Ok(Err(error)) => Failure::Error(error),
                Err(panic) => Failure::Panic(panic_message(panic.as_ref())),
            };
            if epochs < self.shared.stats.snapshot().epochs {
                backoff = self.config.restart_backoff_min;
                panics = 0;
            }
            panics += u32::from(matches!(failure, Failure::Panic(_)));
            let retry = match &failure {
                Failure::Error(error) => error.retry(),
                Failure::Panic(_) if PANICS_MAX <= panics => Retry::Never,
                Failure::Panic(_) => Retry::Later,
            };
            let reason = failure.reason();
            if retry == Retry::Never {
                tracing::error!(query = %self.spec.name, reason, "query failed");
                return self.shared.set_status(QueryStatus::Failed { reason });
            }
            tracing::warn!(query = %self.spec.name, reason, ?backoff, "query failed, starting again");
            if retry == Retry::WithoutState {
                self.discard_state(&mut rocks);
            }
            self.shared.set_status(QueryStatus::Restarting { reason });
            self.pause(backoff);
            backoff = (backoff * 2).min(self.config.restart_backoff_max);
            self.shared.stats.add_restart();
        }
    }

    /// A query that has read all that it ever will is behind nothing, whatever its topics still get: its group goes.
    fn finish(mut self) {
        self.shared.set_status(QueryStatus::Finished);
        let QuerySpec {
            transactional_id,
            group,
            ..
        } = self.spec.as_ref();
        let (epochs, id, group) = (Arc::clone(&self.ports.epochs), transactional_id.clone(), group.clone());
        let mut backoff = self.config.restart_backoff_min;
        while let Err(error) = self.runtime.block_on(epochs.delete_progress_group(&id, &group)) {
            tracing::warn!(query = %self.spec.name, %error, "the group of a finished query is still there");
            self.pause(backoff);
            if *self.stop.borrow() {
                return;
            }
            backoff = (backoff * 2).min(self.config.restart_backoff_max);
        }
    }

    fn run(&self, rocks: &mut Option<Arc<Rocks>>) -> Result<RunEnd, RunError> {
        // A partition that was offline may be back, while another one still keeps the run from starting.
        self.pins
            .hold(&self.ports.topics.open_logs(&self.spec.plan.source.topic));
        let open = match rocks {
            Some(open) => Arc::clone(open),
            None => Arc::clone(rocks.insert(open_state(&self.path)?)),
        };
        let started = start(
            &self.spec,
            &self.ports,
            &self.config,
            Arc::clone(&open),
            &self.pins,
            &self.runtime,
            0 < self.shared.stats.snapshot().restarts,
        )?;
        self.shared.set_rocks(Some(open));
        let started = match started {
            Start::Ready(started) => started,
            Start::Finished(record) => {
                self.shared.stats.set_watermark(record.watermark);
                return Ok(RunEnd::Finished);
            }
        };
        self.shared.set_status(QueryStatus::Running);
        let context = RunContext {
            spec: &self.spec,
            ports: &self.ports,
            config: &self.config,
            stats: &self.shared.stats,
            runtime: &self.runtime,
            stop: self.stop.clone(),
        };
        Run::new(context, *started).run()
    }

    /// Brings everything to disk after an orderly stop, so that the next start has nothing to apply.
    fn close(&self, rocks: Option<&Rocks>) {
        if let Some(Err(error)) = rocks.map(Rocks::flush) {
            tracing::warn!(query = %self.spec.name, %error, "state was not flushed; the next start reads the changelog");
        }
    }

    /// Throws the state folder away; the changelog has everything.
    fn discard_state(&self, rocks: &mut Option<Arc<Rocks>>) {
        self.shared.set_rocks(None);
        *rocks = None;
        if let Err(error) = Rocks::destroy(&self.path) {
            tracing::warn!(query = %self.spec.name, %error, "damaged state could not be removed");
        }
    }

    fn pause(&mut self, backoff: Duration) {
        let (stop, clock) = (&mut self.stop, self.ports.clock.as_ref());
        self.runtime.block_on(async {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => {}
                () = clock.sleep(backoff) => {}
            }
        });
    }
}

impl Failure {
    fn reason(&self) -> String {
        match self {
            Self::Error(error) => error.to_string(),
            Self::Panic(message) => format!("panic: {message}"),
        }
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "of unknown kind".to_owned())
}
