//! One log: the records of one partition, in order.
//!
//! An append is one short critical section: judge the producer, roll the segment if it is full, place the batch, write it,
//! note it. Everything that needs no order (checksum, sizes, timestamps, conversion) comes before it; the flush comes
//! after it, in the background. Readers never take the append lock.
//!
//! Locks are taken in this order, and none of them is held over a flush: writer, segments, epochs, marks.

mod append;
mod files;
mod flush;
mod load;
mod lookup;
mod marks;
mod open;
mod pin;
mod read;
mod recover;
mod replay;
mod retain;
mod roll;
mod validate;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU8},
    },
};

use protocol::{LeaderEpoch, Offset, ProducerId, TopicId, TopicPartition};
use tokio::sync::watch;

pub(crate) use self::flush::Flushed;
use self::marks::MarkBoard;
pub(crate) use self::open::{OpenRequest, open};
pub use self::{
    append::{AppendOrigin, Appended},
    lookup::TimestampOffset,
    marks::Marks,
    open::Recovery,
    pin::Pin,
    read::{AbortedTransaction, Isolation, ReadSlice},
    retain::Retained,
};
use crate::{
    cache::TailCache,
    config::LogConfig,
    durable_marks::MarkKey,
    epochs::EpochHistory,
    error::{CorruptRange, FlushError, Poisoned},
    flush::{FlushGate, FlushTicket, Urgency},
    node::Node,
    producers::{ProducerEntry, Producers},
    segment::Segment,
};

/// One partition's log. Shared by handles; every method may be called from any thread and may block for the time of a
/// page-cache operation, unless it says more.
#[derive(Debug)]
pub struct Log {
    partition: TopicPartition,
    topic_id: TopicId,
    dir: PathBuf,
    node: Arc<Node>,
    config: RwLock<Arc<LogConfig>>,
    writer: Mutex<Writer>,
    /// Held while the log start moves; taken before `writer`, which appends need while the new start is synced.
    moving_start: Mutex<()>,
    /// All segments, oldest first, the active one last. Replaced as a whole, so readers keep what they have.
    segments: RwLock<Arc<Vec<Arc<Segment>>>>,
    epochs: RwLock<EpochHistory>,
    leader_epoch: LeaderEpoch,
    board: MarkBoard,
    pub(crate) gate: FlushGate,
    tail: Arc<TailCache>,
    pins: Mutex<BTreeMap<u64, pin::Pinned>>,
    /// Ranges that recovery found to be damaged or missing.
    quarantine: RwLock<Vec<CorruptRange>>,
    recovery: Recovery,
    /// What the flush scheduler has it queued as; see [`crate::flush::Scheduler::schedule`].
    pub(crate) queued: AtomicU8,
    poisoned: OnceLock<Poisoned>,
    closed: AtomicBool,
}

/// What only the critical section touches.
#[derive(Debug)]
struct Writer {
    active: Arc<Segment>,
    producers: Producers,
    next_offset: Offset,
    /// Bytes of batches appended since the last flush began.
    unflushed_bytes: u64,
    /// Segments rolled since the last flush began.
    rolled: Vec<Arc<Segment>>,
    /// Small files replaced since the last flush began.
    replaced: Vec<PathBuf>,
    /// Whether names in the folder changed since the last flush began.
    names_changed: bool,
}

impl Log {
    /// The partition.
    #[must_use]
    pub fn topic_partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// The topic's identity.
    #[must_use]
    pub fn topic_id(&self) -> TopicId {
        self.topic_id
    }

    /// The epoch of this run: one above any that the log had before it was opened.
    #[must_use]
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    /// The log's folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The settings in force.
    #[must_use]
    pub fn config(&self) -> Arc<LogConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Other settings from now on. They apply to the next append; the high watermark never goes back.
    pub fn set_config(self: &Arc<Self>, config: Arc<LogConfig>) {
        self.board.follow(config.durability);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        // What was appended under the old settings may be waiting in the slower queue.
        self.schedule_flush(Urgency::Soon);
    }

    /// Where the log stands.
    #[must_use]
    pub fn marks(&self) -> Marks {
        self.board.marks()
    }

    /// A receiver that wakes when log start, last stable offset or high watermark move. Its `log_end` and `durable` are
    /// those of that moment; [`Log::marks`] has the newest.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Marks> {
        self.board.watch()
    }

    /// A ticket for everything below `offset`, whatever the log's durability. Awaiting it asks for an immediate flush.
    #[must_use]
    pub fn flush_through(self: &Arc<Self>, offset: Offset) -> FlushTicket {
        let log_end = self.marks().log_end;
        let offset = offset.min(log_end);
        if self.gate.answer(offset).is_none() {
            self.schedule_flush(Urgency::Now);
        }
        FlushTicket::new(Arc::clone(self), offset)
    }

    /// Bytes of all batches.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.segments().iter().map(|segment| segment.len()).sum()
    }

    /// Number of segments, the active one included.
    #[must_use]
    pub fn segment_count(&self) -> usize {
        self.segments().len()
    }

    /// What the log remembers about a producer.
    #[must_use]
    pub fn producer_state(&self, producer_id: ProducerId) -> Option<ProducerEntry> {
        self.writer().producers.get(producer_id).cloned()
    }

    /// Everything that the log remembers about producers, in no order (for DescribeProducers).
    #[must_use]
    pub fn producer_states(&self) -> Vec<ProducerEntry> {
        self.writer().producers.iter().cloned().collect()
    }

    /// Open transactions as (producer, first offset), oldest first.
    #[must_use]
    pub fn open_transactions(&self) -> Vec<(ProducerId, Offset)> {
        self.board.open_transactions()
    }

    /// The largest epoch not above the requested one and the offset where it ends; `None` when the requested epoch is
    /// newer than all (OffsetForLeaderEpoch).
    #[must_use]
    pub fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        let log_end = self.marks().log_end;
        self.epochs
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .end_offset_for(epoch, log_end)
    }

    /// What the start found and did.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Why the log takes no more appends, if it does not.
    #[must_use]
    pub fn poisoned(&self) -> Option<&Poisoned> {
        self.poisoned.get()
    }

    /// Ranges that cannot be read, as recovery found them.
    #[must_use]
    pub fn quarantined(&self) -> Vec<CorruptRange> {
        self.quarantine.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn mark_key(&self) -> MarkKey {
        (self.topic_id, self.partition.partition)
    }

    pub(crate) fn schedule_flush(self: &Arc<Self>, urgency: Urgency) {
        self.node.scheduler.schedule(self, urgency);
    }

    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    pub(crate) fn segments(&self) -> Arc<Vec<Arc<Segment>>> {
        Arc::clone(&self.segments.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Refuses everything from now on: the log is deleted, or the node stops.
    pub(crate) fn close(&self) {
        self.closed.store(true, std::sync::atomic::Ordering::Release);
        // Whoever is inside gets through, and leaves no file behind in a folder that is somebody else's by then; after
        // that nobody comes in.
        drop(self.hold_start());
        drop(self.writer());
        self.tail.clear();
        self.gate.fail(FlushError::Closed(self.partition.clone()));
    }

    fn replace_segments(&self, segments: Vec<Arc<Segment>>) {
        *self.segments.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(segments);
    }

    fn hold_start(&self) -> MutexGuard<'_, ()> {
        self.moving_start.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
