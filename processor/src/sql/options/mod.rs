//! `WITH (...)` options as values. An unknown option is an error that names the nearest known one.

mod query;
mod sink;
mod source;
mod values;

pub(crate) use query::QueryOptions;
pub(super) use query::{parallelism, state_ttl};
pub(crate) use sink::{SinkConnector, SinkOptions};
pub(crate) use source::{SourceOptions, StartOption, StopOption};
pub(super) use values::{epoch_interval, isolation, memory_limit};

use super::nearest::hint;
use super::statement::SqlOption;
use crate::error::SqlError;

/// The options of one statement.
struct Options<'a> {
    given: &'a [SqlOption],
}

impl<'a> Options<'a> {
    fn new(what: &str, known: &[&[&str]], given: &'a [SqlOption]) -> Result<Self, SqlError> {
        let known = known.concat();
        for option in given {
            if known.contains(&option.name.as_str()) {
                continue;
            }
            let error = SqlError::invalid_value(format!("a {what} has no option \"{}\"", option.name));
            return Err(error.with_hint(hint(&option.name, &known)).or_at(option.position));
        }
        Ok(Self { given })
    }

    /// A sink that writes no topic would ignore the options of one.
    fn refuse_of_topic(&self, of_topic: &[&[&str]]) -> Result<(), SqlError> {
        let of_topic = of_topic.concat();
        match self.given.iter().find(|o| of_topic.contains(&o.name.as_str())) {
            None => Ok(()),
            Some(option) => Err(SqlError::invalid_value(format!(
                "a sink with connector = 'blackhole' has no option \"{}\"",
                option.name
            ))
            .with_hint("it writes no topic; leave the option out, or use connector = 'topic'")
            .or_at(option.position)),
        }
    }

    fn find(&self, name: &str) -> Option<&'a SqlOption> {
        self.given.iter().find(|o| o.name == name)
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        self.find(name).map(|o| o.value.as_str())
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.find(name).and_then(|o| o.position)
    }

    fn map<T>(&self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, SqlError> {
        let Some(option) = self.find(name) else {
            return Ok(None);
        };
        parse(&option.value).map(Some).map_err(|reason| {
            SqlError::invalid_value(format!("option \"{name}\" = '{}' {reason}", option.value)).or_at(option.position)
        })
    }

    fn only(&self, name: &str, allowed: &[&str]) -> Result<(), SqlError> {
        let Some(option) = self.find(name) else {
            return Ok(());
        };
        if allowed.contains(&option.value.to_lowercase().as_str()) {
            return Ok(());
        }
        Err(
            SqlError::unsupported(format!("{name} '{}' is not supported", option.value))
                .with_hint(format!("use {name} = '{}'", allowed.join("' or '")))
                .or_at(option.position),
        )
    }

    fn format(&self) -> Result<(), SqlError> {
        self.only("format", &["json"])
    }
}

#[cfg(test)]
fn option(name: &str, value: &str) -> SqlOption {
    SqlOption {
        name: name.to_owned(),
        value: value.to_owned(),
        position: Some(7),
    }
}
