//! Classic consumer groups: joining, rebalancing, fencing, static members, offsets.

use std::thread;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    DescribeGroupsRequest, GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    OffsetCommitRequest, OffsetFetchRequest, SyncGroupRequest, SyncGroupResponse,
};
use tests::broker::{Target, TestBroker};
use tests::client::Connection;
use tests::requests::{self, Topic, text};
use tests::wait;

use crate::wire::COORDINATOR_NOT_READY;

/// The shortest session that Kafka allows by default.
const SESSION_MIN_MS: i32 = 6_000;

/// Subscriptions version 0 to the topics "t" and "u", without user data, as a consumer would send them.
const SUBSCRIPTION: &[u8] = b"\0\0\0\0\0\x01\0\x01t\xff\xff\xff\xff";
const OTHER_SUBSCRIPTION: &[u8] = b"\0\0\0\0\0\x01\0\x01u\xff\xff\xff\xff";

/// One member on a connection of its own, as clients have it: a join blocks what comes behind it.
struct Member {
    connection: Connection,
    group: String,
    id: String,
    instance: Option<String>,
    generation: i32,
    session_ms: i32,
    protocol: &'static str,
    metadata: &'static [u8],
}

impl Member {
    fn new(address: &str, group: &str) -> Member {
        Member {
            connection: Connection::open(address),
            group: group.to_owned(),
            id: String::new(),
            instance: None,
            generation: -1,
            session_ms: 30_000,
            protocol: "range",
            metadata: SUBSCRIPTION,
        }
    }

    fn with_instance(mut self, instance: &str) -> Member {
        self.instance = Some(instance.to_owned());
        self
    }

    /// Joins until the answer is a generation or an error that a client does not get around by itself.
    fn join(&mut self) -> JoinGroupResponse {
        requests::find_coordinator(&mut self.connection, &self.group);
        let response = wait::until_some("the group coordinator", || {
            let mut response = self.connection.call(9, &self.join_request());
            if response.error_code == ResponseError::MemberIdRequired.code() {
                self.id = response.member_id.to_string();
                response = self.connection.call(9, &self.join_request());
            }
            (!COORDINATOR_NOT_READY.contains(&response.error_code)).then_some(response)
        });
        if response.error_code == 0 {
            self.id = response.member_id.to_string();
            self.generation = response.generation_id;
        }
        response
    }

    fn join_request(&self) -> JoinGroupRequest {
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(text(self.protocol))
            .with_metadata(Bytes::from_static(self.metadata));
        JoinGroupRequest::default()
            .with_group_id(self.group_id())
            .with_session_timeout_ms(self.session_ms)
            .with_rebalance_timeout_ms(60_000)
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.as_deref().map(text))
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![protocol])
    }

    /// Syncs; the leader hands every member its own id as the assignment.
    fn sync(&mut self, members: &[String]) -> SyncGroupResponse {
        let assignments = members
            .iter()
            .map(|id| {
                SyncGroupRequestAssignment::default()
                    .with_member_id(text(id))
                    .with_assignment(Bytes::from(id.clone().into_bytes()))
            })
            .collect();
        let request = SyncGroupRequest::default()
            .with_group_id(self.group_id())
            .with_generation_id(self.generation)
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.as_deref().map(text))
            .with_protocol_type(Some(text("consumer")))
            .with_protocol_name(Some(text(self.protocol)))
            .with_assignments(assignments);
        self.connection.call(5, &request)
    }

    fn heartbeat(&mut self) -> i16 {
        let request = HeartbeatRequest::default()
            .with_group_id(self.group_id())
            .with_generation_id(self.generation)
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.as_deref().map(text));
        self.connection.call(4, &request).error_code
    }

    fn leave(&mut self) -> i16 {
        let member = MemberIdentity::default()
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.as_deref().map(text));
        let request = LeaveGroupRequest::default()
            .with_group_id(self.group_id())
            .with_members(vec![member]);
        let response = self.connection.call(4, &request);
        assert_eq!(response.error_code, 0);
        response.members[0].error_code
    }

    fn commit(&mut self, topic: &Topic, offset: i64) -> i16 {
        let request = commit_request(&self.group, topic, offset)
            .with_generation_id_or_member_epoch(self.generation)
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.as_deref().map(text));
        self.connection.call(8, &request).topics[0].partitions[0].error_code
    }

    fn group_id(&self) -> GroupId {
        GroupId(text(&self.group))
    }
}

/// Commits without a member, as tools do.
pub(crate) fn commit_simple(connection: &mut Connection, group: &str, topic: &Topic, offset: i64) {
    requests::find_coordinator(connection, group);
    let code = wait::until_some("the group coordinator", || {
        let response = connection.call(8, &commit_request(group, topic, offset));
        let code = response.topics[0].partitions[0].error_code;
        (!COORDINATOR_NOT_READY.contains(&code)).then_some(code)
    });
    assert_eq!(code, 0);
}

