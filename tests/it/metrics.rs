//! `/metrics` as Prometheus sees it, and everything that refers to it: dashboard, alerts, the operations page, and how the
//! image is put together.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Output, Stdio};

use kafka_protocol::messages::OffsetCommitRequest;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use tests::broker::TestBroker;
use tests::client::Connection;
use tests::paths;
use tests::requests::{self, Topic};
use tests::stream::Bed;

/// Files that name metrics.
const PLACES: [&str; 3] = [
    "docker/grafana/dashboards/tidemill.json",
    "docker/prometheus/rules.yml",
    "docs/operations.md",
];

/// A group whose name needs every escape there is.
const ODD_GROUP: &str = "say \"hi\"\\\nand leave";

/// A broker after traffic of every kind: requests good and bad, a group, a query with good, bad and late rows.
fn busy() -> (Bed, Topic) {
    let mut bed = Bed::start_with(&[("kafka.max_connections", "4"), ("metrics.per_partition", "true")]);
    let topic = bed.topic("busy", 2);
    bed.http.sql(&format!(
        "CREATE SOURCE s (k TEXT, v BIGINT, ts TIMESTAMPTZ, WATERMARK FOR ts) WITH (topic = '{}')",
        topic.name
    ));
    bed.http.sql(
        "CREATE SINK \"odd\"\"name\" AS SELECT window_start, k, count(*) AS n FROM TUMBLE(s, ts, INTERVAL '1 second')
         GROUP BY window_start, window_end, k WITH (connector = 'topic', topic = 'out')",
    );
    let now = requests::now_ms();
    let row = |ts: i64| format!("{{\"k\": \"a\", \"v\": 1, \"ts\": {ts}}}");
    bed.send(
        &topic,
        0,
        &[
            row(now - 60_000),
            row(now - 30_000),
            row(now - 60_000),
            "bad".to_owned(),
        ],
    );
    bed.send(&topic, 1, &[row(now - 30_000)]);
    commit(&mut bed.connection, &topic, ODD_GROUP, 1);
    requests::read_values(&mut bed.connection, &topic, 0);
    let mut garbage = Connection::open(&bed.broker.kafka_address());
    // Metadata with a whole header (no client id, no tags) and a body that does not go on.
    garbage.send_frame(&[0, 3, 0, 9, 0, 0, 0, 1, 0xff, 0xff, 0, 0xff]);
    assert!(garbage.is_closed_by_peer());
    let mut unknown = Connection::open(&bed.broker.kafka_address());
    unknown.send_frame(&[0x7f, 0xff, 0, 0, 0, 0, 0, 1, 0xff, 0xff]);
    assert!(unknown.is_closed_by_peer());
    let alone = |bed: &Bed| bed.http.metrics().get("tidemill_connections") == Some(&1.0);
    // Their places have to be free before it is known which connection is one too many.
    tests::wait::until("the bad connections to be closed", || alone(&bed));
    let kept: Vec<Connection> = (0..3).map(|_| Connection::open(&bed.broker.kafka_address())).collect();
    let _refused = Connection::open(&bed.broker.kafka_address());
    tests::wait::until("a refused connection", || {
        bed.http
            .metrics()
            .keys()
            .any(|series| series.starts_with("tidemill_connections_rejected_total"))
    });
    drop(kept);
    tests::wait::until("the connections to be closed", || alone(&bed));
    bed.rows_until("out", "a closed window", |rows| !rows.is_empty());
    // Behind the watermark now; and a question that gets an error.
    bed.send(&topic, 0, &[row(now - 60_000)]);
    bed.caught_up("odd\\\"name", &topic.name);
    tests::wait::until("the late row", || {
        bed.http.metric("tidemill_query_late_rows_total{query=\"odd\\\"name\"}") == 1.0
    });
    assert_ne!(requests::fetch(&mut bed.connection, &topic, 0, 999).error_code, 0);
    (bed, topic)
}

