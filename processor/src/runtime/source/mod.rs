//! The source of a query: partitions read in turn through `storage`, decoded into batches of rows, with their time.

mod chunk;
mod decode;
mod offsets;
mod pins;

use std::sync::Arc;

use protocol::ids::{LeaderEpoch, NO_LEADER_EPOCH, Offset, PartitionId, TopicId, TopicPartition};
use protocol::records::{Batch, Decompressor, Records};
use storage::{Isolation, Log, Marks, Pin, ReadError, VisibleReader};
use tokio::sync::watch;

pub(super) use self::chunk::{BadRecord, Chunk, RecordWalk};
use self::offsets::{start_offset, verify};
pub(super) use self::pins::SourcePins;
use super::error::{RunError, SourceError};
use crate::formats::SourceDecoder;
use crate::operators::OperatorError;
use crate::plan::graph::SourcePlan;
use crate::ports::TopicHandle;
use crate::state::{EpochRecord, SourcePosition};
use crate::stats::QueryStats;
use crate::time::split::{Cut, Standing, cuts};
use crate::time::watermark::{Now, WatermarkTracker};
use crate::time::window::WindowShape;
use crate::time::{EventTime, START_OF_TIME};

/// Decompressed bytes after which a round of reading ends, however many batches are left of it: a chunk holds one batch
/// beyond them, so that many small batches which open to much are not all held at once.
pub(super) const OPENED_BYTES_PER_ROUND: usize = 16 << 20;

/// Rows that a round of reading ends at when a query starts. Barriers stand between rounds, so that the memory of a query
/// is looked at and freed between them.
pub(super) const ROUND_ROWS_START: usize = 8_192;
/// Fewest and most rows that a round of reading ends at, after what rows were seen to need.
pub(super) const ROUND_ROWS_MIN: usize = 64;
const ROUND_ROWS_MAX: usize = 65_536;

/// Limits of reading.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReadLimits {
    /// Bytes of batches read from one partition before the next one has its turn.
    pub(super) bytes_per_round: usize,
    /// Largest decompressed size of a batch.
    pub(super) batch_bytes_max: usize,
    /// Rows, and bad records, after which a round ends, also in the middle of a batch.
    pub(super) rows_per_round: usize,
}

/// What was decoded in a round.
pub(super) struct Round {
    chunk: Chunk,
    /// Batches that were looked at.
    batches: usize,
    /// The first one was open already.
    resumes: bool,
    /// The first record that is left for the next round.
    rest: Option<Offset>,
}

/// A query's source topic.
pub(super) struct Source {
    plan: SourcePlan,
    decompressor: Decompressor,
    decoder: SourceDecoder,
    topic_id: TopicId,
    pins: Arc<SourcePins>,
    partitions: Vec<Partition>,
    pub(super) tracker: WatermarkTracker,
    shape: Option<WindowShape>,
    limits: ReadLimits,
    turn: usize,
    moved: bool,
}

/// The last batch that was read of a partition.
#[derive(Debug, Clone, Copy)]
struct LastRead {
    epoch: LeaderEpoch,
    /// Offset of its last record.
    offset: Offset,
}

impl LastRead {
    const NOTHING: Self = Self {
        epoch: NO_LEADER_EPOCH,
        offset: -1,
    };
}

struct Partition {
    name: TopicPartition,
    log: Arc<Log>,
    reader: VisibleReader,
    marks: watch::Receiver<Marks>,
    /// Next offset of a record that was not processed.
    position: Offset,
    last: LastRead,
    until: Option<Offset>,
    pin: Arc<Pin>,
    finished: bool,
    /// The batch in the middle of which the last round ended.
    opened: Option<Records>,
}

impl Source {
    /// Opens the source where the last committed epoch left it, or where a new query starts. Fails when the log does not
    /// hold what the query needs, or holds something else than it has read.
    pub(super) fn open(
        plan: &SourcePlan,
        topic: &TopicHandle,
        pins: &Arc<SourcePins>,
        committed: Option<&EpochRecord>,
        shape: Option<WindowShape>,
        limits: ReadLimits,
        now: Now,
    ) -> Result<Self, RunError> {
        let mut source = Self {
            decompressor: Decompressor::new(),
            decoder: SourceDecoder::new(plan).map_err(OperatorError::Arrow)?,
            topic_id: topic.id,
            pins: Arc::clone(pins),
            partitions: Vec::new(),
            tracker: match committed {
                Some(record) => WatermarkTracker::restore(&record.time_marks(), plan.idle_timeout, now),
                None => WatermarkTracker::new(0, plan.idle_timeout, now),
            },
            plan: plan.clone(),
            shape,
            limits,
            turn: 0,
            moved: false,
        };
        for saved in committed.iter().flat_map(|record| &record.sources) {
            let log = source.log_of(topic, saved.partition)?;
            verify(saved, &log, topic)?;
            source.add(
                log,
                saved.next_offset,
                LastRead {
                    epoch: saved.leader_epoch,
                    offset: saved.last_offset,
                },
            );
        }
        source.add_new_partitions(topic, now)?;
        Ok(source)
    }

