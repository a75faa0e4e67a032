//! DescribeGroups (15), ListGroups (16), DeleteGroups (42).

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    ApiKey, DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse, GroupId,
    LeaveGroupRequest, ListGroupsRequest, ListGroupsResponse,
};
use tests::client::CLIENT_ID;
use tests::requests::{self, text};

use super::membership::{self, ASSIGNMENT, PROTOCOL, PROTOCOL_TYPE, SUBSCRIPTION};
use super::{Wire, cut};

const UNKNOWN_GROUP_IS_AN_ERROR_SINCE: i16 = 6;
const STATES_SINCE: i16 = 4;
const TYPES_SINCE: i16 = 5;

pub(crate) fn good_describe(wire: &Wire, version: i16) {
    let mut connection = wire.connect();
    let member = membership::stable_member(&mut connection, "describe");
    let request = DescribeGroupsRequest::default().with_groups(vec![GroupId(text(&member.group))]);
    let mut response = connection.call(version, &request);
    // A client's host is written with a slash in front, as Java prints an address.
    let host = std::mem::take(&mut response.groups[0].members[0].client_host);
    assert_eq!(&*host, "/127.0.0.1");

    let described = DescribedGroupMember::default()
        .with_member_id(text(&member.member_id))
        .with_client_id(text(CLIENT_ID))
        .with_member_metadata(Bytes::from_static(SUBSCRIPTION))
        .with_member_assignment(Bytes::from_static(ASSIGNMENT));
    let group = DescribedGroup::default()
        .with_group_id(GroupId(text(&member.group)))
        .with_group_state(text("Stable"))
        .with_protocol_type(text(PROTOCOL_TYPE))
        .with_protocol_data(text(PROTOCOL))
        .with_members(vec![described]);
    assert_eq!(response, DescribeGroupsResponse::default().with_groups(vec![group]));
}

pub(crate) fn bad_describe(wire: &Wire, version: i16) {
    let id = GroupId(text(&requests::unique("describe")));
    let request = DescribeGroupsRequest::default().with_groups(vec![id.clone()]);
    let mut response = wire.connect().call(version, &request);
    response.groups[0].error_message = None;
    let mut group = DescribedGroup::default()
        .with_group_id(id)
        .with_group_state(text("Dead"));
    if version >= UNKNOWN_GROUP_IS_AN_ERROR_SINCE {
        group.error_code = ResponseError::GroupIdNotFound.code();
    }
    assert_eq!(response, DescribeGroupsResponse::default().with_groups(vec![group]));
}

pub(crate) fn good_list(wire: &Wire, version: i16) {
    let mut connection = wire.connect();
    let member = membership::stable_member(&mut connection, "list");
    let mut response = connection.call(version, &ListGroupsRequest::default());
    // Other cases have groups too.
    response.groups.retain(|group| *group.group_id == *member.group);
    let mut group = ListedGroup::default()
        .with_group_id(GroupId(text(&member.group)))
        .with_protocol_type(text(PROTOCOL_TYPE));
    if version >= STATES_SINCE {
        group.group_state = text("Stable");
    }
    if version >= TYPES_SINCE {
        group.group_type = text("classic");
    }
    for listed in &mut response.groups {
        // Kafka writes the type with a capital in some releases; clients read it in either case.
        listed.group_type = text(&listed.group_type.to_lowercase());
    }
    assert_eq!(response, ListGroupsResponse::default().with_groups(vec![group]));
}

/// No filter at all, where there has to be one, if only an empty one. Before there were filters the request has no
/// field that could be wrong, so that there it is the frame that is cut. A filter that no group passes is not bad: it
/// gives no groups and no error, of the groups that the empty filter does give.
pub(crate) fn bad_list(wire: &Wire, version: i16) {
    if version < STATES_SINCE {
        cut::cut_frame_closes(wire, ApiKey::ListGroups, version);
        return;
    }
    let no_states: &[u8] = if version < TYPES_SINCE { &[0, 0] } else { &[0, 1, 0] };
    cut::null_closes(wire, ApiKey::ListGroups, version, no_states);
    if version >= TYPES_SINCE {
        cut::null_closes(wire, ApiKey::ListGroups, version, &[1, 0, 0]);
    }

    let mut connection = wire.connect();
    let member = membership::stable_member(&mut connection, "list");
    let mut listed = |states: &[&str], types: &[&str]| {
        let request = ListGroupsRequest::default()
            .with_states_filter(states.iter().map(|state| text(state)).collect())
            .with_types_filter(types.iter().map(|of_type| text(of_type)).collect());
        connection.call(version, &request)
    };
    let lists_it = |response: &ListGroupsResponse| {
        let mut ids = response.groups.iter().map(|group| &**group.group_id);
        ids.any(|id| id == member.group)
    };
    assert!(lists_it(&listed(&[], &[])));
    assert!(lists_it(&listed(&["Empty", "Stable"], &[])));
    assert!(!lists_it(&listed(&["Empty"], &[])));
    assert_eq!(listed(&["NoSuchState"], &[]), ListGroupsResponse::default());
    if version >= TYPES_SINCE {
        assert!(lists_it(&listed(&["Stable"], &["classic"])));
        assert!(!lists_it(&listed(&[], &["consumer"])));
    }
}

pub(crate) fn good_delete(wire: &Wire, version: i16) {
    let mut connection = wire.connect();
    let member = membership::stable_member(&mut connection, "delete");
    let id = GroupId(text(&member.group));
    let request = DeleteGroupsRequest::default().with_groups_names(vec![id.clone()]);

    let refused = connection.call(version, &request);
    assert_eq!(refused, delete_answer(&id, ResponseError::NonEmptyGroup.code()));

    let leaving = MemberIdentity::default().with_member_id(text(&member.member_id));
    let leave = LeaveGroupRequest::default()
        .with_group_id(id.clone())
        .with_members(vec![leaving]);
    assert_eq!(connection.call(4, &leave).error_code, 0);
    assert_eq!(connection.call(version, &request), delete_answer(&id, 0));
    let again = connection.call(version, &request);
    assert_eq!(again, delete_answer(&id, ResponseError::GroupIdNotFound.code()));
}

pub(crate) fn bad_delete(wire: &Wire, version: i16) {
    let id = GroupId(text(&requests::unique("delete")));
    let request = DeleteGroupsRequest::default().with_groups_names(vec![id.clone()]);
    let response = wire.connect().call(version, &request);
    assert_eq!(response, delete_answer(&id, ResponseError::GroupIdNotFound.code()));
}

fn delete_answer(id: &GroupId, code: i16) -> DeleteGroupsResponse {
    let result = DeletableGroupResult::default()
        .with_group_id(id.clone())
        .with_error_code(code);
    DeleteGroupsResponse::default().with_results(vec![result])
}