fn commit(connection: &mut Connection, topic: &Topic, group: &str, offset: i64) {
    requests::find_coordinator(connection, group);
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(0)
        .with_committed_offset(offset);
    let of_topic = OffsetCommitRequestTopic::default()
        .with_name(topic.topic_name())
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(requests::text(group).into())
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![of_topic]);
    let answer = connection.call(8, &request);
    assert_eq!(answer.topics[0].partitions[0].error_code, 0, "{answer:?}");
}

/// A page taken apart: type and help text by family, and samples as (name, labels, value).
struct Page {
    types: BTreeMap<String, String>,
    helps: BTreeMap<String, String>,
    samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

/// Reads the text format by its description, strictly.
fn parse(text: &str) -> Page {
    let mut page = Page {
        types: BTreeMap::new(),
        helps: BTreeMap::new(),
        samples: Vec::new(),
    };
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').expect("a help text");
            let before = page.helps.insert(name.to_owned(), text.to_owned());
            assert!(before.is_none() && !text.is_empty(), "{line}");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a type");
            assert!(
                page.types.insert(name.to_owned(), kind.to_owned()).is_none(),
                "{name} has two types"
            );
        } else {
            page.samples.push(sample(line));
        }
    }
    page
}

fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let at = line.find(['{', ' ']).unwrap_or_else(|| panic!("no sample: {line}"));
    let (name, mut rest) = line.split_at(at);
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, behind) = rest.split_once("=\"").unwrap_or_else(|| panic!("no label: {line}"));
            let (value, behind) = label_value(behind);
            assert!(
                labels.insert(label.trim_start_matches(',').to_owned(), value).is_none(),
                "{line}"
            );
            rest = behind;
        }
        rest = &rest[1..];
    }
    let value = rest.trim().parse().unwrap_or_else(|_| panic!("no number: {line}"));
    (name.to_owned(), labels, value)
}

/// An escaped value up to its closing quote, and what follows.
fn label_value(text: &str) -> (String, &str) {
    let (mut value, mut characters) = (String::new(), text.char_indices());
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &text[at + 1..]),
            '\\' => match characters.next().map(|(_, escaped)| escaped) {
                Some('n') => value.push('\n'),
                Some(escaped @ ('"' | '\\')) => value.push(escaped),
                other => panic!("escape {other:?} in {text}"),
            },
            plain => value.push(plain),
        }
    }
    panic!("a label does not end: {text}");
}

#[test]
fn the_page_is_prometheus_text_and_tells_what_happened() {
    let (bed, _) = busy();
    let text = bed.http.get("/metrics").body;
    let page = parse(&text);
    let mut series = BTreeSet::new();
    for (name, labels, _) in &page.samples {
        let family = family_of(name, &page.types);
        assert!(family.is_some(), "{name} has no type");
        assert!(
            series.insert((name.clone(), labels.clone())),
            "{name}{labels:?} comes twice"
        );
        for label in ["client_id", "principal", "error", "message"] {
            assert!(!labels.contains_key(label), "{name} has the label {label}");
        }
    }
    let has = |name: &str, label: &str, value: &str| {
        page.samples
            .iter()
            .any(|(known, labels, _)| known == name && labels.get(label).map(String::as_str) == Some(value))
    };
    assert!(
        has("tidemill_group_lag_records", "group", ODD_GROUP),
        "labels are escaped"
    );
    assert!(
        has("tidemill_query_rows_in_total", "query", "odd\"name"),
        "labels are escaped"
    );
    assert!(has("tidemill_kafka_requests_total", "api", "Produce"));
    let value = |name: &str| {
        page.samples
            .iter()
            .filter(|(known, ..)| known == name)
            .map(|(.., value)| value)
            .sum::<f64>()
    };
    assert!(value("tidemill_query_bad_rows_total") >= 1.0);
    assert!(value("tidemill_topic_records_in_total") >= 5.0);
    assert!(value("tidemill_topic_bytes_out_total") > 0.0);
    assert!(value("tidemill_fsync_duration_seconds_count") > 0.0);
    assert!(value("tidemill_connections") >= 1.0);
    for (name, kind) in &page.types {
        assert!(name.starts_with("tidemill_") || name.starts_with("process_"), "{name}");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
        let histogram = page
            .samples
            .iter()
            .filter(|(sample, ..)| *sample == format!("{name}_bucket"));
        let infinite = histogram
            .clone()
            .filter(|(_, labels, _)| labels.get("le").map(String::as_str) == Some("+Inf"));
        assert!(
            kind != "histogram" || infinite.count() > 0 && histogram.count() > 1,
            "{name}"
        );
    }
}

