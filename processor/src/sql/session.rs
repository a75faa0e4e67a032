//! What a connection remembers between statements, and the parameters of one statement.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use datafusion::common::ScalarValue;

use super::nearest::hint;
use super::options::{QueryOptions, epoch_interval, isolation, memory_limit, parallelism, state_ttl};
use crate::error::{SqlError, SqlState};

/// Settings that `SET` knows.
pub(crate) const SETTINGS: &[&str] = &[
    "parallelism",
    "epoch_interval",
    "state_ttl",
    "memory_limit",
    "isolation",
];

/// The settings of one connection; `SET` changes them. A client without connections, such as HTTP, makes one per
/// request, and keeps what [`SessionSettings::given`] says on its own side. It may be shared by threads.
#[derive(Debug, Default)]
pub struct SessionSettings {
    values: Mutex<SettingValues>,
}

/// The values of a session's settings.
#[derive(Debug, Clone, Default)]
pub(crate) struct SettingValues {
    texts: Vec<(&'static str, String)>,
    options: QueryOptions,
}

impl SessionSettings {
    /// A session in which nothing is set.
    pub fn new() -> Self {
        Self::default()
    }

    /// What is set, by name: given to another session, it is in the same state.
    pub fn given(&self) -> BTreeMap<&'static str, String> {
        self.lock().texts.iter().cloned().collect()
    }

    pub(crate) fn values(&self) -> SettingValues {
        self.lock().clone()
    }

    /// `SET name = value`, or `SET name = DEFAULT` with no value.
    pub(crate) fn set(&self, name: &str, value: Option<&str>) -> Result<(), SqlError> {
        let known = SETTINGS
            .iter()
            .find(|known| **known == name)
            .ok_or_else(|| unknown_setting(name, SETTINGS))?;
        self.lock().set(known, value)
    }

    fn lock(&self) -> MutexGuard<'_, SettingValues> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SettingValues {
    /// The value as it was set.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.texts
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn query_options(&self) -> QueryOptions {
        self.options.clone()
    }

    fn set(&mut self, name: &'static str, value: Option<&str>) -> Result<(), SqlError> {
        let refused = |reason: String| {
            SqlError::invalid_value(format!("setting \"{name}\" = '{}' {reason}", value.unwrap_or_default()))
        };
        match name {
            "parallelism" => value.map(parallelism).transpose().map(|_| ())?,
            "state_ttl" if value.is_some() => return Err(state_ttl()),
            "epoch_interval" => {
                let interval: Option<Duration> = value.map(epoch_interval).transpose().map_err(refused)?;
                self.options.epoch_interval = interval;
            }
            "memory_limit" => self.options.memory_limit = value.map(memory_limit).transpose().map_err(refused)?,
            "isolation" => self.options.committed_only = value.map(isolation).transpose().map_err(refused)?,
            _ => {}
        }
        self.texts.retain(|(n, _)| *n != name);
        if let Some(value) = value {
            self.texts.push((name, value.to_owned()));
        }
        Ok(())
    }
}

/// The error for a setting that does not exist.
fn unknown_setting(name: &str, known: &[&str]) -> SqlError {
    SqlError::new(SqlState::UNDEFINED_OBJECT, format!("there is no setting \"{name}\"")).with_hint(hint(name, known))
}

/// The value of `$1`, `$2`, ...: as JSON and the PostgreSQL protocol give them. Text takes the type that its place in
/// the statement asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parameter {
    /// NULL.
    Null,
    /// A boolean.
    Boolean(bool),
    /// A number as it was written: digits, and perhaps a point or an exponent.
    Number(String),
    /// Text.
    Text(String),
}

impl Parameter {
    /// As a literal: whole numbers are BIGINT, others NUMERIC or, with an exponent, DOUBLE PRECISION.
    pub(crate) fn to_scalar(&self) -> Result<ScalarValue, SqlError> {
        Ok(match self {
            Self::Null => ScalarValue::Null,
            Self::Boolean(value) => ScalarValue::Boolean(Some(*value)),
            Self::Text(text) => ScalarValue::Utf8(Some(text.clone())),
            Self::Number(text) => return number(text),
        })
    }
}

fn number(text: &str) -> Result<ScalarValue, SqlError> {
    if let Ok(whole) = text.parse::<i64>() {
        return Ok(ScalarValue::Int64(Some(whole)));
    }
    if let Some((digits, scale)) = decimal(text) {
        return Ok(ScalarValue::Decimal128(Some(digits), 38, scale));
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(ScalarValue::Float64(Some(value))),
        _ => Err(SqlError::invalid_value(format!(
            "parameter value \"{text}\" is not a number"
        ))),
    }
}

/// Digits and scale of a number without exponent that fits 38 digits.
fn decimal(text: &str) -> Option<(i128, i8)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let all = format!("{whole}{fraction}");
    let significant = all.trim_start_matches(['-', '0']).len();
    if 38 < significant || 38 < fraction.len() || fraction.contains(['-', '+']) {
        return None;
    }
    Some((all.parse().ok()?, i8::try_from(fraction.len()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_exact() {
        let scalar = |text: &str| Parameter::Number(text.to_owned()).to_scalar();
        assert_eq!(
            scalar("9007199254740993"),
            Ok(ScalarValue::Int64(Some(9_007_199_254_740_993)))
        );
        assert_eq!(scalar("-12.50"), Ok(ScalarValue::Decimal128(Some(-1250), 38, 2)));
        assert_eq!(scalar("1e3"), Ok(ScalarValue::Float64(Some(1000.0))));
        assert!(scalar("abc").is_err());
    }

    #[test]
    fn set_checks_before_it_changes() {
        let session = SessionSettings::new();
        assert!(session.set("epoch_interval", Some("soon")).is_err());
        assert_eq!(session.values().text("epoch_interval"), None);
        session.set("epoch_interval", Some("250 ms")).expect("valid");
        assert_eq!(
            session.values().query_options().epoch_interval,
            Some(Duration::from_millis(250))
        );
        session.set("epoch_interval", None).expect("valid");
        assert_eq!(session.values().query_options().epoch_interval, None);
        assert!(session.set("parallelism", Some("2")).is_err());
        assert!(
            session
                .set("paralelism", Some("1"))
                .expect_err("unknown")
                .hint
                .is_some()
        );
    }
}
