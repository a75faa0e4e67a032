//! `/livez` says that the process works; `/readyz` that it recovered, serves, and trusts its disk.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::HttpState;

/// Always 200: whoever answers is alive.
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// 200 or 503 with reasons.
pub(super) async fn readyz(State(state): State<HttpState>) -> (StatusCode, Json<Value>) {
    let reason = match state.served() {
        Ok(served) => served.services.partitions.manager().health(),
        Err(error) => Some(error.message),
    };
    let mut reasons: Vec<String> = reason.into_iter().collect();
    if state.closing.is_cancelled() {
        reasons.push("the broker is stopping".to_owned());
    }
    let status = if reasons.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(json!({ "ready": reasons.is_empty(), "reasons": reasons })))
}
