//! Two requests per API and version, one with everything in it and one with nothing, for the tests of this module and of
//! the guard.

use kafka_protocol::messages::{
    create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsTopic},
    create_topics_request::{CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig},
    delete_topics_request::DeleteTopicState,
    describe_configs_request::DescribeConfigsResource,
    fetch_request::{FetchPartition, FetchTopic, ForgottenTopic, ReplicaState},
    incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig},
    join_group_request::JoinGroupRequestProtocol,
    leave_group_request::MemberIdentity,
    list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
    metadata_request::MetadataRequestTopic,
    offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
    offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics},
    produce_request::{PartitionProduceData, TopicProduceData},
    sync_group_request::SyncGroupRequestAssignment,
};
use uuid::Uuid;

use super::*;

const ID: Uuid = Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);

/// What is done with each sample.
pub(crate) trait Visitor {
    /// Called twice per API and version.
    fn visit<T: RequestMessage + PartialEq + std::fmt::Debug>(&mut self, version: i16, request: T);
}

/// Shows every API in every version that the guard has a schema for; returns how many there were.
pub(crate) fn visit_all(visitor: &mut impl Visitor) -> usize {
    let mut count = 0;
    macro_rules! visit {
        ($($key:ident: $build:expr;)*) => {$(
            let (first, last) = guard::versions(ApiKey::$key).unwrap();
            for version in first..=last {
                let sample = $build(version);
                visitor.visit(version, bare(&sample));
                visitor.visit(version, sample);
                count += 1;
            }
        )*};
    }
    visit! {
        Produce: produce;
        Fetch: fetch;
        ListOffsets: list_offsets;
        Metadata: metadata;
        OffsetCommit: offset_commit;
        OffsetFetch: offset_fetch;
        FindCoordinator: find_coordinator;
        JoinGroup: join_group;
        Heartbeat: heartbeat;
        LeaveGroup: leave_group;
        SyncGroup: sync_group;
        DescribeGroups: describe_groups;
        ListGroups: list_groups;
        ApiVersions: api_versions;
        CreateTopics: create_topics;
        DeleteTopics: delete_topics;
        InitProducerId: init_producer_id;
        DescribeConfigs: describe_configs;
        CreatePartitions: create_partitions;
        DeleteGroups: delete_groups;
        IncrementalAlterConfigs: incremental_alter_configs;
        DescribeCluster: describe_cluster;
    }
    count
}

/// A request with nothing in it: whatever has null for its default is null.
fn bare<T: Default>(_: &T) -> T {
    T::default()
}

/// Changes a message when a version has the field in question.
trait When: Sized {
    fn when(self, condition: bool, change: impl FnOnce(Self) -> Self) -> Self {
        if condition { change(self) } else { self }
    }
}

impl<T> When for T {}

