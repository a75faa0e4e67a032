//! Settings that change what clients and operators see, each set to something else than its default.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{DeleteTopicsRequest, DescribeClusterRequest, FindCoordinatorRequest};
use serde_json::Value;
use tests::batch::Batch;
use tests::broker::TestBroker;
use tests::client::Connection;
use tests::http::Http;
use tests::requests::{self, EARLIEST, text};
use tests::stream::{Bed, FREQUENT_RETENTION};
use tests::wait;

use crate::groups::commit_simple;

const DAY_MS: i64 = 86_400_000;

#[test]
fn clients_are_told_the_advertised_address() {
    let broker = TestBroker::start_with(&[("kafka.advertised", "tide.example.org:4711")]);
    let mut connection = Connection::open(&broker.kafka_address());
    let cluster = requests::cluster(&mut connection);
    assert_eq!((cluster.host.as_str(), cluster.port), ("tide.example.org", 4711));

    requests::find_coordinator(&mut connection, "g");
    let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g")]);
    let found = connection.call(4, &request).coordinators.remove(0);
    assert_eq!((found.host.as_str(), found.port), ("tide.example.org", 4711));

    let described = connection.call(0, &DescribeClusterRequest::default());
    let node = &described.brokers[0];
    assert_eq!((node.host.as_str(), node.port), ("tide.example.org", 4711));
}

#[test]
fn log_lines_have_the_form_and_the_level_asked_for() {
    let mut broker = TestBroker::start_with(&[("log.format", "json")]);
    assert!(broker.terminate().success());
    // The last line of an orderly stop.
    wait::until("every line", || broker.messages().contains("everything is flushed"));
    for line in broker.messages().lines() {
        let line: Value = serde_json::from_str(line).expect("one JSON object a line");
        assert!(
            line["level"].is_string() && line["fields"]["message"].is_string(),
            "{line}"
        );
    }

    let mut quiet = TestBroker::start_with(&[("log.level", "error")]);
    assert!(quiet.terminate().success());
    assert_eq!(quiet.messages(), "", "nothing went wrong");
}

#[test]
fn without_the_space_asked_for_the_server_is_not_ready_and_takes_no_records() {
    // No file system has so much.
    let broker = TestBroker::start_with(&[("storage.low_space", "1000000TiB")]);
    let mut connection = Connection::open(&broker.kafka_address());
    let topic = requests::create_topic(&mut connection, "full", 1, &[]);
    let batch = Batch::of_values(requests::now_ms(), &["v"]);
    let answer = requests::produce_bytes(&mut connection, &topic, 0, batch.encode());
    assert_eq!(answer.error_code, ResponseError::KafkaStorageError.code());
    commit_simple(&mut connection, "g", &topic, 1);

    let http = Http::of(&broker);
    let ready = http.get("/readyz");
    assert_eq!(ready.status, 503);
    let reasons = ready.json()["reasons"].to_string();
    assert!(reasons.contains("space"), "{reasons}");
    assert_eq!(http.get("/livez").status, 200);
}

#[test]
fn old_records_go_when_their_time_is_over() {
    let broker = TestBroker::start_with(&[FREQUENT_RETENTION]);
    let mut connection = Connection::open(&broker.kafka_address());
    let kept = requests::create_topic(&mut connection, "kept", 1, &[("retention.ms", "-1")]);
    let old = requests::create_topic(&mut connection, "old", 1, &[("retention.ms", "3600000")]);
    for topic in [&kept, &old] {
        let yesterday = Batch::of_values(requests::now_ms() - DAY_MS, &["a", "b"]);
        requests::produce(&mut connection, topic, 0, &yesterday);
        let today = Batch::of_values(requests::now_ms(), &["c"]);
        requests::produce(&mut connection, topic, 0, &today);
    }
    // Both are in one segment, whose youngest record counts.
    assert_eq!(requests::list_offset(&mut connection, &old, 0, EARLIEST).offset, 0);
    requests::set_config(&mut connection, &old, "retention.ms", "1");
    wait::until("the records to be too old", || {
        requests::list_offset(&mut connection, &old, 0, EARLIEST).offset == 3
    });
    assert_eq!(requests::list_offset(&mut connection, &kept, 0, EARLIEST).offset, 0);
}

#[test]
fn kafkas_keys_of_the_broker_act() {
    let broker = TestBroker::start_with(&[
        ("kafka.defaults.delete.topic.enable", "false"),
        ("kafka.defaults.offsets.topic.num.partitions", "3"),
        ("kafka.defaults.fetch.max.bytes", "5000"),
    ]);
    let mut connection = Connection::open(&broker.kafka_address());
    let topic = requests::create_topic(&mut connection, "kept", 1, &[]);
    let request = DeleteTopicsRequest::default()
        .with_topic_names(vec![topic.topic_name()])
        .with_timeout_ms(30_000);
    let refused = &connection.call(5, &request).responses[0];
    assert_eq!(refused.error_code, ResponseError::TopicDeletionDisabled.code());

    commit_simple(&mut connection, "g", &topic, 1);
    let offsets = connection.call(12, &requests::metadata_request(&["__consumer_offsets"], false));
    assert_eq!(offsets.topics[0].partitions.len(), 3);

    for _ in 0..3 {
        let batch = Batch::of_total_bytes(requests::now_ms(), 2_000);
        requests::produce(&mut connection, &topic, 0, &batch);
    }
    let records = requests::fetch(&mut connection, &topic, 0, 0).records.expect("records");
    assert_eq!(Batch::decode_all(&records).len(), 2, "{} bytes", records.len());
}

#[test]
fn state_is_kept_where_the_setting_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("elsewhere");
    let mut bed = Bed::start_with(&[("sql.state_dir", path.to_str().expect("UTF-8"))]);
    let topic = bed.topic("counted", 1);
    bed.http
        .sql(&format!("CREATE SOURCE s (n BIGINT) WITH (topic = '{}')", topic.name));
    bed.http
        .sql("CREATE MATERIALIZED VIEW v AS SELECT n, count(*) AS c FROM s GROUP BY n");
    bed.send(&topic, 0, &[r#"{"n": 1}"#]);
    bed.caught_up("v", &topic.name);
    assert_eq!(std::fs::read_dir(&path).expect("made").count(), 1, "one query");
    assert!(!bed.broker.data_dir().join("state").exists());
}
