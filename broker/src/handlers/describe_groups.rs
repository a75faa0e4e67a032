//! DescribeGroups (key 15), versions 0-6.
//!
//! Versions: 3 authorized operations (KIP-430) · 4 static members (KIP-345) · 5 flexible · 6 GROUP_ID_NOT_FOUND and a
//! message (KIP-1043).
//!
//! Stage: pipelined.
//!
//! Deliberate deviation from Kafka: a group that is named twice is described once; its description may be a thousand
//! times the size of its name.

use std::sync::Arc;

use coordinator::RESERVED_PREFIX;
use coordinator::group::{DescribedGroup as Described, DescribedMember, GroupCommand, GroupReply};
use protocol::ErrorCode;
use protocol::messages::describe_groups_response::{DescribeGroupsResponse, DescribedGroup, DescribedGroupMember};
use protocol::messages::{DescribeGroupsRequest, GroupId, StrBytes};

use super::context::RequestContext;
use super::distinct::{Distinct, distinct};

/// First version that says that a group does not exist; before, such a group is dead and that is no error.
const NOT_FOUND_FROM: i16 = 6;
/// READ, DELETE and DESCRIBE as bits: what Kafka allows on a group (`AclEntry.supportedOperations`) and is served here.
const OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8;
/// On groups of the broker's own queries: DESCRIBE.
const RESERVED_OPERATIONS: i32 = 1 << 8;
/// "Not asked for".
const OPERATIONS_OMITTED: i32 = i32::MIN;

/// Answers one request.
pub(crate) async fn handle(ctx: &RequestContext, request: DescribeGroupsRequest) -> DescribeGroupsResponse {
    let mut groups = Vec::with_capacity(request.groups.len());
    for Distinct { item: group, .. } in distinct(&request.groups, |group| group.as_str()) {
        let operations = match request.include_authorized_operations {
            false => OPERATIONS_OMITTED,
            true if group.starts_with(RESERVED_PREFIX) => RESERVED_OPERATIONS,
            true => OPERATIONS,
        };
        groups.push(
            describe(ctx, group.clone())
                .await
                .with_authorized_operations(operations),
        );
    }
    DescribeGroupsResponse::default().with_groups(groups)
}

async fn describe(ctx: &RequestContext, group: GroupId) -> DescribedGroup {
    let id: Arc<str> = Arc::from(&**group);
    let reply = ctx
        .services
        .groups
        .call(&group, |to| GroupCommand::Describe { to, group: id })
        .await;
    match reply {
        Ok(GroupReply::Describe(described)) => response(ctx.api_version, group, described),
        Ok(_) => unreachable!("a description is answered as one"),
        Err(code) => DescribedGroup::default()
            .with_group_id(group)
            .with_error_code(code.code()),
    }
}

fn response(version: i16, group: GroupId, described: Described) -> DescribedGroup {
    let missing = described.error == ErrorCode::GroupIdNotFound;
    let (code, message) = match missing {
        true if version < NOT_FOUND_FROM => (ErrorCode::None, None),
        true => (
            described.error,
            Some(text(&format!("Group {} not found.", described.group))),
        ),
        false => (described.error, None),
    };
    DescribedGroup::default()
        .with_error_code(code.code())
        .with_error_message(message)
        .with_group_id(group)
        .with_group_state(StrBytes::from_static_str(described.state))
        .with_protocol_type(text(&described.protocol_type))
        .with_protocol_data(text(&described.protocol))
        .with_members(described.members.into_iter().map(member).collect())
}

fn member(member: DescribedMember) -> DescribedGroupMember {
    DescribedGroupMember::default()
        .with_member_id(text(&member.member))
        .with_group_instance_id(member.instance.as_deref().map(text))
        .with_client_id(text(&member.client_id))
        .with_client_host(text(&member.client_host))
        .with_member_metadata(member.metadata)
        .with_member_assignment(member.assignment)
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing() -> Described {
        Described {
            error: ErrorCode::GroupIdNotFound,
            group: "g".into(),
            state: "Dead",
            protocol_type: "".into(),
            protocol: "".into(),
            members: Vec::new(),
        }
    }

    #[test]
    fn a_missing_group_is_dead_before_version_6_and_an_error_from_there() {
        let id = || GroupId(StrBytes::from_static_str("g"));
        let old = response(5, id(), missing());
        assert_eq!(
            (old.error_code, old.error_message.clone(), &*old.group_state),
            (0, None, "Dead")
        );
        let new = response(6, id(), missing());
        assert_eq!(new.error_code, 69);
        assert_eq!(new.error_message.as_deref(), Some("Group g not found."));
    }

    #[tokio::test]
    async fn a_group_named_twice_is_described_once() {
        let node = crate::partitions::fixture::Node::start();
        let groups = ["a", "b", "a"].map(|id| GroupId(StrBytes::from_static_str(id)));
        let request = DescribeGroupsRequest::default().with_groups(groups.to_vec());
        let described = handle(&node.context(6), request).await.groups;
        let ids: Vec<&str> = described.iter().map(|group| group.group_id.as_str()).collect();
        assert_eq!(ids, ["a", "b"]);
    }

    #[test]
    fn operations_are_bits_by_kafkas_numbers() {
        assert_eq!((OPERATIONS, RESERVED_OPERATIONS), (328, 256));
    }
}