fn s(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

fn topic(name: &'static str) -> TopicName {
    TopicName(s(name))
}

fn produce(v: i16) -> ProduceRequest {
    let data = |index, records: Option<Bytes>| PartitionProduceData::default().with_index(index).with_records(records);
    let partitions = vec![data(0, Some(Bytes::from_static(b"records"))), data(7, None)];
    let first = TopicProduceData::default().with_partition_data(partitions);
    let first = if v <= 12 {
        first.with_name(topic("orders"))
    } else {
        first.with_topic_id(ID)
    };
    ProduceRequest::default()
        .with_transactional_id(Some(TransactionalId(s("tx"))))
        .with_acks(-1)
        .with_timeout_ms(30_000)
        .with_topic_data(vec![first, TopicProduceData::default()])
}

fn fetch(v: i16) -> FetchRequest {
    let partition = FetchPartition::default()
        .with_partition(3)
        .with_fetch_offset(1 << 40)
        .with_partition_max_bytes(1 << 20)
        .when(5 <= v, |p| p.with_log_start_offset(5))
        .when(9 <= v, |p| p.with_current_leader_epoch(9))
        .when(12 <= v, |p| p.with_last_fetched_epoch(8))
        .when(17 <= v, |p| p.with_replica_directory_id(ID))
        .when(18 <= v, |p| p.with_high_watermark(99));
    let topics = FetchTopic::default()
        .with_partitions(vec![partition, FetchPartition::default()])
        .when(v <= 12, |t| t.with_topic(topic("orders")))
        .when(13 <= v, |t| t.with_topic_id(ID));
    let forgotten = ForgottenTopic::default()
        .with_partitions(vec![1, 2])
        .when(v <= 12, |t| t.with_topic(topic("gone")))
        .when(13 <= v, |t| t.with_topic_id(ID));
    let state = ReplicaState::default()
        .with_replica_id(BrokerId(4))
        .with_replica_epoch(6);
    FetchRequest::default()
        .with_max_wait_ms(500)
        .with_min_bytes(1)
        .with_max_bytes(1 << 25)
        .with_isolation_level(1)
        .with_topics(vec![topics])
        .when(7 <= v, |f| {
            f.with_session_id(1)
                .with_session_epoch(2)
                .with_forgotten_topics_data(vec![forgotten])
        })
        .when(11 <= v, |f| f.with_rack_id(s("rack")))
        .when(12 <= v, |f| f.with_cluster_id(Some(s("cluster"))))
        .when(v <= 14, |f| f.with_replica_id(BrokerId(-1)))
        .when(15 <= v, |f| f.with_replica_state(state))
}

fn list_offsets(v: i16) -> ListOffsetsRequest {
    let partition = ListOffsetsPartition::default()
        .with_partition_index(1)
        .with_timestamp(-1)
        .when(4 <= v, |p| p.with_current_leader_epoch(3));
    let topics = ListOffsetsTopic::default()
        .with_name(topic("orders"))
        .with_partitions(vec![partition]);
    ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_topics(vec![topics])
        .when(2 <= v, |l| l.with_isolation_level(1))
        .when(10 <= v, |l| l.with_timeout_ms(1000))
}

fn metadata(v: i16) -> MetadataRequest {
    let by_name = MetadataRequestTopic::default().with_name(Some(topic("orders")));
    let by_id = MetadataRequestTopic::default().with_name(None).with_topic_id(ID);
    let topics = if 10 <= v { vec![by_name, by_id] } else { vec![by_name] };
    MetadataRequest::default()
        .with_topics(Some(topics))
        .with_allow_auto_topic_creation(true)
        .when((8..=10).contains(&v), |m| {
            m.with_include_cluster_authorized_operations(true)
        })
        .when(8 <= v, |m| m.with_include_topic_authorized_operations(true))
}

fn offset_commit(v: i16) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(2)
        .with_committed_offset(77)
        .with_committed_metadata(Some(s("note")))
        .when(6 <= v, |p| p.with_committed_leader_epoch(4));
    let bare = OffsetCommitRequestPartition::default().with_committed_metadata(None);
    let topics = OffsetCommitRequestTopic::default()
        .with_partitions(vec![partition, bare])
        .when(v <= 9, |t| t.with_name(topic("orders")))
        .when(10 <= v, |t| t.with_topic_id(ID));
    OffsetCommitRequest::default()
        .with_group_id(GroupId(s("group")))
        .with_generation_id_or_member_epoch(5)
        .with_member_id(s("member"))
        .with_topics(vec![topics])
        .when(v <= 4, |o| o.with_retention_time_ms(1000))
        .when(7 <= v, |o| o.with_group_instance_id(Some(s("instance"))))
}

