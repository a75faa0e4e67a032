//! `WITH (...)` options as values. An unknown option is an error that names the nearest known one.

use std::time::Duration;

use protocol::ids::{Offset, PartitionId, TimestampMs};

use super::session::{SETTINGS, SettingValues};
use super::statement::SqlOption;
use crate::error::{SqlError, SqlState};
use crate::formats::json::parse_timestamp;
use crate::plan::graph::TimestampUnit;
use crate::quantity::{parse_duration, parse_size};

const IDLE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
const MAX_FUTURE_DEFAULT: Duration = Duration::from_secs(3600);
const PARTITIONS_MAX: PartitionId = 10_000;

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

/// Options of a running query, from its statement or from the session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct QueryOptions {
    /// `epoch_interval`.
    pub(crate) epoch_interval: Option<Duration>,
    /// `memory_limit`, in bytes.
    pub(crate) memory_limit: Option<u64>,
    /// `isolation`: false for `read_uncommitted`, which overrides the source's own.
    pub(crate) committed_only: Option<bool>,
    /// `partitions` of the topic that the query writes, where it does not exist.
    pub(crate) partitions: Option<PartitionId>,
}

impl QueryOptions {
    /// Options of the topic that a query writes.
    const OF_TOPIC: &[&str] = &["partitions"];

    /// Reads the options of a materialized view, with the session's settings behind them.
    pub(crate) fn bind(options: &[SqlOption], session: &SettingValues) -> Result<Self, SqlError> {
        let known = [SETTINGS, Self::OF_TOPIC];
        Self::from(&Options::new("materialized view", &known, options)?, session)
    }

    fn from(options: &Options<'_>, session: &SettingValues) -> Result<Self, SqlError> {
        let session = session.query_options();
        if let Some(option) = options.find("parallelism") {
            parallelism(&option.value).map_err(|e| e.or_at(option.position))?;
        }
        if let Some(option) = options.find("state_ttl") {
            return Err(state_ttl().or_at(option.position));
        }
        Ok(Self {
            epoch_interval: options
                .map("epoch_interval", epoch_interval)?
                .or(session.epoch_interval),
            memory_limit: options.map("memory_limit", memory_limit)?.or(session.memory_limit),
            committed_only: options.map("isolation", isolation)?.or(session.committed_only),
            partitions: options.map("partitions", partitions)?,
        })
    }
}

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

/// The known name nearest to `name`, if one is near.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Below this similarity (0 to 1) a proposal would confuse.
    const NEAR: f64 = 0.7;
    known
        .into_iter()
        .map(|k| (strsim::jaro_winkler(name, k), k))
        .filter(|(similarity, _)| NEAR <= *similarity)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, k)| k)
}

/// A setting of a running query, checked: parallelism above 1 does not exist yet.
pub(super) fn parallelism(text: &str) -> Result<(), SqlError> {
    match text.parse::<u32>() {
        Ok(1) => Ok(()),
        Ok(0) | Err(_) => Err(SqlError::invalid_value(format!(
            "parallelism \"{text}\" must be a positive whole number"
        ))),
        Ok(_) => Err(SqlError::unsupported("a parallelism above 1 is not supported")
            .with_hint("a query runs as one pipeline; start several queries to use more cores")),
    }
}

pub(super) fn state_ttl() -> SqlError {
    SqlError::unsupported("state_ttl is not supported")
        .with_hint("the state of windowed aggregates is freed when their windows close")
}

pub(super) fn epoch_interval(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|interval| match interval.as_millis() {
        1..=60_000 => Ok(interval),
        _ => Err("must be between 1 ms and 1 minute".to_owned()),
    })
}

/// Bytes: at least a mebibyte.
pub(super) fn memory_limit(text: &str) -> Result<u64, String> {
    let bytes = parse_size(text).map_err(|_| "must be a size such as 64MiB or 64MB".to_owned())?;
    match 1 << 20 <= bytes {
        true => Ok(bytes),
        false => Err("must be a size of at least 1MiB".to_owned()),
    }
}

