//! FindCoordinator (10).

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{ApiKey, BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};
use tests::requests::{self, text};

use super::{Wire, cut};

const KEY_TYPE_SINCE: i16 = 1;
const KEYS_SINCE: i16 = 4;
const TRANSACTION: i8 = 1;
const NO_SUCH_KEY_TYPE: i8 = 9;

pub(crate) fn good(wire: &Wire, version: i16) {
    let key = requests::unique("coordinated");
    requests::find_coordinator(&mut wire.connect(), &key);
    let response = wire.connect().call(version, &request(version, &key, 0));
    let cluster = &wire.cluster;
    let found = Coordinator::default()
        .with_error_message(None)
        .with_key(text(&key))
        .with_node_id(BrokerId(cluster.node_id))
        .with_host(text(&cluster.host))
        .with_port(cluster.port);
    assert_eq!(without_text(response), answer(version, found));
}

pub(crate) fn bad(wire: &Wire, version: i16) {
    if version < KEY_TYPE_SINCE {
        // Without a key type every name has a coordinator, the empty one too; only no name at all is bad.
        let null = (-1_i16).to_be_bytes();
        cut::null_closes(wire, ApiKey::FindCoordinator, version, &null);
        return;
    }
    assert_refused(wire, version, NO_SUCH_KEY_TYPE, ResponseError::InvalidRequest);
    if wire.is_own {
        // Kafka has a coordinator for the transactions of clients. Here they are refused with the code that every
        // client takes as final.
        let code = ResponseError::TransactionalIdAuthorizationFailed;
        assert_refused(wire, version, TRANSACTION, code);
    }
}

fn assert_refused(wire: &Wire, version: i16, key_type: i8, code: ResponseError) {
    let key = requests::unique("coordinated");
    let response = wire.connect().call(version, &request(version, &key, key_type));
    let message = match response.coordinators.first() {
        Some(coordinator) => &coordinator.error_message,
        None => &response.error_message,
    };
    assert!(message.is_some(), "a refusal says why: {response:?}");
    let refused = Coordinator::default()
        .with_error_message(None)
        .with_key(text(&key))
        .with_node_id(BrokerId(-1))
        .with_port(-1)
        .with_error_code(code.code());
    assert_eq!(without_text(response), answer(version, refused));
}

fn request(version: i16, key: &str, key_type: i8) -> FindCoordinatorRequest {
    let request = FindCoordinatorRequest::default().with_key_type(key_type);
    if version < KEYS_SINCE {
        request.with_key(text(key))
    } else {
        request.with_coordinator_keys(vec![text(key)])
    }
}

fn answer(version: i16, coordinator: Coordinator) -> FindCoordinatorResponse {
    let response = FindCoordinatorResponse::default().with_error_message(None);
    if version < KEYS_SINCE {
        return response
            .with_error_code(coordinator.error_code)
            .with_node_id(coordinator.node_id)
            .with_host(coordinator.host)
            .with_port(coordinator.port);
    }
    response.with_coordinators(vec![coordinator])
}

/// The wording is the broker's own.
fn without_text(mut response: FindCoordinatorResponse) -> FindCoordinatorResponse {
    response.error_message = None;
    for coordinator in &mut response.coordinators {
        coordinator.error_message = None;
    }
    response
}