/// Every figure that a broker promises, with its value after [`busy`].
#[test]
fn every_promised_metric_has_the_value_that_is_due() {
    let (bed, topic) = busy();
    let metrics = bed.http.metrics();
    let exactly = [
        // Requests by api, errors among them.
        ("kafka_requests_total{api=\"Produce\",code=\"NONE\"}", 3.0),
        ("kafka_requests_total{api=\"Fetch\",code=\"OFFSET_OUT_OF_RANGE\"}", 1.0),
        ("kafka_requests_total{api=\"OffsetCommit\",code=\"NONE\"}", 1.0),
        // Latency histograms.
        ("kafka_request_duration_seconds_count{api=\"Produce\"}", 3.0),
        (
            "kafka_request_duration_seconds_bucket{api=\"Produce\",le=\"+Inf\"}",
            3.0,
        ),
        // Records in and out.
        ("topic_records_in_total{topic=\"TOPIC\"}", 6.0),
        ("topic_records_out_total{topic=\"TOPIC\"}", 4.0),
        ("topic_records_in_total{topic=\"out\"}", 0.0),
        ("kafka_requests_unanswered_total{api=\"_other\"}", 1.0),
        // Connections.
        ("connections_rejected_total{reason=\"max_connections\"}", 1.0),
        // Log ends and starts.
        ("log_start_offset{topic=\"TOPIC\"}", 0.0),
        ("log_end_offset{topic=\"TOPIC\"}", 6.0),
        ("partition_high_watermark_offset{topic=\"TOPIC\",partition=\"1\"}", 1.0),
        ("fsync_errors_total", 0.0),
        // Lag of groups, a query's own among them.
        ("group_lag_records{group=\"ODD_GROUP\",topic=\"TOPIC\"}", 4.0),
        ("group_lag_records{group=\"tidemill.query.QUERY\",topic=\"TOPIC\"}", 0.0),
        ("group_lag_seconds{group=\"tidemill.query.QUERY\",topic=\"TOPIC\"}", 0.0),
        // The query.
        ("query_batches_read_total{query=\"QUERY\"}", 3.0),
        ("query_batches_decompressed_total{query=\"QUERY\"}", 0.0),
        ("query_rows_read_total{query=\"QUERY\"}", 6.0),
        ("query_rows_in_total{query=\"QUERY\"}", 5.0),
        ("query_rows_out_total{query=\"QUERY\"}", 1.0),
        ("query_late_rows_total{query=\"QUERY\"}", 1.0),
        ("query_bad_rows_total{query=\"QUERY\"}", 1.0),
        ("query_failed_results_total{query=\"QUERY\"}", 0.0),
        ("query_restarts_total{query=\"QUERY\"}", 0.0),
        ("query_state{query=\"QUERY\",state=\"RUNNING\"}", 1.0),
        ("select_bad_rows_total", 0.0),
    ];
    let above_zero = [
        "kafka_request_duration_seconds_sum{api=\"Produce\"}",
        "topic_bytes_in_total{topic=\"TOPIC\"}",
        "topic_bytes_out_total{topic=\"TOPIC\"}",
        "connections",
        "fsync_duration_seconds_count",
        "fsync_duration_seconds_sum",
        "flush_batch_logs_sum",
        "flush_batch_bytes_sum",
        "group_lag_seconds{group=\"ODD_GROUP\",topic=\"TOPIC\"}",
        "query_watermark_lag_seconds{query=\"QUERY\"}",
        "query_epoch_duration_seconds_sum{query=\"QUERY\"}",
        "query_epoch_duration_seconds_count{query=\"QUERY\"}",
        "query_epochs_total{query=\"QUERY\"}",
        "query_state_bytes{query=\"QUERY\"}",
    ];
    let value = |series: &str| {
        let series = series.replace("TOPIC", &topic.name).replace("QUERY", "odd\\\"name");
        let series = series.replace("ODD_GROUP", "say \\\"hi\\\"\\\\\\nand leave");
        let found = metrics.get(&format!("tidemill_{series}"));
        *found.unwrap_or_else(|| panic!("no {series} in {metrics:#?}"))
    };
    for (series, expected) in exactly {
        assert_eq!(value(series), expected, "{series}");
    }
    for series in above_zero {
        assert!(value(series) > 0.0, "{series}: {}", value(series));
    }
    let in_log = value("log_size_bytes{topic=\"TOPIC\"}");
    assert_eq!(
        value("topic_bytes_in_total{topic=\"TOPIC\"}"),
        in_log,
        "as they are stored"
    );
    assert_eq!(
        value("query_epoch_duration_seconds_bucket{query=\"QUERY\",le=\"+Inf\"}"),
        value("query_epoch_duration_seconds_count{query=\"QUERY\"}")
    );
    assert_eq!(value("flush_batch_logs_count"), value("fsync_duration_seconds_count"));
}

