//! `POST /v1/sql`: one statement in, its result in the form that the client asks for.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use processor::engine::{Engine, StatementResult};
use processor::error::{SqlError, SqlState};
use processor::sql::{Parameter, SessionSettings};
use serde::Deserialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::HttpState;
use super::body::WholeBody;
use super::error::HttpError;
use super::rows::{self, Form, ResultRows, Summary};

/// The request's body.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    statement: String,
    #[serde(default)]
    parameters: Vec<Value>,
    #[serde(default)]
    settings: serde_json::Map<String, Value>,
}

/// Answers one request. A client that goes away cancels its statement, because the stream of rows is dropped.
pub(super) async fn sql(
    State(state): State<HttpState>,
    headers: HeaderMap,
    body: Result<WholeBody, HttpError>,
) -> Result<Response, HttpError> {
    let served = state.served()?;
    let form = accepted_form(&headers)?;
    let WholeBody(body) = body?;
    let request: Request = serde_json::from_slice(&body)
        .map_err(|error| SqlError::syntax(format!("the request's body is not as it should be: {error}")))?;
    let parameters = request
        .parameters
        .into_iter()
        .map(parameter)
        .collect::<Result<Vec<_>, _>>()?;
    let session = SessionSettings::new();
    for (name, value) in request.settings {
        set(&served.engine, &state.closing, &session, &name, &value).await?;
    }
    let running = state.closing.child_token();
    match served
        .engine
        .execute(&request.statement, &parameters, &session, running)
        .await?
    {
        StatementResult::Command { tag } => Ok(command(form, &tag, &session)),
        StatementResult::Rows {
            schema,
            stream,
            tag,
            skipped,
        } => {
            let limit = served.services.config.http.max_result_bytes;
            let rows = ResultRows {
                schema,
                stream,
                summary: Summary { tag, skipped },
            };
            rows::respond(form, rows, limit).await
        }
    }
}

/// The first form of the Accept header that is known; without one, or with `*/*`, JSON.
fn accepted_form(headers: &HeaderMap) -> Result<Form, HttpError> {
    let accept: Vec<&str> = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    if accept.is_empty() {
        return Ok(Form::Json);
    }
    let mut types = accept
        .iter()
        .flat_map(|value| value.split(','))
        .map(|part| part.split(';').next().unwrap_or(part));
    types
        .find_map(|media_type| Form::of_media_type(media_type.trim()))
        .ok_or_else(|| {
            let known = Form::ALL.map(Form::media_type).join(", ");
            let message = format!("none of the accepted types is offered: {known}");
            HttpError::new(StatusCode::NOT_ACCEPTABLE, SqlState::FEATURE_NOT_SUPPORTED, message)
        })
}

/// Numbers keep their digits.
fn parameter(value: Value) -> Result<Parameter, SqlError> {
    match value {
        Value::Null => Ok(Parameter::Null),
        Value::Bool(value) => Ok(Parameter::Boolean(value)),
        Value::Number(number) => Ok(Parameter::Number(number.to_string())),
        Value::String(text) => Ok(Parameter::Text(text)),
        Value::Array(_) | Value::Object(_) => Err(SqlError::unsupported(
            "parameters are null, booleans, numbers or text; not arrays and objects",
        )),
    }
}

/// A setting of the request is a SET before the statement.
async fn set(
    engine: &Engine,
    closing: &CancellationToken,
    session: &SessionSettings,
    name: &str,
    value: &Value,
) -> Result<(), SqlError> {
    let Value::String(value) = value else {
        return Err(SqlError::invalid_value(format!(
            "setting \"{name}\" must be given as text"
        )));
    };
    let statement = format!("SET {} = '{}'", quoted(name), value.replace('\'', "''"));
    engine
        .execute(&statement, &[], session, closing.child_token())
        .await
        .map(drop)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The answer of a statement without rows. The request was the whole session: who sets something is told what to send
/// with the requests that it is to act on.
fn command(form: Form, tag: &str, session: &SessionSettings) -> Response {
    let mut end = serde_json::json!({ "command": tag, "row_count": 0 });
    if tag == "SET" {
        end["settings"] = serde_json::json!(session.given());
    }
    let body = match form {
        Form::Json => {
            end["columns"] = serde_json::json!([]);
            end["rows"] = serde_json::json!([]);
            end.to_string()
        }
        Form::Ndjson => "[]\n".to_owned(),
        Form::Events => format!("event: end\ndata: {end}\n\n"),
        Form::Csv | Form::Arrow => return StatusCode::NO_CONTENT.into_response(),
    };
    ([(header::CONTENT_TYPE, form.media_type())], Body::from(body)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(accept: &'static str) -> Result<Form, HttpError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().expect("a header value"));
        accepted_form(&headers)
    }

    #[test]
    fn the_first_known_type_wins_and_unknown_ones_are_refused() {
        assert_eq!(form("*/*").ok(), Some(Form::Json));
        assert_eq!(form("text/html, text/csv;q=0.9").ok(), Some(Form::Csv));
        assert_eq!(form("application/vnd.apache.arrow.stream").ok(), Some(Form::Arrow));
        assert!(form("image/png").is_err());
        assert_eq!(accepted_form(&HeaderMap::new()).ok(), Some(Form::Json));
    }

    #[test]
    fn numbers_of_parameters_keep_their_digits() {
        let value: Value = serde_json::from_str("12345678901234567890.10").expect("a number");
        assert_eq!(
            parameter(value),
            Ok(Parameter::Number("12345678901234567890.10".to_owned()))
        );
    }
}
