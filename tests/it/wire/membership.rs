//! JoinGroup (11), Heartbeat (12), LeaveGroup (13), SyncGroup (14).

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    GroupId, HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, SyncGroupRequest, SyncGroupResponse,
};
use tests::client::{CLIENT_ID, Connection};
use tests::requests::{self, text};

use super::Wire;
use super::offsets::COORDINATOR_NOT_READY;

pub(crate) const PROTOCOL_TYPE: &str = "consumer";
pub(crate) const PROTOCOL: &str = "range";
/// Subscription version 0 to the topic "t", without user data: what a consumer would send.
pub(crate) const SUBSCRIPTION: &[u8] = b"\0\0\0\0\0\x01\0\x01t\xff\xff\xff\xff";
/// Assignment version 0 of nothing.
pub(crate) const ASSIGNMENT: &[u8] = b"\0\0\0\0\0\0\xff\xff\xff\xff";

const REBALANCE_TIMEOUT_SINCE: i16 = 1;
const MEMBER_ID_REQUIRED_SINCE: i16 = 4;
const PROTOCOL_TYPE_IN_JOIN_SINCE: i16 = 7;
const PROTOCOL_IN_SYNC_SINCE: i16 = 5;
const LEAVING_MEMBERS_SINCE: i16 = 3;

/// A group of one member.
pub(crate) struct Member {
    pub(crate) group: String,
    pub(crate) member_id: String,
    pub(crate) generation: i32,
}

/// Joins a new group with the newest versions and hands out the assignment.
pub(crate) fn stable_member(connection: &mut Connection, prefix: &str) -> Member {
    let group = requests::unique(prefix);
    let joined = join_new(connection, 9, &group);
    let member = Member {
        group,
        member_id: joined.member_id.to_string(),
        generation: joined.generation_id,
    };
    let synced = connection.call(5, &sync_request(5, &member));
    assert_eq!((synced.error_code, &synced.assignment[..]), (0, ASSIGNMENT));
    member
}

pub(crate) fn good_join(wire: &Wire, version: i16) {
    let group = requests::unique("join");
    let response = join_new(&mut wire.connect(), version, &group);
    let member_id = response.member_id.clone();
    assert!(
        member_id.starts_with(CLIENT_ID) && member_id.len() > CLIENT_ID.len(),
        "{member_id}"
    );
    let member = JoinGroupResponseMember::default()
        .with_member_id(member_id.clone())
        .with_metadata(Bytes::from_static(SUBSCRIPTION));
    let mut expected = JoinGroupResponse::default()
        .with_generation_id(1)
        .with_protocol_name(Some(text(PROTOCOL)))
        .with_leader(member_id.clone())
        .with_member_id(member_id)
        .with_members(vec![member]);
    if version >= PROTOCOL_TYPE_IN_JOIN_SINCE {
        expected.protocol_type = Some(text(PROTOCOL_TYPE));
    }
    assert_eq!(response, expected);
}

/// A session timeout below the broker's minimum of six seconds.
pub(crate) fn bad_join(wire: &Wire, version: i16) {
    let request = join_request(version, &requests::unique("join"), "").with_session_timeout_ms(1);
    let response = wire.connect().call(version, &request);
    let mut expected = JoinGroupResponse::default()
        .with_error_code(ResponseError::InvalidSessionTimeout.code())
        .with_generation_id(-1)
        .with_protocol_name(None);
    if version < PROTOCOL_TYPE_IN_JOIN_SINCE {
        expected.protocol_name = Some(text(""));
    }
    assert_eq!(response, expected);
}

pub(crate) fn good_sync(wire: &Wire, version: i16) {
    let mut connection = wire.connect();
    let group = requests::unique("sync");
    let joined = join_new(&mut connection, 9, &group);
    let member = Member {
        group,
        member_id: joined.member_id.to_string(),
        generation: joined.generation_id,
    };
    let response = connection.call(version, &sync_request(version, &member));
    let mut expected = SyncGroupResponse::default().with_assignment(Bytes::from_static(ASSIGNMENT));
    if version >= PROTOCOL_IN_SYNC_SINCE {
        expected.protocol_type = Some(text(PROTOCOL_TYPE));
        expected.protocol_name = Some(text(PROTOCOL));
    }
    assert_eq!(response, expected);
}

pub(crate) fn bad_sync(wire: &Wire, version: i16) {
    let response = wire.connect().call(version, &sync_request(version, &nobody("sync")));
    let expected = SyncGroupResponse::default().with_error_code(ResponseError::UnknownMemberId.code());
    assert_eq!(response, expected);
}

