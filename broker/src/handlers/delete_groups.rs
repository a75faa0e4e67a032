//! DeleteGroups (key 42), versions 0-2.
//!
//! Versions: 1 throttle time · 2 flexible.
//!
//! Stage: alone on its connection.
//!
//! Deliberate deviation from Kafka: groups of the broker's own queries are refused with GROUP_AUTHORIZATION_FAILED.

use std::sync::Arc;

use coordinator::group::{GroupCommand, GroupReply};
use protocol::ErrorCode;
use protocol::messages::delete_groups_response::{DeletableGroupResult, DeleteGroupsResponse};
use protocol::messages::{DeleteGroupsRequest, GroupId};

use super::context::RequestContext;
use crate::groups::check_client_may_change;

/// Answers one request.
pub(crate) async fn handle(ctx: &RequestContext, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let mut results = Vec::with_capacity(request.groups_names.len());
    for group in request.groups_names {
        let code = delete(ctx, &group).await;
        results.push(
            DeletableGroupResult::default()
                .with_group_id(group)
                .with_error_code(code.code()),
        );
    }
    DeleteGroupsResponse::default().with_results(results)
}

async fn delete(ctx: &RequestContext, group: &GroupId) -> ErrorCode {
    if let Err(code) = check_client_may_change(group) {
        return code;
    }
    let id: Arc<str> = Arc::from(&***group);
    match ctx
        .services
        .groups
        .call(group, |to| GroupCommand::Delete { to, group: id })
        .await
    {
        Ok(GroupReply::Delete(code)) => code,
        Ok(_) => unreachable!("a deletion is answered as one"),
        Err(code) => code,
    }
}
