//! Figures that are not counted but looked up when somebody scrapes: logs, groups, queries, the process' age.

use std::collections::BTreeMap;
use std::time::Duration;

use super::labels::LabelCap;
use super::samples::{SampleKind, Samples};
use crate::groups::GroupLag;
use crate::services::Services;

use SampleKind::{Counter, Gauge};

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
    /// Distance of the watermark from the clock; `None` before the first one.
    pub watermark_lag: Option<Duration>,
    /// How long the last epoch took from barrier to durable commit.
    pub epoch_duration: Option<Duration>,
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
    let version = env!("CARGO_PKG_VERSION");
    samples.add(
        "tidemill_build_info",
        "Version of the program; always 1.",
        Gauge,
        &[("version", version)],
        1.0,
    );
    let uptime = services.env.monotonic().as_secs_f64();
    samples.add("tidemill_uptime_seconds", "Time since the start.", Gauge, &[], uptime);
}

fn add_logs(samples: &mut Samples, services: &Services) {
    let image = services.controller.image();
    let mut labels = LabelCap::new(services.config.metrics.max_labels);
    let per_partition = services.config.metrics.per_partition;
    let topics = image.topics_by_name.len() as f64;
    samples.add("tidemill_topics", "Topics, internal ones included.", Gauge, &[], topics);
    let partitions = image.partition_count() as f64;
    samples.add(
        "tidemill_partitions",
        "Partitions, internal ones included.",
        Gauge,
        &[],
        partitions,
    );
    add_storage(samples, services);
    for log in services.partitions.manager().logs() {
        let partition = log.topic_partition();
        let internal = image.topic(&partition.topic).is_none_or(|topic| topic.internal);
        let topic = if internal {
            super::labels::OTHER
        } else {
            labels.label(&partition.topic)
        };
        let marks = log.marks();
        let of_topic = [("topic", topic)];
        let mut add = |name, help, value: f64| samples.add(name, help, Gauge, &of_topic, value);
        add(
            "tidemill_log_start_offset",
            "Log start offsets of a topic's partitions, added up.",
            marks.log_start as f64,
        );
        add(
            "tidemill_log_end_offset",
            "Log end offsets of a topic's partitions, added up.",
            marks.log_end as f64,
        );
        add(
            "tidemill_log_size_bytes",
            "Bytes of a topic's logs.",
            log.size_bytes() as f64,
        );
        add(
            "tidemill_segments",
            "Segments of a topic's logs.",
            log.segment_count() as f64,
        );
        if per_partition && !internal {
            let number = partition.partition.to_string();
            let of_partition = [("topic", topic), ("partition", number.as_str())];
            let mut add = |name, help, value: i64| samples.add(name, help, Gauge, &of_partition, value as f64);
            add("tidemill_partition_start_offset", "Log start offset.", marks.log_start);
            add(
                "tidemill_partition_high_watermark_offset",
                "High watermark.",
                marks.high_watermark,
            );
            add(
                "tidemill_partition_stable_offset",
                "Last stable offset.",
                marks.last_stable,
            );
        }
    }
}

/// Figures of the node's storage as a whole; anything but 0 here wants somebody's attention.
fn add_storage(samples: &mut Samples, services: &Services) {
    let stats = services.partitions.manager().stats();
    let mut gauge = |name, help, value: f64| samples.add(name, help, Gauge, &[], value);
    gauge(
        "tidemill_logs_stopped",
        "Logs that stopped after a failed write.",
        stats.poisoned as f64,
    );
    gauge(
        "tidemill_log_quarantined_ranges",
        "Damaged ranges found in logs.",
        stats.quarantined_ranges as f64,
    );
    gauge(
        "tidemill_disk_low",
        "1 while produce is refused for want of space.",
        f64::from(u8::from(stats.low_space)),
    );
    let help = "Reads that met damage.";
    samples.add(
        "tidemill_log_corrupt_reads_total",
        help,
        Counter,
        &[],
        stats.corrupt_reads as f64,
    );
}

