//! Where a new query begins and ends: `start` and `stop` resolved to offsets, once, when the query is created.

use std::sync::Arc;

use protocol::ids::{Offset, PartitionId, TimestampMs};
use storage::{Isolation, Log};

use crate::catalog::Bounds;
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
    Ok(Bounds { start, stop })
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
