//! Where a new query begins and ends: `start` and `stop` resolved to offsets, once, when the query is created.

use std::sync::Arc;

use protocol::ids::{Offset, PartitionId, TimestampMs};
use storage::{Isolation, Log};

use crate::catalog::{Bounds, Repeated};
use crate::error::{SqlError, SqlState};
use crate::ports::TopicHandle;
use crate::sql::{SourceOptions, StartOption, StopOption};

/// Resolves the options against the topic as it is now. Blocks for the disk where a time is looked up.
pub(super) fn resolve(options: &SourceOptions, topic: &TopicHandle, committed_only: bool) -> Result<Bounds, SqlError> {
    let isolation = if committed_only {
        Isolation::Committed
    } else {
        Isolation::Uncommitted
    };
    let start = match &options.start {
        StartOption::Earliest => None,
        StartOption::Latest => Some(each(topic, |log| Ok(isolation.bound(&log.marks())))?),
        StartOption::Timestamp(time) => Some(each(topic, |log| at_time(log, *time, isolation))?),
        StartOption::Offsets(offsets) => {
            check_partitions(topic, offsets, "start")?;
            Some(offsets.clone())
        }
    };
    let stop = match &options.stop {
        None => None,
        Some(StopOption::Latest) => Some(each(topic, |log| Ok(isolation.bound(&log.marks())))?),
        Some(StopOption::Timestamp(time)) => Some(each(topic, |log| at_time(log, *time, isolation))?),
        Some(StopOption::Offsets(offsets)) => {
            check_partitions(topic, offsets, "stop")?;
            let named = |partition: PartitionId| offsets.iter().find(|(p, _)| *p == partition).map(|(_, o)| *o);
            // A partition that is not named ends where it begins.
            Some(
                (0..)
                    .zip(&topic.partitions)
                    .map(|(p, log)| (p, named(p).unwrap_or(log.marks().log_start)))
                    .collect(),
            )
        }
    };
    let log_start = match start {
        None => Some(each(topic, |log| Ok(log.marks().log_start))?),
        Some(_) => None,
    };
    Ok(Bounds { start, stop, log_start })
}

/// The bounds of a query that repeats that of a materialized view: those of the view, whatever `start` and `stop` would
/// mean now, because both have to see the same records. Fails where the topic has lost some of them.
pub(super) fn repeat(repeated: &Repeated, topic: &TopicHandle) -> Result<Bounds, SqlError> {
    let bounds = &repeated.bounds;
    let offset = |offsets: &Option<Vec<(PartitionId, Offset)>>, partition: PartitionId| {
        let found = offsets.iter().flatten().find(|(p, _)| *p == partition);
        found.map(|(_, offset)| *offset)
    };
    for (partition, log) in (0..).zip(&topic.partitions) {
        let first = match &bounds.start {
            Some(_) => offset(&bounds.start, partition),
            None => offset(&bounds.log_start, partition),
        };
        // A partition that was added later is read from its first record.
        let first = first.unwrap_or_default();
        let log_start = log.marks().log_start;
        let has_read = offset(&bounds.stop, partition).is_none_or(|stop| first < stop);
        if has_read && first < log_start {
            return Err(lost(&repeated.view, topic, partition, first, log_start));
        }
    }
    Ok(bounds.clone())
}

fn lost(view: &str, topic: &TopicHandle, partition: PartitionId, first: Offset, log_start: Offset) -> SqlError {
    let topic = &topic.name;
    SqlError::new(
        SqlState::NOT_IN_STATE,
        format!(
            "materialized view \"{view}\" has read partition {partition} of topic \"{topic}\" from offset {first} on, \
             but the topic begins at offset {log_start} now: its query cannot be repeated"
        ),
    )
    .with_hint(
        "put the query of the view in place of its name, or create the view anew: both begin where the topic does now",
    )
}

fn each(
    topic: &TopicHandle,
    offset: impl Fn(&Arc<Log>) -> Result<Offset, SqlError>,
) -> Result<Vec<(PartitionId, Offset)>, SqlError> {
    (0..)
        .zip(&topic.partitions)
        .map(|(partition, log)| Ok((partition, offset(log)?)))
        .collect()
}

/// The first record of that time or later, or the end.
fn at_time(log: &Arc<Log>, time: TimestampMs, isolation: Isolation) -> Result<Offset, SqlError> {
    let found = log
        .offset_for_timestamp(time, isolation)
        .map_err(|e| SqlError::new(SqlState::IO_ERROR, e.to_string()))?;
    Ok(found.map_or_else(|| isolation.bound(&log.marks()), |found| found.offset))
}

fn check_partitions(topic: &TopicHandle, offsets: &[(PartitionId, Offset)], option: &str) -> Result<(), SqlError> {
    let count = topic.partitions.len();
    match offsets
        .iter()
        .find(|(p, _)| usize::try_from(*p).is_ok_and(|p| count <= p))
    {
        Some((partition, _)) => Err(SqlError::invalid_value(format!(
            "option \"{option}\" names partition {partition}, but topic \"{}\" has {count}",
            topic.name
        ))),
        None => Ok(()),
    }
}
