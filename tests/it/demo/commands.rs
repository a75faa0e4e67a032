//! Sub-commands against a running server: what they print, and the exit codes that scripts rely on.

use std::io::{BufRead, BufReader, Write};
use std::process::{Output, Stdio};

use serde_json::{Value, json};
use tests::broker::TestBroker;
use tests::stream::Bed;

use super::{ended, stderr, stdout, tidemill};

pub(super) const DONE: i32 = 0;
const FAILED: i32 = 1;
pub(super) const USAGE: i32 = 2;
pub(super) const NOT_FOUND: i32 = 3;
const TIMED_OUT: i32 = 4;

/// Runs a command with the broker's addresses in its environment.
pub(super) fn run_with(broker: &TestBroker, arguments: &[&str], input: &str) -> Output {
    let mut command = tidemill(arguments);
    command
        .env("TIDEMILL_BROKERS", broker.kafka_address())
        .env("TIDEMILL_SERVER", broker.http_url());
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary can be run");
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(input.as_bytes())
        .expect("it reads");
    child.wait_with_output().expect("it ends")
}

/// Runs a command that has to end with the code given, and gives its stdout.
#[track_caller]
pub(super) fn expect(broker: &TestBroker, code: i32, arguments: &[&str]) -> String {
    let output = run_with(broker, arguments, "");
    let (out, err) = (stdout(&output), stderr(&output));
    assert_eq!(output.status.code(), Some(code), "tidemill {arguments:?}\n{out}\n{err}");
    assert!(
        code == DONE || !err.trim().is_empty(),
        "tidemill {arguments:?} failed without a word"
    );
    assert!(code == DONE || out.is_empty(), "messages go to stderr: {out}");
    out
}

#[test]
fn topics_are_made_written_read_changed_and_deleted() {
    let broker = TestBroker::start();
    let done = |arguments: &[&str]| expect(&broker, DONE, arguments);
    done(&["topic", "create", "one", "two", "-p", "3", "-c", "retention.ms=3600000"]);
    assert_eq!(
        done(&["topic", "list", "-o", "csv"]),
        "topic,partitions\none,3\ntwo,3\n"
    );
    let written = run_with(
        &broker,
        &["topic", "produce", "one", "-k", ":", "-p", "1", "-z", "zstd"],
        "a:first\nb:second\nthird\n",
    );
    assert_eq!(written.status.code(), Some(DONE), "{}", stderr(&written));
    assert_eq!(done(&["topic", "consume", "one", "-e"]), "first\nsecond\nthird\n");
    assert_eq!(
        done(&["topic", "consume", "one", "-e", "-k", "-s", "-2"]),
        "b\tsecond\n\tthird\n"
    );
    assert_eq!(
        done(&["topic", "consume", "one", "-n", "1", "-p", "1", "-s", "1"]),
        "second\n"
    );
    let record: Value = serde_json::from_str(&done(&["topic", "consume", "one", "-n", "1", "-J"])).expect("JSON");
    assert_eq!(
        (
            &record["key"],
            &record["value"],
            &record["partition"],
            &record["offset"]
        ),
        (&json!("a"), &json!("first"), &json!(1), &json!(0))
    );

    let described = done(&["topic", "describe", "one"]);
    assert!(described.contains("retention.ms = 3600000"), "{described}");
    let rows: Value = serde_json::from_str(&done(&["topic", "describe", "one", "-o", "json"])).expect("JSON");
    assert_eq!(rows.as_array().map(Vec::len), Some(3));
    assert_eq!((&rows[1]["end"], &rows[1]["records"]), (&json!("3"), &json!("3")));
    done(&[
        "topic",
        "alter",
        "one",
        "--set",
        "retention.ms=7200000",
        "--partitions",
        "4",
    ]);
    let described = done(&["topic", "describe", "one"]);
    assert!(
        described.contains("retention.ms = 7200000") && described.lines().count() == 6,
        "{described}"
    );
    done(&["topic", "alter", "one", "--delete", "retention.ms"]);
    assert!(!done(&["topic", "describe", "one"]).contains("retention.ms"));
    assert!(done(&["topic", "list", "--internal"]).lines().count() >= 3);
    done(&["topic", "delete", "one", "two"]);
    assert_eq!(done(&["topic", "list", "-o", "ndjson"]), "");
}

