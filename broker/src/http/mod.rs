//! The HTTP port: health, metrics, and SQL. One router; every handler translates and calls one service.

mod body;
mod error;
mod health;
mod listener;
mod metrics;
mod openapi;
mod rows;
mod sql;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use processor::engine::Engine;
use processor::error::{SqlError, SqlState};
use tokio_util::sync::CancellationToken;

pub use self::listener::Limited;
use crate::config::HttpConfig;
use crate::env::Env;
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
    request_timeout: Duration,
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
pub async fn serve(
    mut listener: Limited,
    config: HttpConfig,
    recovered: Recovered,
    env: Arc<Env>,
    closing: CancellationToken,
) {
    let state = HttpState {
        recovered,
        closing: closing.clone(),
        request_timeout: config.request_timeout,
    };
    let router = router(state, config.max_body_bytes);
    let mut protocol = http1::Builder::new();
    protocol
        .timer(TokioTimer::new())
        .header_read_timeout(config.request_timeout);
    let open = GracefulShutdown::new();
    loop {
        let admitted = tokio::select! {
            () = closing.cancelled() => break,
            admitted = listener.accept() => admitted,
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = open.watch(protocol.serve_connection(TokioIo::new(admitted), service));
        env.spawn("http-connection", async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an HTTP connection ended");
            }
        });
    }
    open.shutdown().await;
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
