//! JoinGroup (key 11), versions 0-9.
//!
//! Versions: 1 rebalance timeout · 4 two-step member ids (KIP-394) · 5 static members (KIP-345) · 6 flexible · 7 protocol
//! type in the answer (KIP-559) · 8 reason (KIP-800) · 9 `skip_assignment` (KIP-814).
//!
//! Stage: pipelined. The answer waits until the group has gathered its members.
//!
//! Deliberate deviation from Kafka: groups named `tidemill.*` belong to the broker's own queries and are refused with
//! GROUP_AUTHORIZATION_FAILED.

use std::sync::Arc;

use coordinator::group::{GroupCommand, GroupReply, JoinGroup, JoinReply, JoinedMember, Protocol};
use protocol::ErrorCode;
use protocol::messages::join_group_response::{JoinGroupResponse, JoinGroupResponseMember};
use protocol::messages::{JoinGroupRequest, StrBytes};

use super::context::RequestContext;
use crate::groups::check_client_may_change;

/// First version that may say "no protocol" with a null instead of an empty text.
const NULLABLE_PROTOCOL_FROM: i16 = 7;

/// Answers one request.
pub(crate) async fn handle(ctx: &RequestContext, request: JoinGroupRequest) -> JoinGroupResponse {
    let version = ctx.api_version;
    let member = request.member_id.clone();
    if let Err(code) = check_client_may_change(&request.group_id) {
        return refused(version, member, code);
    }
    let group = request.group_id.clone();
    let reply = ctx
        .services
        .groups
        .call(&group, |to| GroupCommand::Join(command(ctx, request, to)))
        .await;
    match reply {
        Ok(GroupReply::Join(reply)) => response(version, reply),
        Ok(_) => unreachable!("a join is answered as one"),
        Err(code) => refused(version, member, code),
    }
}

fn command(ctx: &RequestContext, request: JoinGroupRequest, to: coordinator::ReplyTo) -> JoinGroup {
    let protocols = request.protocols.into_iter().map(|protocol| Protocol {
        name: Arc::from(&*protocol.name),
        metadata: protocol.metadata,
    });
    JoinGroup {
        to,
        api_version: ctx.api_version,
        group: Arc::from(&**request.group_id),
        member: Arc::from(&*request.member_id),
        instance: request.group_instance_id.as_deref().map(Arc::from),
        client_id: ctx.client_id.clone(),
        client_host: Arc::from(ctx.client_host()),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        protocol_type: Arc::from(&*request.protocol_type),
        protocols: protocols.collect(),
        fresh_id: ctx.services.env.uuid(),
    }
}

fn response(version: i16, reply: JoinReply) -> JoinGroupResponse {
    JoinGroupResponse::default()
        .with_error_code(reply.error.code())
        .with_generation_id(reply.generation)
        .with_protocol_type(reply.protocol_type.as_deref().map(text))
        .with_protocol_name(protocol_name(version, reply.protocol_name.as_deref()))
        .with_leader(text(&reply.leader))
        .with_skip_assignment(reply.skip_assignment)
        .with_member_id(text(&reply.member))
        .with_members(reply.members.into_iter().map(member).collect())
}

fn refused(version: i16, member: StrBytes, code: ErrorCode) -> JoinGroupResponse {
    JoinGroupResponse::default()
        .with_error_code(code.code())
        .with_protocol_name(protocol_name(version, None))
        .with_member_id(member)
}

fn member(member: JoinedMember) -> JoinGroupResponseMember {
    JoinGroupResponseMember::default()
        .with_member_id(text(&member.member))
        .with_group_instance_id(member.instance.as_deref().map(text))
        .with_metadata(member.metadata)
}

fn protocol_name(version: i16, name: Option<&str>) -> Option<StrBytes> {
    match (name, version < NULLABLE_PROTOCOL_FROM) {
        (None, true) => Some(StrBytes::new()),
        (name, _) => name.map(text),
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

#[cfg(test)]
mod tests {
    use protocol::messages::join_group_request::JoinGroupRequestProtocol;

    use super::*;
    use crate::partitions::fixture::Node;

    #[test]
    fn a_missing_protocol_is_empty_before_version_7_and_null_from_there() {
        assert_eq!(
            refused(6, StrBytes::new(), ErrorCode::UnknownMemberId)
                .protocol_name
                .as_deref(),
            Some("")
        );
        assert_eq!(
            refused(7, StrBytes::new(), ErrorCode::UnknownMemberId).protocol_name,
            None
        );
    }

    #[tokio::test]
    async fn members_join_groups_of_clients_and_no_others() {
        let node = Node::start();
        let join = |group| {
            let protocol = JoinGroupRequestProtocol::default().with_name(StrBytes::from_static_str("range"));
            JoinGroupRequest::default()
                .with_group_id(StrBytes::from_static_str(group).into())
                .with_session_timeout_ms(10_000)
                .with_protocol_type(StrBytes::from_static_str("consumer"))
                .with_protocols(vec![protocol])
        };
        assert_eq!(handle(&node.context(5), join("tidemill.query.v")).await.error_code, 30);
        let first = handle(&node.context(5), join("mine")).await;
        assert_eq!(first.error_code, ErrorCode::MemberIdRequired.code());
        assert!(
            first.member_id.starts_with("test-"),
            "the client id and a random part: {:?}",
            first.member_id
        );
        let joined = handle(&node.context(5), join("mine").with_member_id(first.member_id.clone())).await;
        assert_eq!((joined.error_code, joined.generation_id), (0, 1));
        assert_eq!((&joined.leader, joined.members.len()), (&first.member_id, 1));
        assert_eq!(joined.protocol_name.as_deref(), Some("range"));
    }

    #[test]
    fn a_refusal_keeps_the_member_id_and_names_no_generation() {
        let member = StrBytes::from_static_str("m-1");
        let response = refused(9, member.clone(), ErrorCode::CoordinatorLoadInProgress);
        assert_eq!((response.error_code, response.generation_id), (14, -1));
        assert_eq!(response.member_id, member);
        assert!(!response.skip_assignment && response.members.is_empty());
    }
}
