//! Counters and histograms that grow while the broker works.
//!
//! What happens per request or batch touches handles that were resolved before: one per API, one set per topic. A
//! label is never anything a client made up, except for topic names, and those are bounded.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};
use protocol::{ApiKey, ErrorCode};

use super::families::{self, Family};
use super::labels::{LabelCap, OTHER};
use crate::handlers::ROUTES;

/// Bucket bounds of latencies in seconds.
const LATENCY_BUCKETS: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0,
];
/// Bucket bounds of counts per flush round.
const COUNT_BUCKETS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 512.0, 2048.0];
/// Bucket bounds of bytes per flush round.
const SIZE_BUCKETS: [f64; 9] = [
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// All counters of one broker.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    closed_requests: IntCounterVec,
    apis: HashMap<ApiKey, ApiHandles>,
    topics: RwLock<TopicTable>,
    topic_vectors: TopicVectors,
    connections: IntGauge,
    rejected: IntCounterVec,
    flush_seconds: Histogram,
    flush_logs: Histogram,
    flush_bytes: Histogram,
    flush_errors: IntCounter,
}

/// Handles of one API.
struct ApiHandles {
    latency: Histogram,
    succeeded: IntCounter,
}

/// Handles of one topic. Holding on to them saves the lookup by name.
#[derive(Clone, Debug)]
pub struct TopicHandles {
    bytes_in: IntCounter,
    records_in: IntCounter,
    bytes_out: IntCounter,
    records_out: IntCounter,
}

struct TopicVectors {
    bytes_in: IntCounterVec,
    records_in: IntCounterVec,
    bytes_out: IntCounterVec,
    records_out: IntCounterVec,
}

struct TopicTable {
    cap: LabelCap,
    handles: HashMap<String, Arc<TopicHandles>>,
}

impl Metrics {
    /// All counters at zero, with at most `max_labels` topics of their own.
    pub fn new(max_labels: usize) -> Self {
        let registry = Registry::new();
        register_process(&registry);
        let requests = counters(&registry, &families::REQUESTS);
        let latencies = register(
            &registry,
            HistogramVec::new(
                histogram_options(&families::REQUEST_DURATION, &LATENCY_BUCKETS),
                families::REQUEST_DURATION.labels,
            ),
        );
        let apis = ROUTES
            .iter()
            .map(|route| (route.api, ApiHandles::new(route.api, &latencies, &requests)))
            .collect();
        let topics = TopicTable {
            cap: LabelCap::new(max_labels),
            handles: HashMap::new(),
        };
        Self {
            apis,
            closed_requests: counters(&registry, &families::REQUESTS_UNANSWERED),
            topics: RwLock::new(topics),
            topic_vectors: TopicVectors::new(&registry),
            connections: register(&registry, IntGauge::with_opts(options(&families::CONNECTIONS))),
            rejected: counters(&registry, &families::CONNECTIONS_REJECTED),
            flush_seconds: histogram(&registry, &families::FLUSH_DURATION, &LATENCY_BUCKETS),
            flush_logs: histogram(&registry, &families::FLUSH_LOGS, &COUNT_BUCKETS),
            flush_bytes: histogram(&registry, &families::FLUSH_BYTES, &SIZE_BUCKETS),
            flush_errors: register(&registry, IntCounter::with_opts(options(&families::FLUSH_ERRORS))),
            requests,
            registry,
        }
    }

    /// A request was answered; `code` is the first error its response tells of.
    pub fn request_answered(&self, api: ApiKey, code: ErrorCode, took: Duration) {
        let handles = &self.apis[&api];
        handles.latency.observe(took.as_secs_f64());
        match code {
            ErrorCode::None => handles.succeeded.inc(),
            code => self.requests.with_label_values(&[api.name(), code.name()]).inc(),
        }
    }

    /// A request closed its connection; `None` where it cannot be told what it asked for.
    pub fn request_unanswered(&self, api: Option<ApiKey>) {
        let label = api.map_or(OTHER, ApiKey::name);
        self.closed_requests.with_label_values(&[label]).inc();
    }

    /// The handles of a topic; of `_other` once there are too many topics.
    pub fn topic(&self, name: &str) -> Arc<TopicHandles> {
        if let Some(handles) = self.read_topics(name) {
            return handles;
        }
        let mut table = self.topics.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        let label = table.cap.label(name);
        let key = if label == OTHER { OTHER } else { name };
        let vectors = &self.topic_vectors;
        Arc::clone(
            table
                .handles
                .entry(key.to_owned())
                .or_insert_with(|| Arc::new(vectors.handles(label))),
        )
    }

    /// Forgets the topics that `exists` does not know any more: their series end, and others may have their labels.
    pub fn keep_topics(&self, exists: impl Fn(&str) -> bool) {
        let mut table = self.topics.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        table.cap.retain(&exists);
        table.handles.retain(|name, _| {
            let kept = name == OTHER || exists(name);
            if !kept {
                self.topic_vectors.remove(name);
            }
            kept
        });
    }

    /// A client's batch was appended.
    pub fn topic_produced(&self, topic: &str, bytes: u64, records: u64) {
        self.topic(topic).produced(bytes, records);
    }

    /// Batches were handed to a client.
    pub fn topic_fetched(&self, topic: &str, bytes: u64, records: u64) {
        self.topic(topic).fetched(bytes, records);
    }

    /// A connection was let in.
    pub fn connection_opened(&self) {
        self.connections.inc();
    }

    /// A connection is gone.
    pub fn connection_closed(&self) {
        self.connections.dec();
    }

    /// A connection was refused because of the limit `reason`.
    pub fn connection_rejected(&self, reason: &str) {
        self.rejected.with_label_values(&[reason]).inc();
    }