pub(super) fn isolation(text: &str) -> Result<bool, String> {
    match text.to_lowercase().as_str() {
        "read_committed" => Ok(true),
        "read_uncommitted" => Ok(false),
        _ => Err("must be 'read_committed' or 'read_uncommitted'".to_owned()),
    }
}

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

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|_| "must be a duration such as '10 s'".to_owned())
}

fn timestamp_unit(text: &str) -> Result<TimestampUnit, String> {
    match text.to_lowercase().as_str() {
        "s" | "second" | "seconds" => Ok(TimestampUnit::Second),
        "ms" | "millisecond" | "milliseconds" => Ok(TimestampUnit::Millisecond),
        "us" | "microsecond" | "microseconds" => Ok(TimestampUnit::Microsecond),
        "ns" | "nanosecond" | "nanoseconds" => Ok(TimestampUnit::Nanosecond),
        _ => Err("must be 's', 'ms', 'us' or 'ns'".to_owned()),
    }
}

fn partitions(text: &str) -> Result<PartitionId, String> {
    text.parse()
        .ok()
        .filter(|count| (1..=PARTITIONS_MAX).contains(count))
        .ok_or_else(|| format!("must be between 1 and {PARTITIONS_MAX}"))
}

/// Milliseconds since 1970, as a number or as RFC 3339 text.
fn timestamp(text: &str) -> Option<TimestampMs> {
    if let Ok(millis) = text.trim().parse::<TimestampMs>() {
        return (0 <= millis).then_some(millis);
    }
    parse_timestamp(text.trim()).map(|us| us.div_euclid(1000))
}

/// `0:100,1:250`
fn offsets(text: &str) -> Option<Vec<(PartitionId, Offset)>> {
    let mut offsets: Vec<(PartitionId, Offset)> = Vec::new();
    for part in text.split(',') {
        let (partition, offset) = part.split_once(':')?;
        let partition: PartitionId = partition.trim().parse().ok().filter(|p| 0 <= *p)?;
        let offset: Offset = offset.trim().parse().ok().filter(|o| 0 <= *o)?;
        if offsets.iter().any(|(p, _)| *p == partition) {
            return None;
        }
        offsets.push((partition, offset));
    }
    offsets.sort_unstable();
    Some(offsets)
}

/// `a, "B c"` as names.
fn column_names(text: &str) -> Vec<String> {
    text.split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(|name| match name.strip_prefix('"').and_then(|n| n.strip_suffix('"')) {
            Some(quoted) => quoted.to_owned(),
            None => name.to_lowercase(),
        })
        .collect()
}

/// The error for a setting that does not exist.
pub(super) fn unknown_setting(name: &str, known: &[&str]) -> SqlError {
    SqlError::new(SqlState::UNDEFINED_OBJECT, format!("there is no setting \"{name}\"")).with_hint(hint(name, known))
}

/// The known name that was meant, or all of them.
fn hint(name: &str, known: &[&str]) -> String {
    // It has a refusal of its own, and is no advice.
    let known: Vec<&str> = known.iter().copied().filter(|known| *known != "state_ttl").collect();
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("known are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(name: &str, value: &str) -> SqlOption {
        SqlOption {
            name: name.to_owned(),
            value: value.to_owned(),
            position: Some(7),
        }
    }

    #[test]
    fn unknown_options_name_the_nearest() {
        let error = SourceOptions::bind("s", &[option("topik", "x")]).expect_err("unknown");
        assert_eq!(error.code, SqlState::INVALID_PARAMETER_VALUE);
        assert_eq!(error.hint.as_deref(), Some("did you mean \"topic\"?"));
        assert_eq!(error.position, Some(7));
    }

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

    #[test]
    fn sizes_are_those_of_the_configuration() {
        assert_eq!(memory_limit("64MiB"), Ok(64 << 20));
        assert_eq!(memory_limit("1GB"), Ok(1_000_000_000));
        assert!(memory_limit("1MB").is_err(), "below a mebibyte");
        assert!(memory_limit("12").is_err());
        assert!(memory_limit("64 parsec").is_err());
    }
}
