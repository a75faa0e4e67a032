//! The time that passes between two moments, from whoever has a clock.

use std::{fmt::Debug, time::Duration};

/// A clock that never goes back, for delays. Any thread asks it.
pub trait MonotonicClock: Send + Sync + Debug {
    /// Time since some fixed moment.
    fn monotonic(&self) -> Duration;
}
