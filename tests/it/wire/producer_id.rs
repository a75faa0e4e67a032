//! InitProducerId (22), for idempotent producers.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId, TransactionalId};
use tests::requests::{self, text};

use super::Wire;

pub(crate) fn good(wire: &Wire, version: i16) {
    let mut connection = wire.connect();
    // Also waits until the broker has producer ids to give.
    let (earlier, _) = requests::new_producer(&mut connection);
    let response = connection.call(version, &request());
    let id = response.producer_id;
    assert!(id.0 >= 0 && id.0 != earlier, "{id:?} after {earlier}");
    assert_eq!(response, InitProducerIdResponse::default().with_producer_id(id));
}

/// A transactional id has to have a character at least.
pub(crate) fn bad(wire: &Wire, version: i16) {
    let request = request().with_transactional_id(Some(TransactionalId(text(""))));
    let response = wire.connect().call(version, &request);
    let expected = InitProducerIdResponse::default()
        .with_error_code(ResponseError::InvalidRequest.code())
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1);
    assert_eq!(response, expected);
}

fn request() -> InitProducerIdRequest {
    InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(60_000)
}
