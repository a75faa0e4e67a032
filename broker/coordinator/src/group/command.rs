//! What can be asked of the groups of one `__consumer_offsets` partition.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use protocol::ids::{LeaderEpoch, Offset, PartitionId};
use uuid::Uuid;

use super::{GroupId, GroupTimer, InstanceId, MemberId};
use crate::outcome::ReplyTo;

/// One command. Every variant but the last three is a client's request and gets exactly one reply, now or later.
#[derive(Clone, Debug)]
pub enum GroupCommand {
    /// JoinGroup.
    Join(JoinGroup),
    /// SyncGroup.
    Sync(SyncGroup),
    /// Heartbeat.
    Heartbeat(Heartbeat),
    /// LeaveGroup.
    Leave(LeaveGroup),
    /// OffsetCommit.
    CommitOffsets(CommitOffsets),
    /// OffsetFetch, one group of it.
    FetchOffsets(FetchOffsets),
    /// DescribeGroups, one group of it.
    Describe {
        /// Who asks.
        to: ReplyTo,
        /// The group.
        group: GroupId,
    },
    /// ListGroups, this partition's share of it.
    List(ListGroups),
    /// DeleteGroups, one group of it.
    Delete {
        /// Who asks.
        to: ReplyTo,
        /// The group.
        group: GroupId,
    },
    /// A topic was deleted: its committed offsets go. No reply.
    TopicDeleted {
        /// The topic.
        topic: Arc<str>,
    },
    /// The periodic look for offsets and groups that have expired (`offsets.retention.check.interval.ms`). No reply.
    Expire,
    /// A timer came due. No reply.
    Timer(GroupTimer),
}

/// One protocol that a member can use, with its metadata: for consumers the assignor and the subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    /// Name, e.g. `range` or `cooperative-sticky`.
    pub name: Arc<str>,
    /// Opaque bytes, e.g. a `ConsumerProtocolSubscription`.
    pub metadata: Bytes,
}

/// A JoinGroup request (key 11, versions 0 to 9).
#[derive(Clone, Debug)]
pub struct JoinGroup {
    /// Who asks. The answer may come much later, when all members have joined.
    pub to: ReplyTo,
    /// Version of the request: version 4 made the member id a two-step affair (KIP-394), version 9 lets a static
    /// leader skip the assignment (KIP-814).
    pub api_version: i16,
    /// Group to join.
    pub group: GroupId,
    /// Empty for a member that has none yet.
    pub member: MemberId,
    /// `group.instance.id` of a static member.
    pub instance: Option<InstanceId>,
    /// Client id from the request header, empty when the header has none.
    pub client_id: Arc<str>,
    /// Address of the client in the form that Kafka keeps: `/127.0.0.1`.
    pub client_host: Arc<str>,
    /// How long the member may be silent.
    pub session_timeout_ms: i32,
    /// How long a rebalance waits for the member; -1 (version 0) means the session timeout.
    pub rebalance_timeout_ms: i32,
    /// `consumer`, `connect`, ...
    pub protocol_type: Arc<str>,
    /// In the order of the member's preference.
    pub protocols: Vec<Protocol>,
    /// Random id, used when the member needs a new member id.
    pub fresh_id: Uuid,
}

/// A SyncGroup request (key 14, versions 0 to 5).
#[derive(Clone, Debug)]
pub struct SyncGroup {
    /// Who asks. The answer waits for the leader's assignment.
    pub to: ReplyTo,
    /// The group.
    pub group: GroupId,
    /// The member.
    pub member: MemberId,
    /// `group.instance.id` of a static member.
    pub instance: Option<InstanceId>,
    /// Generation that the member joined.
    pub generation: i32,
    /// Version 5: the protocol type that the member believes in.
    pub protocol_type: Option<Arc<str>>,
    /// Version 5: the protocol that the member believes in.
    pub protocol_name: Option<Arc<str>>,
    /// From the leader: what each member gets.
    pub assignments: Vec<(MemberId, Bytes)>,
}

