//! When rounds begin and what they hold.

use std::{
    io, mem,
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{FlushJob, FlushObserver, FlushRound, pool::SyncPool};
use crate::{
    config::StorageConfig,
    durable_marks::DurableMarks,
    error::{FlushError, IoFailure},
    fs::Fs,
    log::Log,
    space::SpaceGuard,
};

/// How soon a dirty log wants its flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    /// Within the delay for logs that do not wait for their flushes.
    Lazy = 1,
    /// Within the ordinary delay.
    Soon = 2,
    /// In the next round, which begins as soon as the device is free.
    Now = 3,
}

/// What the scheduler works with; shared with the rest of the node.
#[derive(Debug)]
pub(crate) struct FlushEnv {
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) data_dir: PathBuf,
    pub(crate) marks: Arc<DurableMarks>,
    pub(crate) space: Arc<SpaceGuard>,
    pub(crate) observer: OnceLock<Arc<dyn FlushObserver>>,
}

/// The flush scheduler: a queue that any thread may fill and one thread that empties it.
#[derive(Debug)]
pub(crate) struct Scheduler {
    pub(crate) env: FlushEnv,
    delay: Duration,
    async_delay: Duration,
    syncfs_threshold: usize,
    /// A round was asked for and has not begun; lets callers skip the lock.
    urgent: AtomicBool,
    queue: Mutex<Queue>,
    wake: Condvar,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Queue {
    dirty: Vec<Arc<Log>>,
    lazy: Vec<Arc<Log>>,
    urgent: bool,
    stop: Option<Stop>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// Flush what is queued, then end.
    Flush,
    /// End; what is queued stays in the page cache.
    Abandon,
}

impl Scheduler {
    /// Starts the flush thread.
    pub(crate) fn start(config: &StorageConfig, env: FlushEnv) -> io::Result<Arc<Self>> {
        let scheduler = Arc::new(Self {
            env,
            delay: config.flush_delay_max,
            async_delay: config.async_flush_delay.max(config.flush_delay_max),
            syncfs_threshold: config.syncfs_threshold,
            urgent: AtomicBool::new(false),
            queue: Mutex::default(),
            wake: Condvar::new(),
            thread: Mutex::default(),
        });
        let pool = SyncPool::new(config.flush_threads.saturating_sub(1));
        let runner = Arc::clone(&scheduler);
        let thread = thread::Builder::new()
            .name("flush".to_owned())
            .spawn(move || runner.run(&pool))?;
        *scheduler.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(scheduler)
    }

    /// Queues a log. Cheap when it is queued already at that urgency.
    pub(crate) fn schedule(&self, log: &Arc<Log>, urgency: Urgency) {
        let wanted = urgency.min(Urgency::Soon) as u8;
        let urgent = urgency == Urgency::Now;
        if wanted <= log.queued.load(Ordering::Acquire) && (!urgent || self.urgent.load(Ordering::Acquire)) {
            return;
        }
        let mut queue = self.lock();
        if queue.stop.is_some() {
            return;
        }
        // What the thread is waiting for decides whether it has to hear of this.
        let mut notify = false;
        if log.queued.fetch_max(wanted, Ordering::AcqRel) < wanted {
            let list = if urgency == Urgency::Lazy {
                &mut queue.lazy
            } else {
                &mut queue.dirty
            };
            notify = list.is_empty();
            list.push(Arc::clone(log));
        }
        if urgent && !queue.urgent {
            queue.urgent = true;
            self.urgent.store(true, Ordering::Release);
            notify = true;
        }
        drop(queue);
        if notify {
            self.wake.notify_one();
        }
    }

    /// Flushes what is queued and ends the thread.
    pub(crate) fn shut_down(&self) {
        self.stop(Stop::Flush);
    }

    /// Ends the thread without flushing: what a crash would do.
    pub(crate) fn abandon(&self) {
        self.stop(Stop::Abandon);
    }

    fn stop(&self, stop: Stop) {
        self.lock().stop.get_or_insert(stop);
        self.wake.notify_one();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the flush thread had ended in a panic");
        }
    }

    fn run(&self, pool: &SyncPool) {
        let mut lazy_waited = Duration::ZERO;
        loop {
            let (logs, stopping) = self.gather(&mut lazy_waited);
            if stopping == Some(Stop::Abandon) {
                let closed = |log: &Arc<Log>| FlushError::Closed(log.topic_partition().clone());
                logs.iter().for_each(|log| log.gate.fail(closed(log)));
                return;
            }
            self.flush_round(&logs, pool);
            if stopping.is_some() && logs.is_empty() {
                return;
            }
        }
    }