    /// Takes in partitions of the topic that the source does not read yet. A bounded source reads those that its stop
    /// names and no others.
    pub(super) fn add_new_partitions(&mut self, topic: &TopicHandle, now: Now) -> Result<(), RunError> {
        let wanted: Vec<PartitionId> = match &self.plan.stop {
            Some(stop) => stop.iter().map(|(partition, _)| *partition).collect(),
            None => (0..topic.partitions.len())
                .map(|index| PartitionId::try_from(index).expect("partitions are 32 bits"))
                .collect(),
        };
        for partition in wanted {
            if self.partitions.iter().any(|known| known.name.partition == partition) {
                continue;
            }
            let log = self.log_of(topic, partition)?;
            let start = start_offset(&self.plan.start, &log);
            self.tracker.add_partition(now);
            self.add(log, start, LastRead::NOTHING);
        }
        Ok(())
    }

    /// Fails when the topic is no longer the one that is read.
    pub(super) fn check_topic(&self, topic: &TopicHandle) -> Result<(), SourceError> {
        match topic.id == self.topic_id {
            true => Ok(()),
            false => Err(SourceError::OtherTopic {
                topic: self.plan.topic.clone(),
                expected: self.topic_id,
                found: topic.id,
            }),
        }
    }

    /// True when the source has moved over something since the last call, visible or not.
    pub(super) fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// Reads from the next partition that has something; `None` when none has.
    pub(super) fn read(&mut self, stats: &QueryStats) -> Result<Option<Chunk>, RunError> {
        for _ in 0..self.partitions.len() {
            let index = self.turn % self.partitions.len();
            self.turn = (index + 1) % self.partitions.len();
            if let Some(chunk) = self.read_partition(index, stats)? {
                return Ok(Some(chunk));
            }
        }
        Ok(None)
    }

    /// Where a chunk has to be cut, given the rows before it; and what it makes of its partition's watermark.
    pub(super) fn take_time(&mut self, chunk: &Chunk, now: Now) -> Vec<Cut> {
        self.tracker.arrived(chunk.partition, now);
        if chunk.rows.num_rows() == 0 {
            return Vec::new();
        }
        let standing = Standing {
            current: self.tracker.current(),
            own: self.tracker.partition_watermark(chunk.partition),
            others: self.tracker.others(chunk.partition),
        };
        let found = match &self.shape {
            Some(shape) => cuts(&chunk.event_times, &chunk.proposals, standing, shape),
            None => Vec::new(),
        };
        let highest = chunk.proposals.iter().copied().max().unwrap_or(START_OF_TIME);
        self.tracker.propose(chunk.partition, highest);
        found
    }

    /// Looks at the logs' ends, lets time pass, and returns the watermark.
    pub(super) fn advance(&mut self, now: Now) -> EventTime {
        for (index, partition) in self.partitions.iter_mut().enumerate() {
            if !partition.finished && partition.is_at_stop() {
                partition.finished = true;
                self.tracker.finish(index);
            }
            let at_end = partition.log.marks().log_end <= partition.reader.position();
            self.tracker.set_at_end(index, at_end);
        }
        self.tracker.advance(now)
    }

    /// Records that are visible and not yet read.
    pub(super) fn lag(&self) -> u64 {
        let isolation = self.isolation();
        self.partitions
            .iter()
            .map(|partition| {
                let bound = isolation.bound(&partition.log.marks());
                let end = partition.until.map_or(bound, |until| until.min(bound));
                u64::try_from(end - partition.reader.position()).unwrap_or(0)
            })
            .sum()
    }

    /// Where the source stands, as an epoch keeps it.
    pub(super) fn positions(&self, now: Now) -> Vec<SourcePosition> {
        let marks = self.tracker.marks(now);
        self.partitions
            .iter()
            .zip(marks.partitions)
            .map(|(partition, mark)| SourcePosition {
                partition: partition.name.partition,
                topic_id: self.topic_id,
                leader_epoch: partition.last.epoch,
                last_offset: partition.last.offset,
                next_offset: partition.position,
                mark,
            })
            .collect()
    }

    /// Lets retention have what lies below the positions of a committed epoch.
    pub(super) fn release(&self, positions: &[SourcePosition]) {
        for position in positions {
            let known = self
                .partitions
                .iter()
                .find(|partition| partition.name.partition == position.partition);
            if let Some(partition) = known {
                partition.pin.advance(position.next_offset);
            }
        }
    }

    /// The name of a partition.
    pub(super) fn name(&self, partition: usize) -> &TopicPartition {
        &self.partitions[partition].name
    }

    /// The topic's name.
    pub(super) fn topic(&self) -> &str {
        &self.plan.topic
    }

