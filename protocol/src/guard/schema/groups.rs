//! Groups and their committed offsets.

use kafka_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, FindCoordinatorRequest, HeartbeatRequest, JoinGroupRequest,
    LeaveGroupRequest, ListGroupsRequest, OffsetCommitRequest, OffsetFetchRequest, SyncGroupRequest,
    join_group_request, leave_group_request, offset_commit_request, offset_fetch_request, sync_group_request,
};

use super::{BOOL, INT8, INT32, INT32_ARRAY, INT64, Kind, Schema, Shape, TEXT_ARRAY, UUID, field};
use crate::api_key::ApiKey;

pub(super) static OFFSET_COMMIT: Schema = Schema::new(ApiKey::OffsetCommit, (2, 10), &OFFSET_COMMIT_BODY);

static OFFSET_COMMIT_BODY: Shape = Shape::new::<OffsetCommitRequest>(&[
    field("group_id", Kind::Text),
    field("generation_id_or_member_epoch", INT32),
    field("member_id", Kind::Text),
    field("group_instance_id", Kind::Text).since(7).nullable(),
    field("retention_time_ms", INT64).until(4),
    field("topics", Kind::Array(&Kind::Struct(&OFFSET_COMMIT_TOPIC))),
]);

static OFFSET_COMMIT_TOPIC: Shape = Shape::new::<offset_commit_request::OffsetCommitRequestTopic>(&[
    field("name", Kind::Text).until(9),
    field("topic_id", UUID).since(10),
    field("partitions", Kind::Array(&Kind::Struct(&OFFSET_COMMIT_PARTITION))),
]);

static OFFSET_COMMIT_PARTITION: Shape = Shape::new::<offset_commit_request::OffsetCommitRequestPartition>(&[
    field("partition_index", INT32),
    field("committed_offset", INT64),
    field("committed_leader_epoch", INT32).since(6),
    field("committed_metadata", Kind::Text).nullable(),
]);

pub(super) static OFFSET_FETCH: Schema = Schema::new(ApiKey::OffsetFetch, (1, 10), &OFFSET_FETCH_BODY);

static OFFSET_FETCH_BODY: Shape = Shape::new::<OffsetFetchRequest>(&[
    field("group_id", Kind::Text).until(7),
    field("topics", Kind::Array(&Kind::Struct(&OFFSET_FETCH_TOPIC)))
        .until(7)
        .nullable_since(2),
    field("groups", Kind::Array(&Kind::Struct(&OFFSET_FETCH_GROUP))).since(8),
    field("require_stable", BOOL).since(7),
]);

static OFFSET_FETCH_TOPIC: Shape = Shape::new::<offset_fetch_request::OffsetFetchRequestTopic>(&[
    field("name", Kind::Text),
    field("partition_indexes", INT32_ARRAY),
]);

static OFFSET_FETCH_GROUP: Shape = Shape::new::<offset_fetch_request::OffsetFetchRequestGroup>(&[
    field("group_id", Kind::Text),
    field("member_id", Kind::Text).since(9).nullable(),
    field("member_epoch", INT32).since(9),
    field("topics", Kind::Array(&Kind::Struct(&OFFSET_FETCH_GROUP_TOPIC))).nullable(),
]);

static OFFSET_FETCH_GROUP_TOPIC: Shape = Shape::new::<offset_fetch_request::OffsetFetchRequestTopics>(&[
    field("name", Kind::Text).until(9),
    field("topic_id", UUID).since(10),
    field("partition_indexes", INT32_ARRAY),
]);

pub(super) static FIND_COORDINATOR: Schema = Schema::new(ApiKey::FindCoordinator, (0, 6), &FIND_COORDINATOR_BODY);

static FIND_COORDINATOR_BODY: Shape = Shape::new::<FindCoordinatorRequest>(&[
    field("key", Kind::Text).until(3),
    field("key_type", INT8).since(1),
    field("coordinator_keys", TEXT_ARRAY).since(4),
]);

pub(super) static JOIN_GROUP: Schema = Schema::new(ApiKey::JoinGroup, (0, 9), &JOIN_GROUP_BODY);

