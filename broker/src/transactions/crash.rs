//! Places at which the crash tests have the process killed. Nothing of it acts unless `TIDEMILL_CRASH_AT` is set.

use std::sync::atomic::{AtomicU64, Ordering};

/// `point` or `point:n`: the process kills itself when it passes the point for the n-th time.
const VARIABLE: &str = "TIDEMILL_CRASH_AT";

/// The point asked for, if any.
#[derive(Debug)]
pub(super) struct CrashPoints {
    planned: Option<(String, AtomicU64)>,
}

impl CrashPoints {
    /// Reads the variable once.
    pub(super) fn from_environment() -> Self {
        Self {
            planned: std::env::var(VARIABLE).ok().and_then(|text| parse(&text)),
        }
    }

    /// Passes a point: returns, or kills the process as `kill -9` would.
    pub(super) fn pass(&self, point: &str) {
        let Some((planned, left)) = &self.planned else {
            return;
        };
        if planned != point || left.fetch_sub(1, Ordering::Relaxed) != 1 {
            return;
        }
        tracing::warn!(point, "killing this process, as asked for by {VARIABLE}");
        // Nothing may run after this, no destructor and no flush: that is what the tests are about.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

fn parse(text: &str) -> Option<(String, AtomicU64)> {
    let (point, count) = text.split_once(':').unwrap_or((text, "1"));
    Some((
        point.to_owned(),
        AtomicU64::new(count.parse().ok().filter(|count| *count > 0)?),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_optional_and_positive() {
        let (point, count) = parse("before-decision").expect("a plan");
        assert_eq!((point.as_str(), count.into_inner()), ("before-decision", 1));
        let (point, count) = parse("between-markers:7").expect("a plan");
        assert_eq!((point.as_str(), count.into_inner()), ("between-markers", 7));
        assert!(parse("x:0").is_none());
        assert!(parse("x:many").is_none());
    }
}
