//! Places at which crash tests end the process. Nothing here acts unless `TIDEMILL_CRASH_AT` names a point, as `point`
//! or `point:n` for its n-th passing; the broker has points of its own under the same variable.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The epoch's decision is durable, RocksDB does not know of it yet.
pub(super) const BEFORE_STATE_WRITE: &str = "before-state-write";

const VARIABLE: &str = "TIDEMILL_CRASH_AT";

/// Passes a point: returns, or ends the process without running a destructor.
pub(super) fn pass(point: &str) {
    static PLANNED: OnceLock<Option<(String, AtomicU64)>> = OnceLock::new();
    let planned = PLANNED.get_or_init(|| parse(&std::env::var(VARIABLE).ok()?));
    let Some((_, left)) = planned.as_ref().filter(|(planned, _)| planned == point) else {
        return;
    };
    if left.fetch_sub(1, Ordering::Relaxed) == 1 {
        std::process::abort();
    }
}

fn parse(text: &str) -> Option<(String, AtomicU64)> {
    let (point, count) = text.split_once(':').unwrap_or((text, "1"));
    let count = count.parse().ok().filter(|count| 0 < *count)?;
    Some((point.to_owned(), AtomicU64::new(count)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_optional_and_above_zero() {
        let (point, count) = parse("before-state-write:3").expect("a plan");
        assert_eq!((point.as_str(), count.into_inner()), (BEFORE_STATE_WRITE, 3));
        assert_eq!(parse("x").expect("a plan").1.into_inner(), 1);
        assert!(parse("x:0").is_none());
    }
}
