//! Where a partition is read from, and whether its log still is what the query has read before.

use protocol::ids::{LeaderEpoch, NO_LEADER_EPOCH, Offset};
use storage::Log;

use crate::plan::graph::StartAt;
use crate::ports::TopicHandle;
use crate::runtime::error::SourceError;
use crate::state::SourcePosition;

/// Checks that the log still holds what the query has read, and has what it reads next.
pub(super) fn verify(saved: &SourcePosition, log: &Log, topic: &TopicHandle) -> Result<(), SourceError> {
    if saved.topic_id != topic.id {
        return Err(SourceError::OtherTopic {
            topic: topic.name.to_string(),
            expected: saved.topic_id,
            found: topic.id,
        });
    }
    let marks = log.marks();
    let partition = || log.topic_partition().clone();
    let position = saved.next_offset;
    if marks.log_end < position {
        return Err(SourceError::BeyondEnd {
            partition: partition(),
            position,
            log_end: marks.log_end,
        });
    }
    if position < marks.log_start {
        return Err(SourceError::BelowStart {
            partition: partition(),
            position,
            log_start: marks.log_start,
        });
    }
    let (_, first_epoch) = log.earliest();
    match is_same_history(saved, log.end_offset_for_epoch(saved.leader_epoch), first_epoch) {
        true => Ok(()),
        false => Err(SourceError::OtherHistory {
            partition: partition(),
            position,
            epoch: saved.leader_epoch,
        }),
    }
}

/// True when the last batch that was read may still be in the log, or was deleted from its head. `end` is the largest
/// epoch of the log that is not above the batch's, with the offset where it ends; `first` the epoch at the log's start.
fn is_same_history(saved: &SourcePosition, end: Option<(LeaderEpoch, Offset)>, first: Option<LeaderEpoch>) -> bool {
    if saved.leader_epoch == NO_LEADER_EPOCH || first.is_none_or(|first| saved.leader_epoch < first) {
        return true;
    }
    end.is_some_and(|(epoch, end)| epoch == saved.leader_epoch && saved.last_offset < end)
}

/// Where a partition starts that the query has never read.
pub(super) fn start_offset(start: &StartAt, log: &Log) -> Offset {
    let log_start = log.marks().log_start;
    let StartAt::Offsets(offsets) = start else {
        return log_start;
    };
    let partition = log.topic_partition().partition;
    let found = offsets.iter().find(|(id, _)| *id == partition);
    // A partition that was added later is new from its first record.
    found.map_or(log_start, |(_, offset)| *offset)
}

#[cfg(test)]
mod tests {
    use protocol::ids::TopicId;

    use super::*;
    use crate::time::watermark::{Activity, PartitionMark};

    fn saved(leader_epoch: LeaderEpoch, last_offset: Offset) -> SourcePosition {
        SourcePosition {
            partition: 0,
            topic_id: TopicId::NIL,
            leader_epoch,
            last_offset,
            next_offset: last_offset + 10,
            mark: PartitionMark {
                activity: Activity::Active,
                watermark: 0,
            },
        }
    }

    #[test]
    fn an_epoch_must_reach_what_was_read() {
        let at = |end| is_same_history(&saved(3, 9), end, Some(1));
        assert!(at(Some((3, 10))), "the batch is the last of its epoch");
        assert!(!at(Some((3, 9))), "the epoch was cut below the batch");
        assert!(!at(Some((2, 50))), "the epoch is gone");
        assert!(!at(None), "the log is younger than the epoch");
    }

    #[test]
    fn what_retention_deleted_cannot_be_checked() {
        assert!(is_same_history(&saved(3, 9), None, Some(4)));
        assert!(is_same_history(&saved(3, 9), None, None), "an empty log");
        assert!(
            is_same_history(&saved(NO_LEADER_EPOCH, -1), None, Some(0)),
            "nothing was read"
        );
    }
}
