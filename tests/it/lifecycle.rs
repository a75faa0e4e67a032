//! Starting and stopping: what is printed, what is refused, what a restart keeps, and that a stop is clean while clients
//! still wait.

use std::process::{Command, Output};

use kafka_protocol::messages::{FetchRequest, MetadataRequest, ProduceRequest};
use rustix::process::Signal;
use tests::batch::Batch;
use tests::broker::TestBroker;
use tests::client::Connection;
use tests::http::Http;
use tests::requests::{self, LATEST, Topic};
use tests::{paths, wait};

fn tidemill(arguments: &[&str]) -> Output {
    Command::new(paths::tidemill_binary())
        .args(arguments)
        .output()
        .expect("the binary can be run")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_started_server_is_alive_ready_and_measured() {
    let broker = TestBroker::start();
    let http = Http::of(&broker);
    assert_eq!(http.get("/livez").status, 200);
    assert_eq!(http.get("/readyz").status, 200);
    assert!(http.metrics().keys().any(|series| series.starts_with("tidemill_")));
    assert_eq!(
        http.get("/v1/openapi.json").json()["openapi"]
            .as_str()
            .map(|version| &version[..2]),
        Some("3.")
    );
    assert_eq!(http.get("/no/such/page").status, 404);
}

#[test]
fn sigterm_and_sigint_end_it_cleanly_while_clients_wait() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut broker = TestBroker::start();
        let mut connection = Connection::open(&broker.kafka_address());
        let topic = requests::create_topic(&mut connection, "waiting", 1, &[]);
        let behind = requests::create_topic(&mut connection, "behind", 1, &[]);
        let fetch = requests::fetch_request(12, &topic, 0, 0).with_max_wait_ms(600_000);
        let waiting = connection.send::<FetchRequest>(12, &fetch);
        // What the connection sends behind it is there for others: the broker has read as far.
        let batch = Batch::of_values(requests::now_ms(), &["behind"]);
        let produce = requests::produce_request(12, &behind, 0, -1, batch.encode());
        let produced = connection.send::<ProduceRequest>(12, &produce);
        let mut other = Connection::open(&broker.kafka_address());
        wait::until("the request behind it to be read", || {
            requests::list_offset(&mut other, &behind, 0, LATEST).offset == 1
        });
        broker.signal(signal);
        let status = broker.wait_for_exit();
        assert_eq!(status.code(), Some(0), "{}", broker.messages());
        assert!(broker.data_dir().join("clean-shutdown").exists());
        // What waits is answered early: an end of the connection alone would look like a failure.
        let answer = connection.receive::<FetchRequest>(12, waiting);
        assert_eq!(
            (answer.error_code, answer.responses[0].partitions[0].error_code),
            (0, 0)
        );
        let answer = connection.receive::<ProduceRequest>(12, produced);
        assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
        assert!(connection.is_closed_by_peer());
    }
}

/// A server in the middle of its stop, which a client that asks for much and reads nothing holds up for a while; the
/// process stands still, so that nothing ends before the test has looked.
fn frozen_in_its_stop() -> (TestBroker, Connection, Topic) {
    let broker = TestBroker::start();
    let mut connection = Connection::open(&broker.kafka_address());
    let topic = requests::create_topic(&mut connection, "unread", 1, &[]);
    let megabyte = Batch::of_total_bytes(requests::now_ms(), 1_000_000);
    for _ in 0..4 {
        requests::produce(&mut connection, &topic, 0, &megabyte);
    }
    // More than sockets take in by default (4 MiB), and read from the log before the stop begins.
    for n in 0..64 {
        let fetch = requests::fetch_request(12, &topic, 0, n % 4);
        connection.send::<FetchRequest>(12, &fetch);
    }
    let series = format!("tidemill_topic_bytes_out_total{{topic=\"{}\"}}", topic.name);
    wait::until("answers to wait for their reader", || {
        5e6 <= Http::of(&broker).metric(&series)
    });
    broker.signal(Signal::TERM);
    wait::until("the stop to begin", || {
        std::net::TcpStream::connect(broker.kafka_address()).is_err()
    });
    broker.signal(Signal::STOP);
    wait::until("the process to stand still, or to have ended", || {
        matches!(process_state(broker.pid()), 'T' | 'Z')
    });
    (broker, connection, topic)
}