/// The committed offset of partition 0, -1 when there is none.
pub(crate) fn committed(connection: &mut Connection, group: &str, topic: &Topic) -> i64 {
    let of_topic = OffsetFetchRequestTopics::default()
        .with_name(topic.topic_name())
        .with_partition_indexes(vec![0]);
    let of_group = OffsetFetchRequestGroup::default()
        .with_group_id(GroupId(text(group)))
        .with_topics(Some(vec![of_topic]));
    let request = OffsetFetchRequest::default().with_groups(vec![of_group]);
    requests::find_coordinator(connection, group);
    let response = wait::until_some("the group coordinator", || {
        let response = connection.call(8, &request);
        (!COORDINATOR_NOT_READY.contains(&response.groups[0].error_code)).then_some(response)
    });
    response.groups[0].topics[0].partitions[0].committed_offset
}

/// What is told of a partition may be a thousand times as long as its number in the request.
#[test]
fn a_partition_that_is_asked_for_again_and_again_is_told_once() {
    const INVALID_REQUEST: i16 = 42;
    const OFFSET_METADATA_MAX: usize = 4096;
    let broker = TestBroker::start();
    let mut connection = Connection::open(&broker.kafka_address());
    let topic = requests::create_topic(&mut connection, "told", 1, &[]);
    let group = requests::unique("told");
    commit_simple(&mut connection, &group, &topic, 5);
    let mut with_note = commit_request(&group, &topic, 6);
    with_note.topics[0].partitions[0].committed_metadata = Some(text(&"m".repeat(OFFSET_METADATA_MAX)));
    assert_eq!(connection.call(8, &with_note).topics[0].partitions[0].error_code, 0);

    let repeated = OffsetFetchRequestTopic::default()
        .with_name(topic.topic_name())
        .with_partition_indexes(vec![0; 200_000]);
    let request = OffsetFetchRequest::default()
        .with_group_id(GroupId(text(&group)))
        .with_topics(Some(vec![repeated]));
    let told = &connection.call(7, &request).topics[0].partitions;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].committed_offset, 6);

    let of_group = OffsetFetchRequestGroup::default()
        .with_group_id(GroupId(text(&group)))
        .with_topics(None);
    let request = OffsetFetchRequest::default().with_groups(vec![of_group; 3]);
    let told = connection.call(8, &request).groups;
    assert_eq!((told.len(), told[0].error_code), (1, INVALID_REQUEST));
}

fn commit_request(group: &str, topic: &Topic, offset: i64) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition::default().with_committed_offset(offset);
    let of_topic = OffsetCommitRequestTopic::default()
        .with_name(topic.topic_name())
        .with_partitions(vec![partition]);
    OffsetCommitRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_topics(vec![of_topic])
}

fn state(connection: &mut Connection, group: &str) -> String {
    let request = DescribeGroupsRequest::default().with_groups(vec![GroupId(text(group))]);
    connection.call(5, &request).groups[0].group_state.to_string()
}

fn member_ids(response: &JoinGroupResponse) -> Vec<String> {
    let mut ids: Vec<String> = response
        .members
        .iter()
        .map(|member| member.member_id.to_string())
        .collect();
    ids.sort();
    ids
}

/// Brings two members into one generation and gives them as (leader, follower).
fn pair(address: &str, group: &str, instances: Option<(&str, &str)>) -> (Member, Member) {
    let (mut first, mut second) = (Member::new(address, group), Member::new(address, group));
    if let Some((one, other)) = instances {
        (first, second) = (first.with_instance(one), second.with_instance(other));
    }
    assert_eq!(first.join().error_code, 0);
    let ids = vec![first.id.clone()];
    assert_eq!(first.sync(&ids).error_code, 0);

    // The second join is held until the first member has joined again.
    let joining = thread::spawn(move || {
        let response = second.join();
        (second, response)
    });
    wait::until("the first member to hear of the rebalance", || {
        first.heartbeat() == ResponseError::RebalanceInProgress.code()
    });
    let led = first.join();
    let (mut second, followed) = joining.join().expect("the second member joins");
    assert_eq!((led.error_code, followed.error_code), (0, 0), "{led:?} {followed:?}");
    assert_eq!((led.generation_id, followed.generation_id), (2, 2));
    assert_eq!(
        (&*led.leader, &*followed.leader),
        (&*first.id, &*first.id),
        "the leader stays"
    );
    let mut both = vec![first.id.clone(), second.id.clone()];
    both.sort();
    assert_eq!(member_ids(&led), both);
    assert!(followed.members.is_empty(), "only the leader is told who is there");

    // A follower's sync is held until the leader has handed out.
    let syncing = thread::spawn(move || {
        let response = second.sync(&[]);
        (second, response)
    });
    assert_eq!(first.sync(&both).assignment, first.id.as_bytes());
    let (second, synced) = syncing.join().expect("the second member syncs");
    assert_eq!((synced.error_code, &synced.assignment[..]), (0, second.id.as_bytes()));
    (first, second)
}

