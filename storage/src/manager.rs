//! All logs of a node: open, find, look after, stop.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use protocol::{TimestampMs, TopicId, TopicPartition};

use crate::{
    cache::CacheBudget,
    checkpoint::parent,
    clock::MonotonicClock,
    config::{LogConfig, StorageConfig},
    deletion::Deletions,
    directory::DataDirectory,
    durable_marks::DurableMarks,
    error::{IoFailure, OpenError},
    flush::{FlushEnv, FlushObserver, Scheduler},
    fs::Fs,
    log::{self, Log, OpenRequest, Retained},
    node::Node,
    space::SpaceGuard,
    trash::Trash,
};

/// The logs of one data folder. Every method may be called from any thread and may block.
///
/// [`LogManager::shutdown`] ends it cleanly; dropping it without that is what a crash would be: what was not flushed
/// stays in the page cache, and the next start recovers.
#[derive(Debug)]
pub struct LogManager {
    node: Arc<Node>,
    directory: DataDirectory,
    started_clean: bool,
    logs: RwLock<HashMap<TopicPartition, Arc<Log>>>,
    opening: Mutex<HashSet<TopicPartition>>,
    deletions: Deletions,
}

/// What one pass of upkeep did.
#[derive(Debug, Clone, Default)]
pub struct RetentionReport {
    /// Segments taken out of service.
    pub segments: usize,
    /// Bytes of their batches.
    pub bytes: u64,
    /// Files and folders unlinked.
    pub unlinked: usize,
    /// Logs where it failed, and why; the next pass tries again.
    pub failed: Vec<(TopicPartition, IoFailure)>,
}

/// Figures for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StorageStats {
    /// Open logs.
    pub logs: usize,
    /// Logs that stopped after a failed write.
    pub poisoned: usize,
    /// Bytes of all batches.
    pub bytes: u64,
    /// Segments of all logs.
    pub segments: usize,
    /// Reads that met damaged bytes since the start.
    pub corrupt_reads: u64,
    /// Ranges of offsets that recovery found to be lost.
    pub quarantined_ranges: usize,
    /// Whether clients' appends are refused for lack of space.
    pub low_space: bool,
}

impl LogManager {
    /// Opens a data folder, creating it when missing: takes its lock, reads how the last run ended, starts the flush
    /// threads. No log is opened yet. The clock tells when a flush is due.
    ///
    /// # Errors
    /// [`OpenError::Locked`] when another process has it, [`OpenError::NewerVersion`], [`OpenError::Io`].
    pub fn open(
        config: StorageConfig,
        fs: Arc<dyn Fs>,
        clock: Arc<dyn MonotonicClock>,
    ) -> Result<Arc<Self>, OpenError> {
        let directory = DataDirectory::open(&fs, &config.data_dir)?;
        let started_clean = directory.take_clean_mark()?;
        for doomed in directory.deleted_partitions()? {
            fs.remove_dir_all(&doomed)
                .map_err(|error| IoFailure::new("remove", &doomed, error))?;
        }
        let marks = Arc::new(DurableMarks::open(&fs, &config.data_dir, started_clean)?);
        let space = Arc::new(SpaceGuard::new(&fs, config.data_dir.clone(), config.low_space_bytes));
        let env = FlushEnv {
            fs: Arc::clone(&fs),
            data_dir: config.data_dir.clone(),
            marks: Arc::clone(&marks),
            space: Arc::clone(&space),
            observer: OnceLock::new(),
            clock,
        };
        let started = Scheduler::start(&config, env);
        let scheduler = started.map_err(|error| IoFailure::new("start threads for", &config.data_dir, error))?;
        let node = Arc::new(Node {
            cache: CacheBudget::new(config.batch_cache_bytes),
            trash: Trash::new(&fs),
            config,
            fs,
            scheduler,
            marks,
            space,
            corrupt_reads: AtomicU64::new(0),
            next_pin: AtomicU64::new(0),
        });
        Ok(Arc::new(Self {
            node,
            directory,
            started_clean,
            logs: RwLock::default(),
            opening: Mutex::default(),
            deletions: Deletions::default(),
        }))
    }

