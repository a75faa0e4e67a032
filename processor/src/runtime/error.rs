//! Why a run of a query ended, and whether another one makes sense.

use protocol::ids::{LeaderEpoch, Offset, TopicId, TopicPartition};
use storage::ReadError;

use crate::operators::OperatorError;
use crate::ports::PortError;
use crate::state::{RecoverError, StateError};

/// What to do about a failed run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Nothing would change: the same input gives the same failure, or somebody else took over.
    Never,
    /// The world may have changed by then.
    Later,
    /// The state folder is damaged: throw it away and rebuild it from the changelog.
    WithoutState,
}

/// What is wrong with a query's source.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The topic was deleted and created again.
    #[error("source topic {topic} is another one now: id {found} instead of {expected}")]
    OtherTopic {
        /// Its name.
        topic: String,
        /// The id that the query has read from.
        expected: TopicId,
        /// The id that it has now.
        found: TopicId,
    },
    /// The partition ends before what the query has read.
    #[error("{partition} ends at offset {log_end}, below {position} which this query has read up to")]
    BeyondEnd {
        /// The partition.
        partition: TopicPartition,
        /// Next offset to read.
        position: Offset,
        /// Where the log ends.
        log_end: Offset,
    },
    /// What the query has to read next was deleted.
    #[error("{partition} starts at offset {log_start}, above {position} where this query has to read on")]
    BelowStart {
        /// The partition.
        partition: TopicPartition,
        /// Next offset to read.
        position: Offset,
        /// Where the log starts.
        log_start: Offset,
    },
    /// The log was cut and written anew below what the query has read.
    #[error(
        "{partition} has another history: leader epoch {epoch} does not reach offset {position} which this query has read up to"
    )]
    OtherHistory {
        /// The partition.
        partition: TopicPartition,
        /// Next offset to read.
        position: Offset,
        /// Leader epoch of the last batch that was read.
        epoch: LeaderEpoch,
    },
    /// The log could not be read.
    #[error("{partition}: {source}")]
    Read {
        /// The partition.
        partition: TopicPartition,
        /// What the log says.
        source: ReadError,
    },
    /// A bad record, where the policy is to fail.
    #[error("{partition} at offset {offset}: {reason}")]
    BadRecord {
        /// The partition.
        partition: TopicPartition,
        /// The record.
        offset: Offset,
        /// What is wrong with it.
        reason: String,
    },
    /// Partitions were named that the topic does not have.
    #[error("source topic {topic} has no partition {partition}")]
    NoPartition {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
    },
}

/// A query needs more memory than it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the query needs {needed} bytes of memory where its limit is {limit}; raise memory_limit or narrow its groups")]
pub struct MemoryExceeded {
    /// What it holds.
    pub needed: usize,
    /// What it may hold.
    pub limit: usize,
}

/// Why a run of a query ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The source.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// An operator.
    #[error(transparent)]
    Operator(#[from] OperatorError),
    /// The state.
    #[error(transparent)]
    State(#[from] StateError),
    /// The recovery of the state.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// Memory.
    #[error(transparent)]
    Memory(#[from] MemoryExceeded),
    /// Fewer rows at once may need less memory.
    #[error("{0}; reading fewer rows at once")]
    Crowded(MemoryExceeded),
    /// The broker.
    #[error(transparent)]
    Port(#[from] PortError),
    /// An epoch's commit did not end in an orderly way.
    #[error("commit: {0}")]
    Commit(String),
    /// It was asked to stop.
    #[error("stopped")]
    Stopped,
    /// A named crash point was passed, in a test.
    #[error("failpoint {0}")]
    Failpoint(String),
}

impl RunError {
    /// What to do about it.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Source(error) => match error {
                SourceError::Read {
                    source: ReadError::Io(_),
                    ..
                } => Retry::Later,
                _ => Retry::Never,
            },
            Self::Operator(OperatorError::State(error))
            | Self::State(error)
            | Self::Recover(RecoverError::State(error)) => match error {
                StateError::Corrupt { .. } => Retry::WithoutState,
                StateError::Rocks { .. } => Retry::Later,
                StateError::Value { .. } => Retry::Never,
            },
            Self::Recover(RecoverError::Read { .. }) | Self::Crowded(_) | Self::Commit(_) | Self::Failpoint(_) => {
                Retry::Later
            }
            Self::Operator(_) | Self::Recover(_) | Self::Memory(_) | Self::Stopped => Retry::Never,
            Self::Port(error) => match error {
                PortError::Storage(_) | PortError::ShuttingDown => Retry::Later,
                PortError::Fenced(_)
                | PortError::UnknownTopic(_)
                | PortError::TopicExists(_)
                | PortError::Invalid(_) => Retry::Never,
            },
        }
    }
}
