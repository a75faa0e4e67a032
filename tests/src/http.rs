//! The HTTP side of a broker under test: SQL statements, metrics, health.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::broker::TestBroker;

/// A status code and the body that came with it.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body as text.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: not JSON: {}", self.body))
    }

    /// SQLSTATE of an error answer.
    #[must_use]
    pub fn error_code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// Speaks HTTP to one broker. Error statuses are answers here, not errors.
pub struct Http {
    agent: ureq::Agent,
    url: String,
}

impl Http {
    /// For the broker's own HTTP address.
    #[must_use]
    pub fn of(broker: &TestBroker) -> Http {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(300)))
            .build();
        Http {
            agent: config.into(),
            url: broker.http_url(),
        }
    }

    /// GET of a path such as `/metrics`.
    ///
    /// # Panics
    /// When the server does not answer.
    #[must_use]
    pub fn get(&self, path: &str) -> Answer {
        self.try_get(path).unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    /// GET of a path from a server that may not listen yet.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn try_get(&self, path: &str) -> Result<Answer, ureq::Error> {
        let mut response = self.agent.get(format!("{}{path}", self.url)).call()?;
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(u64::MAX).read_to_string()?;
        Ok(Answer { status, body })
    }

    /// Runs one SQL statement and gives the answer, whatever its status.
    ///
    /// # Panics
    /// When the server does not answer.
    #[must_use]
    pub fn try_sql(&self, statement: &str) -> Answer {
        self.try_sql_under(statement, &json!({}))
    }

    /// Runs one SQL statement under settings and gives the answer, whatever its status.
    ///
    /// # Panics
    /// When the server does not answer.
    #[must_use]
    pub fn try_sql_under(&self, statement: &str, settings: &Value) -> Answer {
        let url = format!("{}/v1/sql", self.url);
        let request = json!({ "statement": statement, "settings": settings });
        let mut response = self
            .agent
            .post(&url)
            .header("Accept", "application/json")
            .send_json(&request)
            .unwrap_or_else(|error| panic!("{statement}: {error}"));
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(u64::MAX).read_to_string();
        Answer {
            status,
            body: body.unwrap_or_else(|error| panic!("{statement}: {error}")),
        }
    }

    /// Sends one SQL statement to a server that may die of it.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn send_sql(&self, statement: &str) -> Result<(), ureq::Error> {
        let url = format!("{}/v1/sql", self.url);
        self.agent
            .post(&url)
            .send_json(json!({ "statement": statement }))
            .map(drop)
    }

    /// Runs one SQL statement that has to succeed and gives `{"columns", "rows", "command", "row_count"}`.
    ///
    /// # Panics
    /// When it fails.
    pub fn sql(&self, statement: &str) -> Value {
        let answer = self.try_sql(statement);
        assert_eq!(answer.status, 200, "{statement}\n{}", answer.body);
        answer.json()
    }

    /// The rows of a statement that has to succeed.
    #[must_use]
    pub fn rows(&self, statement: &str) -> Vec<Vec<Value>> {
        let answer = self.sql(statement);
        let rows = answer["rows"]
            .as_array()
            .unwrap_or_else(|| panic!("no rows in {answer}"));
        rows.iter()
            .map(|row| row.as_array().expect("a row is an array").clone())
            .collect()
    }

    /// All samples of `/metrics`, by series as it is written: `name{label="value"}`.
    ///
    /// # Panics
    /// When the page is not Prometheus text.
    #[must_use]
    pub fn metrics(&self) -> BTreeMap<String, f64> {
        let page = self.get("/metrics");
        assert_eq!(page.status, 200, "{}", page.body);
        let lines = page
            .body
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty());
        lines.map(parse_sample).collect()
    }

    /// One sample, 0 when the series is not there yet.
    #[must_use]
    pub fn metric(&self, series: &str) -> f64 {
        self.metrics().get(series).copied().unwrap_or(0.0)
    }
}

/// Runs every statement of a script, in order; statements end with `;` at the end of a line.
///
/// # Panics
/// When one fails.
pub fn run_script(http: &Http, script: &str) {
    let lines: Vec<&str> = script
        .lines()
        .filter(|line| !line.trim_start().starts_with("--"))
        .collect();
    for statement in lines
        .join("\n")
        .split(";\n")
        .map(str::trim)
        .filter(|statement| !statement.is_empty())
    {
        http.sql(statement.trim_end_matches(';'));
    }
}

fn parse_sample(line: &str) -> (String, f64) {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("not a sample: {line}"));
    let value = value.parse().unwrap_or_else(|_| panic!("not a number: {line}"));
    (series.to_owned(), value)
}
