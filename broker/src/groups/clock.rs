//! The coordinators' clock: wall time when the broker started, and steady time since.
//!
//! Sessions and rebalances must not end because somebody set the machine's clock, so that the pure machines, which know
//! one clock only, are given one that never jumps. After a restart it agrees with the wall clock again.

use std::sync::Arc;
use std::time::Duration;

use protocol::ids::TimestampMs;

use crate::env::Env;

/// A clock that starts at wall time and runs on steadily. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct SteadyClock {
    env: Arc<Env>,
    /// Wall clock less steady clock, when this one was made.
    offset_ms: TimestampMs,
}

impl SteadyClock {
    pub(super) fn new(env: Arc<Env>) -> Self {
        let offset_ms = env.now_ms() - to_ms(env.monotonic());
        Self { env, offset_ms }
    }

    /// Milliseconds since 1970 as the coordinators count them.
    pub(super) fn now_ms(&self) -> TimestampMs {
        self.offset_ms + to_ms(self.env.monotonic())
    }

    /// Time until `at`; zero when it is past.
    pub(super) fn until(&self, at: TimestampMs) -> Duration {
        Duration::from_millis(u64::try_from(at.saturating_sub(self.now_ms())).unwrap_or(0))
    }
}

fn to_ms(duration: Duration) -> TimestampMs {
    TimestampMs::try_from(duration.as_millis()).unwrap_or(TimestampMs::MAX)
}
