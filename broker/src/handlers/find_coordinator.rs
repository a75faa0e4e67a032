//! FindCoordinator (key 10), versions 0-6.
//!
//! Versions: 1 key type · 3 flexible · 4 several keys (KIP-699) · 5 TRANSACTION_ABORTABLE may be answered (KIP-890) ·
//! 6 share groups (KIP-932).
//!
//! Stage: pipelined.
//!
//! Deliberate deviations from Kafka: this node coordinates every group. Transactions of clients are not served: their
//! coordinator is answered with TRANSACTIONAL_ID_AUTHORIZATION_FAILED, the one code that every client takes as final (see
//! InitProducerId).

use protocol::ErrorCode;
use protocol::messages::find_coordinator_response::Coordinator;
use protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse, StrBytes};

use super::RequestContext;

/// First version with several keys.
const BATCHES_FROM: i16 = 4;
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

/// Answers one request.
pub(crate) async fn handle(ctx: &RequestContext, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    if ctx.api_version < BATCHES_FROM {
        return single(found(ctx, request.key_type, request.key), ctx.api_version);
    }
    let keys = request.coordinator_keys.into_iter();
    let coordinators = keys.map(|key| found(ctx, request.key_type, key)).collect();
    FindCoordinatorResponse::default().with_coordinators(coordinators)
}

fn found(ctx: &RequestContext, key_type: i8, key: StrBytes) -> Coordinator {
    match refusal(key_type) {
        None => Coordinator::default()
            .with_key(key)
            .with_node_id(BrokerId(ctx.services.config.node.id))
            .with_host(StrBytes::from_string(ctx.advertised.host.clone()))
            .with_port(i32::from(ctx.advertised.port)),
        Some((code, message)) => Coordinator::default()
            .with_key(key)
            .with_node_id(BrokerId(-1))
            .with_port(-1)
            .with_error_code(code.code())
            .with_error_message(Some(StrBytes::from_static_str(message))),
    }
}

fn refusal(key_type: i8) -> Option<(ErrorCode, &'static str)> {
    match key_type {
        GROUP => None,
        TRANSACTION => Some((
            ErrorCode::TransactionalIdAuthorizationFailed,
            "transactions of clients are not served by this version",
        )),
        _ => Some((ErrorCode::InvalidRequest, "only groups have a coordinator here")),
    }
}

/// The answer before several keys could be asked for.
fn single(coordinator: Coordinator, version: i16) -> FindCoordinatorResponse {
    let response = FindCoordinatorResponse::default()
        .with_error_code(coordinator.error_code)
        .with_node_id(coordinator.node_id)
        .with_host(coordinator.host)
        .with_port(coordinator.port);
    match version {
        0 => response,
        _ => response.with_error_message(coordinator.error_message),
    }
}
