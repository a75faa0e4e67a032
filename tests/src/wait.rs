//! Waiting for a condition. Tests never sleep for a time and hope; they say what they wait for, and fail with it.

use std::time::{Duration, Instant};

/// How long a condition may take before the test fails. Generous: it is reached only when something is broken.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Pause between two looks at the condition.
const INTERVAL: Duration = Duration::from_millis(20);

/// Calls `probe` until it gives a value.
///
/// # Panics
/// After [`DEADLINE`], naming `what` was waited for.
pub fn until_some<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(start.elapsed() < DEADLINE, "waited {DEADLINE:?} in vain for: {what}");
        std::thread::sleep(INTERVAL);
    }
}

/// Calls `probe` until it is true.
///
/// # Panics
/// After [`DEADLINE`], naming `what` was waited for.
pub fn until(what: &str, mut probe: impl FnMut() -> bool) {
    until_some(what, || probe().then_some(()));
}
