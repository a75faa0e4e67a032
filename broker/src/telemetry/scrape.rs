//! Figures that are not counted but looked up when somebody scrapes: logs, groups, queries, the process' age.

use std::time::Duration;

use super::families;
use super::labels::{LabelCap, OTHER};
use super::samples::{HistogramFigures, Samples};
use crate::groups::GroupLag;
use crate::services::Services;

/// Figures of one query at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueryFigures {
    /// Name of the query.
    pub query: String,
    /// `RUNNING`, `RESTARTING`, `FAILED` or `FINISHED`, as SHOW QUERIES says it.
    pub state: String,
    /// Record batches read from topics, again after a restart included.
    pub batches_read: u64,
    /// Decompressions of these.
    pub batches_decompressed: u64,
    /// Records read from topics, again after a restart included.
    pub rows_read: u64,
    /// Rows that entered the query.
    pub rows_in: u64,
    /// Rows that left it.
    pub rows_out: u64,
    /// Rows that came after their window.
    pub late_rows: u64,
    /// Records that could not be decoded.
    pub bad_rows: u64,
    /// Results that were held back.
    pub failed_results: u64,
    /// Distance of the watermark from the clock; `None` before the first one.
    pub watermark_lag: Option<Duration>,
    /// How long epochs took from barrier to durable commit, in seconds.
    pub epoch_durations: HistogramFigures,
    /// Epochs committed since the start of the process.
    pub epochs: u64,
    /// Bytes of state.
    pub state_bytes: u64,
    /// Restarts since the start of the process.
    pub restarts: u64,
}

/// Figures of all statements that end, since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SelectFigures {
    /// Record batches read from topics.
    pub batches_read: u64,
    /// Decompressions of these.
    pub batches_decompressed: u64,
    /// Bad records left out.
    pub bad_rows: u64,
}

/// Where the figures of queries come from; implemented over the stream processor.
pub trait QuerySource: Send + Sync {
    /// The figures of all queries now.
    fn figures(&self) -> Vec<QueryFigures>;

    /// The figures of all statements that end.
    fn selects(&self) -> SelectFigures;
}

/// The whole `/metrics` page.
pub async fn scrape(services: &Services, queries: Option<&dyn QuerySource>) -> String {
    let mut text = String::new();
    let directory = services.partitions.directory();
    services.metrics.keep_topics(|name| directory.topic(name).is_some());
    services.metrics.render(&mut text);
    let mut samples = Samples::default();
    add_process(&mut samples, services);
    add_logs(&mut samples, services);
    add_groups(&mut samples, services, services.groups.lag().await);
    if let Some(queries) = queries {
        add_selects(&mut samples, queries.selects());
        for query in queries.figures() {
            add_query(&mut samples, &query);
        }
    }
    samples.render(&mut text);
    text
}

fn add_process(samples: &mut Samples, services: &Services) {
    samples.add(&families::BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1.0);
    samples.add(&families::UPTIME, &[], services.env.monotonic().as_secs_f64());
}

fn add_logs(samples: &mut Samples, services: &Services) {
    let image = services.controller.image();
    let mut labels = LabelCap::new(services.config.metrics.max_labels);
    samples.add(&families::TOPICS, &[], image.topics_by_name.len() as f64);
    samples.add(&families::PARTITIONS, &[], image.partition_count() as f64);
    add_storage(samples, services);
    for log in services.partitions.manager().logs() {
        let partition = log.topic_partition();
        let internal = image.topic(&partition.topic).is_none_or(|topic| topic.internal);
        let topic = if internal {
            OTHER
        } else {
            labels.label(&partition.topic)
        };
        let marks = log.marks();
        samples.add(&families::LOG_START, &[topic], marks.log_start as f64);
        samples.add(&families::LOG_END, &[topic], marks.log_end as f64);
        samples.add(&families::LOG_SIZE, &[topic], log.size_bytes() as f64);
        samples.add(&families::SEGMENTS, &[topic], log.segment_count() as f64);
        if services.config.metrics.per_partition && !internal {
            let number = partition.partition.to_string();
            let labels = [topic, &number];
            samples.add(&families::PARTITION_START, &labels, marks.log_start as f64);
            samples.add(
                &families::PARTITION_HIGH_WATERMARK,
                &labels,
                marks.high_watermark as f64,
            );
            samples.add(&families::PARTITION_STABLE, &labels, marks.last_stable as f64);
        }
    }
}

/// Figures of the node's storage as a whole; anything but 0 here wants somebody's attention.
fn add_storage(samples: &mut Samples, services: &Services) {
    let stats = services.partitions.manager().stats();
    samples.add(&families::LOGS_STOPPED, &[], stats.poisoned as f64);
    samples.add(&families::LOG_QUARANTINED, &[], stats.quarantined_ranges as f64);
    samples.add(&families::DISK_LOW, &[], f64::from(u8::from(stats.low_space)));
    samples.add(&families::LOG_CORRUPT_READS, &[], stats.corrupt_reads as f64);
}

fn add_groups(samples: &mut Samples, services: &Services, lags: Vec<GroupLag>) {
    let mut groups = LabelCap::new(services.config.metrics.max_labels);
    let mut topics = LabelCap::new(services.config.metrics.max_labels);
    for lag in &lags {
        let group = groups.label(&lag.group);
        let labels = [group, topics.label(&lag.partition.topic)];
        let records = lag.records as f64;
        samples.add(&families::GROUP_LAG, &labels, records);
        samples.add_max(&families::GROUP_LAG_MAX, &[group], records);
        if let Some(seconds) = lag.seconds {
            samples.add_max(&families::GROUP_LAG_SECONDS, &labels, seconds);
        }
    }
}

fn add_selects(samples: &mut Samples, selects: SelectFigures) {
    let mut count = |family, value: u64| samples.add(family, &[], value as f64);
    count(&families::SELECT_BATCHES_READ, selects.batches_read);
    count(&families::SELECT_BATCHES_DECOMPRESSED, selects.batches_decompressed);
    count(&families::SELECT_BAD_ROWS, selects.bad_rows);
}

fn add_query(samples: &mut Samples, query: &QueryFigures) {
    let name = query.query.as_str();
    let mut count = |family, value: u64| samples.add(family, &[name], value as f64);
    count(&families::QUERY_BATCHES_READ, query.batches_read);
    count(&families::QUERY_BATCHES_DECOMPRESSED, query.batches_decompressed);
    count(&families::QUERY_ROWS_READ, query.rows_read);
    count(&families::QUERY_ROWS_IN, query.rows_in);
    count(&families::QUERY_ROWS_OUT, query.rows_out);
    count(&families::QUERY_LATE_ROWS, query.late_rows);
    count(&families::QUERY_BAD_ROWS, query.bad_rows);
    count(&families::QUERY_FAILED_RESULTS, query.failed_results);
    count(&families::QUERY_EPOCHS, query.epochs);
    count(&families::QUERY_RESTARTS, query.restarts);
    count(&families::QUERY_STATE_BYTES, query.state_bytes);
    if let Some(lag) = query.watermark_lag {
        samples.add(&families::QUERY_WATERMARK_LAG, &[name], lag.as_secs_f64());
    }
    samples.add_histogram(&families::QUERY_EPOCH_DURATION, &[name], &query.epoch_durations);
    samples.add(&families::QUERY_STATE, &[name, &query.state], 1.0);
}
