//! Every error of the HTTP port has one form: `{"error":{"code","message","hint","position"}}`, and this file is the one
//! place where SQLSTATEs become HTTP statuses.

use axum::Json;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use processor::error::{SqlError, SqlState};
use serde::Serialize;

/// An error on its way to a client.
#[derive(Debug)]
pub(super) struct HttpError {
    status: StatusCode,
    body: ErrorBody,
}

#[derive(Debug, Serialize)]
struct ErrorBody {
    error: ErrorDetail,
}

#[derive(Debug, Serialize)]
pub(super) struct ErrorDetail {
    code: String,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<usize>,
}

impl HttpError {
    /// An error that is not SQL's: the code is a SQLSTATE all the same, so that clients have one kind to handle.
    pub(super) fn new(status: StatusCode, code: SqlState, message: impl Into<String>) -> HttpError {
        let error = ErrorDetail {
            code: code.to_string(),
            message: message.into(),
            hint: None,
            position: None,
        };
        HttpError {
            status,
            body: ErrorBody { error },
        }
    }
}

impl ErrorDetail {
    /// The fields of a SQL error; also the payload of an `error` event in a stream that has already begun.
    pub(super) fn of(error: SqlError) -> ErrorDetail {
        ErrorDetail {
            code: error.code.to_string(),
            message: error.message,
            hint: error.hint,
            position: error.position,
        }
    }
}

impl From<SqlError> for HttpError {
    fn from(error: SqlError) -> HttpError {
        let status = status_of(error.code);
        HttpError {
            status,
            body: ErrorBody {
                error: ErrorDetail::of(error),
            },
        }
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}

/// What the statement got wrong is 4xx, what the server could not do is 5xx.
fn status_of(code: SqlState) -> StatusCode {
    match code {
        SqlState::UNDEFINED_TABLE | SqlState::UNDEFINED_OBJECT => StatusCode::NOT_FOUND,
        SqlState::DUPLICATE_TABLE | SqlState::DEPENDENT_OBJECTS | SqlState::OBJECT_IN_USE | SqlState::NOT_IN_STATE => {
            StatusCode::CONFLICT
        }
        SqlState::PROGRAM_LIMIT => StatusCode::PAYLOAD_TOO_LARGE,
        SqlState::FEATURE_NOT_SUPPORTED => StatusCode::NOT_IMPLEMENTED,
        SqlState::QUERY_CANCELED => StatusCode::REQUEST_TIMEOUT,
        SqlState::OUT_OF_MEMORY
        | SqlState::CONFIGURATION_LIMIT
        | SqlState::ADMIN_SHUTDOWN
        | SqlState::CANNOT_CONNECT_NOW => StatusCode::SERVICE_UNAVAILABLE,
        SqlState::INTERNAL | SqlState::IO_ERROR | SqlState::DATA_CORRUPTED => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// No such path.
pub(super) async fn not_found(uri: Uri) -> HttpError {
    let message = format!("no such path: {}", uri.path());
    HttpError::new(StatusCode::NOT_FOUND, SqlState::UNDEFINED_OBJECT, message)
}

/// The path exists, the method does not.
pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> HttpError {
    let message = format!("{method} is not possible on {}", uri.path());
    HttpError::new(StatusCode::METHOD_NOT_ALLOWED, SqlState::FEATURE_NOT_SUPPORTED, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_mistakes_are_4xx_and_ours_5xx() {
        assert_eq!(status_of(SqlState::SYNTAX_ERROR), StatusCode::BAD_REQUEST);
        assert_eq!(status_of(SqlState::UNDEFINED_TABLE), StatusCode::NOT_FOUND);
        assert_eq!(status_of(SqlState::DUPLICATE_TABLE), StatusCode::CONFLICT);
        assert_eq!(status_of(SqlState::INTERNAL), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
