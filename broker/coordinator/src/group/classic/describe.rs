//! What a group looks like from outside, and when its offsets count as unused.

use bytes::Bytes;
use protocol::error_code::ErrorCode;
use protocol::ids::TimestampMs;

use super::ClassicGroup;
use super::state::State;
use crate::group::record::OffsetCommitValue;
use crate::group::{DescribedGroup, DescribedMember, GroupId, ListedGroup};

/// Type of these groups in ListGroups.
pub(crate) const CLASSIC: &str = "classic";
/// State of a group that does not exist.
const DEAD: &str = "Dead";

/// From when the life of an unused offset is counted (KIP-211).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnusedSince {
    /// From its commit.
    Commit,
    /// From this time for all offsets of the group.
    Time(TimestampMs),
}

impl UnusedSince {
    pub(crate) const fn of(self, offset: &OffsetCommitValue) -> TimestampMs {
        match self {
            Self::Commit => offset.commit_timestamp,
            Self::Time(at) => at,
        }
    }
}

impl ClassicGroup {
    /// For DescribeGroups. Metadata and assignments are shown in a stable group only: before, they are of no
    /// generation.
    pub(crate) fn describe(&self) -> DescribedGroup {
        let is_stable = matches!(self.state, State::Stable(_));
        let members = self.members.values().map(|member| DescribedMember {
            member: member.id.clone(),
            instance: member.instance.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: if is_stable {
                member.metadata_for(self.protocol.as_deref())
            } else {
                Bytes::new()
            },
            assignment: if is_stable {
                member.assignment.clone()
            } else {
                Bytes::new()
            },
        });
        DescribedGroup {
            error: ErrorCode::None,
            group: self.id.clone(),
            state: self.state.name(),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            protocol: self.protocol.clone().filter(|_| is_stable).unwrap_or_default(),
            members: members.collect(),
        }
    }

    /// For ListGroups.
    pub(crate) fn listed(&self) -> ListedGroup {
        ListedGroup {
            group: self.id.clone(),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            state: self.state.name(),
            group_type: CLASSIC,
        }
    }

    /// From when offsets that no member's subscription protects count as unused; nothing while the group may still
    /// want them.
    pub(crate) fn offsets_unused_since(&self) -> Option<UnusedSince> {
        let Some(_) = &self.protocol_type else {
            // Nobody was ever a member: the group's name is used by consumers that assign partitions themselves.
            return Some(UnusedSince::Commit);
        };
        match &self.state {
            State::Empty => Some(self.state_since.map_or(UnusedSince::Commit, UnusedSince::Time)),
            State::Stable(_) if self.subscribed_topics.is_some() => Some(UnusedSince::Commit),
            State::PreparingRebalance(_) | State::CompletingRebalance(_) | State::Stable(_) => None,
        }
    }
}

impl DescribedGroup {
    /// A group that cannot be described.
    pub(crate) fn refused(group: GroupId, error: ErrorCode) -> Self {
        Self {
            error,
            group,
            state: if error == ErrorCode::GroupIdNotFound { DEAD } else { "" },
            protocol_type: "".into(),
            protocol: "".into(),
            members: Vec::new(),
        }
    }
}
