//! The HTTP port: health, metrics, and SQL. One router; every handler translates and calls one service.

mod error;
mod health;
mod metrics;
mod openapi;
mod rows;
mod sql;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use processor::engine::Engine;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::services::Services;

pub use health::Readiness;

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct HttpState {
    services: Arc<Services>,
    engine: Arc<Engine>,
    readiness: Arc<Readiness>,
    closing: CancellationToken,
}

/// The HTTP server of a broker.
pub struct HttpServer {
    listener: TcpListener,
    state: HttpState,
}

impl HttpServer {
    /// A server that will answer on `listener`.
    pub fn new(
        listener: TcpListener,
        services: Arc<Services>,
        engine: Arc<Engine>,
        readiness: Arc<Readiness>,
        closing: CancellationToken,
    ) -> HttpServer {
        HttpServer {
            listener,
            state: HttpState {
                services,
                engine,
                readiness,
                closing,
            },
        }
    }

    /// The address that is really listened on.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `closing` fires; requests that are under way may finish, but a running SELECT is cancelled.
    pub async fn run(self) {
        let closing = self.state.closing.clone();
        let served = axum::serve(self.listener, router(self.state)).with_graceful_shutdown(closing.cancelled_owned());
        if let Err(error) = served.await {
            tracing::error!(%error, "the HTTP listener failed");
        }
    }
}

fn router(state: HttpState) -> Router {
    let body_limit = DefaultBodyLimit::max(state.services.config.http.max_body_bytes);
    Router::new()
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::metrics))
        .route("/v1/sql", post(sql::sql))
        .route("/v1/openapi.json", get(openapi::openapi))
        .fallback(error::not_found)
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(body_limit)
        .with_state(state)
}
