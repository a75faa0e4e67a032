//! Counters for `SHOW QUERIES` and metrics: of each running query, and of all statements that end. Written by whoever
//! reads and computes, read by anyone.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::time::{EventTime, START_OF_TIME};

/// Upper bounds of the epoch-time histogram's buckets, in seconds; one more bucket counts what lies above.
pub const EPOCH_SECONDS_BOUNDS: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0];

/// Counters since the start of the process; a restart of the query does not reset them.
#[derive(Debug)]
pub struct QueryStats {
    batches_read: AtomicU64,
    batches_decompressed: AtomicU64,
    rows_read: AtomicU64,
    rows_in: AtomicU64,
    rows_out: AtomicU64,
    late: AtomicU64,
    bad: AtomicU64,
    failed_results: AtomicU64,
    epochs: AtomicU64,
    restarts: AtomicU64,
    state_bytes: AtomicU64,
    memory_bytes: AtomicU64,
    source_lag: AtomicU64,
    watermark: AtomicI64,
    epoch_nanos_sum: AtomicU64,
    epoch_buckets: [AtomicU64; EPOCH_SECONDS_BOUNDS.len() + 1],
    last_bad: Mutex<Option<String>>,
}

/// The counters at one moment. They are read one by one, so they may belong to slightly different moments.
#[derive(Debug, Clone, PartialEq)]
pub struct StatsSnapshot {
    /// Record batches read from the source, those read again after a restart included.
    pub batches_read: u64,
    /// Decompressions of these: one of each that is compressed.
    pub batches_decompressed: u64,
    /// Records read from the source, those read again after a restart included.
    pub rows_read: u64,
    /// Records that became rows.
    pub rows_in: u64,
    /// Rows, or changes of rows, that left the query. Counted when they are made, before their epoch commits.
    pub rows_out: u64,
    /// Rows that were late for all their windows.
    pub late: u64,
    /// Bad records, whatever the error policy did with them.
    pub bad: u64,
    /// Result rows that were held back because an expression failed on them.
    pub failed_results: u64,
    /// Why the last bad record was bad, or the last result held back.
    pub last_bad: Option<String>,
    /// Committed epochs.
    pub epochs: u64,
    /// Times that the query was started again after a failure.
    pub restarts: u64,
    /// Bytes of state on disk, estimated.
    pub state_bytes: u64,
    /// Bytes of state in memory, estimated.
    pub memory_bytes: u64,
    /// Records of the source that are visible and not yet read.
    pub source_lag: u64,
    /// The watermark in microseconds since 1970; `None` before the first, and after the end of a bounded source.
    pub watermark_us: Option<EventTime>,
    /// Sum of the times of all epochs, each from its barrier to its durable decision.
    pub epoch_time_sum: Duration,
    /// Epochs per bucket of [`EPOCH_SECONDS_BOUNDS`], not cumulated; the last counts those above all bounds.
    pub epoch_buckets: Vec<u64>,
}

/// Counters of all statements that end, since the start of the process.
#[derive(Debug, Default)]
pub(crate) struct SelectStats {
    batches_read: AtomicU64,
    batches_decompressed: AtomicU64,
    bad: AtomicU64,
}

/// The counters of all statements that end at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SelectSnapshot {
    /// Record batches read from topics.
    pub batches_read: u64,
    /// Decompressions of these: one of each that is compressed.
    pub batches_decompressed: u64,
    /// Bad records that were left out.
    pub bad: u64,
}

impl SelectStats {
    pub(crate) fn snapshot(&self) -> SelectSnapshot {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SelectSnapshot {
            batches_read: load(&self.batches_read),
            batches_decompressed: load(&self.batches_decompressed),
            bad: load(&self.bad),
        }
    }

    pub(crate) fn add_batches(&self, read: u64, decompressed: u64) {
        self.batches_read.fetch_add(read, Ordering::Relaxed);
        self.batches_decompressed.fetch_add(decompressed, Ordering::Relaxed);
    }

    pub(crate) fn add_bad(&self) {
        self.bad.fetch_add(1, Ordering::Relaxed);
    }
}