fn offset_fetch(v: i16) -> OffsetFetchRequest {
    if v <= 7 {
        let topics = OffsetFetchRequestTopic::default()
            .with_name(topic("orders"))
            .with_partition_indexes(vec![0, 1, 2]);
        return OffsetFetchRequest::default()
            .with_group_id(GroupId(s("group")))
            .with_topics(Some(vec![topics]))
            .when(7 <= v, |o| o.with_require_stable(true));
    }
    let topics = OffsetFetchRequestTopics::default()
        .with_partition_indexes(vec![0, 1, 2])
        .when(v <= 9, |t| t.with_name(topic("orders")))
        .when(10 <= v, |t| t.with_topic_id(ID));
    let group = OffsetFetchRequestGroup::default()
        .with_group_id(GroupId(s("group")))
        .with_topics(Some(vec![topics]))
        .when(9 <= v, |g| g.with_member_id(Some(s("member"))).with_member_epoch(3));
    let all = OffsetFetchRequestGroup::default()
        .with_group_id(GroupId(s("other")))
        .with_topics(None);
    OffsetFetchRequest::default()
        .with_groups(vec![group, all])
        .with_require_stable(true)
}

fn find_coordinator(v: i16) -> FindCoordinatorRequest {
    FindCoordinatorRequest::default()
        .when(v <= 3, |f| f.with_key(s("group")))
        .when(1 <= v, |f| f.with_key_type(1))
        .when(4 <= v, |f| f.with_coordinator_keys(vec![s("a"), s("b")]))
}

fn join_group(v: i16) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(s("range"))
        .with_metadata(Bytes::from_static(&[0, 1, 0, 0]));
    JoinGroupRequest::default()
        .with_group_id(GroupId(s("group")))
        .with_session_timeout_ms(10_000)
        .with_member_id(s("member"))
        .with_protocol_type(s("consumer"))
        .with_protocols(vec![protocol])
        .when(1 <= v, |j| j.with_rebalance_timeout_ms(60_000))
        .when(5 <= v, |j| j.with_group_instance_id(Some(s("instance"))))
        .when(8 <= v, |j| j.with_reason(Some(s("because"))))
}

fn heartbeat(v: i16) -> HeartbeatRequest {
    HeartbeatRequest::default()
        .with_group_id(GroupId(s("group")))
        .with_generation_id(3)
        .with_member_id(s("member"))
        .when(3 <= v, |h| h.with_group_instance_id(Some(s("instance"))))
}

fn leave_group(v: i16) -> LeaveGroupRequest {
    let member = MemberIdentity::default()
        .with_member_id(s("member"))
        .with_group_instance_id(None)
        .when(5 <= v, |m| m.with_reason(Some(s("bye"))));
    LeaveGroupRequest::default()
        .with_group_id(GroupId(s("group")))
        .when(v <= 2, |l| l.with_member_id(s("member")))
        .when(3 <= v, |l| l.with_members(vec![member]))
}

fn sync_group(v: i16) -> SyncGroupRequest {
    let assignment = SyncGroupRequestAssignment::default()
        .with_member_id(s("member"))
        .with_assignment(Bytes::from_static(b"assignment"));
    SyncGroupRequest::default()
        .with_group_id(GroupId(s("group")))
        .with_generation_id(3)
        .with_member_id(s("member"))
        .with_assignments(vec![assignment])
        .when(3 <= v, |g| g.with_group_instance_id(Some(s("instance"))))
        .when(5 <= v, |g| {
            g.with_protocol_type(Some(s("consumer")))
                .with_protocol_name(Some(s("range")))
        })
}

fn describe_groups(v: i16) -> DescribeGroupsRequest {
    DescribeGroupsRequest::default()
        .with_groups(vec![GroupId(s("a")), GroupId(s("b"))])
        .when(3 <= v, |d| d.with_include_authorized_operations(true))
}

fn list_groups(v: i16) -> ListGroupsRequest {
    ListGroupsRequest::default()
        .when(4 <= v, |l| l.with_states_filter(vec![s("Stable")]))
        .when(5 <= v, |l| l.with_types_filter(vec![s("classic"), s("consumer")]))
}

fn api_versions(v: i16) -> ApiVersionsRequest {
    ApiVersionsRequest::default().when(3 <= v, |a| {
        a.with_client_software_name(s("lib"))
            .with_client_software_version(s("1.2"))
    })
}

