//! InitProducerId (key 22), versions 0-5.
//!
//! Versions: 2 flexible · 3 producer id and epoch of the last run (KIP-360) · 4 PRODUCER_FENCED may be answered ·
//! 5 as 4, for transactions by KIP-890.
//!
//! Stage: pipelined.
//!
//! An idempotent producer gets a new producer id with epoch 0, also when it names the one it had: as in Kafka, only a
//! transactional id gives an identity that can be continued.
//!
//! Deliberate deviation from Kafka: a request with a transactional id is answered with
//! TRANSACTIONAL_ID_AUTHORIZATION_FAILED. Transactions of clients are not served, and this is the code that both
//! librdkafka and the Java client take as final, so that `init_transactions()` fails at once with a clear error instead
//! of being tried again for ever.

use protocol::ErrorCode;
use protocol::ids::{NO_PRODUCER_EPOCH, NO_PRODUCER_ID, ProducerEpoch};
use protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use super::context::RequestContext;

/// First epoch of a new producer id.
const FIRST_EPOCH: ProducerEpoch = 0;

/// Answers one request.
pub(crate) async fn handle(ctx: &RequestContext, request: InitProducerIdRequest) -> InitProducerIdResponse {
    if let Err(code) = check(&request) {
        if code == ErrorCode::TransactionalIdAuthorizationFailed {
            tracing::warn!(
                client = %ctx.client_id.escape_debug(),
                "refused a transactional producer: transactions of clients are not served by this version"
            );
        }
        return refused(code);
    }
    match ctx.services.producer_ids.next().await {
        Ok(id) => InitProducerIdResponse::default()
            .with_producer_id(ProducerId(id))
            .with_producer_epoch(FIRST_EPOCH),
        Err(error) => {
            tracing::error!(%error, "no producer id could be allocated");
            // Retriable: the client asks again, and by then the metadata log may be writable. The codes that send it
            // to look for another coordinator would end the Java client, which has no transactional id to look for.
            refused(ErrorCode::CoordinatorLoadInProgress)
        }
    }
}

fn check(request: &InitProducerIdRequest) -> Result<(), ErrorCode> {
    match request.transactional_id.as_ref().map(|id| id.as_str()) {
        Some("") => return Err(ErrorCode::InvalidRequest),
        Some(_) => return Err(ErrorCode::TransactionalIdAuthorizationFailed),
        None => {}
    }
    let names_id = request.producer_id.0 != NO_PRODUCER_ID;
    let names_epoch = request.producer_epoch != NO_PRODUCER_EPOCH;
    match names_id == names_epoch {
        true => Ok(()),
        false => Err(ErrorCode::InvalidRequest),
    }
}

fn refused(code: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse::default()
        .with_error_code(code.code())
        .with_producer_id(ProducerId(NO_PRODUCER_ID))
        .with_producer_epoch(NO_PRODUCER_EPOCH)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use protocol::messages::{StrBytes, TransactionalId};

    use super::*;
    use crate::faulty_fs::{Faults, FaultyFs};
    use crate::partitions::fixture::Node;

    fn request(transactional_id: Option<&'static str>, id: i64, epoch: i16) -> InitProducerIdRequest {
        InitProducerIdRequest::default()
            .with_transactional_id(transactional_id.map(|id| TransactionalId(StrBytes::from_static_str(id))))
            .with_producer_id(ProducerId(id))
            .with_producer_epoch(epoch)
    }

    #[tokio::test]
    async fn without_a_free_id_the_client_asks_again() {
        let fs = FaultyFs::new();
        let node = Node::start_on(fs.clone());
        fs.set_faults(Faults {
            capacity: Some(0),
            ..Faults::default()
        });
        let response = handle(&node.context(5), request(None, -1, -1)).await;
        // What the Java client and librdkafka take as "again, and here".
        assert_eq!(response.error_code, ErrorCode::CoordinatorLoadInProgress.code());
    }

    #[test]
    fn idempotent_producers_pass_with_or_without_an_earlier_identity() {
        assert_eq!(check(&request(None, -1, -1)), Ok(()));
        assert_eq!(check(&request(None, 7, 3)), Ok(()));
    }

    #[tokio::test]
    async fn nobody_shares_an_id() {
        let node = Node::start();
        let mut ids = HashSet::new();
        // More than one block of ids has.
        for _ in 0..1_200 {
            let response = handle(&node.context(4), request(None, -1, -1)).await;
            assert_eq!((response.error_code, response.producer_epoch), (0, FIRST_EPOCH));
            assert!(ids.insert(response.producer_id.0));
        }
        let refused = handle(&node.context(4), request(Some("orders"), -1, -1)).await;
        assert_eq!(
            (refused.error_code, refused.producer_id.0, refused.producer_epoch),
            (53, -1, -1)
        );
    }

    #[test]
    fn half_an_identity_is_a_mistake() {
        assert_eq!(check(&request(None, 7, -1)), Err(ErrorCode::InvalidRequest));
        assert_eq!(check(&request(None, -1, 3)), Err(ErrorCode::InvalidRequest));
    }

    #[test]
    fn transactional_producers_are_refused_for_good() {
        let refused = check(&request(Some("orders"), -1, -1));
        assert_eq!(refused, Err(ErrorCode::TransactionalIdAuthorizationFailed));
        assert!(!ErrorCode::TransactionalIdAuthorizationFailed.is_retriable());
        assert_eq!(check(&request(Some(""), -1, -1)), Err(ErrorCode::InvalidRequest));
    }
}
