//! LeaveGroup (key 13), versions 0-5.
//!
//! Versions: 1 throttle time · 3 several members, static ones by instance id (KIP-345) · 4 flexible · 5 reason (KIP-800).
//!
//! Stage: pipelined.
//!
//! Deliberate deviations from Kafka: none.

use std::sync::Arc;

use coordinator::ReplyTo;
use coordinator::group::{GroupCommand, GroupReply, LeaveGroup, LeaveReply, LeavingMember, LeftMember};
use protocol::ErrorCode;
use protocol::messages::leave_group_response::{LeaveGroupResponse, MemberResponse};
use protocol::messages::{LeaveGroupRequest, StrBytes};

use super::context::RequestContext;
use crate::groups::check_client_may_change;

/// First version that names several members and answers for each.
const MEMBERS_FROM: i16 = 3;

/// Answers one request.
pub(crate) async fn handle(ctx: &RequestContext, request: LeaveGroupRequest) -> LeaveGroupResponse {
    if let Err(code) = check_client_may_change(&request.group_id) {
        return refused(code);
    }
    let version = ctx.api_version;
    let group = request.group_id.clone();
    match ctx
        .services
        .groups
        .call(&group, |to| GroupCommand::Leave(command(version, request, to)))
        .await
    {
        Ok(GroupReply::Leave(reply)) => response(version, reply),
        Ok(_) => unreachable!("a leave is answered as one"),
        Err(code) => refused(code),
    }
}

fn command(version: i16, request: LeaveGroupRequest, to: ReplyTo) -> LeaveGroup {
    let members = match version < MEMBERS_FROM {
        true => vec![LeavingMember {
            member: Arc::from(&*request.member_id),
            instance: None,
        }],
        false => request
            .members
            .iter()
            .map(|member| LeavingMember {
                member: Arc::from(&*member.member_id),
                instance: member.group_instance_id.as_deref().map(Arc::from),
            })
            .collect(),
    };
    LeaveGroup {
        to,
        group: Arc::from(&**request.group_id),
        members,
    }
}

fn response(version: i16, reply: LeaveReply) -> LeaveGroupResponse {
    if version < MEMBERS_FROM {
        let of_member = reply.members.first().map_or(ErrorCode::None, |member| member.error);
        let code = if reply.error.is_error() { reply.error } else { of_member };
        return refused(code);
    }
    LeaveGroupResponse::default()
        .with_error_code(reply.error.code())
        .with_members(reply.members.into_iter().map(left).collect())
}

fn left(member: LeftMember) -> MemberResponse {
    let text = |text: Arc<str>| StrBytes::from_string(text.to_string());
    MemberResponse::default()
        .with_member_id(text(member.member))
        .with_group_instance_id(member.instance.map(text))
        .with_error_code(member.error.code())
}

/// The code for the request as a whole; versions before 3 have no other place for one.
fn refused(code: ErrorCode) -> LeaveGroupResponse {
    LeaveGroupResponse::default().with_error_code(code.code())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(error: ErrorCode, of_member: ErrorCode) -> LeaveReply {
        let member = LeftMember {
            member: "m".into(),
            instance: None,
            error: of_member,
        };
        LeaveReply {
            error,
            members: vec![member],
        }
    }

    #[test]
    fn old_versions_answer_with_the_code_of_the_only_member() {
        let old = response(2, reply(ErrorCode::None, ErrorCode::UnknownMemberId));
        assert_eq!((old.error_code, old.members.len()), (25, 0));
        let old = response(0, reply(ErrorCode::CoordinatorLoadInProgress, ErrorCode::None));
        assert_eq!(old.error_code, 14);
    }

    #[test]
    fn new_versions_answer_for_each_member() {
        let new = response(3, reply(ErrorCode::None, ErrorCode::UnknownMemberId));
        assert_eq!((new.error_code, new.members.len()), (0, 1));
        assert_eq!(new.members[0].error_code, 25);
    }

    #[test]
    fn the_member_of_an_old_request_stands_beside_the_list() {
        let request = LeaveGroupRequest::default().with_member_id(StrBytes::from_static_str("m"));
        assert_eq!(&*command(2, request.clone(), ReplyTo(1)).members[0].member, "m");
        assert!(command(3, request, ReplyTo(1)).members.is_empty());
    }
}
