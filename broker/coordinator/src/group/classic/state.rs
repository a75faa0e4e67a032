//! States of a classic group, each with what only it needs.

use std::collections::BTreeSet;

use protocol::ids::TimestampMs;

use crate::group::MemberId;

/// Where a group stands between two generations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No members.
    Empty,
    /// Members are asked to join the next generation.
    PreparingRebalance(Joining),
    /// The generation is fixed; the leader works out the assignment.
    CompletingRebalance(Syncing),
    /// Everybody has, or can fetch, an assignment.
    Stable(Syncing),
}

/// A join phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Joining {
    /// When it ends at the latest.
    pub(super) due: TimestampMs,
    /// Present in the first rebalance of an empty group, which waits on purpose (KIP-134).
    pub(super) initial: Option<InitialDelay>,
}

/// The wait of a first rebalance: each step that saw a new member is followed by another one, until the time is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InitialDelay {
    /// Length of the step under way.
    pub(super) step_ms: i32,
    /// What may be added after this step.
    pub(super) remaining_ms: i32,
    /// Whether somebody joined since the step began.
    pub(super) new_member: bool,
}

/// A sync phase. Goes on in `Stable` for members that are late to fetch their assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Syncing {
    /// When those who did not ask are removed.
    pub(super) due: TimestampMs,
    /// Members that have not sent a SyncGroup of this generation.
    pub(super) waiting_for: BTreeSet<MemberId>,
}

impl Syncing {
    /// A phase that is over.
    pub(super) const fn nobody() -> Self {
        Self {
            due: TimestampMs::MAX,
            waiting_for: BTreeSet::new(),
        }
    }
}

impl State {
    /// Kafka's name, as DescribeGroups and ListGroups send it.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance(_) => "PreparingRebalance",
            Self::CompletingRebalance(_) => "CompletingRebalance",
            Self::Stable(_) => "Stable",
        }
    }

    pub(super) const fn syncing_mut(&mut self) -> Option<&mut Syncing> {
        match self {
            Self::CompletingRebalance(syncing) | Self::Stable(syncing) => Some(syncing),
            Self::Empty | Self::PreparingRebalance(_) => None,
        }
    }
}
