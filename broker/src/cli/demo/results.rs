//! Follows the two views as any Kafka client could, and keeps what the screen shows.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hdrhistogram::Histogram;
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde::Deserialize;

use crate::cli::error::CliError;
use crate::cli::kafka::KafkaArgs;
use crate::env::Env;

/// Topics of the two views.
pub(super) const VIEWS: [&str; 2] = ["clicks_per_minute", "card_activity"];

/// Latencies above this are counted as this, in milliseconds.
const LATENCY_MS_MAX: u64 = 3_600_000;

/// A running follower.
pub(super) struct Results {
    shared: Arc<Mutex<Latest>>,
    stopping: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// What came out of the views so far.
pub(super) struct Latest {
    /// Result rows received.
    pub(super) rows: u64,
    /// The newest minute: page -> (clicks, users).
    pub(super) pages: BTreeMap<String, (i64, i64)>,
    /// Start of that minute.
    pub(super) minute: String,
    /// Cards to look at in the newest window: card -> (purchases, total).
    pub(super) flagged: BTreeMap<String, (i64, String)>,
    window: String,
    /// Milliseconds from an event's creation to a result that contains it, since the last look.
    pub(super) latency_ms: Histogram<u64>,
}

#[derive(Deserialize)]
struct PageRow {
    window_start: String,
    page: String,
    clicks: i64,
    users: i64,
    last_event: String,
}

#[derive(Deserialize)]
struct CardRow {
    window_start: String,
    card: String,
    purchases: i64,
    total: serde_json::Number,
    verdict: String,
    last_event: String,
}

impl Results {
    /// Starts to follow the views.
    pub(super) fn start(kafka: &KafkaArgs, env: Arc<Env>) -> Result<Results, CliError> {
        let mut config = kafka.client()?;
        config.set("group.id", "demo-dashboard");
        config.set("auto.offset.reset", "earliest");
        config.set("auto.commit.interval.ms", "1000");
        config.set("fetch.wait.max.ms", "50");
        let consumer: BaseConsumer = config.create()?;
        consumer.subscribe(&VIEWS)?;
        let shared = Arc::new(Mutex::new(Latest::new()));
        let stopping = Arc::new(AtomicBool::new(false));
        let thread = thread::Builder::new().name("demo-results".to_owned()).spawn({
            let (shared, stopping) = (Arc::clone(&shared), Arc::clone(&stopping));
            move || follow(&consumer, &env, &shared, &stopping)
        })?;
        Ok(Results {
            shared,
            stopping,
            thread,
        })
    }

    /// The state for the screen.
    pub(super) fn latest(&self) -> MutexGuard<'_, Latest> {
        self.shared.lock().expect("no holder panics")
    }

    /// Leaves the group.
    pub(super) fn stop(self) {
        self.stopping.store(true, Ordering::Relaxed);
        if self.thread.join().is_err() {
            tracing::error!("the follower of the demo's views panicked");
        }
    }
}

fn follow(consumer: &BaseConsumer, env: &Env, shared: &Mutex<Latest>, stopping: &AtomicBool) {
    while !stopping.load(Ordering::Relaxed) {
        // Errors are transient here: librdkafka reconnects by itself.
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else {
            continue;
        };
        let Some(value) = message.payload() else {
            continue;
        };
        shared
            .lock()
            .expect("no holder panics")
            .take(message.topic(), value, env.now_ms());
    }
}

impl Latest {
    fn new() -> Latest {
        Latest {
            rows: 0,
            pages: BTreeMap::new(),
            minute: String::new(),
            flagged: BTreeMap::new(),
            window: String::new(),
            latency_ms: Histogram::new_with_bounds(1, LATENCY_MS_MAX, 3).expect("the bounds are valid"),
        }
    }

    /// Takes one result row, received at `now_ms`.
    fn take(&mut self, topic: &str, value: &[u8], now_ms: i64) {
        self.rows += 1;
        if topic == VIEWS[0] {
            if let Ok(row) = serde_json::from_slice::<PageRow>(value) {
                self.take_page(row, now_ms);
            }
        } else if let Ok(row) = serde_json::from_slice::<CardRow>(value) {
            self.take_card(row, now_ms);
        }
    }

    fn take_page(&mut self, row: PageRow, now_ms: i64) {
        self.record_latency(&row.last_event, now_ms);
        if self.minute < row.window_start {
            self.pages.clear();
            self.minute.clone_from(&row.window_start);
        }
        if row.window_start == self.minute {
            self.pages.insert(row.page, (row.clicks, row.users));
        }
    }

    fn take_card(&mut self, row: CardRow, now_ms: i64) {
        self.record_latency(&row.last_event, now_ms);
        if self.window < row.window_start {
            self.flagged.clear();
            self.window.clone_from(&row.window_start);
        }
        if row.window_start == self.window && row.verdict == "review" {
            self.flagged.insert(row.card, (row.purchases, row.total.to_string()));
        }
    }

    fn record_latency(&mut self, last_event: &str, now_ms: i64) {
        if let Ok(created) = chrono::DateTime::parse_from_rfc3339(last_event) {
            let taken = now_ms.saturating_sub(created.timestamp_millis());
            self.latency_ms.saturating_record(u64::try_from(taken).unwrap_or(0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_minute_starts_an_empty_table() {
        let mut latest = Latest::new();
        let row = |minute: &str, page: &str| {
            format!(
                r#"{{"window_start":"2026-01-01T00:0{minute}:00.000000Z","page":"{page}","clicks":2,"users":1,
                    "last_event":"2026-01-01T00:00:00.250000Z"}}"#
            )
        };
        let now = 1_767_225_600_300;
        latest.take(VIEWS[0], row("0", "/").as_bytes(), now);
        latest.take(VIEWS[0], row("1", "/cart").as_bytes(), now);
        latest.take(VIEWS[0], row("0", "/late").as_bytes(), now);
        assert_eq!(latest.pages.keys().collect::<Vec<_>>(), ["/cart"]);
        assert_eq!(latest.latency_ms.max(), 50);
    }
}
