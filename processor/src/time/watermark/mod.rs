//! Watermarks of partitions, and the watermark of the stream that they add up to.
//!
//! The stream's watermark is the minimum over the ACTIVE partitions. A partition read to its log's end on which nothing
//! came for the idle timeout is IDLE and left out; one at its stop is FINISHED and left out. When no partition is active
//! and some are idle, the watermark goes on with the clock: the largest watermark seen plus the time this query has been
//! running since the last arrival, never beyond the clock. Time in which the query did not run does not count. When all
//! are finished the stream has ended. A watermark never goes back.

use std::time::Duration;

use super::{END_OF_TIME, EventTime, START_OF_TIME};

/// Whether a partition takes part in the minimum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Rows come, or are still to be read.
    Active,
    /// Read to the end, and silent for the idle timeout.
    Idle,
    /// Read to its stop; nothing more will come.
    Finished,
}

/// Time as the shell measures it, taken once per round.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Time since a fixed point; never goes back.
    pub monotonic: Duration,
    /// The wall clock in microseconds since the Unix epoch.
    pub wall: EventTime,
}

/// What an epoch keeps of a partition's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionMark {
    /// Whether it took part.
    pub activity: Activity,
    /// Its largest proposed watermark, or the start of time.
    pub watermark: EventTime,
}

/// What an epoch keeps of a stream's time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeMarks {
    /// The stream's watermark.
    pub watermark: EventTime,
    /// How long the query had been running since the last arrival.
    pub silence: Duration,
    /// Per partition, in the order of the tracker.
    pub partitions: Vec<PartitionMark>,
}

/// Tracks the watermark of one source. Pure: the caller reports arrivals, ends and the time.
#[derive(Debug)]
pub struct WatermarkTracker {
    partitions: Vec<Partition>,
    idle_timeout: Duration,
    current: EventTime,
    last_arrival: Duration,
    silence_before: Duration,
}

#[derive(Debug)]
struct Partition {
    activity: Activity,
    watermark: EventTime,
    last_arrival: Duration,
    at_end: bool,
}

impl WatermarkTracker {
    /// A tracker of a source that was never read. Partitions count as active until they prove idle.
    pub fn new(partitions: usize, idle_timeout: Duration, now: Now) -> Self {
        let mut tracker = Self {
            partitions: Vec::new(),
            idle_timeout,
            current: START_OF_TIME,
            last_arrival: now.monotonic,
            silence_before: Duration::ZERO,
        };
        for _ in 0..partitions {
            tracker.add_partition(now);
        }
        tracker
    }

    /// A tracker that goes on where an epoch left off. Partitions must come in the same order.
    pub fn restore(marks: &TimeMarks, idle_timeout: Duration, now: Now) -> Self {
        let mut tracker = Self::new(marks.partitions.len(), idle_timeout, now);
        for (partition, mark) in tracker.partitions.iter_mut().zip(&marks.partitions) {
            partition.activity = mark.activity;
            partition.watermark = mark.watermark;
        }
        tracker.current = marks.watermark;
        tracker.silence_before = marks.silence;
        tracker
    }

    /// Adds a partition that the topic has gained.
    pub fn add_partition(&mut self, now: Now) {
        self.partitions.push(Partition {
            activity: Activity::Active,
            watermark: START_OF_TIME,
            last_arrival: now.monotonic,
            at_end: false,
        });
    }

    /// Records came on a partition: it is active again, and silence starts anew.
    pub fn arrived(&mut self, partition: usize, now: Now) {
        let entry = &mut self.partitions[partition];
        if entry.activity == Activity::Idle {
            entry.activity = Activity::Active;
        }
        entry.last_arrival = now.monotonic;
        entry.at_end = false;
        self.last_arrival = now.monotonic;
        self.silence_before = Duration::ZERO;
    }

    /// A row of a partition proposes a watermark; lower ones than before are ignored.
    pub fn propose(&mut self, partition: usize, watermark: EventTime) {
        let entry = &mut self.partitions[partition];
        entry.watermark = entry.watermark.max(watermark);
    }