#[test]
fn two_members_rebalance_and_one_leaves() {
    let target = Target::start_with(&[]);
    let group = requests::unique("pair");
    let (mut leader, mut follower) = pair(&target.address(), &group, None);
    assert_eq!((leader.heartbeat(), follower.heartbeat()), (0, 0));
    assert_eq!(state(&mut leader.connection, &group), "Stable");

    assert_eq!(leader.leave(), 0);
    wait::until("the follower to hear of it", || {
        follower.heartbeat() == ResponseError::RebalanceInProgress.code()
    });
    let alone = follower.join();
    assert_eq!(
        (alone.error_code, alone.generation_id, &*alone.leader),
        (0, 3, &*follower.id)
    );
    let ids = vec![follower.id.clone()];
    assert_eq!(follower.sync(&ids).error_code, 0);
    assert_eq!(follower.leave(), 0);
    assert_eq!(state(&mut follower.connection, &group), "Empty");
}

/// Rejoining with nothing changed is how a client asks what it missed; the leader's rejoin asks for a rebalance.
#[test]
fn a_follower_that_rejoins_unchanged_causes_no_rebalance() {
    let target = Target::start_with(&[]);
    let group = requests::unique("rejoin");
    let (mut leader, mut follower) = pair(&target.address(), &group, None);
    let again = follower.join();
    assert_eq!((again.error_code, again.generation_id), (0, 2));
    assert_eq!(follower.sync(&[]).assignment, follower.id.as_bytes());
    assert_eq!(leader.heartbeat(), 0);

    follower.metadata = OTHER_SUBSCRIPTION;
    let request = follower.join_request();
    let held = follower.connection.send(9, &request);
    wait::until("the leader to hear of the change", || {
        leader.heartbeat() == ResponseError::RebalanceInProgress.code()
    });
    assert_eq!(leader.join().generation_id, 3);
    assert_eq!(
        follower.connection.receive::<JoinGroupRequest>(9, held).generation_id,
        3
    );
}

#[test]
fn what_does_not_belong_to_the_generation_is_refused() {
    let target = Target::start_with(&[]);
    let group = requests::unique("fenced");
    let mut member = Member::new(&target.address(), &group);
    let topic = requests::create_topic(&mut member.connection, "fenced", 1, &[]);
    member.join();
    let illegal = ResponseError::IllegalGeneration.code();
    let unknown = ResponseError::UnknownMemberId.code();

    // Kafka lets nobody commit between join and sync, and answers heartbeats.
    assert_eq!(member.commit(&topic, 1), ResponseError::RebalanceInProgress.code());
    let ids = vec![member.id.clone()];
    assert_eq!(member.sync(&ids).error_code, 0);
    assert_eq!(member.commit(&topic, 1), 0);

    member.generation += 1;
    assert_eq!(
        (
            member.heartbeat(),
            member.commit(&topic, 2),
            member.sync(&[]).error_code
        ),
        (illegal, illegal, illegal)
    );
    member.generation -= 1;
    let id = std::mem::replace(&mut member.id, "nobody".to_owned());
    assert_eq!(
        (
            member.heartbeat(),
            member.commit(&topic, 2),
            member.sync(&[]).error_code
        ),
        (unknown, unknown, unknown)
    );
    assert_eq!(member.join().error_code, unknown);
    member.id = id;

    let mut other = Connection::open(&target.address());
    let simple = other.call(8, &commit_request(&group, &topic, 9)).topics[0].partitions[0].error_code;
    assert_eq!(simple, unknown, "a tool may not commit for a group that has members");
    assert_eq!(committed(&mut other, &group, &topic), 1);
}

#[test]
fn members_without_a_common_protocol_are_refused() {
    let target = Target::start_with(&[]);
    let group = requests::unique("protocols");
    let mut member = Member::new(&target.address(), &group);
    member.join();
    let mut other = Member::new(&target.address(), &group);
    other.protocol = "sticky";
    assert_eq!(other.join().error_code, ResponseError::InconsistentGroupProtocol.code());
    let mut empty = Member::new(&target.address(), "");
    assert_eq!(empty.join().error_code, ResponseError::InvalidGroupId.code());
}