impl QueryStats {
    /// All zero.
    pub fn new() -> Self {
        Self {
            batches_read: AtomicU64::new(0),
            batches_decompressed: AtomicU64::new(0),
            rows_read: AtomicU64::new(0),
            rows_in: AtomicU64::new(0),
            rows_out: AtomicU64::new(0),
            late: AtomicU64::new(0),
            bad: AtomicU64::new(0),
            failed_results: AtomicU64::new(0),
            epochs: AtomicU64::new(0),
            restarts: AtomicU64::new(0),
            state_bytes: AtomicU64::new(0),
            memory_bytes: AtomicU64::new(0),
            source_lag: AtomicU64::new(0),
            watermark: AtomicI64::new(START_OF_TIME),
            epoch_nanos_sum: AtomicU64::new(0),
            epoch_buckets: Default::default(),
            last_bad: Mutex::new(None),
        }
    }

    /// The counters now.
    pub fn snapshot(&self) -> StatsSnapshot {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let watermark = self.watermark.load(Ordering::Relaxed);
        StatsSnapshot {
            batches_read: load(&self.batches_read),
            batches_decompressed: load(&self.batches_decompressed),
            rows_read: load(&self.rows_read),
            rows_in: load(&self.rows_in),
            rows_out: load(&self.rows_out),
            late: load(&self.late),
            bad: load(&self.bad),
            failed_results: load(&self.failed_results),
            last_bad: self.last_bad.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            epochs: load(&self.epochs),
            restarts: load(&self.restarts),
            state_bytes: load(&self.state_bytes),
            memory_bytes: load(&self.memory_bytes),
            source_lag: load(&self.source_lag),
            watermark_us: (watermark != START_OF_TIME && watermark != EventTime::MAX).then_some(watermark),
            epoch_time_sum: Duration::from_nanos(load(&self.epoch_nanos_sum)),
            epoch_buckets: self.epoch_buckets.iter().map(load).collect(),
        }
    }

    pub(crate) fn add_batches(&self, read: u64, decompressed: u64) {
        self.batches_read.fetch_add(read, Ordering::Relaxed);
        self.batches_decompressed.fetch_add(decompressed, Ordering::Relaxed);
    }

    pub(crate) fn add_read(&self, records: u64) {
        self.rows_read.fetch_add(records, Ordering::Relaxed);
    }

    pub(crate) fn add_rows_in(&self, rows: u64) {
        self.rows_in.fetch_add(rows, Ordering::Relaxed);
    }

    pub(crate) fn add_rows_out(&self, rows: u64) {
        self.rows_out.fetch_add(rows, Ordering::Relaxed);
    }

    pub(crate) fn add_late(&self, rows: u64) {
        self.late.fetch_add(rows, Ordering::Relaxed);
    }

    pub(crate) fn add_bad(&self, reason: impl FnOnce() -> String) {
        self.bad.fetch_add(1, Ordering::Relaxed);
        *self.last_bad.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason());
    }

    pub(crate) fn add_failed_results(&self, rows: u64, reason: String) {
        self.failed_results.fetch_add(rows, Ordering::Relaxed);
        *self.last_bad.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
    }

    pub(crate) fn add_restart(&self) {
        self.restarts.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_epoch(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.epoch_nanos_sum.fetch_add(nanos, Ordering::Relaxed);
        let seconds = took.as_secs_f64();
        let bucket = EPOCH_SECONDS_BOUNDS.partition_point(|bound| *bound < seconds);
        self.epoch_buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.epochs.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn set_watermark(&self, watermark: EventTime) {
        self.watermark.store(watermark, Ordering::Relaxed);
    }

    pub(crate) fn set_state_bytes(&self, disk: u64, memory: u64) {
        self.state_bytes.store(disk, Ordering::Relaxed);
        self.memory_bytes.store(memory, Ordering::Relaxed);
    }

    pub(crate) fn set_source_lag(&self, records: u64) {
        self.source_lag.store(records, Ordering::Relaxed);
    }
}

impl Default for QueryStats {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_are_counted_in_the_bucket_of_their_time() {
        let stats = QueryStats::new();
        for millis in [1, 3, 3, 9_000] {
            stats.add_epoch(Duration::from_millis(millis));
        }
        let snapshot = stats.snapshot();
        assert_eq!(snapshot.epoch_buckets, [1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(snapshot.epoch_time_sum, Duration::from_millis(9_007));
        assert_eq!(snapshot.epochs, 4);
    }
}
