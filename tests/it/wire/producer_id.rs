//! InitProducerId (22), for idempotent producers.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId, TransactionalId};
use tests::requests::{self, text};

use super::Wire;

const IDENTITY_SINCE: i16 = 3;

pub(crate) fn good(wire: &Wire, version: i16) {
    let mut connection = wire.connect();
    // Also waits until the broker has producer ids to give.
    let (earlier, _) = requests::new_producer(&mut connection);
    let response = connection.call(version, &request());
    let id = response.producer_id;
    assert!(id.0 >= 0 && id.0 != earlier, "{id:?} after {earlier}");
    let expected = InitProducerIdResponse::default()
        .with_producer_id(id)
        .with_producer_epoch(0);
    assert_eq!(response, expected);
}

/// A transactional id: one without a character is no id anywhere, and any other is refused here with the code that
/// every client takes as final. From the version on that names an earlier identity, half of one.
pub(crate) fn bad(wire: &Wire, version: i16) {
    assert_refused(wire, version, &named(""), ResponseError::InvalidRequest);
    if wire.is_own {
        let code = ResponseError::TransactionalIdAuthorizationFailed;
        assert_refused(wire, version, &named(&requests::unique("transactional")), code);
    }
    if version >= IDENTITY_SINCE {
        let id_alone = request().with_producer_id(ProducerId(7));
        assert_refused(wire, version, &id_alone, ResponseError::InvalidRequest);
        let epoch_alone = request().with_producer_epoch(3);
        assert_refused(wire, version, &epoch_alone, ResponseError::InvalidRequest);
    }
}

fn assert_refused(wire: &Wire, version: i16, request: &InitProducerIdRequest, code: ResponseError) {
    let expected = InitProducerIdResponse::default()
        .with_error_code(code.code())
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1);
    assert_eq!(wire.connect().call(version, request), expected, "{request:?}");
}

fn named(id: &str) -> InitProducerIdRequest {
    request().with_transactional_id(Some(TransactionalId(text(id))))
}

fn request() -> InitProducerIdRequest {
    InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(60_000)
}
