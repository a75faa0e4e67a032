//! Produce (key 0), versions 3-13.
//!
//! Versions: 3 record batches of magic 2 · 5 `log_start_offset` · 7 zstd (KIP-110) · 8 record errors and a message
//! (KIP-467) · 9 flexible · 10 leader hints (KIP-951; one node has none to give) · 12 as 11, for transactions by
//! KIP-890 · 13 topic ids instead of names (KIP-516).
//!
//! Stage: pipelined. Everything up to and including the append happens in the first poll of the future, so that the
//! requests of one connection reach each log in the order in which they arrived. What is awaited is durability alone,
//! and only for `acks=-1`.
//!
//! Deliberate deviations from Kafka: internal topics are refused to every client (Kafka lets `__admin_client` through);
//! topics that a query writes are refused with TOPIC_AUTHORIZATION_FAILED; records inside a batch are looked at only
//! where the topic or `kafka.validate` asks for it; transactional batches of clients are refused as InitProducerId
//! refuses transactional ids.

mod append;
mod reply;
mod wait;

#[cfg(test)]
mod log_tests;
#[cfg(test)]
mod tests;

use protocol::ErrorCode;
use protocol::messages::{ProduceRequest, ProduceResponse};

use super::context::RequestContext;
use super::reply::CloseReason;
use append::TopicOutcome;

/// How much a producer wants to know before it goes on (`acks`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Acks {
    /// No response at all.
    None,
    /// Answer when the batch is in the log.
    Leader,
    /// Answer when the batch is safe.
    All,
}

impl Acks {
    fn from_wire(acks: i16) -> Option<Self> {
        match acks {
            -1 => Some(Self::All),
            0 => Some(Self::None),
            1 => Some(Self::Leader),
            _ => None,
        }
    }
}

/// Answers one request; `None` where the client wants no response and nothing went wrong.
///
/// A producer with `acks=0` learns of an error by its connection being closed, so that it refreshes its metadata.
pub(crate) async fn handle(
    ctx: &RequestContext,
    request: ProduceRequest,
) -> Result<Option<ProduceResponse>, CloseReason> {
    let Some(acks) = Acks::from_wire(request.acks) else {
        return Ok(Some(reply::all_refused(request, ErrorCode::InvalidRequiredAcks)));
    };
    let timeout_ms = request.timeout_ms;
    let mut outcomes = append::append_all(ctx, request);
    match acks {
        Acks::None => closed_on_error(&outcomes).map(|()| None),
        Acks::Leader => Ok(Some(reply::response(outcomes))),
        Acks::All => {
            wait::until_durable(&mut outcomes, timeout_ms).await;
            Ok(Some(reply::response(outcomes)))
        }
    }
}

fn closed_on_error(outcomes: &[TopicOutcome]) -> Result<(), CloseReason> {
    let partitions = outcomes
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(move |partition| (topic, partition)));
    for (topic, partition) in partitions {
        if let Err(refusal) = &partition.result {
            tracing::info!(
                topic = topic.name.as_str(),
                partition = partition.index,
                error = refusal.code.name(),
                "a produce request without acks failed"
            );
            return Err(CloseReason::SilentProduceFailed);
        }
    }
    Ok(())
}
