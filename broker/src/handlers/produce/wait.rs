//! Waiting until what was appended is safe, for `acks=-1`.

use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use protocol::ErrorCode;
use storage::Appended;
use tokio::time::timeout;

use super::append::{Refusal, TopicOutcome};
use crate::kafka_error;

/// Waits for every batch of the request, at most as long as the client is willing to.
///
/// All tickets are awaited side by side: it is the first look at a ticket that asks for its flush. A batch that is not
/// safe in time is answered REQUEST_TIMED_OUT: it is in the log and may become safe later, and a producer that sends it
/// again is recognised.
pub(super) async fn until_durable(outcomes: &mut [TopicOutcome], timeout_ms: i32) {
    let limit = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
    let in_time = timeout(limit, join_all(results(outcomes).map(wait_for))).await;
    if in_time.is_ok() {
        return;
    }
    for result in results(outcomes) {
        // One that has failed meanwhile says so.
        if wait_for(result).now_or_never().is_none() {
            *result = Err(Refusal::new(
                ErrorCode::RequestTimedOut,
                "the batch was not durable in time",
            ));
        }
    }
}

/// Changes the outcome in place, so that what was safe in time stays answered as safe.
async fn wait_for(result: &mut Result<Appended, Refusal>) {
    let Ok(appended) = result else { return };
    if let Err(error) = (&mut appended.ticket).await {
        *result = Err(Refusal::new(kafka_error::flush(&error), error.to_string()));
    }
}

fn results(outcomes: &mut [TopicOutcome]) -> impl Iterator<Item = &mut Result<Appended, Refusal>> {
    outcomes
        .iter_mut()
        .flat_map(|topic| &mut topic.partitions)
        .map(|partition| &mut partition.result)
}
