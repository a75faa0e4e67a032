//! `/livez` says that the process works; `/readyz` that it recovered, serves, and trusts its disk.

use std::sync::Mutex;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::HttpState;

/// What still keeps the broker from serving; empty once it is ready.
#[derive(Debug)]
pub struct Readiness {
    waiting_for: Mutex<Vec<&'static str>>,
}

impl Readiness {
    /// Not ready until every named step is done.
    pub fn new(steps: &[&'static str]) -> Readiness {
        Readiness {
            waiting_for: Mutex::new(steps.to_vec()),
        }
    }

    /// One step is done.
    pub fn done(&self, step: &'static str) {
        self.waiting_for
            .lock()
            .expect("no holder panics")
            .retain(|waiting| *waiting != step);
    }

    fn reasons(&self) -> Vec<String> {
        let waiting = self.waiting_for.lock().expect("no holder panics");
        waiting.iter().map(|step| format!("{step} is not finished")).collect()
    }
}

/// Always 200: whoever answers is alive.
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// 200 or 503 with reasons.
pub(super) async fn readyz(State(state): State<HttpState>) -> (StatusCode, Json<Value>) {
    let mut reasons = state.readiness.reasons();
    if state.closing.is_cancelled() {
        reasons.push("the broker is stopping".to_owned());
    }
    reasons.extend(state.services.partitions.manager().health());
    let status = if reasons.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(json!({ "ready": reasons.is_empty(), "reasons": reasons })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_when_every_step_is_done() {
        let readiness = Readiness::new(&["recovery", "queries"]);
        readiness.done("recovery");
        assert_eq!(readiness.reasons(), ["queries is not finished"]);
        readiness.done("queries");
        assert!(readiness.reasons().is_empty());
    }
}
