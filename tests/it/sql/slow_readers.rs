//! Clients that ask for rows and do not read them: nobody waits for them, and what they hold is bounded in number and time.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;
use tests::batch::Batch;
use tests::broker::TestBroker;
use tests::http::Http;
use tests::requests::{self, Topic};
use tests::stream::Bed;
use tests::wait;

const PARTITIONS: i32 = 100;
const READERS: usize = 7;
/// Record batches of each partition, and the records of each: more than a socket and the operators between it and the
/// scan take in.
const BATCHES: usize = 10;
const RECORDS: usize = 16_384;
/// A client that gets no answer for so long has failed.
const ANSWER_MAX: Duration = Duration::from_secs(60);

fn connect(broker: &TestBroker) -> TcpStream {
    let url = broker.http_url();
    let stream = TcpStream::connect(url.trim_start_matches("http://")).expect("a connection");
    stream.set_read_timeout(Some(ANSWER_MAX)).expect("a socket option");
    stream
}

/// Asks for rows, looks at the status, and reads no further.
fn stalled(broker: &TestBroker, statement: &str) -> BufReader<TcpStream> {
    let body = json!({ "statement": statement }).to_string();
    let mut stream = connect(broker);
    write!(
        stream,
        "POST /v1/sql HTTP/1.1\r\nHost: tidemill\r\nContent-Type: application/json\r\nAccept: application/x-ndjson\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("sent");
    let mut reader = BufReader::with_capacity(64, stream);
    let mut status = String::new();
    reader.read_line(&mut status).expect("an answer");
    assert!(status.starts_with("HTTP/1.1 200"), "{status}");
    reader
}

#[test]
fn readers_that_stand_still_keep_nobody_from_working() {
    let mut bed = Bed::start_with(&[("storage.batch_cache", "1KiB")]);
    let roomy = [("tidemill.durability", "async")];
    let topic = requests::create_topic(&mut bed.connection, "slow", PARTITIONS, &roomy);
    let batch = Batch::of_values(requests::now_ms(), &vec![""; RECORDS]).encode();
    for _ in 0..BATCHES {
        for partition in 0..PARTITIONS {
            let answer = requests::produce_bytes(&mut bed.connection, &topic, partition, batch.clone());
            assert_eq!(answer.error_code, 0, "{answer:?}");
        }
    }
    let select = format!("SELECT _offset FROM \"{}\"", topic.name);
    let readers: Vec<_> = (0..READERS).map(|_| stalled(&bed.broker, &select)).collect();

    let created = bed.topic("meanwhile", 3);
    bed.send(&created, 0, &["one"]);
    let cold = requests::fetch(&mut bed.connection, &topic, 0, 0);
    assert_eq!(
        Batch::decode_all(&cold.records.expect("records"))[0].records.len(),
        RECORDS
    );
    let count = format!("SELECT count(*) FROM \"{}\"", topic.name);
    let all = i64::from(PARTITIONS) * i64::try_from(BATCHES * RECORDS).expect("fits");
    assert_eq!(bed.http.rows(&count), [[json!(all)]]);
    assert!(bed.broker.terminate().success(), "it stops though nobody reads");
    drop(readers);
}

/// More than a socket and the operators between it and the scan take in.
fn send_much(bed: &mut Bed, topic: &Topic) {
    let values = vec!["x".repeat(50); RECORDS];
    for _ in 0..16 {
        bed.send(topic, 0, &values);
    }
}

#[test]
fn the_number_of_selects_is_bounded() {
    let mut bed = Bed::start_with(&[("sql.max_selects", "2")]);
    let topic = bed.topic("slow", 1);
    send_much(&mut bed, &topic);
    let select = format!("SELECT _value FROM \"{}\"", topic.name);
    let first = stalled(&bed.broker, &select);
    let _second = stalled(&bed.broker, &select);
    let third = bed.http.try_sql("SELECT 1");
    assert_eq!(
        (third.status, third.error_code()),
        (503, "53400".into()),
        "{}",
        third.body
    );
    assert!(third.body.contains("sql.max_selects"), "{}", third.body);
    drop(first);
    wait::until("a client that is gone to be noticed", || {
        bed.http.try_sql("SELECT 1").status == 200
    });
}

#[test]
fn a_reader_that_stands_still_is_disconnected_in_the_end() {
    let mut bed = Bed::start_with(&[("sql.max_selects", "1"), ("http.write_timeout", "500ms")]);
    let topic = bed.topic("slow", 1);
    send_much(&mut bed, &topic);
    let _reader = stalled(&bed.broker, &format!("SELECT _value FROM \"{}\"", topic.name));
    wait::until("its SELECT to be over", || bed.http.try_sql("SELECT 1").status == 200);
}

#[test]
fn the_number_of_http_connections_is_bounded() {
    const MAX: usize = 8;
    let broker = TestBroker::start_with(&[("http.max_connections", "8")]);
    let connections: Vec<_> = (0..3 * MAX).map(|_| connect(&broker)).collect();
    let served = connections.iter().filter(|stream| answers(stream)).count();
    assert!(0 < served && served <= MAX, "{served} are served");
    drop(connections);
    let http = Http::of(&broker);
    wait::until("connections to be free again", || {
        http.try_get("/livez").is_ok_and(|answer| answer.status == 200)
    });
    let rejected = "tidemill_connections_rejected_total{reason=\"http_max_connections\"}";
    assert!((3 * MAX - served) as f64 <= http.metric(rejected));
}

/// Connections that say nothing, or half of what they have to, must not keep the health pages from those who ask.
#[test]
fn clients_that_do_not_finish_their_requests_are_disconnected() {
    const BEGINNINGS: [&str; 4] = [
        "",
        "GET /readyz HT",
        "POST /v1/sql HTTP/1.1\r\nHost: tidemill\r\nContent-Length: 100\r\n\r\n{\"statement\"",
        // Served, and silent from then on.
        "GET /livez HTTP/1.1\r\nHost: tidemill\r\n\r\n",
    ];
    let broker = TestBroker::start_with(&[("http.max_connections", "4"), ("http.request_timeout", "300ms")]);
    let unfinished: Vec<TcpStream> = BEGINNINGS
        .iter()
        .map(|beginning| {
            let mut stream = connect(&broker);
            stream.write_all(beginning.as_bytes()).expect("sent");
            stream
        })
        .collect();
    let ends: Vec<String> = unfinished
        .into_iter()
        .map(|mut stream| {
            let mut said = Vec::new();
            stream.read_to_end(&mut said).expect("the server ends it");
            String::from_utf8(said).expect("text")
        })
        .collect();
    assert_eq!(ends[0], "");
    assert!(
        ends[2].starts_with("HTTP/1.1 408 ") && ends[2].contains("300ms"),
        "{}",
        ends[2]
    );
    assert!(ends[3].starts_with("HTTP/1.1 200 "), "{}", ends[3]);
    assert_eq!(Http::of(&broker).get("/readyz").status, 200);
}

/// Whether a connection that stays open is served.
fn answers(mut stream: &TcpStream) -> bool {
    let mut first = [0; 8];
    stream
        .write_all(b"GET /livez HTTP/1.1\r\nHost: tidemill\r\n\r\n")
        .is_ok()
        && stream.read_exact(&mut first).is_ok()
}
