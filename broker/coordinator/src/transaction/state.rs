//! States of a transaction, with the numbers that `__transaction_state` keeps.

use super::Decision;

/// Where a transactional id stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransactionState {
    /// Opened; no transaction yet.
    Empty,
    /// A transaction is open.
    Ongoing,
    /// Decided to commit; markers are on their way.
    PrepareCommit,
    /// Decided to abort; markers are on their way.
    PrepareAbort,
    /// Committed, with all markers.
    CompleteCommit,
    /// Aborted, with all markers.
    CompleteAbort,
    /// About to be removed. Kafka may write it; we write the tombstone alone.
    Dead,
    /// About to be aborted by a new incarnation. Never in a record, only named here so that the table is complete.
    PrepareEpochFence,
}

impl TransactionState {
    /// Every state, by its number.
    const ALL: [Self; 8] = [
        Self::Empty,
        Self::Ongoing,
        Self::PrepareCommit,
        Self::PrepareAbort,
        Self::CompleteCommit,
        Self::CompleteAbort,
        Self::Dead,
        Self::PrepareEpochFence,
    ];

    /// The number in records.
    pub const fn id(self) -> i8 {
        self as i8
    }

    /// The state of a number.
    pub fn from_id(id: i8) -> Option<Self> {
        Self::ALL.get(usize::try_from(id).ok()?).copied()
    }

    /// Kafka's name, as DescribeTransactions and ListTransactions send it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::PrepareCommit => "PrepareCommit",
            Self::PrepareAbort => "PrepareAbort",
            Self::CompleteCommit => "CompleteCommit",
            Self::CompleteAbort => "CompleteAbort",
            Self::Dead => "Dead",
            Self::PrepareEpochFence => "PrepareEpochFence",
        }
    }

    /// The state in which a decision has been made and is being carried out.
    pub const fn preparing(decision: Decision) -> Self {
        match decision {
            Decision::Commit => Self::PrepareCommit,
            Decision::Abort => Self::PrepareAbort,
        }
    }

    /// The state in which a decision has been carried out.
    pub const fn completed(decision: Decision) -> Self {
        match decision {
            Decision::Commit => Self::CompleteCommit,
            Decision::Abort => Self::CompleteAbort,
        }
    }

    /// The decision that is being carried out.
    pub const fn preparing_decision(self) -> Option<Decision> {
        match self {
            Self::PrepareCommit => Some(Decision::Commit),
            Self::PrepareAbort => Some(Decision::Abort),
            Self::Empty
            | Self::Ongoing
            | Self::CompleteCommit
            | Self::CompleteAbort
            | Self::Dead
            | Self::PrepareEpochFence => None,
        }
    }
}
