//! A world for tests: real logs in a temporary folder behind the ports, a clock that stands still, epochs written as
//! plain batches.

pub(crate) mod wait;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use protocol::ids::{PartitionId, TimestampMs, TopicId, TopicPartition};
use protocol::records::{Batch, BatchBuilder, BatchStamp, Codec, ControlType, marker_batch};
use storage::{AppendOrigin, DiskFs, Isolation, LogConfig, LogManager, MonotonicClock, StorageConfig, VisibleReader};
use tempfile::TempDir;
use uuid::Uuid;

use crate::config::EngineConfig;
use crate::ports::{
    CatalogStore, Clock, EpochLog, EpochReceipt, EpochWrite, EpochWriter, Ids, OwnedTopic, PortError, Ports,
    StoredObject, TopicHandle, TopicSpec, Topics,
};

/// Noon of 2026-01-01, in milliseconds.
pub(crate) const NOON: TimestampMs = 1_767_268_800_000;

/// The one transaction there is.
const TRANSACTION: BatchStamp = BatchStamp {
    producer_id: 77,
    producer_epoch: 0,
    base_sequence: 0,
    transactional: true,
    control: false,
};

/// The world.
pub(crate) struct World {
    folder: TempDir,
    pub(crate) topics: Arc<TestTopics>,
    pub(crate) epochs: Arc<PlainEpochs>,
    pub(crate) catalog: Arc<MemoryCatalog>,
    pub(crate) clock: Arc<TestClock>,
    ids: Arc<CountedIds>,
}

impl World {
    /// An empty world at noon.
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let clock = Arc::new(TestClock(AtomicI64::new(NOON)));
        let topics = Arc::new(TestTopics::new(folder.path(), Arc::clone(&clock)));
        Self {
            epochs: Arc::new(PlainEpochs {
                topics: Arc::clone(&topics),
                clock: Arc::clone(&clock),
                refuse: AtomicBool::new(false),
                gone: Mutex::default(),
            }),
            topics,
            folder,
            catalog: Arc::default(),
            clock,
            ids: Arc::default(),
        }
    }

    /// The ports of this world.
    pub(crate) fn ports(&self) -> Ports {
        Ports {
            clock: self.clock.clone(),
            ids: self.ids.clone(),
            topics: self.topics.clone(),
            epochs: self.epochs.clone(),
            catalog: self.catalog.clone(),
        }
    }

    /// Settings for an engine in this world.
    pub(crate) fn config(&self) -> EngineConfig {
        EngineConfig {
            epoch_interval: Duration::from_millis(10),
            query_memory_bytes_max: 64 << 20,
            state_dir: self.folder.path().join("state"),
            statement_bytes_max: 1 << 20,
            decompressed_batch_bytes_max: 16 << 20,
            read_bytes_per_round: 1 << 20,
            restart_backoff_min: Duration::from_millis(10),
            restart_backoff_max: Duration::from_millis(100),
            select_memory_bytes_max: 256 << 20,
            max_queries: 8,
            max_selects: 32,
        }
    }

    /// Creates a topic.
    pub(crate) fn topic(&self, name: &str, partitions: PartitionId) {
        self.topics.add(name, partitions, false).expect("a new topic");
    }

    /// Appends values to a partition, one batch, all dated `timestamp`.
    pub(crate) fn produce(&self, topic: &str, partition: PartitionId, timestamp: TimestampMs, values: &[&str]) {
        let mut batch = BatchBuilder::new(Codec::Lz4, None, timestamp);
        for value in values {
            batch.append(timestamp, None, Some(value.as_bytes()), &[]);
        }
        self.append(topic, partition, &batch.finish(BatchStamp::NONE));
    }

    /// Appends a batch as it is.
    pub(crate) fn append(&self, topic: &str, partition: PartitionId, batch: &Batch) {
        self.topics.append(topic, partition, batch, self.clock.now_ms());
    }

    /// Appends values as part of a transaction that stays open, to partition 0.
    pub(crate) fn produce_open(&self, topic: &str, values: &[&str]) {
        let mut batch = BatchBuilder::new(Codec::None, None, NOON);
        for value in values {
            batch.append(NOON, None, Some(value.as_bytes()), &[]);
        }
        self.append_own(topic, &batch.finish(TRANSACTION));
    }

    /// Aborts the open transaction of partition 0.
    pub(crate) fn abort(&self, topic: &str) {
        let BatchStamp {
            producer_id,
            producer_epoch,
            ..
        } = TRANSACTION;
        let marker = marker_batch(producer_id, producer_epoch, ControlType::Abort, 0, NOON);
        self.append_own(topic, &marker);
    }

    /// Appends a batch to partition 0 as the broker itself does.
    fn append_own(&self, topic: &str, batch: &Batch) {
        let handle = self.topics.find(topic).expect("the topic");
        let appended = handle.partitions[0].append(batch, AppendOrigin::Coordinator, NOON);
        appended.expect("appended");
    }

    /// Values of a topic in partition and offset order.
    pub(crate) fn values(&self, topic: &str) -> Vec<String> {
        let handle = self.topics.find(topic).expect("the topic");
        let mut values = Vec::new();
        for log in &handle.partitions {
            let mut reader = VisibleReader::new(log.clone(), 0, None, Isolation::Committed);
            while let Some(batches) = reader.next_batches(1 << 20).expect("readable") {
                for batch in batches {
                    let records = batch.records(1 << 20).expect("whole");
                    for record in &records {
                        let value = record.expect("whole").value.unwrap_or_default();
                        values.push(String::from_utf8_lossy(value).into_owned());
                    }
                }
            }
        }
        values
    }
}