/// Where the broker is may be said before the verb and behind it.
#[test]
fn connection_flags_stand_on_either_side_of_the_verb() {
    let broker = TestBroker::start();
    let address = broker.kafka_address();
    let at = ["--brokers", &address, "-X", "client.id=flags"];
    let run = |arguments: &[&[&str]], code: i32| {
        let arguments = arguments.concat();
        let mut command = tidemill(&arguments);
        // Nobody listens there: the flag has to count for more than the environment.
        let output = command
            .env("TIDEMILL_BROKERS", "127.0.0.1:1")
            .output()
            .expect("it runs");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        stdout(&output)
    };
    run(&[&["topic", "create"], &at, &["behind"]], DONE);
    run(&[&["topic"], &at, &["create", "before"]], DONE);
    run(&[&["topic", "create", "last"], &at], DONE);
    let expected = "topic,partitions\nbefore,1\nbehind,1\nlast,1\n";
    assert_eq!(run(&[&["topic", "list", "-o", "csv"], &at], DONE), expected);
    assert_eq!(run(&[&["topic"], &at, &["list", "-o", "csv"]], DONE), expected);
    run(&[&["group", "list"], &at], DONE);
    run(&[&["group"], &at, &["list"]], DONE);
    run(&[&["topic", "list", "-X", "nonsense"]], USAGE);
    run(&[&["topic", "-X", "nonsense", "list"]], USAGE);
}

/// No broker, no answer, one code. The commands wait beside each other, because each waits for long.
#[test]
fn commands_without_a_broker_end_as_timed_out() {
    let patience = ["-X", "message.timeout.ms=1000"];
    let commands: [&[&str]; 14] = [
        &["topic", "list"],
        &["topic", "describe", "t"],
        &["topic", "create", "t"],
        &["topic", "delete", "t"],
        &["topic", "alter", "t", "--partitions", "3"],
        &["topic", "produce", "t"],
        &["topic", "consume", "t", "-e"],
        &["group", "list"],
        &["group", "describe", "g"],
        &["group", "seek", "g", "-t", "t", "--to", "start"],
        &["group", "delete", "g"],
        &["bench", "produce", "-n", "5"],
        &["bench", "consume"],
        &["bench", "latency", "-n", "5"],
    ];
    let running = commands.map(|arguments| {
        let mut command = tidemill(&[arguments, &patience].concat());
        command.env("TIDEMILL_BROKERS", "127.0.0.1:1");
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary can be run");
        let input = child.stdin.take();
        // Only one of them reads it.
        let _ = input.expect("a pipe").write_all(b"line\n");
        (arguments, child)
    });
    for (arguments, child) in running {
        let output = child.wait_with_output().expect("it ends");
        let (out, err) = (stdout(&output), stderr(&output));
        assert_eq!(output.status.code(), Some(TIMED_OUT), "{arguments:?}\n{out}\n{err}");
        assert!(out.is_empty() && !err.trim().is_empty(), "{arguments:?}\n{out}\n{err}");
    }
}

#[test]
fn topic_commands_fail_with_the_code_that_says_how() {
    let broker = TestBroker::start();
    expect(&broker, DONE, &["topic", "create", "here"]);
    expect(&broker, FAILED, &["topic", "create", "here"]);
    expect(&broker, FAILED, &["topic", "create", "no spaces"]);
    expect(&broker, FAILED, &["topic", "create", "copies", "-r", "3"]);
    expect(&broker, FAILED, &["topic", "alter", "here", "--set", "no.such.key=1"]);
    expect(&broker, USAGE, &["topic", "create", "other", "-c", "retention.ms"]);
    expect(&broker, USAGE, &["topic", "alter", "here"]);
    expect(&broker, USAGE, &["topic", "consume", "here", "-s", "sometimes"]);
    expect(&broker, USAGE, &["topic"]);
    expect(&broker, USAGE, &["topic", "no-such-verb"]);
    expect(&broker, NOT_FOUND, &["topic", "describe", "missing"]);
    expect(&broker, NOT_FOUND, &["topic", "delete", "missing"]);
    expect(&broker, NOT_FOUND, &["topic", "consume", "missing", "-e"]);
    expect(
        &broker,
        NOT_FOUND,
        &["topic", "alter", "missing", "--set", "retention.ms=1"],
    );
}