/// The state letter of a process, as /proc has it: `T` stands still, `Z` has ended and is not waited for yet.
fn process_state(pid: u32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a child that was not waited for");
    let (_, behind_name) = stat.rsplit_once(") ").expect("a name in parentheses");
    behind_name.chars().next().expect("a state")
}

/// The second signal is there when the process goes on in the middle of its stop, so it has to be heard every time. Only a
/// stop that was over before the process stood still, on a machine that slept for a second, is tried again.
#[test]
fn a_second_signal_ends_it_at_once() {
    const ATTEMPTS: usize = 5;
    for _ in 0..ATTEMPTS {
        let (mut broker, connection, topic) = frozen_in_its_stop();
        let marked = broker.data_dir().join("clean-shutdown");
        let too_late = marked.exists();
        broker.signal(Signal::TERM);
        broker.signal(Signal::CONT);
        let status = broker.wait_for_exit();
        drop(connection);
        if too_late {
            continue;
        }
        assert_eq!(
            (status.code(), marked.exists()),
            (Some(1), false),
            "{}",
            broker.messages()
        );
        wait::until("its last words", || broker.messages().contains("second signal"));
        // What was acknowledged is there all the same.
        broker.restart();
        let mut connection = Connection::open(&broker.kafka_address());
        assert_eq!(requests::read_all(&mut connection, &topic, 0).len(), 4);
        return;
    }
    panic!("every stop was over before the second signal");
}

#[test]
fn a_restart_keeps_topics_ids_settings_records_and_the_cluster_id() {
    let mut broker = TestBroker::start();
    let mut connection = Connection::open(&broker.kafka_address());
    let cluster = requests::cluster(&mut connection);
    let topic = requests::create_topic(&mut connection, "kept", 3, &[("retention.ms", "86400000")]);
    for partition in 0..3 {
        requests::produce(
            &mut connection,
            &topic,
            partition,
            &Batch::of_values(requests::now_ms(), &["a", "b"]),
        );
    }
    let epoch = requests::leader_epoch(&mut connection, &topic, 0);
    for stop in ["clean", "kill -9"] {
        if stop == "clean" {
            assert_eq!(broker.terminate().code(), Some(0));
        } else {
            broker.kill();
        }
        broker.restart();
        let mut connection = Connection::open(&broker.kafka_address());
        assert_eq!(requests::cluster(&mut connection), cluster, "after {stop}");
        let described = connection
            .call(12, &requests::metadata_request(&[&topic.name], false))
            .topics[0]
            .clone();
        assert_eq!(
            (described.error_code, described.topic_id, described.partitions.len()),
            (0, topic.id, 3)
        );
        for partition in 0..3 {
            assert_eq!(
                requests::read_values(&mut connection, &topic, partition),
                [b"a", b"b"],
                "after {stop}"
            );
        }
    }
    let mut connection = Connection::open(&broker.kafka_address());
    assert!(
        requests::leader_epoch(&mut connection, &topic, 0) > epoch,
        "every start is a new leader epoch"
    );
}

/// The identity file as a pipe holds up the recovery, which opens it, until somebody opens the other end.
#[test]
fn while_it_recovers_it_is_alive_and_not_ready() {
    let mut broker = TestBroker::start();
    broker.discard_data();
    assert_eq!(broker.terminate().code(), Some(0));
    let identity = broker.data_dir().join("meta.properties");
    std::fs::remove_file(&identity).expect("the file is there");
    let made = Command::new("mkfifo")
        .arg(&identity)
        .status()
        .expect("mkfifo can be run");
    assert!(made.success());

    let http = Http::of(&broker);
    broker.start_without_waiting();
    wait::until("the HTTP port to answer", || {
        http.try_get("/livez").is_ok_and(|answer| answer.status == 200)
    });
    let ready = http.get("/readyz");
    assert_eq!(
        (ready.status, ready.json()["ready"].as_bool()),
        (503, Some(false)),
        "{}",
        ready.body
    );
    assert!(ready.body.contains("recovers"), "{}", ready.body);
    assert_eq!(http.get("/metrics").status, 503);
    let refused = http.try_sql("SELECT 1");
    assert_eq!(
        (refused.status, refused.error_code().as_str()),
        (503, "57P03"),
        "{}",
        refused.body
    );

    drop(
        std::fs::OpenOptions::new()
            .write(true)
            .open(&identity)
            .expect("the broker reads it"),
    );
    assert_eq!(broker.wait_for_exit().code(), Some(1), "a pipe is no identity");
    assert!(broker.messages().contains("meta.properties"), "{}", broker.messages());
}

