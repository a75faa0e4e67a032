//! Flush rounds as metrics.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use storage::{FlushObserver, FlushRound};

use super::Metrics;
use crate::env::Env;

/// Feeds the flush rounds of storage to the metrics. Rounds come one after the other, from one thread.
pub struct FlushMetrics {
    metrics: Arc<Metrics>,
    env: Arc<Env>,
    started: Mutex<Duration>,
}

impl FlushMetrics {
    /// An observer that has seen no round yet.
    pub fn new(metrics: Arc<Metrics>, env: Arc<Env>) -> Self {
        Self {
            metrics,
            env,
            started: Mutex::default(),
        }
    }
}

impl Debug for FlushMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FlushMetrics")
    }
}

impl FlushObserver for FlushMetrics {
    fn round_started(&self) {
        *self.started.lock().unwrap_or_else(PoisonError::into_inner) = self.env.monotonic();
    }

    fn round_finished(&self, round: &FlushRound) {
        let started = *self.started.lock().unwrap_or_else(PoisonError::into_inner);
        self.metrics
            .flushed(self.env.monotonic().saturating_sub(started), round.logs, round.bytes);
        if 0 < round.failed {
            self.metrics.flush_failed();
        }
    }
}