fn create_topics(_: i16) -> CreateTopicsRequest {
    let assignment = CreatableReplicaAssignment::default()
        .with_partition_index(0)
        .with_broker_ids(vec![BrokerId(1), BrokerId(2)]);
    let config = CreatableTopicConfig::default()
        .with_name(s("retention.ms"))
        .with_value(Some(s("1")));
    let unset = CreatableTopicConfig::default()
        .with_name(s("segment.ms"))
        .with_value(None);
    let creatable = CreatableTopic::default()
        .with_name(topic("orders"))
        .with_num_partitions(-1)
        .with_replication_factor(-1)
        .with_assignments(vec![assignment])
        .with_configs(vec![config, unset]);
    CreateTopicsRequest::default()
        .with_topics(vec![creatable])
        .with_timeout_ms(1000)
        .with_validate_only(true)
}

fn delete_topics(v: i16) -> DeleteTopicsRequest {
    let by_name = DeleteTopicState::default().with_name(Some(topic("orders")));
    let by_id = DeleteTopicState::default().with_name(None).with_topic_id(ID);
    DeleteTopicsRequest::default()
        .with_timeout_ms(1000)
        .when(v <= 5, |d| d.with_topic_names(vec![topic("a"), topic("b")]))
        .when(6 <= v, |d| d.with_topics(vec![by_name, by_id]))
}

fn init_producer_id(v: i16) -> InitProducerIdRequest {
    InitProducerIdRequest::default()
        .with_transactional_id(Some(TransactionalId(s("tx"))))
        .with_transaction_timeout_ms(60_000)
        .when(3 <= v, |i| i.with_producer_id(ProducerId(5)).with_producer_epoch(1))
}

fn describe_configs(v: i16) -> DescribeConfigsRequest {
    let keys = DescribeConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(s("orders"))
        .with_configuration_keys(Some(vec![s("retention.ms")]));
    let all = DescribeConfigsResource::default()
        .with_resource_type(4)
        .with_configuration_keys(None);
    DescribeConfigsRequest::default()
        .with_resources(vec![keys, all])
        .with_include_synonyms(true)
        .when(3 <= v, |d| d.with_include_documentation(true))
}

fn create_partitions(_: i16) -> CreatePartitionsRequest {
    let assignment = CreatePartitionsAssignment::default().with_broker_ids(vec![BrokerId(1)]);
    let topics = CreatePartitionsTopic::default()
        .with_name(topic("orders"))
        .with_count(6)
        .with_assignments(Some(vec![assignment]));
    let unassigned = CreatePartitionsTopic::default()
        .with_name(topic("other"))
        .with_assignments(None);
    CreatePartitionsRequest::default()
        .with_topics(vec![topics, unassigned])
        .with_timeout_ms(1000)
}

fn delete_groups(_: i16) -> DeleteGroupsRequest {
    DeleteGroupsRequest::default().with_groups_names(vec![GroupId(s("a")), GroupId(s("b"))])
}

fn incremental_alter_configs(_: i16) -> IncrementalAlterConfigsRequest {
    let set = AlterableConfig::default()
        .with_name(s("retention.ms"))
        .with_value(Some(s("1")));
    let delete = AlterableConfig::default()
        .with_name(s("segment.ms"))
        .with_config_operation(1)
        .with_value(None);
    let resource = AlterConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(s("orders"))
        .with_configs(vec![set, delete]);
    IncrementalAlterConfigsRequest::default()
        .with_resources(vec![resource])
        .with_validate_only(true)
}

fn describe_cluster(v: i16) -> DescribeClusterRequest {
    DescribeClusterRequest::default()
        .with_include_cluster_authorized_operations(true)
        .when(1 <= v, |d| d.with_endpoint_type(1))
        .when(2 <= v, |d| d.with_include_fenced_brokers(true))
}
