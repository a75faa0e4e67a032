//! FindCoordinator (10).

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};
use tests::requests::{self, text};

use super::{Wire, cut};

const KEY_TYPE_SINCE: i16 = 1;
const KEYS_SINCE: i16 = 4;
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
        // Without a key type every well-formed question has an answer.
        cut::cut_frame_closes(wire, kafka_protocol::messages::ApiKey::FindCoordinator, version);
        return;
    }
    let key = requests::unique("coordinated");
    let response = wire.connect().call(version, &request(version, &key, NO_SUCH_KEY_TYPE));
    assert_eq!(code(&response), ResponseError::InvalidRequest.code(), "{response:?}");
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
            .with_node_id(coordinator.node_id)
            .with_host(coordinator.host)
            .with_port(coordinator.port);
    }
    response.with_coordinators(vec![coordinator])
}

fn code(response: &FindCoordinatorResponse) -> i16 {
    response
        .coordinators
        .first()
        .map_or(response.error_code, |coordinator| coordinator.error_code)
}

/// The wording is the broker's own.
fn without_text(mut response: FindCoordinatorResponse) -> FindCoordinatorResponse {
    response.error_message = None;
    for coordinator in &mut response.coordinators {
        coordinator.error_message = None;
    }
    response
}
