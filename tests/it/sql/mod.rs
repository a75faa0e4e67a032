//! SQL over HTTP: what each statement answers and in which form, what is refused and how, and what a bounded SELECT
//! makes of records, good and bad.

mod bad_rows;
mod errors;
mod forms;
mod limits;
mod select;
mod slow_readers;
mod statements;
mod types;

use std::time::Duration;

use serde_json::{Value, json};
use tests::broker::TestBroker;
use tests::http::Http;

/// An HTTP answer with what the plain helper does not keep: the content type and the bytes.
struct Reply {
    status: u16,
    content_type: String,
    body: Vec<u8>,
}

impl Reply {
    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("UTF-8")
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: not JSON: {}", self.text()))
    }
}

/// POSTs any bytes to `/v1/sql` with any Accept header, or none.
fn post(broker: &TestBroker, accept: Option<&str>, body: &[u8]) -> Reply {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(120)))
        .accept(accept.unwrap_or_default())
        .build();
    let agent: ureq::Agent = config.into();
    let request = agent
        .post(format!("{}/v1/sql", broker.http_url()))
        .content_type("application/json");
    let mut response = request.send(body).expect("the server answers");
    let content_type = response
        .headers()
        .get("content-type")
        .and_then(|value| value.to_str().ok());
    Reply {
        status: response.status().as_u16(),
        content_type: content_type.unwrap_or_default().to_owned(),
        body: response
            .body_mut()
            .with_config()
            .limit(u64::MAX)
            .read_to_vec()
            .expect("a whole body"),
    }
}

/// One statement in the form asked for.
fn ask(broker: &TestBroker, accept: &str, statement: &str) -> Reply {
    post(
        broker,
        Some(accept),
        json!({ "statement": statement }).to_string().as_bytes(),
    )
}

/// One statement with parameters, as JSON.
fn with_parameters(broker: &TestBroker, statement: &str, parameters: &Value) -> Reply {
    let body = json!({ "statement": statement, "parameters": parameters }).to_string();
    post(broker, None, body.as_bytes())
}

/// A statement that returns no rows: its command tag.
fn tag(http: &Http, statement: &str) -> String {
    let answer = http.sql(statement);
    assert_eq!(
        (&answer["columns"], &answer["rows"], &answer["row_count"]),
        (&json!([]), &json!([]), &json!(0))
    );
    answer["command"].as_str().expect("a command tag").to_owned()
}

/// A statement that has to fail: HTTP status and SQLSTATE.
fn refused(http: &Http, statement: &str) -> (u16, String) {
    let answer = http.try_sql(statement);
    (answer.status, answer.error_code())
}
