//! One run of a query: read, process, close epochs, wait for news. Ends when the query is stopped, has finished, or
//! fails.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::QuerySpec;
use super::dead_letter::write_dead_letter;
use super::epochs::Epochs;
use super::error::{MemoryExceeded, RunError, SourceError};
use super::pipeline::Pipeline;
use super::source::{BadRecord, Chunk, RecordWalk, Source};
use super::start::{MemoryPlan, Started};
use super::wake::wake;
use crate::config::EngineConfig;
use crate::crash;
use crate::operators::epoch_buffer::Port;
use crate::operators::{Counts, OperatorError, Progress};
use crate::plan::graph::ErrorPolicy;
use crate::ports::{Clock, Ports};
use crate::state::EpochRecord;
use crate::stats::QueryStats;
use crate::time::watermark::Now;
use crate::time::{END_OF_TIME, EventTime};

/// How often it is asked whether the source topic is still the one that is read.
const TOPIC_CHECK: Duration = Duration::from_secs(10);
/// How long a query sleeps at most: so often one without work looks whether its topic has new partitions.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// How a run ended, if it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunEnd {
    /// It was asked to stop.
    Stopped,
    /// All of a bounded source is read and everything is committed.
    Finished,
}

/// What a run is given.
pub(super) struct RunContext<'a> {
    pub(super) spec: &'a QuerySpec,
    pub(super) ports: &'a Ports,
    pub(super) config: &'a EngineConfig,
    pub(super) stats: &'a QueryStats,
    pub(super) runtime: &'a Handle,
    /// True once the query is to stop.
    pub(super) stop: watch::Receiver<bool>,
}

/// A run.
pub(super) struct Run<'a> {
    context: RunContext<'a>,
    source: Source,
    pipeline: Pipeline,
    epochs: Epochs,
    dead_letters: Option<Port>,
    memory: MemoryPlan,
    /// When the current epoch ends, on the monotonic clock; `None` while it has nothing to commit.
    deadline: Option<Duration>,
    moved: bool,
    last_tick: Duration,
    last_topic_check: Duration,
    /// Partitions of the topic when it was looked at last.
    partitions_known: usize,
    counted: Counts,
}

/// Time as a run takes it, once per round.
pub(super) fn now(clock: &dyn Clock) -> Now {
    Now {
        monotonic: clock.monotonic(),
        wall: clock.now_ms().saturating_mul(1_000),
    }
}

impl<'a> Run<'a> {
    pub(super) fn new(context: RunContext<'a>, started: Started) -> Self {
        let monotonic = context.ports.clock.monotonic();
        Self {
            memory: MemoryPlan::new(context.config.query_memory_bytes_max),
            context,
            source: started.source,
            pipeline: started.pipeline,
            epochs: started.epochs,
            dead_letters: started.dead_letters,
            deadline: None,
            moved: false,
            last_tick: monotonic,
            last_topic_check: monotonic,
            partitions_known: 0,
            counted: Counts::default(),
        }
    }

    /// Runs until the end. A stop in the middle of an epoch gives that epoch up; the one in flight is finished.
    pub(super) fn run(mut self) -> Result<RunEnd, RunError> {
        match self.run_on() {
            Err(RunError::Stopped) => {
                self.settle()?;
                Ok(RunEnd::Stopped)
            }
            ended => ended,
        }
    }

    fn run_on(&mut self) -> Result<RunEnd, RunError> {
        // Windows that the last epoch's watermark has passed may still be open.
        let now = self.now();
        self.advance(now)?;
        loop {
            self.check_stop()?;
            if self.epochs.is_ready() {
                self.settle()?;
            }
            self.source.mark_seen();
            let worked = self.work()?;
            if self.source.tracker.all_finished() {
                self.finish()?;
                return Ok(RunEnd::Finished);
            }
            self.barrier_if_due()?;
            if !worked {
                self.wait()?;
            }
        }
    }

