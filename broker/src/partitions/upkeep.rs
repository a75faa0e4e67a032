//! What logs need from time to time: retention.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Partitions;

impl Partitions {
    /// Applies retention to all logs at every `interval` (`log.retention.check.interval.ms`) until `stopping` fires.
    pub fn start_upkeep(self: &Arc<Self>, every: Duration, stopping: CancellationToken) {
        let partitions = Arc::clone(self);
        self.env.spawn("log-upkeep", async move {
            let mut ticks = interval(every.max(Duration::from_millis(1)));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            // The first tick comes at once, and a start has better things to do.
            ticks.tick().await;
            loop {
                tokio::select! {
                    () = stopping.cancelled() => return,
                    _ = ticks.tick() => partitions.apply_retention().await,
                }
            }
        });
    }

    async fn apply_retention(&self) {
        let manager = self.manager.clone();
        let now = self.env.now_ms();
        let report = self.env.spawn_blocking(move || manager.apply_retention(now)).await;
        if let Ok(report) = report {
            tracing::debug!(?report, "retention was applied");
        }
    }
}