    /// Says whether a partition is read to its log's end. One that is not cannot be idle, whatever the clock says.
    pub fn set_at_end(&mut self, partition: usize, at_end: bool) {
        let entry = &mut self.partitions[partition];
        entry.at_end = at_end;
        if !at_end && entry.activity == Activity::Idle {
            entry.activity = Activity::Active;
        }
    }

    /// The partition has reached its stop.
    pub fn finish(&mut self, partition: usize) {
        self.partitions[partition].activity = Activity::Finished;
    }

    /// True when every partition has reached its stop; also for a source without partitions.
    pub fn all_finished(&self) -> bool {
        self.partitions
            .iter()
            .all(|partition| partition.activity == Activity::Finished)
    }

    /// Applies the passing of time and returns the stream's watermark.
    pub fn advance(&mut self, now: Now) -> EventTime {
        for partition in &mut self.partitions {
            let silent = now.monotonic.saturating_sub(partition.last_arrival);
            if partition.activity == Activity::Active && partition.at_end && self.idle_timeout <= silent {
                partition.activity = Activity::Idle;
            }
        }
        self.current = self.current.max(self.reached(now));
        self.current
    }

    /// Notes a watermark that operators were given in the middle of a batch.
    pub fn raise(&mut self, watermark: EventTime) {
        self.current = self.current.max(watermark);
    }

    /// The stream's watermark as of the last [`advance`](Self::advance).
    pub fn current(&self) -> EventTime {
        self.current
    }

    /// Watermark of a partition.
    pub fn partition_watermark(&self, partition: usize) -> EventTime {
        self.partitions[partition].watermark
    }

    /// The minimum over the active partitions other than this one; the end of time where there is none.
    pub fn others(&self, partition: usize) -> EventTime {
        self.partitions
            .iter()
            .enumerate()
            .filter(|(index, other)| *index != partition && other.activity == Activity::Active)
            .map(|(_, other)| other.watermark)
            .min()
            .unwrap_or(END_OF_TIME)
    }

    /// How long until the next partition can become idle, if none of them has news.
    pub fn until_idle(&self, now: Now) -> Option<Duration> {
        self.partitions
            .iter()
            .filter(|partition| partition.activity == Activity::Active && partition.at_end)
            .map(|partition| (partition.last_arrival + self.idle_timeout).saturating_sub(now.monotonic))
            .min()
    }

    /// How long until the clock alone carries the watermark to `time`; `None` while it does not move by the clock.
    pub fn until(&self, time: EventTime, now: Now) -> Option<Duration> {
        let largest = self.largest()?;
        if !self.moves_by_clock() {
            return None;
        }
        let by_silence = time.saturating_sub(largest.saturating_add(micros(self.silence(now))));
        let by_wall = time.saturating_sub(now.wall);
        let wait = by_silence.max(by_wall).max(0);
        Some(Duration::from_micros(wait.unsigned_abs()))
    }

    /// What the epoch keeps.
    pub fn marks(&self, now: Now) -> TimeMarks {
        TimeMarks {
            watermark: self.current,
            silence: self.silence(now),
            partitions: self
                .partitions
                .iter()
                .map(|partition| PartitionMark {
                    activity: partition.activity,
                    watermark: partition.watermark,
                })
                .collect(),
        }
    }

    fn reached(&self, now: Now) -> EventTime {
        if self.all_finished() {
            return END_OF_TIME;
        }
        if !self.moves_by_clock() {
            // At least one is active here.
            return self.others(usize::MAX);
        }
        match self.largest() {
            Some(largest) => largest.saturating_add(micros(self.silence(now))).min(now.wall),
            None => START_OF_TIME,
        }
    }

    fn moves_by_clock(&self) -> bool {
        let active = self
            .partitions
            .iter()
            .any(|partition| partition.activity == Activity::Active);
        !active && !self.all_finished()
    }

    fn largest(&self) -> Option<EventTime> {
        self.partitions
            .iter()
            .map(|partition| partition.watermark)
            .max()
            .filter(|largest| *largest != START_OF_TIME)
    }

    fn silence(&self, now: Now) -> Duration {
        self.silence_before + now.monotonic.saturating_sub(self.last_arrival)
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