#[test]
fn batches_that_sql_reads_and_decompresses_are_counted() {
    let mut bed = Bed::start();
    let plain = bed.topic("plain", 1);
    let packed = requests::create_topic(&mut bed.connection, "packed", 1, &[("compression.type", "zstd")]);
    for (topic, batches) in [(&plain, 2), (&packed, 3)] {
        for _ in 0..batches {
            bed.send(topic, 0, &["a", "b"]);
        }
        bed.http.sql(&format!("SELECT count(_value) FROM \"{}\"", topic.name));
    }
    assert_eq!(bed.http.metric("tidemill_select_batches_read_total"), 5.0);
    assert_eq!(bed.http.metric("tidemill_select_batches_decompressed_total"), 3.0);
    bed.http.sql(&format!(
        "CREATE SINK q AS SELECT _key, _value FROM \"{}\" WITH (connector = 'blackhole')",
        packed.name
    ));
    bed.caught_up("q", &packed.name);
    assert_eq!(bed.query_metric("rows_read_total", "q"), 6.0);
    assert_eq!(bed.query_metric("batches_read_total", "q"), 3.0);
    assert_eq!(bed.query_metric("batches_decompressed_total", "q"), 3.0);
}

#[test]
fn promtool_accepts_a_live_scrape() {
    let (bed, _) = busy();
    let page = bed.http.get("/metrics").body;
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is installed by scripts/setup.sh test");
    promtool
        .stdin
        .take()
        .expect("a pipe")
        .write_all(page.as_bytes())
        .expect("promtool reads");
    let output = promtool.wait_with_output().expect("promtool ends");
    assert_succeeded("promtool check metrics", &output);
}

/// The family that a sample belongs to: its own name, or that of its histogram.
fn family_of<'a>(name: &'a str, types: &BTreeMap<String, String>) -> Option<&'a str> {
    let base = ["_bucket", "_sum", "_count"]
        .iter()
        .find_map(|suffix| name.strip_suffix(suffix));
    [Some(name), base]
        .into_iter()
        .flatten()
        .find(|name| types.contains_key(*name))
}

