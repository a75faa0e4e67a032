//! `tidemill bench`: every figure of its report is there and can be true.

use serde_json::Value;
use tests::broker::TestBroker;
use tests::half_committed::{HalfCommitted, UNDECIDED};
use tests::requests;
use tests::stream::Bed;

use super::commands::{DONE, NOT_FOUND, USAGE, expect};

const FIGURES: [&str; 10] = [
    "benchmark",
    "records",
    "bytes",
    "errors",
    "elapsed_s",
    "records_per_s",
    "bytes_per_s",
    "latency",
    "server",
    "disk",
];

fn report(broker: &TestBroker, arguments: &[&str]) -> Value {
    let all = [&["bench"], arguments, &["-o", "json"]].concat();
    serde_json::from_str(&expect(broker, DONE, &all)).expect("JSON")
}

#[track_caller]
fn number(report: &Value, pointer: &str) -> f64 {
    let figure = report.pointer(pointer).and_then(Value::as_f64);
    figure.unwrap_or_else(|| panic!("no number at {pointer}: {report}"))
}

/// What every report has: as many records and bytes as were asked for, at rates that belong to them.
#[track_caller]
fn assert_load(report: &Value, name: &str, records: u32, bytes: u32) {
    let keys: Vec<&str> = report
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(keys, FIGURES, "{report}");
    assert_eq!(report["benchmark"], name);
    let count = |pointer| number(report, pointer).to_bits();
    assert_eq!(count("/records"), f64::from(records).to_bits(), "{report}");
    assert_eq!(count("/bytes"), f64::from(bytes).to_bits(), "{report}");
    assert_eq!(count("/errors"), 0_f64.to_bits(), "{report}");
    let elapsed = number(report, "/elapsed_s");
    assert!(elapsed > 0.0, "{report}");
    for (rate, count) in [("/records_per_s", records), ("/bytes_per_s", bytes)] {
        let due = f64::from(count) / elapsed;
        assert!((number(report, rate) - due).abs() < due / 1000.0, "{rate}: {report}");
    }
}

/// What `--pid` adds: used CPU, also per record and byte, and memory.
#[track_caller]
fn assert_server(report: &Value) {
    let cpu = number(report, "/server/cpu_s");
    assert!(cpu > 0.0, "{report}");
    for (figure, unit) in [
        ("/server/cpu_s_per_million_records", number(report, "/records") / 1e6),
        ("/server/cpu_s_per_gb", number(report, "/bytes") / 1e9),
    ] {
        let due = cpu / unit;
        assert!(
            (number(report, figure) - due).abs() < due / 1000.0,
            "{figure}: {report}"
        );
    }
    let resident = number(report, "/server/resident_bytes");
    assert!(resident > 1e6, "{report}");
    assert!(number(report, "/server/resident_peak_bytes") >= resident, "{report}");
}

#[test]
fn every_figure_of_a_report_is_measured() {
    let mut broker = TestBroker::start();
    // Tens of megabytes, which would say no more to the dump tool.
    broker.discard_data();
    let (pid, folder) = (broker.pid().to_string(), tempfile::tempdir().expect("a folder"));
    let disk = folder.path().to_str().expect("UTF-8");
    let topic = ["-t", "bench", "--pid", &pid];
    let run = |arguments: &[&str]| report(&broker, &[arguments, &topic].concat());

    // Enough of them for the kernel to count CPU time, which it does in hundredths of a second.
    let produced = run(&["produce", "-n", "50000", "-s", "1000"]);
    assert_load(&produced, "produce", 50_000, 50_000_000);
    assert_server(&produced);
    assert!(
        produced["latency"].is_null() && produced["disk"].is_null(),
        "{produced}"
    );

    // The record that warms up is in the topic too.
    let consumed = run(&["consume", "--disk", disk]);
    assert_load(&consumed, "consume", 50_001, 50_000_007);
    assert_server(&consumed);
    assert!(consumed["latency"].is_null());
    assert!(number(&consumed, "/disk/fdatasync_per_s") > 0.0, "{consumed}");
    assert!(number(&consumed, "/disk/bytes_per_s_at_1mib") > 0.0, "{consumed}");
    assert_eq!(
        folder.path().read_dir().expect("a folder").count(),
        0,
        "its file is gone"
    );

    let latency = run(&[
        "latency",
        "-n",
        "2000",
        "-r",
        "2000",
        "-s",
        "100",
        "--idempotent",
        "-z",
        "lz4",
    ]);
    assert_load(&latency, "latency", 2_000, 200_000);
    assert_server(&latency);
    let quantiles = ["p50_ms", "p99_ms", "p999_ms", "max_ms"].map(|name| number(&latency, &format!("/latency/{name}")));
    assert!(quantiles[0] > 0.0 && quantiles.is_sorted(), "{latency}");
}

#[test]
fn a_report_can_be_read() {
    let broker = TestBroker::start();
    let arguments = ["bench", "latency", "-t", "bench", "-n", "300", "-r", "300", "--pid"];
    let pid = broker.pid().to_string();
    let disk = std::env::temp_dir();
    let disk = ["--disk", disk.to_str().expect("UTF-8")];
    let text = expect(&broker, DONE, &[&arguments[..], &[pid.as_str()], &disk].concat());
    let begins: Vec<&str> = text.lines().filter_map(|line| line.split(':').next()).collect();
    assert_eq!(begins, ["latency", "latency ms", "server", "disk alone"], "{text}");
    let described = expect(&broker, DONE, &["topic", "describe", "bench", "-o", "csv"]);
    assert_eq!(described.lines().count(), 5, "four partitions: {described}");
    let some = report(&broker, &["consume", "-t", "bench", "-n", "10"]);
    assert_eq!(some["records"], 10, "as many as were asked for");
    expect(&broker, NOT_FOUND, &["bench", "consume", "-t", "missing"]);
    expect(
        &broker,
        NOT_FOUND,
        &["bench", "consume", "-t", "bench", "--pid", "4294967295"],
    );
    expect(&broker, USAGE, &["bench", "dance"]);
}

/// Markers and aborted records have offsets and are no records: a topic of a query is read to its end all the same.
#[test]
fn consume_ends_where_a_topic_of_transactions_ends() {
    let mut undecided = HalfCommitted::at(UNDECIDED);
    undecided.restart_and_catch_up();
    let Bed { broker, connection, .. } = &mut undecided.bed;
    let topic = &undecided.output;
    let consumed = report(broker, &["consume", "-t", &topic.name, "--timeout-s", "600"]);
    assert_eq!(consumed["records"], 200, "what is committed");
    let all = report(
        broker,
        &["consume", "-t", &topic.name, "-X", "isolation.level=read_uncommitted"],
    );
    let written = requests::read_values(connection, topic, 0).len();
    assert!(written > 200, "{written}");
    assert_eq!(all["records"], written, "what is written");
}
