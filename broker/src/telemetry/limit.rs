//! Log lines that a client can cause at will are written a few at a time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::warn;

use crate::env::Env;

/// Lines per period.
const LINES: u32 = 20;
/// Length of a period.
const PERIOD: Duration = Duration::from_secs(10);

/// Lets [`LINES`] lines pass in every [`PERIOD`] and counts the rest.
#[derive(Debug)]
pub struct LineLimit {
    env: Arc<Env>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    period_began: Duration,
    written: u32,
    suppressed: u64,
}

impl LineLimit {
    /// Nothing is written yet.
    pub fn new(env: Arc<Env>) -> Self {
        Self {
            env,
            state: Mutex::default(),
        }
    }

    /// Whether one more line may be written now.
    pub fn allows(&self) -> bool {
        let now = self.env.monotonic();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.period_began + PERIOD <= now {
            if 0 < state.suppressed {
                warn!(lines = state.suppressed, "similar log lines were left out");
            }
            *state = State {
                period_began: now,
                ..State::default()
            };
        }
        if state.written < LINES {
            state.written += 1;
            return true;
        }
        state.suppressed += 1;
        false
    }
}