    /// Waits until a round is due and takes what belongs to it.
    fn gather(&self, lazy_waited: &mut Duration) -> (Vec<Arc<Log>>, Option<Stop>) {
        let mut queue = self.lock();
        loop {
            if queue.stop.is_some() {
                let mut logs = mem::take(&mut queue.dirty);
                logs.append(&mut queue.lazy);
                return (logs, queue.stop);
            }
            let delay = match (queue.urgent, queue.dirty.is_empty(), queue.lazy.is_empty()) {
                (true, ..) => return (self.take_round(&mut queue, lazy_waited), None),
                (false, true, true) => {
                    *lazy_waited = Duration::ZERO;
                    queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
                    continue;
                }
                (false, false, _) => self.delay,
                (false, true, false) => self.async_delay.saturating_sub(*lazy_waited),
            };
            let had_dirty = !queue.dirty.is_empty();
            let (guard, timeout) = self
                .wake
                .wait_timeout(queue, delay)
                .unwrap_or_else(PoisonError::into_inner);
            queue = guard;
            if timeout.timed_out() {
                *lazy_waited += delay;
                if had_dirty || self.async_delay <= *lazy_waited {
                    return (self.take_round(&mut queue, lazy_waited), None);
                }
            }
        }
    }

    fn take_round(&self, queue: &mut Queue, lazy_waited: &mut Duration) -> Vec<Arc<Log>> {
        queue.urgent = false;
        self.urgent.store(false, Ordering::Release);
        let mut logs = mem::take(&mut queue.dirty);
        if self.async_delay <= *lazy_waited {
            *lazy_waited = Duration::ZERO;
            logs.append(&mut queue.lazy);
        }
        logs
    }

    fn flush_round(&self, logs: &[Arc<Log>], pool: &SyncPool) {
        let jobs: Vec<FlushJob> = logs.iter().filter_map(Log::capture_flush).collect();
        if jobs.is_empty() {
            return;
        }
        let observer = self.env.observer.get();
        if let Some(observer) = observer {
            observer.round_started();
        }
        let (count, used_syncfs) = (jobs.len(), self.syncfs_threshold < jobs.len());
        let round = if used_syncfs {
            self.sync_together(jobs)
        } else {
            self.sync_apart(jobs, pool)
        };
        self.env.marks.note(&round.durable);
        if let Some(observer) = observer {
            let failed = count - round.durable.len();
            observer.round_finished(&FlushRound {
                logs: count,
                bytes: round.bytes,
                used_syncfs,
                failed,
            });
        }
        self.env.space.refresh();
    }

    /// One `syncfs` for all logs and the marks.
    fn sync_together(&self, jobs: Vec<FlushJob>) -> RoundResult {
        let marks_waiting = self.env.marks.unsynced().is_some();
        let synced = self.env.fs.sync_fs(&self.env.data_dir);
        if let (Err(error), true) = (&synced, marks_waiting) {
            self.env.marks.sync_failed(error);
        }
        let failure = synced
            .err()
            .map(|error| IoFailure::new("sync", &self.env.data_dir, error));
        let mut result = RoundResult::default();
        for job in jobs {
            let log = Arc::clone(&job.log);
            let entry = (log.mark_key(), job.target, job.bytes);
            if log.finish_flush(job, failure.clone().map_or(Ok(()), Err)) {
                result.durable.push((entry.0, entry.1));
                result.bytes += entry.2;
            }
        }
        result
    }

    /// Every log by itself, side by side; each answers its waiters as soon as it is through.
    fn sync_apart(&self, jobs: Vec<FlushJob>, pool: &SyncPool) -> RoundResult {
        let durable = Arc::new(Mutex::new(Vec::with_capacity(jobs.len())));
        let bytes = Arc::new(AtomicU64::new(0));
        let left = Arc::new(AtomicUsize::new(jobs.len()));
        let mut tasks: Vec<Box<dyn FnOnce() + Send>> = Vec::with_capacity(jobs.len() + 1);
        for job in jobs {
            let (fs, durable, total) = (Arc::clone(&self.env.fs), Arc::clone(&durable), Arc::clone(&bytes));
            let left = Arc::clone(&left);
            tasks.push(Box::new(move || {
                let log = Arc::clone(&job.log);
                let (target, bytes) = (job.target, job.bytes);
                let synced = job.sync(&*fs, log.dir());
                if log.finish_flush(job, synced) {
                    durable
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((log.mark_key(), target));
                    total.fetch_add(bytes, Ordering::Relaxed);
                }
                left.fetch_sub(1, Ordering::Relaxed);
            }));
        }
        let marks = Arc::clone(&self.env.marks);
        if marks.has_unsynced() {
            tasks.push(Box::new(move || marks.sync()));
        }
        pool.run(tasks);
        assert_eq!(
            left.load(Ordering::Relaxed),
            0,
            "every flush of a round has ended with it"
        );
        let durable = mem::take(&mut *durable.lock().unwrap_or_else(PoisonError::into_inner));
        RoundResult {
            durable,
            bytes: bytes.load(Ordering::Relaxed),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What became durable in a round.
#[derive(Debug, Default)]
struct RoundResult {
    durable: Vec<(crate::durable_marks::MarkKey, protocol::Offset)>,
    bytes: u64,
}