    /// A flush round ended.
    pub fn flushed(&self, took: Duration, logs: usize, bytes: u64) {
        self.flush_seconds.observe(took.as_secs_f64());
        self.flush_logs.observe(logs as f64);
        self.flush_bytes.observe(bytes as f64);
    }

    /// A flush round failed.
    pub fn flush_failed(&self) {
        self.flush_errors.inc();
    }

    /// Everything counted so far, in Prometheus' text form.
    pub fn render(&self, out: &mut String) {
        let mut bytes = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut bytes) {
            tracing::error!(%error, "the metrics cannot be written");
            return;
        }
        out.push_str(&String::from_utf8_lossy(&bytes));
    }

    fn read_topics(&self, name: &str) -> Option<Arc<TopicHandles>> {
        let table = self.topics.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        table.handles.get(name).cloned()
    }
}

impl TopicHandles {
    /// A client's batch was appended.
    pub fn produced(&self, bytes: u64, records: u64) {
        self.bytes_in.inc_by(bytes);
        self.records_in.inc_by(records);
    }

    /// Batches were handed to a client.
    pub fn fetched(&self, bytes: u64, records: u64) {
        self.bytes_out.inc_by(bytes);
        self.records_out.inc_by(records);
    }
}

impl ApiHandles {
    fn new(api: ApiKey, latencies: &HistogramVec, requests: &IntCounterVec) -> Self {
        Self {
            latency: latencies.with_label_values(&[api.name()]),
            succeeded: requests.with_label_values(&[api.name(), ErrorCode::None.name()]),
        }
    }
}

impl TopicVectors {
    fn new(registry: &Registry) -> Self {
        Self {
            bytes_in: counters(registry, &families::TOPIC_BYTES_IN),
            records_in: counters(registry, &families::TOPIC_RECORDS_IN),
            bytes_out: counters(registry, &families::TOPIC_BYTES_OUT),
            records_out: counters(registry, &families::TOPIC_RECORDS_OUT),
        }
    }

    fn remove(&self, label: &str) {
        for vector in [&self.bytes_in, &self.records_in, &self.bytes_out, &self.records_out] {
            // There is nothing to remove where nothing was counted.
            let _ = vector.remove_label_values(&[label]);
        }
    }

    fn handles(&self, label: &str) -> TopicHandles {
        TopicHandles {
            bytes_in: self.bytes_in.with_label_values(&[label]),
            records_in: self.records_in.with_label_values(&[label]),
            bytes_out: self.bytes_out.with_label_values(&[label]),
            records_out: self.records_out.with_label_values(&[label]),
        }
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

fn counters(registry: &Registry, family: &Family) -> IntCounterVec {
    register(registry, IntCounterVec::new(options(family), family.labels))
}

fn histogram(registry: &Registry, family: &Family, buckets: &[f64]) -> Histogram {
    register(registry, Histogram::with_opts(histogram_options(family, buckets)))
}

fn options(family: &Family) -> Opts {
    Opts::new(family.name, family.help)
}

fn histogram_options(family: &Family, buckets: &[f64]) -> HistogramOpts {
    HistogramOpts::from(options(family)).buckets(buckets.to_vec())
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, collector: prometheus::Result<C>) -> C {
    let collector = collector.expect("names and labels of metrics stand in a table");
    registry
        .register(Box::new(collector.clone()))
        .expect("every metric is registered once");
    collector
}

fn register_process(registry: &Registry) {
    let process = prometheus::process_collector::ProcessCollector::for_self();
    registry
        .register(Box::new(process))
        .expect("every metric is registered once");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(metrics: &Metrics) -> String {
        let mut text = String::new();
        metrics.render(&mut text);
        text
    }

    #[test]
    fn topics_beyond_the_bound_are_one() {
        let metrics = Metrics::new(2);
        for topic in ["a", "b", "c", "d", "a"] {
            metrics.topic_produced(topic, 10, 1);
        }
        let text = rendered(&metrics);
        assert!(text.contains("tidemill_topic_bytes_in_total{topic=\"a\"} 20"), "{text}");
        assert!(
            text.contains("tidemill_topic_records_in_total{topic=\"_other\"} 2"),
            "{text}"
        );
        assert!(!text.contains("topic=\"c\""), "{text}");
    }

    #[test]
    fn topics_that_are_gone_leave_their_labels_to_others() {
        let metrics = Metrics::new(2);
        for topic in ["a", "b", "c"] {
            metrics.topic_produced(topic, 10, 1);
        }
        metrics.keep_topics(|topic| topic != "a");
        metrics.topic_produced("c", 10, 1);
        let text = rendered(&metrics);
        for (topic, bytes) in [("b", 10), ("c", 10), ("_other", 10)] {
            let series = format!("tidemill_topic_bytes_in_total{{topic=\"{topic}\"}} {bytes}");
            assert!(text.contains(&series), "{series}: {text}");
        }
        assert!(!text.contains("topic=\"a\""), "{text}");
    }

    #[test]
    fn requests_are_counted_by_outcome() {
        let metrics = Metrics::new(2);
        metrics.request_answered(ApiKey::Metadata, ErrorCode::None, Duration::from_millis(2));
        metrics.request_answered(
            ApiKey::Metadata,
            ErrorCode::LeaderNotAvailable,
            Duration::from_millis(2),
        );
        let text = rendered(&metrics);
        assert!(text.contains("tidemill_kafka_requests_total{api=\"Metadata\",code=\"LEADER_NOT_AVAILABLE\"} 1"));
        assert!(text.contains("tidemill_kafka_requests_total{api=\"Metadata\",code=\"NONE\"} 1"));
        assert!(text.contains("tidemill_kafka_request_duration_seconds_count{api=\"Metadata\"} 2"));
        assert!(text.contains("process_resident_memory_bytes"));
    }
}
