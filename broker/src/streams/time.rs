//! The processor's clock.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use processor::ports::Clock;
use protocol::ids::TimestampMs;

use crate::env::Env;

/// The broker's own clock.
pub(super) struct BrokerClock {
    env: Arc<Env>,
}

impl BrokerClock {
    pub(super) fn new(env: Arc<Env>) -> Self {
        Self { env }
    }
}

#[async_trait]
impl Clock for BrokerClock {
    fn now_ms(&self) -> TimestampMs {
        self.env.now_ms()
    }

    fn monotonic(&self) -> Duration {
        self.env.monotonic()
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}
