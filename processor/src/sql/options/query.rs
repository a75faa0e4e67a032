//! Options of a query that runs, from its statement or from the session.

use std::time::Duration;

use protocol::ids::PartitionId;

use super::Options;
use super::values::{epoch_interval, isolation, memory_limit, partitions};
use crate::error::SqlError;
use crate::sql::session::{SETTINGS, SettingValues};
use crate::sql::statement::SqlOption;

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
    pub(super) const OF_TOPIC: &[&str] = &["partitions"];

    /// Reads the options of a materialized view, with the session's settings behind them.
    pub(crate) fn bind(options: &[SqlOption], session: &SettingValues) -> Result<Self, SqlError> {
        let known = [SETTINGS, Self::OF_TOPIC];
        Self::from(&Options::new("materialized view", &known, options)?, session)
    }

    pub(super) fn from(options: &Options<'_>, session: &SettingValues) -> Result<Self, SqlError> {
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

/// A setting of a running query, checked: parallelism above 1 does not exist yet.
pub(in crate::sql) fn parallelism(text: &str) -> Result<(), SqlError> {
    match text.parse::<u32>() {
        Ok(1) => Ok(()),
        Ok(0) | Err(_) => Err(SqlError::invalid_value(format!(
            "parallelism \"{text}\" must be a positive whole number"
        ))),
        Ok(_) => Err(SqlError::unsupported("a parallelism above 1 is not supported")
            .with_hint("a query runs as one pipeline; start several queries to use more cores")),
    }
}

/// The refusal of `state_ttl`, which is known and not there yet.
pub(in crate::sql) fn state_ttl() -> SqlError {
    SqlError::unsupported("state_ttl is not supported")
        .with_hint("the state of windowed aggregates is freed when their windows close")
}