#[test]
fn two_servers_do_not_share_a_data_folder() {
    let broker = TestBroker::start();
    let dir = broker.data_dir().to_str().expect("a UTF-8 path");
    let second = tidemill(&[
        "start",
        "--data-dir",
        dir,
        "-X",
        "kafka.listen=127.0.0.1:0",
        "-X",
        "http.listen=127.0.0.1:0",
    ]);
    assert_eq!(second.status.code(), Some(1), "{}", stderr(&second));
    assert!(
        stderr(&second).contains(dir),
        "the message names the folder: {}",
        stderr(&second)
    );
    assert_eq!(Http::of(&broker).get("/livez").status, 200);
}

#[test]
fn a_taken_port_is_an_error_that_names_it() {
    let broker = TestBroker::start();
    let dir = paths::new_data_dir();
    let listen = format!("kafka.listen={}", broker.kafka_address());
    let dir = dir.to_str().expect("a UTF-8 path");
    let second = tidemill(&[
        "start",
        "--data-dir",
        dir,
        "-X",
        &listen,
        "-X",
        "http.listen=127.0.0.1:0",
    ]);
    assert_eq!(second.status.code(), Some(1));
    assert!(stderr(&second).contains(&broker.kafka_address()), "{}", stderr(&second));
}

#[test]
fn an_unknown_setting_is_refused_with_the_nearest_known_one() {
    let dir = paths::new_data_dir();
    let dir = dir.to_str().expect("a UTF-8 path");
    let refused = tidemill(&["start", "--data-dir", dir, "-X", "kafka.lissten=127.0.0.1:0"]);
    assert_ne!(refused.status.code(), Some(0));
    assert!(stderr(&refused).contains("kafka.listen"), "{}", stderr(&refused));
    let bad = tidemill(&["start", "--data-dir", dir, "-X", "storage.durability=maybe"]);
    assert_ne!(bad.status.code(), Some(0));
    assert!(stderr(&bad).contains("durability"), "{}", stderr(&bad));
}

#[test]
fn help_and_usage_follow_the_exit_codes() {
    for command in ["", "start", "demo", "sql", "topic", "group", "config", "bench"] {
        let arguments: Vec<&str> = [command, "--help"]
            .into_iter()
            .filter(|word| !word.is_empty())
            .collect();
        let help = tidemill(&arguments);
        assert_eq!(help.status.code(), Some(0), "{arguments:?}: {}", stderr(&help));
        assert!(!help.stdout.is_empty());
    }
    assert_eq!(tidemill(&["no-such-command"]).status.code(), Some(2));
    assert_eq!(tidemill(&["start", "--no-such-flag"]).status.code(), Some(2));
}

#[test]
fn connections_beyond_the_bound_are_turned_away_and_the_others_live_on() {
    let broker = TestBroker::start_with(&[("kafka.max_connections", "3")]);
    let mut kept: Vec<Connection> = (0..3).map(|_| Connection::open(&broker.kafka_address())).collect();
    for connection in &mut kept {
        requests::cluster(connection);
    }
    assert!(Connection::open(&broker.kafka_address()).is_closed_by_peer());
    for connection in &mut kept {
        requests::cluster(connection);
    }
    kept.pop();
    wait::until("a place to be free", || {
        let mut connection = Connection::open(&broker.kafka_address());
        let request = MetadataRequest::default().with_topics(Some(Vec::new()));
        connection.send(12, &request);
        matches!(connection.receive_frame(), Ok(Some(_)))
    });
}

#[test]
fn a_frame_beyond_the_configured_bound_closes_the_connection() {
    let broker = TestBroker::start_with(&[("kafka.max_frame_bytes", "1MiB")]);
    let mut connection = Connection::open(&broker.kafka_address());
    connection.send_bytes(&(1024 * 1024 + 1_i32).to_be_bytes());
    assert!(connection.is_closed_by_peer());
    requests::cluster(&mut Connection::open(&broker.kafka_address()));
}
