//! `/metrics`: Prometheus' text format. Figures that live elsewhere are read at the moment of the scrape.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use super::HttpState;
use super::error::HttpError;
use crate::streams::EngineFigures;
use crate::telemetry::scrape;

const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One scrape.
pub(super) async fn metrics(State(state): State<HttpState>) -> Result<impl IntoResponse, HttpError> {
    let served = state.served()?;
    let queries = EngineFigures::new(&served.engine, &served.services.env);
    let text = scrape(&served.services, Some(&queries)).await;
    Ok(([(header::CONTENT_TYPE, TEXT_FORMAT)], text))
}
