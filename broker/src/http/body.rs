//! The body of a request, whole and in time.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use processor::error::SqlState;
use tokio::time::timeout;

use super::HttpState;
use super::error::HttpError;

/// A body of up to `http.max_body` bytes that arrived within `http.request_timeout` of its head.
pub(super) struct WholeBody(pub(super) Bytes);

impl FromRequest<HttpState> for WholeBody {
    type Rejection = HttpError;

    async fn from_request(request: Request, state: &HttpState) -> Result<Self, HttpError> {
        let body = timeout(state.request_timeout, Bytes::from_request(request, state)).await;
        let body = body.map_err(|_| {
            let message = format!("the body did not arrive within {:?}", state.request_timeout);
            HttpError::new(StatusCode::REQUEST_TIMEOUT, SqlState::PROGRAM_LIMIT, message)
        })?;
        body.map(Self)
            .map_err(|rejection| HttpError::new(rejection.status(), SqlState::PROGRAM_LIMIT, rejection.body_text()))
    }
}