#[test]
fn groups_are_listed_described_moved_and_deleted() {
    let mut bed = Bed::start();
    let topic = bed.topic("grouped", 2);
    bed.send(&topic, 0, &["a", "b", "c"]);
    bed.send(&topic, 1, &["d"]);
    let name = topic.name.as_str();
    let broker = &bed.broker;
    let describe = || -> Vec<(String, String)> {
        let rows: Value =
            serde_json::from_str(&expect(broker, DONE, &["group", "describe", "readers", "-o", "json"])).expect("JSON");
        let text = |cell: &Value| cell.as_str().expect("text").to_owned();
        rows.as_array()
            .expect("rows")
            .iter()
            .map(|row| (text(&row["committed"]), text(&row["lag"])))
            .collect()
    };
    let pairs = |expected: [(&str, &str); 2]| expected.map(|(one, other)| (one.to_owned(), other.to_owned()));
    expect(broker, DONE, &["group", "seek", "readers", "-t", name, "--to", "start"]);
    assert_eq!(describe(), pairs([("0", "3"), ("0", "1")]));
    expect(broker, DONE, &["group", "seek", "readers", "-t", name, "--to", "end"]);
    assert_eq!(describe(), pairs([("3", "0"), ("1", "0")]));
    expect(
        broker,
        DONE,
        &["group", "seek", "readers", "-t", name, "-p", "0", "--to", "2"],
    );
    assert_eq!(describe(), pairs([("2", "1"), ("1", "0")]));
    expect(broker, DONE, &["group", "seek", "readers", "-t", name, "--to", "@0"]);
    assert_eq!(describe(), pairs([("0", "3"), ("0", "1")]));
    let listed = expect(broker, DONE, &["group", "list", "-o", "csv"]);
    assert!(
        listed.lines().any(|line| line.starts_with("readers,Empty,0,")),
        "{listed}"
    );
    expect(
        broker,
        FAILED,
        &["group", "seek", "readers", "-t", name, "-p", "0", "--to", "99"],
    );
    expect(
        broker,
        USAGE,
        &["group", "seek", "readers", "-t", name, "--to", "there"],
    );
    expect(
        broker,
        NOT_FOUND,
        &["group", "seek", "readers", "-t", "missing", "--to", "start"],
    );
    expect(broker, NOT_FOUND, &["group", "describe", "nobody"]);
    expect(broker, NOT_FOUND, &["group", "delete", "nobody"]);
    expect(broker, DONE, &["group", "delete", "readers"]);
    expect(broker, NOT_FOUND, &["group", "describe", "readers"]);
}

#[test]
fn sql_runs_statements_files_and_scripts() {
    let broker = TestBroker::start();
    let sql = |form: &str, text: &str| expect(&broker, DONE, &["sql", "-o", form, "-c", text]);
    let values = "SELECT * FROM (VALUES (9223372036854775807, 'a,b'), (2, NULL)) AS t(id, name)";
    let table = sql("table", values);
    assert!(
        table.contains("9223372036854775807") && table.contains("a,b") && table.to_lowercase().contains("id"),
        "{table}"
    );
    assert_eq!(sql("csv", values), "id,name\n9223372036854775807,\"a,b\"\n2,\n");
    let rows: Value = serde_json::from_str(&sql("json", values)).expect("JSON");
    assert_eq!(
        rows,
        json!([{ "id": 9_223_372_036_854_775_807_i64, "name": "a,b" }, { "id": 2, "name": null }])
    );
    let lines = sql("ndjson", values);
    assert_eq!(lines.lines().count(), 2);
    assert_eq!(
        serde_json::from_str::<Value>(lines.lines().next().expect("a line")).expect("JSON"),
        rows[0]
    );
    assert_eq!(
        sql("csv", "SELECT 1 AS a; SELECT ';' AS b -- not two;\n;"),
        "a\n1\nb\n;\n",
        "a script"
    );

    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("script.sql");
    std::fs::write(&file, "-- a comment\nSET epoch_interval = '1 s';\nSELECT 5 AS five;\n").expect("written");
    assert_eq!(
        expect(
            &broker,
            DONE,
            &["sql", "-o", "csv", "-f", file.to_str().expect("UTF-8")]
        ),
        "five\n5\n"
    );
    let piped = run_with(&broker, &["sql", "-o", "csv", "-f", "-"], "SELECT 6 AS six");
    assert_eq!(
        (piped.status.code(), stdout(&piped).as_str()),
        (Some(DONE), "six\n6\n"),
        "{}",
        stderr(&piped)
    );

    expect(&broker, FAILED, &["sql", "-c", "SELEC 1"]);
    expect(&broker, FAILED, &["sql", "-c", "SELECT 1 / 0"]);
    expect(&broker, NOT_FOUND, &["sql", "-c", "SELECT * FROM missing"]);
    expect(&broker, NOT_FOUND, &["sql", "-f", "/no/such/file.sql"]);
    expect(&broker, USAGE, &["sql", "-o", "xml", "-c", "SELECT 1"]);
    expect(&broker, USAGE, &["sql", "-c", "SELECT 1", "-f", "x"]);
    expect(
        &broker,
        TIMED_OUT,
        &["sql", "--server", "http://127.0.0.1:1", "-c", "SELECT 1"],
    );
    let hint = run_with(&broker, &["sql", "-c", "CREATE TABLE t (a INT)"], "");
    assert!(
        stderr(&hint).contains("0A000") && stderr(&hint).contains("HINT"),
        "{}",
        stderr(&hint)
    );
    // The first failure ends a script: what comes behind it is not run.
    let stopped = run_with(
        &broker,
        &[
            "sql",
            "-o",
            "csv",
            "-c",
            "SELECT 1 AS a; SELECT * FROM missing; SELECT 2 AS b",
        ],
        "",
    );
    assert_eq!(
        (stopped.status.code(), stdout(&stopped).as_str()),
        (Some(NOT_FOUND), "a\n1\n")
    );
}

