//! Options of `CREATE SINK`.

use super::values::column_names;
use super::{Options, QueryOptions};
use crate::error::SqlError;
use crate::sql::session::{SETTINGS, SettingValues};
use crate::sql::statement::SqlOption;

/// Options of `CREATE SINK`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SinkOptions {
    /// Where rows go.
    pub(crate) connector: SinkConnector,
    /// `key`: columns that make the record key of an append stream.
    pub(crate) key: Vec<String>,
    /// Options of the query.
    pub(crate) query: QueryOptions,
}

/// Targets of sinks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SinkConnector {
    /// A topic of this broker.
    Topic(String),
    /// Nowhere.
    Blackhole,
}

impl SinkOptions {
    /// Options of every sink.
    const KNOWN: &[&str] = &["connector"];
    /// Options of a sink to a topic, beside those of every topic that a query writes.
    const OF_TOPIC: &[&str] = &["topic", "format", "key"];

    /// Reads the options of the sink `name`, with the session's settings behind them.
    pub(crate) fn bind(name: &str, options: &[SqlOption], session: &SettingValues) -> Result<Self, SqlError> {
        let known = [Self::KNOWN, Self::OF_TOPIC, QueryOptions::OF_TOPIC, SETTINGS];
        let options = Options::new("sink", &known, options)?;
        let connector = match options.text("connector") {
            Some("topic") => {
                options.format()?;
                SinkConnector::Topic(options.text("topic").unwrap_or(name).to_owned())
            }
            Some("blackhole") => {
                options.refuse_of_topic(&[Self::OF_TOPIC, QueryOptions::OF_TOPIC])?;
                SinkConnector::Blackhole
            }
            Some(other) => {
                return Err(SqlError::unsupported(format!("connector '{other}' is not supported"))
                    .with_hint("use connector = 'topic' or 'blackhole'")
                    .or_at(options.position("connector")));
            }
            None => {
                return Err(
                    SqlError::invalid_value(format!("sink \"{name}\" has no option \"connector\""))
                        .with_hint("add WITH (connector = 'topic', topic = '...')"),
                );
            }
        };
        let key = options.text("key").map(column_names).unwrap_or_default();
        Ok(Self {
            connector,
            key,
            query: QueryOptions::from(&options, session)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::option;
    use super::*;
    use crate::error::SqlState;

    #[test]
    fn a_sink_takes_the_options_of_its_connector() {
        let bind = |connector, name, value| {
            let options = [option("connector", connector), option(name, value)];
            SinkOptions::bind("s", &options, &SettingValues::default())
        };
        for (name, value) in [("topic", "t"), ("format", "json"), ("key", "a"), ("partitions", "3")] {
            bind("topic", name, value).expect(name);
            let error = bind("blackhole", name, value).expect_err(name);
            assert_eq!(error.code, SqlState::INVALID_PARAMETER_VALUE, "{name}");
            assert!(error.message.contains(name) && error.hint.is_some(), "{error:?}");
            assert_eq!(error.position, Some(7));
        }
        let bound = bind("blackhole", "epoch_interval", "1 s").expect("every query has it");
        assert_eq!(bound.query.epoch_interval, Some(Duration::from_secs(1)));
        assert!(bind("topic", "format", "avro").is_err());
    }
}