#[test]
fn a_member_that_says_nothing_for_its_session_is_removed() {
    let target = Target::start_with(&[]);
    let group = requests::unique("silent");
    let mut member = Member::new(&target.address(), &group);
    member.session_ms = SESSION_MIN_MS;
    member.join();
    let ids = vec![member.id.clone()];
    assert_eq!(member.sync(&ids).error_code, 0);
    let mut other = Connection::open(&target.address());
    wait::until("the member to be removed", || state(&mut other, &group) == "Empty");
    assert_eq!(member.heartbeat(), ResponseError::UnknownMemberId.code());
}

/// KIP-345: a static member that comes back under its instance gets its place again and nobody is disturbed; whoever
/// still uses the old member id is fenced.
#[test]
fn a_static_member_comes_back_without_a_rebalance() {
    let target = Target::start_with(&[]);
    let group = requests::unique("static");
    let (mut leader, mut follower) = pair(&target.address(), &group, Some(("a", "b")));
    let mut back = Member::new(&target.address(), &group).with_instance("b");
    let response = back.join();
    assert_eq!((response.error_code, response.generation_id), (0, 2), "{response:?}");
    assert_ne!(back.id, follower.id);
    assert_eq!(
        back.sync(&[]).assignment,
        follower.id.as_bytes(),
        "the assignment made for the instance"
    );
    assert_eq!((leader.heartbeat(), back.heartbeat()), (0, 0));
    assert_eq!(follower.heartbeat(), ResponseError::FencedInstanceId.code());

    // The instance can be removed by name, as an administrator does.
    let named = MemberIdentity::default().with_group_instance_id(Some(text("b")));
    let request = LeaveGroupRequest::default()
        .with_group_id(back.group_id())
        .with_members(vec![named]);
    assert_eq!(back.connection.call(4, &request).members[0].error_code, 0);
    wait::until("the leader to hear of it", || {
        leader.heartbeat() == ResponseError::RebalanceInProgress.code()
    });
}

/// The group is in the log: after kill -9 static members go on where they were, with the same generation.
#[test]
fn static_members_survive_kill_9_without_a_rebalance() {
    let mut broker = TestBroker::start();
    let group = requests::unique("static");
    let (leader, follower) = pair(&broker.kafka_address(), &group, Some(("a", "b")));
    broker.kill_and_restart();

    for old in [leader, follower] {
        let mut member = Member {
            connection: Connection::open(&broker.kafka_address()),
            ..old
        };
        let code = wait::until_some("the group to be loaded", || {
            let code = member.heartbeat();
            (!COORDINATOR_NOT_READY.contains(&code)).then_some(code)
        });
        assert_eq!(code, 0, "same member, same generation");
        assert_eq!(member.sync(&[]).assignment, member.id.as_bytes());
        // A client that crashed together with the broker comes back with its instance alone.
        let instance = member.instance.clone().expect("static");
        let mut back = Member::new(&broker.kafka_address(), &group).with_instance(&instance);
        let response = back.join();
        assert_eq!((response.error_code, response.generation_id), (0, 2), "{response:?}");
    }
}

#[test]
fn offsets_survive_kill_9() {
    let mut broker = TestBroker::start();
    let mut connection = Connection::open(&broker.kafka_address());
    let topic = requests::create_topic(&mut connection, "offsets", 1, &[]);
    let groups: Vec<String> = (0..20).map(|_| requests::unique("offsets")).collect();
    for (offset, group) in (100..).zip(&groups) {
        commit_simple(&mut connection, group, &topic, 1);
        commit_simple(&mut connection, group, &topic, offset);
    }
    broker.kill_and_restart();
    let mut connection = Connection::open(&broker.kafka_address());
    for (offset, group) in (100..).zip(&groups) {
        assert_eq!(committed(&mut connection, group, &topic), offset);
    }
}

#[test]
fn a_deleted_topic_takes_its_offsets_along() {
    let target = Target::start_with(&[]);
    let mut connection = Connection::open(&target.address());
    let topic = requests::create_topic(&mut connection, "gone", 1, &[]);
    let group = requests::unique("gone");
    commit_simple(&mut connection, &group, &topic, 42);
    crate::admin::delete_topic(&mut connection, &topic);
    wait::until("the offset to be gone", || {
        committed(&mut connection, &group, &topic) == -1
    });
}

#[test]
fn metadata_beyond_its_bound_is_refused() {
    let target = Target::start_with(&[]);
    let mut connection = Connection::open(&target.address());
    let topic = requests::create_topic(&mut connection, "note", 1, &[]);
    let group = requests::unique("note");
    commit_simple(&mut connection, &group, &topic, 1);
    for (length, code) in [(4_096, 0), (4_097, ResponseError::OffsetMetadataTooLarge.code())] {
        let mut request = commit_request(&group, &topic, 2);
        request.topics[0].partitions[0].committed_metadata = Some(text(&"x".repeat(length)));
        let response = connection.call(8, &request);
        assert_eq!(response.topics[0].partitions[0].error_code, code, "{length} bytes");
    }
}
