//! `SHOW QUERIES`.

use super::status_words;
use crate::engine::rows::{Values, result};
use crate::engine::{Engine, SqlError, StatementResult};
use crate::stats::StatsSnapshot;

impl Engine {
    /// Every running query with its state and counters.
    pub(super) fn show_queries(&self) -> Result<StatementResult, SqlError> {
        let queries = self.queries();
        let words: Vec<_> = queries.iter().map(|q| status_words(&q.status)).collect();
        let stats: Vec<StatsSnapshot> = queries.iter().map(|q| q.stats.snapshot()).collect();
        let count = |of: fn(&StatsSnapshot) -> u64| {
            Values::Number(
                stats
                    .iter()
                    .map(|s| Some(i64::try_from(of(s)).unwrap_or(i64::MAX)))
                    .collect(),
            )
        };
        let columns = vec![
            ("name", Values::text(queries.iter().map(|q| q.name.as_str()))),
            ("kind", Values::text(queries.iter().map(|q| q.kind))),
            ("status", Values::text(words.iter().map(|(status, _)| *status))),
            (
                "reason",
                Values::Text(words.iter().map(|(_, reason)| reason.clone()).collect()),
            ),
            ("rows_read", count(|s| s.rows_read)),
            ("rows_in", count(|s| s.rows_in)),
            ("rows_out", count(|s| s.rows_out)),
            ("late", count(|s| s.late)),
            ("bad", count(|s| s.bad)),
            (
                "last_bad",
                Values::Text(stats.iter().map(|s| s.last_bad.clone()).collect()),
            ),
            (
                "watermark",
                Values::Time(stats.iter().map(|s| s.watermark_us).collect()),
            ),
            ("lag", count(|s| s.source_lag)),
            ("epochs", count(|s| s.epochs)),
            ("state_bytes", count(|s| s.state_bytes)),
            ("restarts", count(|s| s.restarts)),
        ];
        result("SHOW", columns)
    }
}
