//! SyncGroup (key 14), versions 0-5.
//!
//! Versions: 1 throttle time · 3 static members (KIP-345) · 4 flexible · 5 protocol type and name (KIP-559).
//!
//! Stage: pipelined. The answer waits for the leader's assignment, and until it is durable.
//!
//! Deliberate deviations from Kafka: none.

use std::sync::Arc;

use coordinator::group::{GroupCommand, GroupReply, SyncGroup, SyncReply};
use protocol::ErrorCode;
use protocol::messages::{StrBytes, SyncGroupRequest, SyncGroupResponse};

use super::context::RequestContext;
use crate::groups::check_client_may_change;

/// Answers one request.
pub(crate) async fn handle(ctx: &RequestContext, request: SyncGroupRequest) -> SyncGroupResponse {
    if let Err(code) = check_client_may_change(&request.group_id) {
        return refused(code);
    }
    let group = request.group_id.clone();
    match ctx
        .services
        .groups
        .call(&group, |to| GroupCommand::Sync(command(request, to)))
        .await
    {
        Ok(GroupReply::Sync(reply)) => response(reply),
        Ok(_) => unreachable!("a sync is answered as one"),
        Err(code) => refused(code),
    }
}

fn command(request: SyncGroupRequest, to: coordinator::ReplyTo) -> SyncGroup {
    let assignments = request
        .assignments
        .into_iter()
        .map(|assignment| (Arc::from(&*assignment.member_id), assignment.assignment));
    SyncGroup {
        to,
        group: Arc::from(&**request.group_id),
        member: Arc::from(&*request.member_id),
        instance: request.group_instance_id.as_deref().map(Arc::from),
        generation: request.generation_id,
        protocol_type: request.protocol_type.as_deref().map(Arc::from),
        protocol_name: request.protocol_name.as_deref().map(Arc::from),
        assignments: assignments.collect(),
    }
}

fn response(reply: SyncReply) -> SyncGroupResponse {
    let text = |text: Arc<str>| StrBytes::from_string(text.to_string());
    SyncGroupResponse::default()
        .with_error_code(reply.error.code())
        .with_protocol_type(reply.protocol_type.map(text))
        .with_protocol_name(reply.protocol_name.map(text))
        .with_assignment(reply.assignment)
}

fn refused(code: ErrorCode) -> SyncGroupResponse {
    SyncGroupResponse::default().with_error_code(code.code())
}