#[test]
fn every_metric_that_is_written_about_exists() {
    let (bed, _) = busy();
    // A follower that goes on reading keeps the fetch counters moving; what a page names must be there by now.
    let page = parse(&bed.http.get("/metrics").body);
    let mut missing = Vec::new();
    for place in PLACES {
        let text = std::fs::read_to_string(paths::repository().join(place)).expect("the file is in the repository");
        let words = text.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
        let names: BTreeSet<&str> = words.filter(|word| word.starts_with("tidemill_")).collect();
        assert!(!names.is_empty(), "{place} names no metric");
        missing.extend(
            names
                .into_iter()
                .filter(|name| family_of(name, &page.types).is_none())
                .map(|name| format!("{place}: {name}")),
        );
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// What docs/metrics.md says of a metric, and what a scrape shows: name, type, labels and help text.
type Told = (String, String, BTreeSet<String>, String);

fn told_by_the_page() -> BTreeSet<Told> {
    let path = paths::repository().join("docs/metrics.md");
    let text = std::fs::read_to_string(path).expect("the page is in the repository");
    let plain = |cell: &str| cell.trim().trim_matches('`').to_owned();
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let [name, kind, labels, _, help] = cells[..] else {
            panic!("not five cells: {row}")
        };
        let labels = labels.split(',').map(plain).filter(|label| !label.is_empty());
        (plain(name), plain(kind), labels.collect(), help.trim().to_owned())
    })
    .collect()
}

fn told_by(scrape: &Page) -> BTreeSet<Told> {
    let mut labels: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (name, of_sample, _) in &scrape.samples {
        let family = family_of(name, &scrape.types).unwrap_or_else(|| panic!("{name} has no type"));
        let own = of_sample.keys().filter(|label| *label != "le").cloned();
        labels.entry(family).or_default().extend(own);
    }
    let families = scrape.types.iter();
    families
        .map(|(name, kind)| {
            let labels = labels.remove(name.as_str()).unwrap_or_default();
            (name.clone(), kind.clone(), labels, scrape.helps[name].clone())
        })
        .collect()
}

#[test]
fn the_page_of_metrics_says_what_a_scrape_shows() {
    let (bed, _) = busy();
    let served = told_by(&parse(&bed.http.get("/metrics").body));
    let page = told_by_the_page();
    let (only_served, only_page) = (served.difference(&page), page.difference(&served));
    let wrong: Vec<String> = only_served
        .map(|told| format!("served, not on the page: {told:?}"))
        .chain(only_page.map(|told| format!("on the page, not served: {told:?}")))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn labels_beyond_the_bound_are_folded() {
    let mut bed = Bed::start_with(&[("metrics.max_labels", "3")]);
    let topics: Vec<Topic> = (0..6).map(|_| bed.topic("many", 1)).collect();
    for topic in &topics {
        bed.send(topic, 0, &["x"]);
        commit(&mut bed.connection, topic, &format!("group of {}", topic.name), 0);
    }
    let page = parse(&bed.http.get("/metrics").body);
    let labels = |name: &str, label: &str| -> BTreeSet<String> {
        let of = page.samples.iter().filter(|(known, ..)| known == name);
        of.filter_map(|(_, labels, _)| labels.get(label).cloned()).collect()
    };
    for (name, label) in [
        ("tidemill_topic_records_in_total", "topic"),
        ("tidemill_group_lag_records", "group"),
    ] {
        let found = labels(name, label);
        assert_eq!(found.len(), 4, "{name}: {found:?}");
        assert!(found.contains("_other"), "{name}: {found:?}");
    }
}

fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(paths::repository())
        .output();
    output.unwrap_or_else(|error| panic!("{program}: {error}; scripts/setup.sh test installs it"))
}

#[track_caller]
fn assert_succeeded(what: &str, output: &Output) {
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{what}: {}\n{stdout}\n{stderr}", output.status);
}

