//! What the groups answer. Handlers put these into the response of the version asked for.

use std::sync::Arc;

use bytes::Bytes;
use protocol::error_code::ErrorCode;
use protocol::ids::{LeaderEpoch, Offset, PartitionId};

use super::{GroupId, InstanceId, MemberId};

/// One answer; the variant follows from the command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupReply {
    /// To [`super::JoinGroup`].
    Join(JoinReply),
    /// To [`super::SyncGroup`].
    Sync(SyncReply),
    /// To [`super::Heartbeat`].
    Heartbeat(ErrorCode),
    /// To [`super::LeaveGroup`].
    Leave(LeaveReply),
    /// To [`super::CommitOffsets`].
    CommitOffsets(Vec<PartitionError>),
    /// To [`super::FetchOffsets`].
    FetchOffsets(FetchOffsetsReply),
    /// To `GroupCommand::Describe`.
    Describe(DescribedGroup),
    /// To [`super::ListGroups`].
    List(ListReply),
    /// To `GroupCommand::Delete`.
    Delete(ErrorCode),
}

/// Answer to JoinGroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinReply {
    /// `NONE`, or why not. With `MEMBER_ID_REQUIRED` the member id is the one to come back with.
    pub error: ErrorCode,
    /// -1 with an error.
    pub generation: i32,
    /// Absent with an error. Sent from version 7.
    pub protocol_type: Option<Arc<str>>,
    /// The protocol that all members use. Absent with an error; before version 7 an absent name is sent as "".
    pub protocol_name: Option<Arc<str>>,
    /// Member id of the leader, empty with an error.
    pub leader: MemberId,
    /// Version 9: the leader keeps the assignment that the group has.
    pub skip_assignment: bool,
    /// The asker's member id.
    pub member: MemberId,
    /// For the leader: everybody, with the metadata for the chosen protocol. Empty for the others.
    pub members: Vec<JoinedMember>,
}

/// One member as the leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    /// The member.
    pub member: MemberId,
    /// `group.instance.id` of a static member.
    pub instance: Option<InstanceId>,
    /// Metadata for the chosen protocol.
    pub metadata: Bytes,
}

/// Answer to SyncGroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncReply {
    /// `NONE`, or why not.
    pub error: ErrorCode,
    /// Absent with an error. Sent from version 5.
    pub protocol_type: Option<Arc<str>>,
    /// Absent with an error. Sent from version 5.
    pub protocol_name: Option<Arc<str>>,
    /// What the leader gave to this member; empty with an error.
    pub assignment: Bytes,
}

/// Answer to LeaveGroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaveReply {
    /// For the request as a whole.
    pub error: ErrorCode,
    /// For each member, in the order of the request. Versions 0 to 2 send the error of the only member instead.
    pub members: Vec<LeftMember>,
}

/// One member of the answer to LeaveGroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftMember {
    /// As in the request.
    pub member: MemberId,
    /// As in the request.
    pub instance: Option<InstanceId>,
    /// `NONE`, or why not.
    pub error: ErrorCode,
}

/// The fate of one partition of a request, in the order of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionError {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: PartitionId,
    /// `NONE`, or why not.
    pub error: ErrorCode,
}

/// Answer to OffsetFetch for one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchOffsetsReply {
    /// For the group as a whole.
    pub error: ErrorCode,
    /// Per partition: in the order of the request, or by topic and partition when all were asked for.
    pub offsets: Vec<FetchedOffset>,
}

/// One partition of the answer to OffsetFetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedOffset {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: PartitionId,
    /// Next offset to read, -1 when none was committed.
    pub offset: Offset,
    /// -1 when unknown.
    pub leader_epoch: LeaderEpoch,
    /// The client's note.
    pub metadata: Arc<str>,
    /// `NONE`, or `UNSTABLE_OFFSET_COMMIT`.
    pub error: ErrorCode,
}

/// Answer to DescribeGroups for one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedGroup {
    /// `GROUP_ID_NOT_FOUND` for a group that does not exist. Before version 6 that is sent as `NONE`.
    pub error: ErrorCode,
    /// The group.
    pub group: GroupId,
    /// Name of the state: `Stable`, `Empty`, `PreparingRebalance`, `CompletingRebalance`, `Dead`.
    pub state: &'static str,
    /// `consumer`, `connect`, ..., empty for a group that only holds offsets.
    pub protocol_type: Arc<str>,
    /// The protocol in use, only for a stable group.
    pub protocol: Arc<str>,
    /// By member id.
    pub members: Vec<DescribedMember>,
}

/// One member of a described group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedMember {
    /// The member.
    pub member: MemberId,
    /// `group.instance.id` of a static member.
    pub instance: Option<InstanceId>,
    /// Client id from the request header.
    pub client_id: Arc<str>,
    /// Address of the client.
    pub client_host: Arc<str>,
    /// Metadata for the chosen protocol, only in a stable group.
    pub metadata: Bytes,
    /// What the member has, only in a stable group.
    pub assignment: Bytes,
}

/// Answer to ListGroups for one partition of `__consumer_offsets`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListReply {
    /// `NONE`, or `COORDINATOR_LOAD_IN_PROGRESS`.
    pub error: ErrorCode,
    /// By group id.
    pub groups: Vec<ListedGroup>,
}

/// One group of the answer to ListGroups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedGroup {
    /// The group.
    pub group: GroupId,
    /// `consumer`, `connect`, ..., empty for a group that only holds offsets.
    pub protocol_type: Arc<str>,
    /// Name of the state.
    pub state: &'static str,
    /// `classic`.
    pub group_type: &'static str,
}
