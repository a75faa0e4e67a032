//! What the tests of this crate share: a node on the faulty file system, and batches.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use protocol::{
    Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs, TopicId, TopicPartition,
    records::{Batch, BatchBuilder, BatchHeader, BatchIter, BatchStamp, Codec, ControlType, marker_batch},
};
use uuid::Uuid;

use crate::{
    AppendError, AppendOrigin, Appended, Isolation, Log, LogConfig, LogManager, MonotonicClock, OpenError, ReadError,
    StorageConfig,
    faulty_fs::{FaultyFs, Loss},
    fs::Fs,
};

pub(crate) const NOW: TimestampMs = 1_700_000_000_000;

/// A clock that moves by hand. What waits for it goes on all the same when its wait has run out.
#[derive(Debug, Default)]
pub(crate) struct HandClock(AtomicU64);

impl HandClock {
    pub(crate) fn advance(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).expect("a few hours");
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl MonotonicClock for HandClock {
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// A node with one log.
pub(crate) struct TestNode {
    pub(crate) fs: Arc<FaultyFs>,
    pub(crate) manager: Arc<LogManager>,
    pub(crate) log: Arc<Log>,
    pub(crate) config: LogConfig,
}

pub(crate) fn clock() -> Arc<dyn MonotonicClock> {
    Arc::new(HandClock::default())
}

pub(crate) fn storage_config() -> StorageConfig {
    StorageConfig {
        flush_delay_max: Duration::from_millis(1),
        flush_threads: 2,
        ..StorageConfig::new("/data")
    }
}

/// Small segments with dense indexes, so that a few batches already use everything.
pub(crate) fn small_segments() -> LogConfig {
    LogConfig {
        segment_bytes: 2048,
        index_interval_bytes: 200,
        retention_ms: None,
        ..LogConfig::default()
    }
}

pub(crate) fn partition() -> TopicPartition {
    TopicPartition::new("orders", 0)
}

pub(crate) fn topic_id() -> TopicId {
    TopicId(Uuid::from_u128(77))
}

impl TestNode {
    pub(crate) fn new(config: LogConfig) -> Self {
        let fs = FaultyFs::new();
        fs.set_time(NOW);
        Self::start(fs, config).expect("a new node starts")
    }

    pub(crate) fn start(fs: Arc<FaultyFs>, config: LogConfig) -> Result<Self, OpenError> {
        Self::start_with(storage_config(), fs, config)
    }

    pub(crate) fn start_with(storage: StorageConfig, fs: Arc<FaultyFs>, config: LogConfig) -> Result<Self, OpenError> {
        let shared: Arc<dyn Fs> = Arc::clone(&fs) as Arc<dyn Fs>;
        let manager = LogManager::open(storage, shared, clock())?;
        let log = manager.open_log(partition(), topic_id(), Arc::new(config.clone()), NOW)?;
        Ok(Self {
            fs,
            manager,
            log,
            config,
        })
    }

    /// Stops without a word and starts again on what is left.
    pub(crate) fn crash(self, loss: Loss) -> Self {
        let Self {
            fs,
            manager,
            log,
            config,
        } = self;
        let fs = fs.crash(loss);
        drop((log, manager));
        Self::start(fs, config).expect("a node starts after a crash")
    }

    /// Stops cleanly and starts again.
    pub(crate) fn restart(self) -> Self {
        let Self {
            fs,
            manager,
            log,
            config,
        } = self;
        manager.shutdown(NOW).expect("a clean stop");
        drop((log, manager));
        Self::start(fs, config).expect("a node starts after a clean stop")
    }

    /// Stops cleanly, lets `damage` loose on the files, and starts again after a crash in which nothing was lost.
    pub(crate) fn damaged(self, damage: impl FnOnce(&FaultyFs, &Path)) -> Self {
        let Self {
            fs,
            manager,
            log,
            config,
        } = self;
        log.flush_through(Offset::MAX).wait().expect("flushed");
        // Ends the flush thread, and with it the last round's note.
        log.node().scheduler.shut_down();
        let dir = log.dir().to_owned();
        let fs = fs.crash(Loss::Nothing);
        drop((log, manager));
        damage(&fs, &dir);
        Self::start(fs, config).expect("a node starts")
    }

    pub(crate) fn append(&self, batch: &Batch) -> Result<Appended, AppendError> {
        self.log.append(batch, AppendOrigin::Client, NOW)
    }

    /// Appends and waits for the flush; returns the base offset.
    pub(crate) fn put(&self, batch: &Batch) -> Offset {
        let origin = if batch.header.is_control() {
            AppendOrigin::Coordinator
        } else {
            AppendOrigin::Client
        };
        let appended = self.log.append(batch, origin, NOW).expect("appended");
        appended.ticket.wait().expect("flushed");
        appended.base_offset
    }

    pub(crate) fn headers(&self) -> Vec<BatchHeader> {
        self.read_all(Isolation::LogEnd)
            .expect("readable")
            .iter()
            .map(|batch| batch.header)
            .collect()
    }

    /// Reads everything with small steps.
    pub(crate) fn read_all(&self, isolation: Isolation) -> Result<Vec<Batch>, ReadError> {
        let mut from = self.log.marks().log_start;
        let mut batches = Vec::new();
        loop {
            let slice = self.log.read(from, isolation, 700, true)?;
            if slice.bytes.is_empty() {
                return Ok(batches);
            }
            batches.extend(parse(slice.bytes));
            from = slice.next_offset;
        }
    }
}

pub(crate) fn parse(bytes: Bytes) -> Vec<Batch> {
    BatchIter::new(bytes).collect::<Result<_, _>>().expect("whole batches")
}

/// A plain batch of `count` records, the first at `timestamp`, each one millisecond later.
pub(crate) fn records(count: usize, timestamp: TimestampMs) -> Batch {
    stamped(count, timestamp, BatchStamp::NONE)
}

pub(crate) fn idempotent(
    producer_id: ProducerId,
    producer_epoch: ProducerEpoch,
    base_sequence: Sequence,
    count: usize,
) -> Batch {
    let stamp = BatchStamp {
        producer_id,
        producer_epoch,
        base_sequence,
        transactional: false,
        control: false,
    };
    stamped(count, NOW, stamp)
}

pub(crate) fn transactional(producer_id: ProducerId, base_sequence: Sequence, count: usize) -> Batch {
    let stamp = BatchStamp {
        producer_id,
        producer_epoch: 0,
        base_sequence,
        transactional: true,
        control: false,
    };
    stamped(count, NOW, stamp)
}

pub(crate) fn marker(producer_id: ProducerId, kind: ControlType) -> Batch {
    marker_batch(producer_id, 0, kind, 0, NOW)
}

fn stamped(count: usize, timestamp: TimestampMs, stamp: BatchStamp) -> Batch {
    let mut builder = BatchBuilder::new(Codec::None, None, timestamp);
    for number in 0..count {
        let value = format!("value {number} of {timestamp} {}", "x".repeat(40));
        builder.append(timestamp + number as i64, Some(b"key"), Some(value.as_bytes()), &[]);
    }
    builder.finish(stamp)
}