    /// Reads and processes one chunk, if there is one.
    fn work(&mut self) -> Result<bool, RunError> {
        let chunk = self.source.read(self.context.stats)?;
        let now = self.now();
        self.take_in_partitions()?;
        self.pipeline.buffer.set_now(self.context.ports.clock.now_ms());
        self.moved |= self.source.take_moved();
        if let Some(chunk) = &chunk {
            let before = self.held_bytes();
            self.process(chunk, now)?;
            let made = self.held_bytes().saturating_sub(before);
            self.source.pace(chunk.rows.num_rows(), made, self.memory.epoch);
        }
        self.advance(now)?;
        Ok(chunk.is_some())
    }

    fn process(&mut self, chunk: &Chunk, now: Now) -> Result<(), RunError> {
        let mut walk = chunk.walk();
        for bad in &chunk.bad {
            self.bad_record(chunk, &mut walk, bad)?;
        }
        let mut walk = chunk.walk();
        let mut start = 0;
        for cut in self.source.take_time(chunk, now) {
            self.push(chunk, &mut walk, start, cut.row)?;
            self.source.tracker.raise(cut.watermark);
            // No barrier in the middle of a chunk: the source's position stands behind it.
            while self.pipeline.advance(cut.watermark)? == Progress::More {
                self.check_stop()?;
            }
            start = cut.row;
        }
        self.push(chunk, &mut walk, start, chunk.rows.num_rows())
    }

    fn push(&mut self, chunk: &Chunk, walk: &mut RecordWalk<'_>, start: usize, end: usize) -> Result<(), RunError> {
        if start == end {
            return Ok(());
        }
        let rows = chunk.rows.slice(start, end - start);
        let pushed = self.pipeline.push(&rows);
        for bad in pushed.map_err(|error| self.crowded(error))? {
            let bad = BadRecord {
                offset: chunk.offsets[start + bad.row],
                reason: bad.reason,
                repaired: false,
            };
            self.bad_record(chunk, walk, &bad)?;
        }
        Ok(())
    }

    /// Whoever asked the query to stop is waiting, and so are others behind them: closing many windows can take long.
    fn check_stop(&self) -> Result<(), RunError> {
        match *self.context.stop.borrow() {
            true => Err(RunError::Stopped),
            false => Ok(()),
        }
    }

    /// Lets time pass: idle partitions, the clock, windows that close.
    fn advance(&mut self, now: Now) -> Result<(), RunError> {
        let watermark = self.source.advance(now);
        while self.pipeline.advance(watermark)? == Progress::More {
            self.check_stop()?;
            if self.memory.epoch < self.pipeline.epoch_bytes() {
                self.barrier(false)?;
            }
        }
        self.context.stats.set_watermark(watermark);
        self.count()?;
        self.note_changes(now);
        Ok(())
    }

    /// Begins to count down to the next barrier once there is something to commit.
    fn note_changes(&mut self, now: Now) {
        let changed = self.moved || !self.pipeline.buffer.is_empty() || !self.pipeline.state.is_unchanged();
        if self.deadline.is_none() && changed {
            self.deadline = Some(next_tick(now.monotonic, self.context.config.epoch_interval));
        }
    }

    fn barrier_if_due(&mut self) -> Result<(), RunError> {
        let monotonic = self.context.ports.clock.monotonic();
        let is_due = self.deadline.is_some_and(|deadline| deadline <= monotonic);
        let is_large = self.memory.epoch < self.pipeline.epoch_bytes()
            || self.memory.limit / 8 * 7 < self.pipeline.operator_bytes();
        let emits = self.tick_at().is_some_and(|at| at <= monotonic) && self.deadline.is_none();
        match is_due || is_large || emits {
            true => self.barrier(false),
            false => Ok(()),
        }
    }

    /// Ends the current epoch and starts its commit, after the one before has ended. An epoch without changes is none.
    fn barrier(&mut self, finished: bool) -> Result<(), RunError> {
        let now = self.now();
        self.pipeline.buffer.set_now(self.context.ports.clock.now_ms());
        if finished || self.tick_at().is_some_and(|at| at <= now.monotonic) {
            self.pipeline.tick()?;
            self.last_tick = now.monotonic;
        }
        self.pipeline.barrier()?;
        // What the tables hold now may leave the operators' memory.
        self.pipeline.shrink(self.memory.groups);
        self.check_memory()?;
        self.count()?;
        self.deadline = None;
        let changed = self.moved || finished || !self.pipeline.buffer.is_empty() || !self.pipeline.state.is_unchanged();
        if !changed {
            return Ok(());
        }
        self.moved = false;
        self.settle()?;
        let record = self.record(finished, now);
        let changes = self.pipeline.state.freeze();
        let topic = self.source.topic();
        self.epochs
            .begin(&mut self.pipeline.buffer, &changes, record, topic, now.monotonic);
        Ok(())
    }

