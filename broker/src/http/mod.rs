//! The HTTP port: health, metrics, and SQL. One router; every handler translates and calls one service.

mod error;
mod health;
mod listener;
mod metrics;
mod openapi;
mod rows;
mod sql;

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use processor::engine::Engine;
use processor::error::{SqlError, SqlState};
use tokio_util::sync::CancellationToken;

pub use self::listener::Limited;
use crate::services::Services;

/// What a recovered broker serves with; empty until then.
pub type Recovered = Arc<OnceLock<Served>>;

/// The services behind the port.
pub struct Served {
    /// The broker's.
    pub services: Arc<Services>,
    /// The stream processor.
    pub engine: Arc<Engine>,
}

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct HttpState {
    recovered: Recovered,
    closing: CancellationToken,
}

impl HttpState {
    /// The services; an error while the broker still recovers.
    fn served(&self) -> Result<&Served, SqlError> {
        self.recovered.get().ok_or_else(|| {
            SqlError::new(
                SqlState::CANNOT_CONNECT_NOW,
                "the broker is starting: it recovers its logs",
            )
            .with_hint("/readyz tells when it serves")
        })
    }
}

/// Serves until `closing` fires; requests that are under way may finish, but a running SELECT is cancelled. Until
/// `recovered` is set there is nothing but `/livez`, `/readyz` and the description; the rest is answered with 503.
pub async fn serve(listener: Limited, body_bytes_max: usize, recovered: Recovered, closing: CancellationToken) {
    let router = router(
        HttpState {
            recovered,
            closing: closing.clone(),
        },
        body_bytes_max,
    );
    let served = axum::serve(listener, router).with_graceful_shutdown(closing.cancelled_owned());
    if let Err(error) = served.await {
        tracing::error!(%error, "the HTTP listener failed");
    }
}

fn router(state: HttpState, body_bytes_max: usize) -> Router {
    Router::new()
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::metrics))
        .route("/v1/sql", post(sql::sql))
        .route("/v1/openapi.json", get(openapi::openapi))
        .fallback(error::not_found)
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(DefaultBodyLimit::max(body_bytes_max))
        .with_state(state)
}