/// A clock that moves only by hand.
#[derive(Debug)]
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    /// Moves the clock on.
    pub(crate) fn advance(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for TestClock {
    fn now_ms(&self) -> TimestampMs {
        self.0.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.now_ms() - NOON).unwrap_or_default())
    }

    async fn sleep(&self, time: Duration) {
        pass(time).await;
    }
}

/// Sleeps in earnest: a clock that stands still, or leaps, says nothing about how long other threads take.
pub(crate) async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Ids in the order in which they are asked for.
#[derive(Default)]
struct CountedIds(AtomicU64);

impl Ids for CountedIds {
    fn new_id(&self) -> Uuid {
        Uuid::from_u64_pair(0, self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

impl MonotonicClock for TestClock {
    fn monotonic(&self) -> Duration {
        Clock::monotonic(self)
    }
}

/// Topics over a real log manager.
pub(crate) struct TestTopics {
    manager: Arc<LogManager>,
    topics: Mutex<BTreeMap<String, TopicHandle>>,
    owned: Mutex<BTreeMap<String, OwnedTopic>>,
    /// While set, nothing is deleted.
    pub(crate) refuse: AtomicBool,
}

impl TestTopics {
    fn new(folder: &Path, clock: Arc<TestClock>) -> Self {
        let config = StorageConfig {
            flush_threads: 1,
            ..StorageConfig::new(folder.join("data"))
        };
        let manager = LogManager::open(config, Arc::new(DiskFs), clock).expect("a data folder");
        Self {
            manager,
            topics: Mutex::default(),
            owned: Mutex::default(),
            refuse: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, TopicHandle>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_owned(&self) -> MutexGuard<'_, BTreeMap<String, OwnedTopic>> {
        self.owned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[expect(clippy::disallowed_methods, reason = "any id will do")]
    fn add(&self, name: &str, partitions: PartitionId, internal: bool) -> Result<TopicHandle, PortError> {
        let mut topics = self.lock();
        if topics.contains_key(name) {
            return Err(PortError::TopicExists(name.to_owned()));
        }
        let id = TopicId(Uuid::new_v4());
        let logs = (0..partitions)
            .map(|partition| self.new_log(name, id, partition))
            .collect();
        let handle = TopicHandle {
            name: name.into(),
            id,
            partitions: logs,
            internal,
        };
        topics.insert(name.to_owned(), handle.clone());
        Ok(handle)
    }

    /// Adds a partition to a topic.
    pub(crate) fn add_partition(&self, name: &str) {
        let mut topics = self.lock();
        let topic = topics.get_mut(name).expect("the topic");
        let partition = PartitionId::try_from(topic.partitions.len()).expect("partitions are 32 bits");
        let log = self.new_log(name, topic.id, partition);
        topic.partitions.push(log);
    }

    fn new_log(&self, name: &str, id: TopicId, partition: PartitionId) -> Arc<storage::Log> {
        let config = Arc::new(LogConfig {
            durability: storage::Durability::Async,
            retention_ms: None,
            ..LogConfig::default()
        });
        let partition = TopicPartition {
            topic: name.into(),
            partition,
        };
        self.manager.open_log(partition, id, config, NOON).expect("a new log")
    }

    fn append(&self, topic: &str, partition: PartitionId, batch: &Batch, now: TimestampMs) -> i64 {
        let handle = self.find(topic).expect("the topic");
        let log = &handle.partitions[usize::try_from(partition).expect("not negative")];
        log.append(batch, AppendOrigin::Coordinator, now)
            .expect("appended")
            .last_offset
            + 1
    }
}

#[async_trait]
impl Topics for TestTopics {
    fn open(&self, name: &str) -> Result<TopicHandle, PortError> {
        let found = self.lock().get(name).cloned();
        found.ok_or_else(|| PortError::UnknownTopic(name.to_owned()))
    }

    fn list(&self) -> Vec<TopicHandle> {
        self.lock().values().cloned().collect()
    }

    fn owned(&self) -> Vec<OwnedTopic> {
        self.lock_owned().values().cloned().collect()
    }

    async fn create(&self, spec: TopicSpec) -> Result<TopicHandle, PortError> {
        let created = self.add(&spec.name, spec.partitions.unwrap_or(1), spec.internal)?;
        if let Some(owner) = spec.owner {
            let owned = OwnedTopic {
                name: created.name.clone(),
                owner: owner.into(),
            };
            self.lock_owned().insert(spec.name, owned);
        }
        Ok(created)
    }

    async fn delete(&self, name: &str) -> Result<(), PortError> {
        refused(&self.refuse)?;
        self.lock_owned().remove(name);
        let removed = self.lock().remove(name);
        for log in removed.iter().flat_map(|handle| &handle.partitions) {
            self.manager.delete_log(log.topic_partition(), NOON).expect("deleted");
        }
        Ok(())
    }
}

/// Epochs as plain batches: nothing here is about transactions. They can be told to refuse to forget.
pub(crate) struct PlainEpochs {
    topics: Arc<TestTopics>,
    clock: Arc<TestClock>,
    pub(crate) refuse: AtomicBool,
    gone: Mutex<Vec<String>>,
}

impl PlainEpochs {
    /// Groups that were deleted and transactional ids that were removed since the last call, in this order.
    pub(crate) fn take_gone(&self) -> Vec<String> {
        std::mem::take(&mut *self.gone.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, name: &str) -> Result<(), PortError> {
        refused(&self.refuse)?;
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone.push(name.to_owned());
        Ok(())
    }
}

#[async_trait]
impl EpochLog for PlainEpochs {
    async fn open(&self, _transactional_id: &str) -> Result<Box<dyn EpochWriter>, PortError> {
        Ok(Box::new(PlainWriter {
            topics: self.topics.clone(),
            clock: self.clock.clone(),
        }))
    }

    async fn delete_progress_group(&self, _transactional_id: &str, group: &str) -> Result<(), PortError> {
        self.note(group)
    }

    async fn remove_transactional_id(&self, transactional_id: &str) -> Result<(), PortError> {
        self.note(transactional_id)
    }
}

struct PlainWriter {
    topics: Arc<TestTopics>,
    clock: Arc<TestClock>,
}

#[async_trait]
impl EpochWriter for PlainWriter {
    async fn commit(&mut self, epoch: EpochWrite) -> Result<EpochReceipt, PortError> {
        let mut ends = BTreeMap::new();
        for write in epoch.writes {
            let TopicPartition { topic, partition } = &write.partition;
            let batch = write.records.finish(BatchStamp::NONE);
            let end = self.topics.append(topic, *partition, &batch, self.clock.now_ms());
            ends.insert(write.partition.clone(), end);
        }
        Ok(EpochReceipt {
            ends: ends.into_iter().collect(),
        })
    }
}

/// A catalog in memory, which outlives engines. It can be told to refuse.
#[derive(Default)]
pub(crate) struct MemoryCatalog {
    objects: Mutex<BTreeMap<String, StoredObject>>,
    pub(crate) refuse: AtomicBool,
}

impl MemoryCatalog {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, StoredObject>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refused(refuse: &AtomicBool) -> Result<(), PortError> {
    match refuse.load(Ordering::SeqCst) {
        true => Err(PortError::Storage("refused by the test".to_owned())),
        false => Ok(()),
    }
}

#[async_trait]
impl CatalogStore for MemoryCatalog {
    fn load(&self) -> Vec<StoredObject> {
        self.lock().values().cloned().collect()
    }

    async fn put(&self, object: StoredObject) -> Result<(), PortError> {
        refused(&self.refuse)?;
        self.lock().insert(object.name.clone(), object);
        Ok(())
    }

    async fn remove(&self, name: &str) -> Result<(), PortError> {
        refused(&self.refuse)?;
        self.lock().remove(name);
        Ok(())
    }
}