    /// Receivers that tell of news; everything up to now counts as seen.
    pub(super) fn watches(&mut self) -> impl Iterator<Item = &mut watch::Receiver<Marks>> {
        self.partitions
            .iter_mut()
            .filter(|partition| !partition.finished)
            .map(|partition| &mut partition.marks)
    }

    /// Marks everything that the logs have told up to now as seen; to be called before reading.
    pub(super) fn mark_seen(&mut self) {
        for partition in &mut self.partitions {
            partition.marks.mark_unchanged();
        }
    }

    fn read_partition(&mut self, index: usize, stats: &QueryStats) -> Result<Option<Chunk>, RunError> {
        let partition = &mut self.partitions[index];
        if partition.finished {
            return Ok(None);
        }
        let batches = partition.reader.next_batches(self.limits.bytes_per_round);
        let batches = batches.map_err(|error| partition.read_error(error))?;
        let Some(batches) = batches else {
            self.move_on(index);
            return Ok(None);
        };
        let mut round = self.decode(index, &batches)?;
        round.chunk.time(self.plan.event_time, &self.plan.watermark)?;
        if let Some(rest) = round.rest {
            self.partitions[index].reader.seek(rest);
        }
        let next = self.move_on(index);
        if let Some(last) = batches[..round.batches].last() {
            self.partitions[index].last = LastRead {
                epoch: last.header.partition_leader_epoch,
                offset: last.header.last_offset().min(next - 1),
            };
        }
        let chunk = round.chunk;
        let batches = round.batches - usize::from(round.resumes);
        stats.add_batches(batches as u64, self.decompressor.take_count());
        stats.add_read(chunk.offsets.len() as u64 + unmade(&chunk.bad));
        stats.add_rows_in(chunk.offsets.len() as u64);
        Ok(Some(chunk))
    }

    /// Takes the reader's position as the partition's; answers it.
    fn move_on(&mut self, index: usize) -> Offset {
        let partition = &mut self.partitions[index];
        let next = partition.reader.position();
        let next = partition
            .until
            .map_or(next, |until| next.min(until))
            .max(partition.position);
        self.moved |= partition.position < next;
        partition.position = next;
        next
    }

    /// Takes note of what the rows of a round came to: of rows that need more than a fair share of memory fewer are read
    /// at once, of others more.
    pub(super) fn pace(&mut self, rows: usize, made: usize, fair: usize) {
        let limit = &mut self.limits.rows_per_round;
        if fair < made {
            *limit = (*limit / 2).max(ROUND_ROWS_MIN);
        } else if made < fair / 4 && *limit / 2 <= rows {
            *limit = (*limit * 2).min(ROUND_ROWS_MAX);
        }
    }

    /// True when fewer rows cannot be read at once.
    pub(super) fn reads_fewest_rows(&self) -> bool {
        self.limits.rows_per_round <= ROUND_ROWS_MIN
    }

    fn isolation(&self) -> Isolation {
        match self.plan.committed_only {
            true => Isolation::Committed,
            false => Isolation::Uncommitted,
        }
    }

    fn log_of(&self, topic: &TopicHandle, partition: PartitionId) -> Result<Arc<Log>, SourceError> {
        let index = usize::try_from(partition).ok();
        let log = index.and_then(|index| topic.partitions.get(index));
        log.cloned().ok_or_else(|| SourceError::NoPartition {
            topic: topic.name.to_string(),
            partition,
        })
    }

    fn add(&mut self, log: Arc<Log>, position: Offset, last: LastRead) {
        let name = log.topic_partition().clone();
        let stop = self.plan.stop.iter().flatten();
        let until = stop
            .filter(|(partition, _)| *partition == name.partition)
            .map(|(_, offset)| *offset)
            .next();
        self.partitions.push(Partition {
            reader: VisibleReader::new(Arc::clone(&log), position, until, self.isolation()),
            marks: log.watch(),
            pin: self.pins.at(&log, position),
            name,
            log,
            position,
            last,
            until,
            finished: false,
            opened: None,
        });
    }
}

impl Partition {
    /// The records of a batch in the middle of which the last round ended.
    fn take_opened(&mut self, batch: &Batch) -> Option<Records> {
        let is_same = |records: &Records| records.header().base_offset == batch.header.base_offset;
        self.opened.take().filter(is_same)
    }

    fn is_at_stop(&self) -> bool {
        self.until.is_some_and(|until| until <= self.reader.position())
    }

    fn read_error(&self, error: ReadError) -> SourceError {
        let marks = self.log.marks();
        match error {
            ReadError::OffsetOutOfRange(_) if self.position < marks.log_start => SourceError::BelowStart {
                partition: self.name.clone(),
                position: self.position,
                log_start: marks.log_start,
            },
            source => SourceError::Read {
                partition: self.name.clone(),
                source,
            },
        }
    }
}

fn unmade(bad: &[BadRecord]) -> u64 {
    bad.iter().filter(|bad| !bad.repaired).count() as u64
}
