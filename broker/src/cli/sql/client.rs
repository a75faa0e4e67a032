//! `POST /v1/sql`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cli::error::CliError;

/// A connection-less client: every statement is one request. The session is on this side: what a SET answered goes along
/// with every statement behind it.
pub(crate) struct SqlClient {
    url: String,
    settings: BTreeMap<String, String>,
    agent: ureq::Agent,
}

/// What a statement answered. Values keep their text, so that no number is rounded.
#[derive(Debug, Deserialize)]
pub(crate) struct SqlResult {
    /// Columns; none for a statement that returns no rows.
    #[serde(default)]
    pub(crate) columns: Vec<Column>,
    /// Rows of JSON values.
    #[serde(default)]
    pub(crate) rows: Vec<Vec<Box<RawValue>>>,
    /// After SET and RESET: all that is set now.
    #[serde(default)]
    settings: Option<BTreeMap<String, String>>,
    /// Command tag, such as `CREATE SOURCE`.
    #[serde(default)]
    pub(crate) command: String,
    /// Bad records that the statement left out.
    #[serde(default)]
    pub(crate) skipped_rows: u64,
}

/// A result column.
#[derive(Debug, Deserialize)]
pub(crate) struct Column {
    /// Its name.
    pub(crate) name: String,
    /// Its SQL type.
    #[serde(rename = "type")]
    pub(crate) sql_type: String,
}

#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorDetail,
}

#[derive(Deserialize)]
struct ErrorDetail {
    code: String,
    message: String,
    hint: Option<String>,
}

impl SqlClient {
    /// A client for the server at `server` (`http://host:port`).
    pub(crate) fn new(server: &str) -> SqlClient {
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        SqlClient {
            url: format!("{}/v1/sql", server.trim_end_matches('/')),
            settings: BTreeMap::new(),
            agent: config.into(),
        }
    }

    /// Runs one statement.
    pub(crate) fn execute(&mut self, statement: &str) -> Result<SqlResult, CliError> {
        let body = serde_json::json!({ "statement": statement, "settings": self.settings });
        let mut response = self
            .agent
            .post(&self.url)
            .send_json(&body)
            .map_err(|error| CliError::timed_out(format!("cannot reach {}: {error}", self.url)))?;
        let status = response.status();
        let mut reader = response.body_mut().with_config().limit(u64::MAX).reader();
        let text = std::io::read_to_string(&mut reader)?;
        if status.is_success() {
            let result: SqlResult = serde_json::from_str(&text)
                .map_err(|error| CliError::failed(format!("the server's answer is malformed: {error}")))?;
            if let Some(settings) = &result.settings {
                self.settings.clone_from(settings);
            }
            return Ok(result);
        }
        Err(refusal(status.as_u16(), &text))
    }
}

fn refusal(status: u16, text: &str) -> CliError {
    let Ok(ErrorBody { error }) = serde_json::from_str(text) else {
        return CliError::failed(format!("HTTP {status}: {text}"));
    };
    let hint = error.hint.map_or(String::new(), |hint| format!("\nHINT: {hint}"));
    let message = format!("ERROR {}: {}{hint}", error.code, error.message);
    // Undefined table and undefined object.
    if error.code == "42P01" || error.code == "42704" {
        CliError::not_found(message)
    } else {
        CliError::failed(message)
    }
}
