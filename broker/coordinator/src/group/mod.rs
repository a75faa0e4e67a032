//! Consumer groups of one `__consumer_offsets` partition: membership, rebalances, committed offsets.
//!
//! [`Groups`] is the machine; the crate's front page says how a shell drives it. Behind it lie classic groups
//! (`classic/`), committed offsets (`offsets.rs`, `expiry.rs`) and the record schemas ([`record`]).
//!
//! *Hard* state is what the records say: the last metadata record of each group, and the committed offsets. *Soft*
//! state is each group as it lives: who waits, which rebalance is under way, when sessions end. After a restart the
//! soft state of a group is rebuilt from its metadata record: members with an assignment are members again, their
//! sessions begin anew, and nobody has to rejoin.
//!
//! Deliberate deviations from Kafka 4.3, none of which a client can tell from an ordinary race:
//! - A join that is refused does not leave an empty group behind.
//! - A request that is parked twice for one member (after a reconnect) gets its first copy answered with
//!   `REBALANCE_IN_PROGRESS`, and the parked SyncGroup of a member that is removed gets `UNKNOWN_MEMBER_ID`; Kafka
//!   forgets them.
//! - The number of groups of a partition, of members waiting for their first join, what they bring for their protocols,
//!   and the length of names are bounded.
//! - Where two protocols get equally many votes, the order of the leader's list decides; Kafka's choice is arbitrary.
//! - Offsets of groups whose name begins with [`RESERVED_PREFIX`](crate::RESERVED_PREFIX) do not expire.

mod admin;
mod classic;
mod command;
mod expiry;
mod hard;
mod machine;
mod offsets;
pub mod record;
mod reply;
mod subscription;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::outcome::Outcome;

pub use command::{
    CommitOffsets, FetchOffsets, GroupCommand, Heartbeat, JoinGroup, LeaveGroup, LeavingMember, ListGroups, NameFilter,
    OffsetToCommit, Protocol, SyncGroup,
};
pub use hard::{CommittedOffset, HardState};
pub use machine::Groups;
pub use record::GroupRecord;
pub use reply::{
    DescribedGroup, DescribedMember, FetchOffsetsReply, FetchedOffset, GroupReply, JoinReply, JoinedMember, LeaveReply,
    LeftMember, ListReply, ListedGroup, PartitionError, SyncReply,
};

/// Name of a group.
pub type GroupId = Arc<str>;
/// Name of a member within its group, made by the coordinator.
pub type MemberId = Arc<str>;
/// Name that a static member keeps over restarts (`group.instance.id`).
pub type InstanceId = Arc<str>;
/// What the groups decide about one command.
pub type GroupOutcome = Outcome<GroupRecord, GroupReply, GroupTimer>;

/// Longest group id, instance id, client id, protocol type or protocol name in bytes. The record schemas end at
/// 32,767; a member id is made of a client or instance id and 37 bytes more.
pub const NAME_BYTES_MAX: usize = 32_000;

/// Protocols that one member may offer. Kafka's own clients have as many as assignors, a handful.
pub const PROTOCOLS_MAX: usize = 100;

/// A timer of the groups. Fed back as [`GroupCommand::Timer`] when it comes due.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupTimer {
    /// A member was silent for its session timeout, or did not come back with the member id it was given.
    Session {
        /// The group.
        group: GroupId,
        /// The member.
        member: MemberId,
    },
    /// A rebalance has waited long enough for its members.
    Join {
        /// The group.
        group: GroupId,
    },
    /// Members have had long enough to ask for their assignment.
    Sync {
        /// The group.
        group: GroupId,
    },
}

/// Settings of the groups. Kafka's names are in the comments; times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// `group.min.session.timeout.ms`
    pub session_timeout_min_ms: i32,
    /// `group.max.session.timeout.ms`
    pub session_timeout_max_ms: i32,
    /// `group.initial.rebalance.delay.ms`: how long the first rebalance of an empty group waits for more members.
    pub initial_rebalance_delay_ms: i32,
    /// `group.max.size`: members of one group, and as many more that were given a member id and have not used it.
    pub members_max: usize,
    /// How long a parked JoinGroup of a new member keeps that member, which cannot send heartbeats yet. Kafka: 5 min.
    pub new_member_join_timeout_ms: i32,
    /// `offset.metadata.max.bytes`: longest note of a committed offset, in UTF-16 units as Kafka counts.
    pub offset_metadata_max: usize,
    /// Bytes of keys and values that one commit may write. Kafka refuses what does not fit into one batch.
    pub commit_bytes_max: usize,
    /// `offsets.retention.minutes`
    pub offsets_retention_ms: i64,
    /// Groups of one `__consumer_offsets` partition. Beyond it new groups are refused.
    pub groups_max: usize,
    /// Memory for member ids of one `__consumer_offsets` partition that were handed out and that nobody has joined with
    /// yet, which costs a client nothing. Beyond it no more are handed out.
    pub invited_bytes_max: usize,
    /// Largest record that the topic takes (`max.message.bytes` less the batch's own bytes). An assignment that does
    /// not fit is refused instead of failing the append.
    pub record_bytes_max: usize,
}

impl GroupConfig {
    /// Kafka's defaults, and our bounds where Kafka has none.
    pub const KAFKA_DEFAULTS: Self = Self {
        session_timeout_min_ms: 6_000,
        session_timeout_max_ms: 1_800_000,
        initial_rebalance_delay_ms: 3_000,
        members_max: 10_000,
        new_member_join_timeout_ms: 300_000,
        offset_metadata_max: 4_096,
        commit_bytes_max: 16 * 1024 * 1024,
        offsets_retention_ms: 7 * 24 * 60 * 60 * 1_000,
        groups_max: 100_000,
        invited_bytes_max: 8 * 1024 * 1024,
        record_bytes_max: 1_000_000,
    };
}