#[test]
fn configuration_is_printed_shown_and_checked() {
    let broker = TestBroker::start();
    let dir = tempfile::tempdir().expect("a folder");
    let path = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_owned();
    let (good, bad, missing) = (path("good.toml"), path("bad.toml"), path("missing.toml"));
    std::fs::write(&good, expect(&broker, DONE, &["config", "default"])).expect("written");
    expect(&broker, DONE, &["config", "check", &good]);
    std::fs::write(&bad, "[kafka]\nlissten = \"127.0.0.1:9092\"\n").expect("written");
    let refused = run_with(&broker, &["config", "check", &bad], "");
    assert_eq!(refused.status.code(), Some(USAGE));
    assert!(stderr(&refused).contains("kafka.listen"), "{}", stderr(&refused));
    expect(&broker, USAGE, &["config", "check", &missing]);
    std::fs::write(&good, "[sql]\nepoch_interval = \"1s\"\n").expect("written");
    let mut layers = tidemill(&["config", "show", "--config", &good, "-X", "kafka.listen=127.0.0.1:1"]);
    let shown = layers
        .env("TIDEMILL__HTTP__LISTEN", "127.0.0.1:2")
        .output()
        .expect("it runs");
    let text = stdout(&shown);
    let line = |key: &str| {
        text.lines()
            .find(|line| line.starts_with(key))
            .unwrap_or_else(|| panic!("no {key} in {text}"))
    };
    for (key, value, origin) in [
        ("kafka.listen", "127.0.0.1:1", "command line"),
        ("http.listen", "127.0.0.1:2", "TIDEMILL__HTTP__LISTEN"),
        ("sql.epoch_interval", "1s", "good.toml"),
        ("node.id", "1", "default"),
    ] {
        assert!(line(key).contains(value) && line(key).contains(origin), "{}", line(key));
    }
}

#[test]
fn what_is_piped_in_is_a_script() {
    let broker = TestBroker::start();
    let piped = |text: &str| run_with(&broker, &["sql", "-o", "csv"], text);
    // The last statement ends with its text.
    let both = piped("SELECT 1 AS one;\nSELECT\n 2 AS two\n");
    assert_eq!(
        (both.status.code(), stdout(&both).as_str()),
        (Some(DONE), "one\n1\ntwo\n2\n"),
        "{}",
        stderr(&both)
    );
    let stopped = piped("SELECT * FROM missing; SELECT 1 AS one;\n");
    assert_eq!(
        (stopped.status.code(), stdout(&stopped).as_str()),
        (Some(NOT_FOUND), "")
    );
}

#[test]
fn consume_ends_when_nobody_reads_any_more() {
    let broker = TestBroker::start();
    let produce = || run_with(&broker, &["topic", "produce", "piped"], "line\n");
    expect(&broker, DONE, &["topic", "create", "piped"]);
    assert_eq!(produce().status.code(), Some(DONE));
    let mut command = tidemill(&["topic", "consume", "piped"]);
    command.env("TIDEMILL_BROKERS", broker.kafka_address());
    let mut consumer = command.stdout(Stdio::piped()).spawn().expect("the binary can be run");
    let mut line = String::new();
    BufReader::new(consumer.stdout.take().expect("a pipe"))
        .read_line(&mut line)
        .expect("it prints");
    assert_eq!(line, "line\n");
    // Its next line meets a pipe without a reader.
    assert_eq!(produce().status.code(), Some(DONE));
    let (output, _) = ended(consumer);
    assert_eq!(output.status.code(), Some(DONE));
}