/// A Heartbeat request (key 12).
#[derive(Clone, Debug)]
pub struct Heartbeat {
    /// Who asks.
    pub to: ReplyTo,
    /// The group.
    pub group: GroupId,
    /// The member.
    pub member: MemberId,
    /// `group.instance.id` of a static member.
    pub instance: Option<InstanceId>,
    /// Generation of the member.
    pub generation: i32,
}

/// A LeaveGroup request (key 13). Versions 0 to 2 name one member, later ones several.
#[derive(Clone, Debug)]
pub struct LeaveGroup {
    /// Who asks.
    pub to: ReplyTo,
    /// The group.
    pub group: GroupId,
    /// Who leaves.
    pub members: Vec<LeavingMember>,
}

/// One member of a LeaveGroup request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeavingMember {
    /// The member; empty when an administrator removes a static member by its instance id.
    pub member: MemberId,
    /// `group.instance.id` of a static member.
    pub instance: Option<InstanceId>,
}

/// An OffsetCommit request (key 8). Topics are named; the handler has checked that they exist.
#[derive(Clone, Debug)]
pub struct CommitOffsets {
    /// Who asks.
    pub to: ReplyTo,
    /// The group; may be empty for old simple consumers.
    pub group: GroupId,
    /// Empty for a commit without membership.
    pub member: MemberId,
    /// `group.instance.id` of a static member.
    pub instance: Option<InstanceId>,
    /// -1 for a commit without membership.
    pub generation: i32,
    /// Versions 2 to 4: how long the offsets live, in milliseconds; -1 (and other versions): the broker's rule.
    pub retention_time_ms: i64,
    /// What to commit.
    pub offsets: Vec<OffsetToCommit>,
}

/// One partition of an OffsetCommit request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetToCommit {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: PartitionId,
    /// Next offset to read.
    pub offset: Offset,
    /// Leader epoch of the last record read, -1 when unknown.
    pub leader_epoch: LeaderEpoch,
    /// The client's note; a null in the request is an empty string.
    pub metadata: Arc<str>,
}

/// One group of an OffsetFetch request (key 9).
#[derive(Clone, Debug)]
pub struct FetchOffsets {
    /// Who asks.
    pub to: ReplyTo,
    /// The group.
    pub group: GroupId,
    /// The topics and partitions to look up, or all that have an offset.
    pub topics: Option<Vec<(Arc<str>, Vec<PartitionId>)>>,
    /// Answer UNSTABLE_OFFSET_COMMIT for a partition while a transaction that commits its offset is undecided.
    pub require_stable: bool,
}

/// A ListGroups request (key 16).
#[derive(Clone, Debug)]
pub struct ListGroups {
    /// Who asks.
    pub to: ReplyTo,
    /// Version 4: only groups in one of these states.
    pub states: NameFilter,
    /// Version 5: only groups of one of these types.
    pub types: NameFilter,
}

/// Names that are wanted, without regard to case; none for all. Cheap to clone: every partition's machine gets it.
#[derive(Clone, Debug, Default)]
pub struct NameFilter(Arc<BTreeSet<String>>);

impl NameFilter {
    /// Whether a name is wanted.
    pub(super) fn wants(&self, name: &str) -> bool {
        self.0.is_empty() || self.0.contains(&name.to_ascii_lowercase())
    }
}

impl<'a> FromIterator<&'a str> for NameFilter {
    fn from_iter<I: IntoIterator<Item = &'a str>>(names: I) -> Self {
        Self(Arc::new(names.into_iter().map(str::to_ascii_lowercase).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_holds_a_name_once_and_its_copies_share_it() {
        let asked = ["Stable", "stable", "EMPTY"].into_iter().cycle().take(100_000);
        let filter: NameFilter = asked.collect();
        assert_eq!(filter.0.len(), 2, "what a look-up costs is not for the request to say");
        let of_another_partition = filter.clone();
        assert!(Arc::ptr_eq(&filter.0, &of_another_partition.0));
        assert!(filter.wants("STABLE") && filter.wants("Empty") && !filter.wants("Dead"));
        assert!(NameFilter::default().wants("Dead"));
    }
}
