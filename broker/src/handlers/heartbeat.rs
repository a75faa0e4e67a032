//! Heartbeat (key 12), versions 0-4.
//!
//! Versions: 1 throttle time · 3 static members (KIP-345) · 4 flexible.
//!
//! Stage: pipelined.
//!
//! Deliberate deviations from Kafka: none.

use std::sync::Arc;

use coordinator::group::{GroupCommand, GroupReply, Heartbeat};
use protocol::ErrorCode;
use protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use super::context::RequestContext;
use crate::groups::check_client_may_change;

/// Answers one request.
pub(crate) async fn handle(ctx: &RequestContext, request: HeartbeatRequest) -> HeartbeatResponse {
    let code = match check_client_may_change(&request.group_id) {
        Ok(()) => beat(ctx, request).await,
        Err(code) => code,
    };
    HeartbeatResponse::default().with_error_code(code.code())
}

async fn beat(ctx: &RequestContext, request: HeartbeatRequest) -> ErrorCode {
    let group = request.group_id.clone();
    let command = |to| {
        GroupCommand::Heartbeat(Heartbeat {
            to,
            group: Arc::from(&**request.group_id),
            member: Arc::from(&*request.member_id),
            instance: request.group_instance_id.as_deref().map(Arc::from),
            generation: request.generation_id,
        })
    };
    match ctx.services.groups.call(&group, command).await {
        Ok(GroupReply::Heartbeat(code)) => code,
        Ok(_) => unreachable!("a heartbeat is answered as one"),
        Err(code) => code,
    }
}
