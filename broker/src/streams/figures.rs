//! The queries' counters, as `/metrics` shows them.

use std::time::Duration;

use processor::engine::{Engine, QuerySnapshot};
use processor::stats::EPOCH_SECONDS_BOUNDS;

use crate::env::Env;
use crate::telemetry::{HistogramFigures, QueryFigures, QuerySource, SelectFigures};

/// Reads the engine at the moment of a scrape.
pub(crate) struct EngineFigures<'a> {
    engine: &'a Engine,
    env: &'a Env,
}

impl<'a> EngineFigures<'a> {
    pub(crate) fn new(engine: &'a Engine, env: &'a Env) -> Self {
        Self { engine, env }
    }
}

impl QuerySource for EngineFigures<'_> {
    fn figures(&self) -> Vec<QueryFigures> {
        let now_ms = self.env.now_ms();
        self.engine
            .queries()
            .iter()
            .map(|query| figures(query, now_ms))
            .collect()
    }

    fn selects(&self) -> SelectFigures {
        let stats = self.engine.select_stats();
        SelectFigures {
            batches_read: stats.batches_read,
            batches_decompressed: stats.batches_decompressed,
            bad_rows: stats.bad,
        }
    }
}

fn figures(query: &QuerySnapshot, now_ms: i64) -> QueryFigures {
    let stats = query.stats.snapshot();
    QueryFigures {
        query: query.name.clone(),
        state: query.status.name().to_owned(),
        batches_read: stats.batches_read,
        batches_decompressed: stats.batches_decompressed,
        rows_read: stats.rows_read,
        rows_in: stats.rows_in,
        rows_out: stats.rows_out,
        late_rows: stats.late,
        bad_rows: stats.bad,
        failed_results: stats.failed_results,
        watermark_lag: stats.watermark_us.map(|watermark| lag(watermark, now_ms)),
        epoch_durations: HistogramFigures {
            bounds: &EPOCH_SECONDS_BOUNDS,
            counts: stats.epoch_buckets,
            sum: stats.epoch_time_sum.as_secs_f64(),
        },
        epochs: stats.epochs,
        state_bytes: stats.state_bytes,
        restarts: stats.restarts,
    }
}

/// A watermark ahead of the clock is not behind at all.
fn lag(watermark_us: i64, now_ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(now_ms.saturating_sub(watermark_us / 1000)).unwrap_or(0))
}
