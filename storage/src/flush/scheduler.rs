//! When rounds begin and what they hold.

use std::{
    io, mem,
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use protocol::Offset;

use super::{FlushJob, FlushObserver, FlushRound, pool::SyncPool};
use crate::{
    clock::MonotonicClock,
    config::StorageConfig,
    durable_marks::{DurableMarks, MarkKey},
    error::{FlushError, IoFailure},
    fs::Fs,
    log::{Flushed, Log},
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
    pub(crate) clock: Arc<dyn MonotonicClock>,
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
    dirty: Waiting,
    lazy: Waiting,
    urgent: bool,
    stop: Option<Stop>,
}

/// Logs that wait, and until when the first of them may.
#[derive(Debug, Default)]
struct Waiting {
    logs: Vec<Arc<Log>>,
    /// On the monotonic clock; `None` while no log waits.
    due: Option<Duration>,
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
            let (waiting, delay) = match urgency {
                Urgency::Lazy => (&mut queue.lazy, self.async_delay),
                Urgency::Soon | Urgency::Now => (&mut queue.dirty, self.delay),
            };
            notify = waiting.due.is_none();
            waiting.due.get_or_insert_with(|| self.env.clock.monotonic() + delay);
            waiting.logs.push(Arc::clone(log));
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
        loop {
            let (logs, stopping) = self.gather();
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
    fn gather(&self) -> (Vec<Arc<Log>>, Option<Stop>) {
        let mut queue = self.lock();
        loop {
            if queue.stop.is_some() {
                let mut logs = queue.dirty.take();
                logs.append(&mut queue.lazy.take());
                return (logs, queue.stop);
            }
            let now = self.env.clock.monotonic();
            let due = [queue.dirty.due, queue.lazy.due].into_iter().flatten().min();
            if queue.urgent || due.is_some_and(|due| due <= now) {
                return (self.take_round(&mut queue, now), None);
            }
            let Some(due) = due else {
                queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let (guard, timeout) = self
                .wake
                .wait_timeout(queue, due - now)
                .unwrap_or_else(PoisonError::into_inner);
            queue = guard;
            if timeout.timed_out() {
                // A wait that ran out is time that has passed, also for a clock that somebody moves by hand.
                return (self.take_round(&mut queue, due), None);
            }
        }
    }

    /// Every log of the ordinary delay, and the others when their time has come: rounds that somebody awaits come as
    /// often as they like, and must not put these off.
    fn take_round(&self, queue: &mut Queue, now: Duration) -> Vec<Arc<Log>> {
        queue.urgent = false;
        self.urgent.store(false, Ordering::Release);
        let mut logs = queue.dirty.take();
        if queue.lazy.due.is_some_and(|due| due <= now) {
            logs.append(&mut queue.lazy.take());
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
            observer.round_finished(&FlushRound {
                logs: count,
                bytes: round.bytes,
                used_syncfs,
                failed: round.failed,
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
            let (target, bytes) = (job.target, job.bytes);
            let flushed = log.finish_flush(job, failure.clone().map_or(Ok(()), Err));
            result.count(&log, flushed, target, bytes);
        }
        result
    }

    /// Every log by itself, side by side; each answers its waiters as soon as it is through.
    fn sync_apart(&self, jobs: Vec<FlushJob>, pool: &SyncPool) -> RoundResult {
        let result = Arc::new(Mutex::new(RoundResult::default()));
        let left = Arc::new(AtomicUsize::new(jobs.len()));
        let mut tasks: Vec<Box<dyn FnOnce() + Send>> = Vec::with_capacity(jobs.len() + 1);
        for job in jobs {
            let (fs, result, left) = (Arc::clone(&self.env.fs), Arc::clone(&result), Arc::clone(&left));
            tasks.push(Box::new(move || {
                let log = Arc::clone(&job.log);
                let (target, bytes) = (job.target, job.bytes);
                let synced = job.sync(&*fs, log.dir());
                let flushed = log.finish_flush(job, synced);
                let mut result = result.lock().unwrap_or_else(PoisonError::into_inner);
                result.count(&log, flushed, target, bytes);
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
        mem::take(&mut *result.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn take(&mut self) -> Vec<Arc<Log>> {
        self.due = None;
        mem::take(&mut self.logs)
    }
}

/// What came of a round.
#[derive(Debug, Default)]
struct RoundResult {
    durable: Vec<(MarkKey, Offset)>,
    bytes: u64,
    failed: usize,
}

impl RoundResult {
    fn count(&mut self, log: &Log, flushed: Flushed, target: Offset, bytes: u64) {
        match flushed {
            Flushed::Durable => {
                self.durable.push((log.mark_key(), target));
                self.bytes += bytes;
            }
            Flushed::NotNow => {}
            Flushed::Failed => self.failed += 1,
        }
    }
}