static JOIN_GROUP_BODY: Shape = Shape::new::<JoinGroupRequest>(&[
    field("group_id", Kind::Text),
    field("session_timeout_ms", INT32),
    field("rebalance_timeout_ms", INT32).since(1),
    field("member_id", Kind::Text),
    field("group_instance_id", Kind::Text).since(5).nullable(),
    field("protocol_type", Kind::Text),
    field("protocols", Kind::Array(&Kind::Struct(&JOIN_GROUP_PROTOCOL))),
    field("reason", Kind::Text).since(8).nullable(),
]);

static JOIN_GROUP_PROTOCOL: Shape = Shape::new::<join_group_request::JoinGroupRequestProtocol>(&[
    field("name", Kind::Text),
    field("metadata", Kind::Bytes),
]);

pub(super) static HEARTBEAT: Schema = Schema::new(ApiKey::Heartbeat, (0, 4), &HEARTBEAT_BODY);

static HEARTBEAT_BODY: Shape = Shape::new::<HeartbeatRequest>(&[
    field("group_id", Kind::Text),
    field("generation_id", INT32),
    field("member_id", Kind::Text),
    field("group_instance_id", Kind::Text).since(3).nullable(),
]);

pub(super) static LEAVE_GROUP: Schema = Schema::new(ApiKey::LeaveGroup, (0, 5), &LEAVE_GROUP_BODY);

static LEAVE_GROUP_BODY: Shape = Shape::new::<LeaveGroupRequest>(&[
    field("group_id", Kind::Text),
    field("member_id", Kind::Text).until(2),
    field("members", Kind::Array(&Kind::Struct(&LEAVE_GROUP_MEMBER))).since(3),
]);

static LEAVE_GROUP_MEMBER: Shape = Shape::new::<leave_group_request::MemberIdentity>(&[
    field("member_id", Kind::Text),
    field("group_instance_id", Kind::Text).nullable(),
    field("reason", Kind::Text).since(5).nullable(),
]);

pub(super) static SYNC_GROUP: Schema = Schema::new(ApiKey::SyncGroup, (0, 5), &SYNC_GROUP_BODY);

static SYNC_GROUP_BODY: Shape = Shape::new::<SyncGroupRequest>(&[
    field("group_id", Kind::Text),
    field("generation_id", INT32),
    field("member_id", Kind::Text),
    field("group_instance_id", Kind::Text).since(3).nullable(),
    field("protocol_type", Kind::Text).since(5).nullable(),
    field("protocol_name", Kind::Text).since(5).nullable(),
    field("assignments", Kind::Array(&Kind::Struct(&SYNC_GROUP_ASSIGNMENT))),
]);

static SYNC_GROUP_ASSIGNMENT: Shape = Shape::new::<sync_group_request::SyncGroupRequestAssignment>(&[
    field("member_id", Kind::Text),
    field("assignment", Kind::Bytes),
]);

pub(super) static DESCRIBE_GROUPS: Schema = Schema::new(ApiKey::DescribeGroups, (0, 6), &DESCRIBE_GROUPS_BODY);

static DESCRIBE_GROUPS_BODY: Shape = Shape::new::<DescribeGroupsRequest>(&[
    field("groups", TEXT_ARRAY),
    field("include_authorized_operations", BOOL).since(3),
]);

pub(super) static LIST_GROUPS: Schema = Schema::new(ApiKey::ListGroups, (0, 5), &LIST_GROUPS_BODY);

static LIST_GROUPS_BODY: Shape = Shape::new::<ListGroupsRequest>(&[
    field("states_filter", TEXT_ARRAY).since(4),
    field("types_filter", TEXT_ARRAY).since(5),
]);

pub(super) static DELETE_GROUPS: Schema = Schema::new(ApiKey::DeleteGroups, (0, 2), &DELETE_GROUPS_BODY);

static DELETE_GROUPS_BODY: Shape = Shape::new::<DeleteGroupsRequest>(&[field("groups_names", TEXT_ARRAY)]);