fn add_groups(samples: &mut Samples, services: &Services, lags: Vec<GroupLag>) {
    let mut groups = LabelCap::new(services.config.metrics.max_labels);
    let mut topics = LabelCap::new(services.config.metrics.max_labels);
    let mut largest: BTreeMap<String, f64> = BTreeMap::new();
    for lag in &lags {
        let group = groups.label(&lag.group);
        let topic = topics.label(&lag.partition.topic);
        let labels = [("group", group), ("topic", topic)];
        let records = lag.records as f64;
        samples.add(
            "tidemill_group_lag_records",
            "Records a group has yet to read.",
            Gauge,
            &labels,
            records,
        );
        if let Some(seconds) = lag.seconds {
            let help = "Age of the oldest record a group has yet to read; 0 when it has read all.";
            samples.add_max("tidemill_group_lag_seconds", help, &labels, seconds);
        }
        let most = largest.entry(group.to_owned()).or_default();
        *most = most.max(records);
    }
    for (group, records) in &largest {
        let help = "Records a group has yet to read in the partition where it has most.";
        samples.add(
            "tidemill_group_lag_max_records",
            help,
            Gauge,
            &[("group", group)],
            *records,
        );
    }
}

fn add_selects(samples: &mut Samples, selects: SelectFigures) {
    let mut count = |name, help, value: u64| samples.add(name, help, Counter, &[], value as f64);
    count(
        "tidemill_select_batches_read_total",
        "Record batches that SELECTs read from topics.",
        selects.batches_read,
    );
    count(
        "tidemill_select_batches_decompressed_total",
        "Record batches that SELECTs decompressed.",
        selects.batches_decompressed,
    );
    count(
        "tidemill_select_bad_rows_total",
        "Bad records that SELECTs left out.",
        selects.bad_rows,
    );
}

fn add_query(samples: &mut Samples, query: &QueryFigures) {
    let of_query = [("query", query.query.as_str())];
    let mut count = |name, help, value: u64| samples.add(name, help, Counter, &of_query, value as f64);
    count(
        "tidemill_query_batches_read_total",
        "Record batches read from topics, repeated reads included.",
        query.batches_read,
    );
    count(
        "tidemill_query_batches_decompressed_total",
        "Record batches that a query decompressed.",
        query.batches_decompressed,
    );
    count(
        "tidemill_query_rows_read_total",
        "Records read from topics, repeated reads included.",
        query.rows_read,
    );
    count(
        "tidemill_query_rows_in_total",
        "Rows that entered a query.",
        query.rows_in,
    );
    count(
        "tidemill_query_rows_out_total",
        "Rows that left a query.",
        query.rows_out,
    );
    count(
        "tidemill_query_late_rows_total",
        "Rows that came after their window.",
        query.late_rows,
    );
    count(
        "tidemill_query_bad_rows_total",
        "Records that could not be decoded.",
        query.bad_rows,
    );
    count("tidemill_query_epochs_total", "Epochs committed.", query.epochs);
    count("tidemill_query_restarts_total", "Restarts of a query.", query.restarts);
    let mut gauge = |name, help, value: f64| samples.add(name, help, Gauge, &of_query, value);
    gauge(
        "tidemill_query_state_bytes",
        "Bytes of a query's state.",
        query.state_bytes as f64,
    );
    if let Some(lag) = query.watermark_lag {
        let help = "Distance of a query's watermark from the clock.";
        gauge("tidemill_query_watermark_lag_seconds", help, lag.as_secs_f64());
    }
    if let Some(took) = query.epoch_duration {
        let help = "Time of a query's last epoch from barrier to commit.";
        gauge("tidemill_query_epoch_duration_seconds", help, took.as_secs_f64());
    }
    let labels = [("query", query.query.as_str()), ("state", query.state.as_str())];
    samples.add(
        "tidemill_query_state",
        "State of a query; 1 for the one it is in.",
        Gauge,
        &labels,
        1.0,
    );
}