    fn record(&self, finished: bool, now: Now) -> EpochRecord {
        let marks = self.source.tracker.marks(now);
        EpochRecord {
            epoch: self.epochs.next(),
            committed_at: self.context.ports.clock.now_ms(),
            finished,
            watermark: marks.watermark,
            silence: marks.silence,
            sources: self.source.positions(now),
        }
    }

    /// Waits for the epoch in flight, if any, and brings RocksDB to it.
    fn settle(&mut self) -> Result<(), RunError> {
        let Some(durable) = self.epochs.wait()? else {
            return Ok(());
        };
        crash::pass(crash::BEFORE_STATE_WRITE);
        self.pipeline.state.commit(&durable.committed)?;
        crash::pass(crash::AFTER_STATE_WRITE);
        self.source.release(&durable.committed.record.sources);
        let took = self.context.ports.clock.monotonic().saturating_sub(durable.closed_at);
        let stats = self.context.stats;
        stats.add_epoch(took);
        stats.set_source_lag(self.source.lag());

        let memory = self.pipeline.state.memory_bytes() + self.pipeline.operator_bytes();
        stats.set_state_bytes(self.pipeline.state.rocks().size_bytes(), memory as u64);
        Ok(())
    }

    /// Everything is read: closes all windows, emits what is pending, and commits the last epoch.
    fn finish(&mut self) -> Result<(), RunError> {
        while self.pipeline.advance(END_OF_TIME)? == Progress::More {
            self.check_stop()?;
            if self.memory.epoch < self.pipeline.epoch_bytes() {
                self.barrier(false)?;
            }
        }
        self.barrier(true)?;
        self.settle()?;
        self.pipeline.state.rocks().flush()?;
        Ok(())
    }

    /// What operators and the current epoch hold.
    fn held_bytes(&self) -> usize {
        self.pipeline.operator_bytes() + self.pipeline.epoch_bytes()
    }

    /// Too much memory for the rows that were read at once is no reason to give up while fewer could be read.
    fn crowded(&self, error: OperatorError) -> RunError {
        let OperatorError::Crowded(needed) = error else {
            return RunError::Operator(error);
        };
        let exceeded = MemoryExceeded {
            needed,
            limit: self.memory.limit,
        };
        match self.source.reads_fewest_rows() {
            true => RunError::Memory(exceeded),
            false => RunError::Crowded(exceeded),
        }
    }

    fn check_memory(&self) -> Result<(), RunError> {
        let needed = self.pipeline.operator_bytes() + self.pipeline.state.memory_bytes();
        match needed <= self.memory.limit {
            true => Ok(()),
            false => Err(RunError::Memory(MemoryExceeded {
                needed,
                limit: self.memory.limit,
            })),
        }
    }

    /// When pending updates may be emitted; `None` when none are pending.
    fn tick_at(&self) -> Option<Duration> {
        if !self.pipeline.has_pending() {
            return None;
        }
        let interval = self.context.spec.plan.emit.on_update.unwrap_or_default();
        // What is due within half an epoch goes now, so that an interval of one epoch means every epoch.
        let slack = self.context.config.epoch_interval / 2;
        Some(self.last_tick + interval.saturating_sub(slack))
    }

