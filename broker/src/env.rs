//! The world that the rest of the program may not touch by itself: time, randomness, tasks.
//!
//! Below this floor time is a parameter. Everything in this crate that needs the clock, a random number or a task asks
//! [`Env`], so that a test can stand in for the world and so that no task dies unseen.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::FutureExt;
use protocol::ids::TimestampMs;
use storage::MonotonicClock;
use tokio::task::JoinHandle;
use tracing::error;
use uuid::Uuid;

/// Clock, randomness and supervised tasks of one broker.
#[derive(Debug)]
pub struct Env {
    started: Instant,
    /// The largest wall clock reading so far; [`Env::now_ms`] never goes back behind it by a small step.
    latest_ms: AtomicI64,
}

/// Wall clock steps back by up to this much are hidden; a larger one is believed, because the operator set the clock.
const HIDDEN_STEP_BACK_MS: i64 = 10_000;

impl Env {
    /// The real world.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    pub fn system() -> Self {
        Self {
            started: Instant::now(),
            latest_ms: AtomicI64::new(i64::MIN),
        }
    }

    /// Wall clock in milliseconds since the Unix epoch; does not go back by small steps.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    pub fn now_ms(&self) -> TimestampMs {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
        let latest = self.latest_ms.fetch_max(now, Ordering::Relaxed);
        if now < latest && latest - now <= HIDDEN_STEP_BACK_MS {
            return latest;
        }
        if now < latest {
            self.latest_ms.store(now, Ordering::Relaxed);
        }
        now
    }

    /// Time since the broker was started; never goes back.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    pub fn monotonic(&self) -> Duration {
        Instant::now().duration_since(self.started)
    }

    /// A random (version 4) UUID, never one of the two that Kafka reserves (all zero, and zero but for the last bit).
    #[expect(clippy::disallowed_methods, reason = "this is the one place that makes random ids")]
    pub fn uuid(&self) -> Uuid {
        Uuid::new_v4()
    }

    /// Runs a future as a task. A panic in it is logged under `name`; the handle may be dropped.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that spawns tasks")]
    pub fn spawn<F>(&self, name: &'static str, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        tokio::spawn(async move {
            match AssertUnwindSafe(future).catch_unwind().await {
                Ok(output) => output,
                Err(panic) => {
                    error!(task = name, reason = panic_text(panic.as_ref()), "a task panicked");
                    resume_unwind(panic)
                }
            }
        })
    }

    /// Runs blocking work on a thread kept for that.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that spawns tasks")]
    pub fn spawn_blocking<F, T>(&self, work: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        tokio::task::spawn_blocking(work)
    }
}

impl MonotonicClock for Env {
    fn monotonic(&self) -> Duration {
        Self::monotonic(self)
    }
}

/// The message a panic was raised with.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("unknown")
}
