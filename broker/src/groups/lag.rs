//! How far consumer groups are behind, in records and in seconds, as the broker itself sees it.
//!
//! In records: the high watermark less the committed offset. In seconds: the age of the oldest record that the group
//! has not committed past. Its timestamp is read from the log once per committed offset and remembered until the group
//! moves on, so that a group that stands still costs no disk read per scrape.

use std::collections::HashMap;
use std::sync::Arc;

use coordinator::group::Groups as Machine;
use protocol::ids::{Offset, PartitionId, TimestampMs, TopicPartition};
use protocol::records::{BatchHeader, TimestampType};
use storage::{Isolation, Log};
use tokio::sync::oneshot;

use super::Groups;
use super::shard::Message;
use crate::partitions::Partitions;

/// A group's place in one partition.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupLag {
    /// The group.
    pub group: Arc<str>,
    /// Topic and partition.
    pub partition: TopicPartition,
    /// The next offset that the group will read.
    pub committed: Offset,
    /// The offset behind the last record that consumers can see.
    pub end: Offset,
    /// Records that the group has yet to read; 0 when it is ahead.
    pub records: i64,
    /// Age of the oldest record that the group has yet to read; 0 when there is none, `None` when its time cannot be
    /// read, for example because retention has taken it.
    pub seconds: Option<f64>,
}

/// Timestamps of the first unread records.
pub(super) type TimeCache = HashMap<(TopicPartition, Offset), TimestampMs>;

struct Committed {
    group: Arc<str>,
    topic: Arc<str>,
    partition: PartitionId,
    offset: Offset,
}

/// The lag of every group on every partition that exists.
pub(super) async fn snapshot(groups: &Groups) -> Vec<GroupLag> {
    let committed = committed(groups).await;
    let partitions = groups.partitions.clone();
    let known = std::mem::take(&mut *lock(groups));
    let now = groups.env.now_ms();
    let measured = groups
        .env
        .spawn_blocking(move || measure(&partitions, committed, &known, now))
        .await;
    let (lags, times) = measured.unwrap_or_default();
    lock(groups).extend(times);
    lags
}

fn lock(groups: &Groups) -> std::sync::MutexGuard<'_, TimeCache> {
    groups
        .lag_times
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

async fn committed(groups: &Groups) -> Vec<Committed> {
    let shards: Vec<_> = groups.lock_shards().values().cloned().collect();
    let mut all = Vec::new();
    for shard in shards {
        let (answer, offsets) = oneshot::channel();
        let look = Box::new(move |machine: &Machine| {
            let _gone = answer.send(copy_offsets(machine));
        });
        if shard.send(Message::Inspect(look)).await.is_ok() {
            all.extend(offsets.await.unwrap_or_default());
        }
    }
    all
}

fn copy_offsets(machine: &Machine) -> Vec<Committed> {
    let offsets = machine
        .hard()
        .offsets()
        .map(|(group, topic, partition, value)| Committed {
            group: group.clone(),
            topic: topic.clone(),
            partition,
            offset: value.offset,
        });
    offsets.collect()
}

/// Looks every committed offset up. Blocks on the disk for times that are not known.
fn measure(
    partitions: &Partitions,
    committed: Vec<Committed>,
    known: &TimeCache,
    now: TimestampMs,
) -> (Vec<GroupLag>, TimeCache) {
    let mut lags = Vec::with_capacity(committed.len());
    let mut times = TimeCache::new();
    for Committed {
        group,
        topic,
        partition,
        offset,
    } in committed
    {
        let partition = TopicPartition { topic, partition };
        let found = partitions
            .topic(&partition.topic)
            .and_then(|topic| partitions.readable(&topic, partition.partition, now));
        let Ok(Some(opened)) = found else { continue };
        let end = opened.log.marks().high_watermark;
        let records = (end - offset).max(0);
        let mut seconds = Some(0.0);
        if 0 < records {
            let key = (partition.clone(), offset);
            let time = known
                .get(&key)
                .copied()
                .or_else(|| first_unread_time(&opened.log, offset));
            seconds = time.map(|time| age_in_seconds(time, now));
            times.extend(time.map(|time| (key, time)));
        }
        lags.push(GroupLag {
            group,
            partition,
            committed: offset,
            end,
            records,
            seconds,
        });
    }
    (lags, times)
}

/// When the batch at `offset` was made. The batch's first timestamp stands for all its records: reading one header is
/// cheap, and a lag that is shown a little too large warns in time.
fn first_unread_time(log: &Log, offset: Offset) -> Option<TimestampMs> {
    let from = offset.max(log.marks().log_start);
    let slice = log.read(from, Isolation::Uncommitted, 1, true).ok()?;
    let header = BatchHeader::parse(&slice.bytes).ok()?;
    match header.timestamp_type() {
        TimestampType::CreateTime => Some(header.base_timestamp),
        TimestampType::LogAppendTime => Some(header.max_timestamp),
    }
}

fn age_in_seconds(time: TimestampMs, now: TimestampMs) -> f64 {
    // Clients' clocks may be ahead of ours; a record from the future is not late.
    let age_ms = now.saturating_sub(time).max(0);
    std::time::Duration::from_millis(age_ms.unsigned_abs()).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_in_seconds_and_never_negative() {
        assert!((age_in_seconds(1_000, 3_500) - 2.5).abs() < f64::EPSILON);
        assert!(age_in_seconds(9_000, 3_500).abs() < f64::EPSILON);
        assert!(age_in_seconds(i64::MIN, i64::MAX) > 0.0);
    }
}
