//! Fetch (key 1), versions 4-18.
//!
//! Versions: 5 `log_start_offset` · 7 sessions (KIP-227) · 9 `current_leader_epoch` (KIP-320) · 10 zstd (KIP-110) ·
//! 11 rack (KIP-392) · 12 flexible, `last_fetched_epoch` (KIP-595) · 13 topic ids (KIP-516) · 15 replica state
//! (KIP-903) · 16 node endpoints (KIP-951) · 17 directory ids (KIP-853) · 18 the follower's high watermark (KIP-1166).
//!
//! Stage: pipelined. What is in memory is read in place; a disk read goes to a thread of its own; a long poll waits
//! for its logs and holds nothing meanwhile. Records leave as they lie in the log, without a copy.
//!
//! Deliberate deviations from Kafka: sessions are never made (see [`session`]), so every answer is a full one; there are
//! no followers, and whoever claims to be one gets NOT_LEADER_OR_FOLLOWER.

mod plan;
mod read;
mod respond;
mod session;
mod wait;

#[cfg(test)]
mod poll_tests;
#[cfg(test)]
mod tests;

use protocol::messages::{FetchRequest, FetchResponse};

use super::context::RequestContext;
use crate::telemetry::Metrics;
use read::{Data, PartitionRead, Pass};
use wait::LongPoll;

/// First version that knows sessions.
const SESSIONS_FROM: i16 = 7;

/// Answers one request, at the latest when its `max_wait_ms` is over.
pub(crate) async fn handle(ctx: &RequestContext, request: FetchRequest) -> FetchResponse {
    if SESSIONS_FROM <= ctx.api_version
        && let Err(code) = session::check(request.session_epoch)
    {
        return FetchResponse::default().with_error_code(code.code());
    }
    let pass = LongPoll::new(ctx, &request).run().await;
    count(&ctx.services.metrics, &pass);
    respond::response(request, pass)
}

fn count(metrics: &Metrics, pass: &Pass) {
    for read in &pass.reads {
        let PartitionRead::Data(Data {
            topic,
            records,
            record_count,
            ..
        }) = read
        else {
            continue;
        };
        if !records.is_empty() {
            metrics.topic_fetched(topic, records.len() as u64, *record_count);
        }
    }
}