#[test]
fn prometheus_and_compose_accept_their_files() {
    assert_succeeded(
        "rules",
        &run("promtool", &["check", "rules", "docker/prometheus/rules.yml"]),
    );
    assert_succeeded(
        "config",
        &run("promtool", &["check", "config", "docker/prometheus/prometheus.yml"]),
    );
    assert_succeeded(
        "compose",
        &run("docker-compose", &["-f", "docker/compose.yaml", "config", "-q"]),
    );
    let dashboard = std::fs::read_to_string(paths::repository().join(PLACES[0])).expect("the dashboard");
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).expect("JSON");
    assert!(dashboard["panels"].as_array().is_some_and(|panels| panels.len() > 3));
}

/// What the Dockerfile's first stage does before it copies the sources: it has to do with the files that it copied.
#[test]
fn the_images_first_steps_need_no_more_than_they_copy() {
    let (repository, dir) = (paths::repository(), tempfile::tempdir().expect("a folder"));
    let dockerfile = std::fs::read_to_string(repository.join("docker/Dockerfile")).expect("the Dockerfile");
    let mut ran = 0;
    for line in dockerfile.lines().take_while(|line| *line != "COPY . .") {
        if let Some(copied) = line.strip_prefix("COPY ") {
            let (from, to) = copied.split_once(' ').expect("from and to");
            let to = dir.path().join(if to == "./" { from } else { to });
            let copy = Command::new("cp")
                .arg("-rT")
                .arg(repository.join(from))
                .arg(to)
                .output();
            assert_succeeded(line, &copy.expect("cp"));
        } else if let Some(command) = line.strip_prefix("RUN ") {
            let output = Command::new("bash")
                .arg("-c")
                .arg(command)
                .current_dir(dir.path())
                .output();
            assert_succeeded(line, &output.expect("bash"));
            ran += 1;
        }
    }
    assert_eq!(
        ran, 1,
        "the set-up script comes first, so that its layer outlives changes of the sources"
    );
    let user = dockerfile.lines().rfind(|line| line.starts_with("USER "));
    assert_eq!(user, Some("USER 10001:10001"), "the image does not run as root");
}

/// The container's health check, at a server's own port.
#[test]
fn the_images_health_check_knows_a_server_that_serves() {
    let dockerfile = paths::repository().join("docker/Dockerfile");
    let dockerfile = std::fs::read_to_string(dockerfile).expect("the Dockerfile");
    let check = dockerfile
        .lines()
        .find_map(|line| line.trim().strip_prefix("CMD [\"bash\""));
    let check: Vec<String> =
        serde_json::from_str(&format!("[\"bash\"{}", check.expect("a health check"))).expect("JSON");
    let mut broker = TestBroker::start();
    let address = broker.http_url().trim_start_matches("http://").replace(':', "/");
    let run = || {
        let mut command = Command::new(&check[0]);
        command.args(check[1..].iter().map(|part| part.replace("127.0.0.1/8080", &address)));
        command.output().expect("bash")
    };
    assert_succeeded("the check of a running server", &run());
    broker.terminate();
    assert!(!run().status.success(), "nobody serves any more");
}

/// The image's build step as the Dockerfile runs it, in the profile that is built already.
#[test]
fn the_images_build_step_makes_a_binary_that_runs() {
    let out = tempfile::tempdir().expect("a folder");
    let output = Command::new(paths::repository().join("docker/build-binary.sh"))
        .arg(out.path())
        .env("TIDEMILL_IMAGE_PROFILE", "dev")
        .env("CARGO_TARGET_DIR", paths::target_dir())
        .output()
        .expect("the script can be run");
    assert_succeeded("docker/build-binary.sh", &output);
    let binary = out.path().join("tidemill");
    let version = Command::new(&binary)
        .arg("--version")
        .output()
        .expect("the binary runs");
    assert_succeeded("tidemill --version", &version);
    let config = Command::new(&binary)
        .args(["config", "check", "docker/tidemill.toml"])
        .current_dir(paths::repository())
        .output();
    assert_succeeded(
        "tidemill config check docker/tidemill.toml",
        &config.expect("the binary runs"),
    );
}