pub(crate) fn good_heartbeat(wire: &Wire, version: i16) {
    let mut connection = wire.connect();
    let member = stable_member(&mut connection, "heartbeat");
    assert_eq!(
        connection.call(version, &heartbeat_request(&member)),
        HeartbeatResponse::default()
    );
}

pub(crate) fn bad_heartbeat(wire: &Wire, version: i16) {
    let response = wire.connect().call(version, &heartbeat_request(&nobody("heartbeat")));
    assert_eq!(
        response,
        HeartbeatResponse::default().with_error_code(ResponseError::UnknownMemberId.code())
    );
}

pub(crate) fn good_leave(wire: &Wire, version: i16) {
    let mut connection = wire.connect();
    let member = stable_member(&mut connection, "leave");
    let response = connection.call(version, &leave_request(version, &member.group, &member.member_id));
    assert_eq!(response, leave_answer(version, &member.member_id, 0));
    let gone = connection.call(4, &heartbeat_request(&member));
    assert_eq!(gone.error_code, ResponseError::UnknownMemberId.code());
}

/// A member that the group never had.
pub(crate) fn bad_leave(wire: &Wire, version: i16) {
    let mut connection = wire.connect();
    let member = stable_member(&mut connection, "leave");
    let response = connection.call(version, &leave_request(version, &member.group, "nobody"));
    assert_eq!(
        response,
        leave_answer(version, "nobody", ResponseError::UnknownMemberId.code())
    );
    assert_eq!(connection.call(4, &heartbeat_request(&member)).error_code, 0);
}

/// Joins as the only member of a new group; from version 4 on the broker hands out the member id first.
fn join_new(connection: &mut Connection, version: i16, group: &str) -> JoinGroupResponse {
    requests::find_coordinator(connection, group);
    tests::wait::until_some("the group coordinator", || {
        let mut response = connection.call(version, &join_request(version, group, ""));
        if version >= MEMBER_ID_REQUIRED_SINCE && response.error_code == ResponseError::MemberIdRequired.code() {
            response = connection.call(version, &join_request(version, group, &response.member_id));
        }
        (!COORDINATOR_NOT_READY.contains(&response.error_code)).then_some(response)
    })
}

fn join_request(version: i16, group: &str, member_id: &str) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text(PROTOCOL))
        .with_metadata(Bytes::from_static(SUBSCRIPTION));
    let request = JoinGroupRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_session_timeout_ms(30_000)
        .with_member_id(text(member_id))
        .with_protocol_type(text(PROTOCOL_TYPE))
        .with_protocols(vec![protocol]);
    if version < REBALANCE_TIMEOUT_SINCE {
        request
    } else {
        request.with_rebalance_timeout_ms(30_000)
    }
}

fn sync_request(version: i16, member: &Member) -> SyncGroupRequest {
    let assignment = SyncGroupRequestAssignment::default()
        .with_member_id(text(&member.member_id))
        .with_assignment(Bytes::from_static(ASSIGNMENT));
    let request = SyncGroupRequest::default()
        .with_group_id(GroupId(text(&member.group)))
        .with_generation_id(member.generation)
        .with_member_id(text(&member.member_id))
        .with_assignments(vec![assignment]);
    if version < PROTOCOL_IN_SYNC_SINCE {
        return request;
    }
    request
        .with_protocol_type(Some(text(PROTOCOL_TYPE)))
        .with_protocol_name(Some(text(PROTOCOL)))
}

fn heartbeat_request(member: &Member) -> HeartbeatRequest {
    HeartbeatRequest::default()
        .with_group_id(GroupId(text(&member.group)))
        .with_generation_id(member.generation)
        .with_member_id(text(&member.member_id))
}

fn leave_request(version: i16, group: &str, member_id: &str) -> LeaveGroupRequest {
    let request = LeaveGroupRequest::default().with_group_id(GroupId(text(group)));
    if version < LEAVING_MEMBERS_SINCE {
        return request.with_member_id(text(member_id));
    }
    request.with_members(vec![MemberIdentity::default().with_member_id(text(member_id))])
}

fn leave_answer(version: i16, member_id: &str, code: i16) -> LeaveGroupResponse {
    if version < LEAVING_MEMBERS_SINCE {
        return LeaveGroupResponse::default().with_error_code(code);
    }
    let member = MemberResponse::default()
        .with_member_id(text(member_id))
        .with_group_instance_id(None)
        .with_error_code(code);
    LeaveGroupResponse::default().with_members(vec![member])
}

fn nobody(prefix: &str) -> Member {
    Member {
        group: requests::unique(prefix),
        member_id: "nobody".to_owned(),
        generation: 1,
    }
}
