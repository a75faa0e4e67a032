//! Waiting for a condition. Tests never sleep for a time and hope; they say what they wait for, and fail with it.

use std::time::Duration;

/// How long a condition may take before the test fails. Generous: it is reached only when something is broken.
const DEADLINE: Duration = Duration::from_secs(60);

/// Pause between two looks at the condition.
const INTERVAL: Duration = Duration::from_millis(2);

/// Calls `probe` until it gives a value.
///
/// # Panics
/// After a generous deadline, naming `what` was waited for.
pub(crate) async fn until_some<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let tried = async {
        loop {
            match probe().await {
                Some(value) => return value,
                None => tokio::time::sleep(INTERVAL).await,
            }
        }
    };
    let in_time = tokio::time::timeout(DEADLINE, tried).await;
    in_time.unwrap_or_else(|_| panic!("waited {DEADLINE:?} in vain for: {what}"))
}

/// Calls `probe` until it is true.
///
/// # Panics
/// After a generous deadline, naming `what` was waited for.
pub(crate) async fn until(what: &str, mut probe: impl AsyncFnMut() -> bool) {
    until_some(what, async || probe().await.then_some(())).await;
}