    /// Whether the last run ended with [`LogManager::shutdown`].
    #[must_use]
    pub fn started_clean(&self) -> bool {
        self.started_clean
    }

    /// Watches flush rounds from now on. Only the first observer is kept.
    pub fn observe_flushes(&self, observer: Arc<dyn FlushObserver>) {
        let _ = self.node.scheduler.env.observer.set(observer);
    }

    /// Opens a partition's log in its folder `topics/<topic>-<partition>`, creating or recovering it, under a new leader
    /// epoch.
    ///
    /// # Errors
    /// [`OpenError`]. Other logs are not affected.
    pub fn open_log(
        &self,
        partition: TopicPartition,
        topic_id: TopicId,
        config: Arc<LogConfig>,
        now: TimestampMs,
    ) -> Result<Arc<Log>, OpenError> {
        let dir = self.directory.partition(&partition);
        self.open_log_in(&dir, partition, topic_id, config, now)
    }

    /// As [`LogManager::open_log`], in a folder of the caller's choice (the metadata log). It must lie in the data folder,
    /// because one `syncfs` may stand for all logs.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_log_in(
        &self,
        dir: &Path,
        partition: TopicPartition,
        topic_id: TopicId,
        config: Arc<LogConfig>,
        now: TimestampMs,
    ) -> Result<Arc<Log>, OpenError> {
        if self.log(&partition).is_some() || !self.lock_opening().insert(partition.clone()) {
            return Err(OpenError::AlreadyOpen(partition));
        }
        let request = OpenRequest {
            node: Arc::clone(&self.node),
            dir: dir.to_owned(),
            partition: partition.clone(),
            topic_id,
            config,
            clean: self.started_clean,
            now,
        };
        // A deletion that is not over may not find the new log where it left the old one.
        let deleted = self.deletions.finish(&self.node, dir, now);
        let opened = deleted.map_err(OpenError::Io).and_then(|()| log::open(request));
        if let Ok(log) = &opened {
            self.logs
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(partition.clone(), Arc::clone(log));
        }
        self.lock_opening().remove(&partition);
        opened
    }

    /// An open log.
    #[must_use]
    pub fn log(&self, partition: &TopicPartition) -> Option<Arc<Log>> {
        self.logs
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(partition)
            .cloned()
    }

    /// All open logs, in no order.
    #[must_use]
    pub fn logs(&self) -> Vec<Arc<Log>> {
        self.logs
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    /// Closes a log and deletes its folder: renamed durably before this returns, so that it never comes back, and
    /// unlinked after the topic's `file.delete.delay.ms`. Readers that are under way may finish.
    ///
    /// # Errors
    /// [`IoFailure`] when the folder could not be renamed durably; the log is gone for everybody all the same. Upkeep
    /// tries again, and so does whoever opens a log in that place.
    pub fn delete_log(&self, partition: &TopicPartition, now: TimestampMs) -> Result<(), IoFailure> {
        let Some(log) = self.log(partition) else { return Ok(()) };
        log.close();
        // Nobody opens a log in that place between these two, and of two who delete it one does.
        let opening = self.lock_opening();
        let mut logs = self.logs.write().unwrap_or_else(PoisonError::into_inner);
        let is_mine = logs.remove(partition).is_some();
        drop(logs);
        if is_mine {
            self.deletions.begin(&log);
        }
        drop(opening);
        self.deletions.finish(&self.node, log.dir(), now)
    }

    /// Removes a partition's folder that no open log has: what a deletion left that a crash interrupted before the folder
    /// was renamed. Unlike [`LogManager::delete_log`] it is gone when this returns.
    ///
    /// # Errors
    /// [`IoFailure`]; [`LogManager::orphans`] keeps listing it then.
    pub fn remove_orphan(&self, dir: &Path) -> Result<(), IoFailure> {
        assert!(
            self.logs().iter().all(|log| log.dir() != dir),
            "the folder of an open log is no orphan"
        );
        self.node
            .fs
            .remove_dir_all(dir)
            .map_err(|error| IoFailure::new("remove", dir, error))?;
        let folder = parent(dir);
        self.node
            .fs
            .sync_dir(folder)
            .map_err(|error| IoFailure::new("sync", folder, error))
    }

    /// Partition folders that no open log has.
    ///
    /// # Errors
    /// [`IoFailure`] when the folder cannot be listed.
    pub fn orphans(&self) -> Result<Vec<PathBuf>, IoFailure> {
        let topics = self.directory.topics();
        let entries = self
            .node
            .fs
            .list(&topics)
            .map_err(|error| IoFailure::new("list", &topics, error))?;
        let open: HashSet<PathBuf> = self.logs().iter().map(|log| log.dir().to_owned()).collect();
        let folders = entries
            .into_iter()
            .filter(|entry| entry.is_dir)
            .map(|entry| topics.join(entry.name));
        let deleted: HashSet<PathBuf> = self.directory.deleted_partitions()?.into_iter().collect();
        Ok(folders
            .filter(|dir| !open.contains(dir) && !deleted.contains(dir))
            .collect())
    }

    /// One pass of upkeep over all logs: retention, forgotten producers, files whose delay is over. While space is low
    /// the delay does not count.
    pub fn apply_retention(&self, now: TimestampMs) -> RetentionReport {
        let mut report = RetentionReport::default();
        for log in self.logs() {
            match log.apply_retention(now) {
                Ok(Retained { segments, bytes }) => {
                    report.segments += segments;
                    report.bytes += bytes;
                }
                Err(failure) => {
                    tracing::warn!(log = %log.topic_partition(), error = %failure, "retention failed");
                    report.failed.push((log.topic_partition().clone(), failure));
                }
            }
        }
        self.deletions.finish_all(&self.node, now);
        let low = self.node.space.refresh();
        report.unlinked = self.node.trash.empty(now, low);
        report
    }

    /// Figures for metrics.
    #[must_use]
    pub fn stats(&self) -> StorageStats {
        let logs = self.logs();
        StorageStats {
            logs: logs.len(),
            poisoned: logs.iter().filter(|log| log.poisoned().is_some()).count(),
            bytes: logs.iter().map(|log| log.size_bytes()).sum(),
            segments: logs.iter().map(|log| log.segment_count()).sum(),
            corrupt_reads: self.node.corrupt_reads.load(Ordering::Relaxed),
            quarantined_ranges: logs.iter().map(|log| log.quarantined().len()).sum(),
            low_space: self.node.space.is_low(),
        }
    }

    /// What is wrong, for a health check; `None` when nothing is.
    #[must_use]
    pub fn health(&self) -> Option<String> {
        let mut problems: Vec<String> = self
            .logs()
            .iter()
            .filter_map(|log| log.poisoned().map(ToString::to_string))
            .collect();
        problems.sort();
        if self.node.space.is_low() {
            problems.push(self.node.space.refusal().to_string());
        }
        (!problems.is_empty()).then(|| problems.join("; "))
    }

    /// Flushes everything, writes what a clean start needs, and says so on disk. Appends fail from here on. A log that
    /// cannot be closed cleanly makes the whole stop unclean; the others are flushed all the same.
    ///
    /// # Errors
    /// The first [`IoFailure`]; the next start recovers.
    pub fn shutdown(&self, now: TimestampMs) -> Result<(), IoFailure> {
        self.node.scheduler.shut_down();
        let logs = self.logs();
        let mut failures = Vec::new();
        let mut durable = Vec::with_capacity(logs.len());
        for log in &logs {
            match log.close_cleanly() {
                Ok(offset) => durable.push((log.mark_key(), offset)),
                Err(failure) => failures.push(failure),
            }
            log.close();
        }
        self.node.marks.note(&durable);
        self.node.marks.rotate()?;
        self.deletions.finish_all(&self.node, now);
        self.node.trash.empty(now, true);
        match failures.into_iter().next() {
            Some(failure) => Err(failure),
            None => self.directory.write_clean_mark(),
        }
    }

    fn lock_opening(&self) -> MutexGuard<'_, HashSet<TopicPartition>> {
        self.opening.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for LogManager {
    fn drop(&mut self) {
        self.node.scheduler.abandon();
        for log in self.logs() {
            log.close();
        }
    }
}