    fn bad_record(&mut self, chunk: &Chunk, walk: &mut RecordWalk<'_>, bad: &BadRecord) -> Result<(), RunError> {
        let partition = self.source.name(chunk.partition);
        let stats = self.context.stats;
        stats.add_bad(|| format!("{partition} at offset {}: {}", bad.offset, bad.reason));
        match (&self.context.spec.plan.source.on_error, self.dead_letters) {
            (ErrorPolicy::Fail, _) => Err(RunError::Source(SourceError::BadRecord {
                partition: partition.clone(),
                offset: bad.offset,
                reason: bad.reason.clone(),
            })),
            (ErrorPolicy::DeadLetter(_), Some(port)) if !bad.repaired => {
                let partition = partition.clone();
                write_dead_letter(&mut self.pipeline, port, &partition, walk.find(bad.offset), bad);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Takes over what operators have counted. Fails where a result failed and the source says FAIL.
    fn count(&mut self) -> Result<(), RunError> {
        let counts = self.pipeline.counts;
        self.context.stats.add_late(counts.late - self.counted.late);
        self.context.stats.add_rows_out(counts.rows_out - self.counted.rows_out);
        self.counted = counts;
        let failed = self.pipeline.take_failed_results();
        let Some(error) = failed.last else {
            return Ok(());
        };
        let stats = self.context.stats;
        stats.add_failed_results(failed.count, format!("a result was held back: {error}"));
        match self.context.spec.plan.source.on_error {
            ErrorPolicy::Fail => Err(RunError::Operator(OperatorError::Result(error))),
            _ => Ok(()),
        }
    }

    /// Sleeps until something may have to be done. News that came since the last look are not missed.
    fn wait(&mut self) -> Result<(), RunError> {
        let now = self.now();
        let mut pause = SLEEP_MAX;
        let monotonic = now.monotonic;
        let until = |at: Duration| at.saturating_sub(monotonic);
        let closing = self.pipeline.next_timer();
        let by_clock = |time: EventTime| self.source.tracker.until(time, now);
        let times = [
            self.deadline.map(until),
            self.tick_at().map(until),
            self.source.tracker.until_idle(now),
            closing.and_then(by_clock),
        ];
        for time in times.into_iter().flatten() {
            pause = pause.min(time);
        }
        // Timers may fire early by their granularity; a pause of nothing at all would spin.
        let pause = pause.max(Duration::from_millis(1));
        self.context.stats.set_source_lag(self.source.lag());
        let (runtime, ports) = (self.context.runtime, self.context.ports);
        let (stop, epochs, source) = (&mut self.context.stop, &mut self.epochs, &mut self.source);
        runtime.block_on(wake(ports.clock.as_ref(), pause, stop, epochs, source));
        match TOPIC_CHECK <= until_now(self.context.ports, self.last_topic_check) {
            true => self.check_topic(),
            false => Ok(()),
        }
    }

    /// Takes in partitions that the topic has gained, after reading and before the watermark moves: what stands in a new
    /// partition since before something that was read here can not be late then.
    fn take_in_partitions(&mut self) -> Result<(), RunError> {
        let count = self.context.ports.topics.partition_count(self.source.topic());
        match count.is_some_and(|count| self.partitions_known < count) {
            true => self.check_topic(),
            false => Ok(()),
        }
    }

    /// Looks whether the source topic is still there, and whether it has new partitions.
    fn check_topic(&mut self) -> Result<(), RunError> {
        let topic = self.context.ports.topics.open(self.source.topic())?;
        self.source.check_topic(&topic)?;
        self.last_topic_check = self.context.ports.clock.monotonic();
        self.partitions_known = topic.partitions.len();
        let now = self.now();
        self.source.add_new_partitions(&topic, now)
    }

    fn now(&self) -> Now {
        now(self.context.ports.clock.as_ref())
    }
}

fn until_now(ports: &Ports, since: Duration) -> Duration {
    ports.clock.monotonic().saturating_sub(since)
}

/// The next multiple of the interval: all queries end their epochs together, so that they share flushes.
fn next_tick(monotonic: Duration, interval: Duration) -> Duration {
    let interval = interval.as_nanos().max(1);
    let next = (monotonic.as_nanos() / interval + 1) * interval;
    Duration::from_nanos(u64::try_from(next).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_multiples_above_now() {
        let tick = |ms| next_tick(Duration::from_millis(ms), Duration::from_millis(100)).as_millis();
        assert_eq!(
            [tick(0), tick(1), tick(99), tick(100), tick(101)],
            [100, 100, 100, 200, 200]
        );
    }
}
