//! Places at which crash tests have the process killed, here and in the broker. Nothing of it acts unless
//! `TIDEMILL_CRASH_AT` names a point, as `point` or as `point:n` for its n-th passing, and never in a build without debug
//! assertions: no variable kills a released server.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// An epoch's data is in the page cache; nothing has waited for a flush yet.
pub const AFTER_OUTPUT: &str = "after-output";
/// All of an epoch is durable but the decision, which is not written yet.
pub const BEFORE_DECISION: &str = "before-decision";
/// Some of a decision's markers are written, others are not.
pub const BETWEEN_MARKERS: &str = "between-markers";
/// The decision is durable, RocksDB does not know of the epoch yet.
pub const BEFORE_STATE_WRITE: &str = "before-state-write";
/// RocksDB knows of the epoch, the next one has not begun to commit.
pub const AFTER_STATE_WRITE: &str = "after-state-write";
/// CREATE has made the topics of a query, which is not stored yet.
pub const BEFORE_OBJECT_STORED: &str = "before-object-stored";
/// DROP has removed the object; everything that belonged to its query is still there.
pub const AFTER_OBJECT_REMOVED: &str = "after-object-removed";
/// Of a query that was dropped the group is gone, its transactional id and its topics are not.
pub const AFTER_GROUP_DELETED: &str = "after-group-deleted";
/// Of a query that was dropped only the changelog is left.
pub const BEFORE_CHANGELOG_DELETED: &str = "before-changelog-deleted";

const VARIABLE: &str = "TIDEMILL_CRASH_AT";

/// Passes a point: returns, or kills the process as `kill -9` would.
pub fn pass(point: &str) {
    static PLANNED: OnceLock<Option<(String, AtomicU64)>> = OnceLock::new();
    if !cfg!(debug_assertions) {
        return;
    }
    let planned = PLANNED.get_or_init(|| parse(&std::env::var(VARIABLE).ok()?));
    let Some((_, left)) = planned.as_ref().filter(|(planned, _)| planned == point) else {
        return;
    };
    if left.fetch_sub(1, Ordering::Relaxed) == 1 {
        // Nothing may run after this, no destructor and no flush: that is what the tests are about.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
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
        assert!(parse("x:many").is_none());
    }
}
