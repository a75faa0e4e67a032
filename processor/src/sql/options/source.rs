//! Options of `CREATE SOURCE`.

use std::time::Duration;

use protocol::ids::{Offset, PartitionId, TimestampMs};

use super::Options;
use super::values::{duration, isolation, offsets, timestamp, timestamp_unit};
use crate::error::SqlError;
use crate::plan::graph::TimestampUnit;
use crate::sql::statement::SqlOption;

const IDLE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
const MAX_FUTURE_DEFAULT: Duration = Duration::from_secs(3600);

/// Options of `CREATE SOURCE`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SourceOptions {
    /// The topic; the source's own name where nothing is said.
    pub(crate) topic: String,
    /// `start`.
    pub(crate) start: StartOption,
    /// `stop`.
    pub(crate) stop: Option<StopOption>,
    /// `idle_timeout`.
    pub(crate) idle_timeout: Duration,
    /// `max_future`.
    pub(crate) max_future: Duration,
    /// `timestamp.unit`.
    pub(crate) timestamp_unit: TimestampUnit,
    /// `isolation`: false for `read_uncommitted`.
    pub(crate) committed_only: bool,
}

/// Where a new query begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StartOption {
    /// The log start.
    Earliest,
    /// The end when the query is created.
    Latest,
    /// The first record at or after a time.
    Timestamp(TimestampMs),
    /// These offsets; other partitions from the log start.
    Offsets(Vec<(PartitionId, Offset)>),
}

/// Where a query ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StopOption {
    /// The last stable offset when the query is created.
    Latest,
    /// Before the first record at or after a time.
    Timestamp(TimestampMs),
    /// Before these offsets; partitions that are not named are not read.
    Offsets(Vec<(PartitionId, Offset)>),
}

impl SourceOptions {
    const KNOWN: &[&str] = &[
        "topic",
        "format",
        "connector",
        "start",
        "stop",
        "idle_timeout",
        "max_future",
        "timestamp.unit",
        "isolation",
    ];

    /// Reads the options of the source `name`.
    pub(crate) fn bind(name: &str, options: &[SqlOption]) -> Result<Self, SqlError> {
        let options = Options::new("source", &[Self::KNOWN], options)?;
        options.only("connector", &["topic"])?;
        options.format()?;
        Ok(Self {
            topic: options.text("topic").unwrap_or(name).to_owned(),
            start: options
                .map("start", StartOption::parse)?
                .unwrap_or(StartOption::Earliest),
            stop: options.map("stop", StopOption::parse)?,
            idle_timeout: options.map("idle_timeout", duration)?.unwrap_or(IDLE_TIMEOUT_DEFAULT),
            max_future: options.map("max_future", duration)?.unwrap_or(MAX_FUTURE_DEFAULT),
            timestamp_unit: options
                .map("timestamp.unit", timestamp_unit)?
                .unwrap_or(TimestampUnit::Millisecond),
            committed_only: options.map("isolation", isolation)?.unwrap_or(true),
        })
    }
}

impl StartOption {
    fn parse(text: &str) -> Result<Self, String> {
        match text.to_lowercase().as_str() {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            _ => match offsets(text) {
                Some(offsets) => Ok(Self::Offsets(offsets)),
                None => timestamp(text)
                    .map(Self::Timestamp)
                    .ok_or_else(|| "must be 'earliest', 'latest', a timestamp, or 'partition:offset,...'".to_owned()),
            },
        }
    }
}

impl StopOption {
    fn parse(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("latest") {
            return Ok(Self::Latest);
        }
        if let Some(offsets) = offsets(text) {
            return Ok(Self::Offsets(offsets));
        }
        timestamp(text)
            .map(Self::Timestamp)
            .ok_or_else(|| "must be 'latest', a timestamp, or 'partition:offset,...'".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::super::option;
    use super::*;
    use crate::error::SqlState;

    #[test]
    fn unknown_options_name_the_nearest() {
        let error = SourceOptions::bind("s", &[option("topik", "x")]).expect_err("unknown");
        assert_eq!(error.code, SqlState::INVALID_PARAMETER_VALUE);
        assert_eq!(error.hint.as_deref(), Some("did you mean \"topic\"?"));
        assert_eq!(error.position, Some(7));
    }

    #[test]
    fn stops_and_starts() {
        let bound = SourceOptions::bind(
            "s",
            &[option("stop", "0:5, 1:7"), option("start", "2026-01-01T00:00:00Z")],
        )
        .expect("valid");
        assert_eq!(bound.stop, Some(StopOption::Offsets(vec![(0, 5), (1, 7)])));
        assert_eq!(bound.start, StartOption::Timestamp(1_767_225_600_000));
        assert_eq!(bound.topic, "s");
        assert!(SourceOptions::bind("s", &[option("stop", "0:5,0:6")]).is_err());
    }
}
