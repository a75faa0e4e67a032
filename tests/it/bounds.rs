//! Bounds of the configuration, each set low: what goes beyond gets the listed error, and what stays below is served.

use std::net::IpAddr;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::fetch_request::ForgottenTopic;
use kafka_protocol::messages::{CreatePartitionsRequest, FetchRequest, ProduceRequest};
use serde_json::json;
use tests::batch::Batch;
use tests::broker::TestBroker;
use tests::client::Connection;
use tests::http::Http;
use tests::requests::{self, LATEST, Topic};
use tests::stream::{Bed, cell};
use tests::wait;

use crate::admin;

/// The number of topics, asked for in either way that creates one.
#[test]
fn topics_beyond_the_bound_are_not_created() {
    let broker = TestBroker::start_with(&[("kafka.max_topics", "2")]);
    let mut connection = Connection::open(&broker.kafka_address());
    let first = requests::create_topic(&mut connection, "first", 1, &[]);
    requests::create_topic(&mut connection, "second", 1, &[]);
    let third = admin::create(&mut connection, admin::wanted("third"), false);
    assert_eq!(third.error_code, ResponseError::PolicyViolation.code(), "{third:?}");
    let message = third.error_message.unwrap_or_default();
    assert!(message.contains("2 topics at most"), "{message}");
    let asked = connection.call(12, &requests::metadata_request(&["fourth"], true));
    assert_ne!(asked.topics[0].error_code, 0, "{asked:?}");

    admin::delete_topic(&mut connection, &first);
    admin::create_named(&mut connection, "third");
}

#[test]
fn partitions_beyond_the_bound_are_not_created() {
    let broker = TestBroker::start_with(&[("kafka.max_partitions", "4")]);
    let mut connection = Connection::open(&broker.kafka_address());
    let topic = requests::create_topic(&mut connection, "three", 3, &[]);
    let two = admin::create(&mut connection, admin::wanted("two").with_num_partitions(2), false);
    assert_eq!(two.error_code, ResponseError::PolicyViolation.code(), "{two:?}");
    let message = two.error_message.unwrap_or_default();
    assert!(message.contains("4 partitions at most"), "{message}");

    let policy = ResponseError::PolicyViolation.code();
    assert_eq!(grow(&mut connection, &topic, 5), policy);
    assert_eq!(grow(&mut connection, &topic, 4), 0);
}

fn grow(connection: &mut Connection, topic: &Topic, count: i32) -> i16 {
    let wanted = CreatePartitionsTopic::default()
        .with_name(topic.topic_name())
        .with_count(count)
        .with_assignments(None);
    let request = CreatePartitionsRequest::default()
        .with_topics(vec![wanted])
        .with_timeout_ms(30_000);
    connection.call(3, &request).results[0].error_code
}

#[test]
fn connections_of_one_address_do_not_take_the_place_of_another() {
    let broker = TestBroker::start_with(&[("kafka.max_connections_per_ip", "2")]);
    let address = broker.kafka_address();
    let mut kept: Vec<Connection> = (0..2).map(|_| Connection::open(&address)).collect();
    for connection in &mut kept {
        requests::cluster(connection);
    }
    assert!(Connection::open(&address).is_closed_by_peer());
    let other: IpAddr = [127, 0, 0, 2].into();
    let mut elsewhere = Connection::open_from(other, &address);
    requests::cluster(&mut elsewhere);
    for connection in &mut kept {
        requests::cluster(connection);
    }
    let rejected = "tidemill_connections_rejected_total{reason=\"max_connections_per_ip\"}";
    assert_eq!(Http::of(&broker).metric(rejected), 1.0);
}

/// Two fetches wait for a topic to grow, and behind them on the same connection stands the record that they wait for: it
/// is read only once one of them has been answered, which takes somebody else's record.
#[test]
fn requests_beyond_those_in_flight_stay_in_the_socket() {
    let broker = TestBroker::start_with(&[("kafka.max_in_flight", "2")]);
    let mut connection = Connection::open(&broker.kafka_address());
    let topic = requests::create_topic(&mut connection, "queue", 1, &[]);
    let waiting = requests::fetch_request(12, &topic, 0, 0).with_max_wait_ms(600_000);
    let fetches = [0, 1].map(|_| connection.send::<FetchRequest>(12, &waiting));
    let third = Batch::of_values(requests::now_ms(), &["third"]).encode();
    let produce = requests::produce_request(12, &topic, 0, -1, third);
    let produced = connection.send::<ProduceRequest>(12, &produce);

    let mut other = Connection::open(&broker.kafka_address());
    for _ in 0..50 {
        // Each answer shows that the broker has gone on.
        requests::cluster(&mut other);
    }
    let first = Batch::of_values(requests::now_ms(), &["first"]);
    assert_eq!(
        requests::produce(&mut other, &topic, 0, &first),
        0,
        "nobody was before it"
    );
    for fetch in fetches {
        let answer = connection.receive::<FetchRequest>(12, fetch);
        let records = answer.responses[0].partitions[0].records.clone().expect("records");
        assert_eq!(
            Batch::decode_all(&records)[0].records[0].value.as_deref(),
            Some(&b"first"[..])
        );
    }
    let answer = connection.receive::<ProduceRequest>(12, produced);
    assert_eq!(answer.responses[0].partition_responses[0].base_offset, 1);
}

/// A large fetch waits for a topic to grow and keeps its memory meanwhile; it takes somebody's small request for the large
/// ones of all the other connections to be read at all.
#[test]
fn large_requests_wait_for_the_memory_that_all_connections_share() {
    const MEMORY: usize = 256 * 1024;
    const WRITERS: usize = 6;
    let memory = MEMORY.to_string();
    let broker = TestBroker::start_with(&[("kafka.request_memory", &memory), ("kafka.max_frame_bytes", &memory)]);
    let address = broker.kafka_address();
    let mut other = Connection::open(&address);
    let topic = requests::create_topic(&mut other, "queue", 1, &[]);
    let sign = requests::create_topic(&mut other, "sign", 1, &[]);

    // What a session forgets is only padding here: there are no sessions.
    let forgotten = ForgottenTopic::default()
        .with_topic(topic.topic_name())
        .with_partitions(vec![0; MEMORY * 3 / 4 / size_of::<i32>()]);
    let waiting = requests::fetch_request(12, &topic, 0, 0)
        .with_max_wait_ms(600_000)
        .with_forgotten_topics_data(vec![forgotten]);
    let mut connection = Connection::open(&address);
    let fetch = connection.send::<FetchRequest>(12, &waiting);
    let behind = Batch::of_values(requests::now_ms(), &["read"]).encode();
    let behind = connection.send::<ProduceRequest>(12, &requests::produce_request(12, &sign, 0, -1, behind));
    wait::until("the fetch to be read, and what stands behind it", || {
        requests::list_offset(&mut other, &sign, 0, LATEST).offset == 1
    });

    // Too much to come in before the broker asks for memory, and little enough for a socket to take the rest of it.
    let value = |writer: usize| writer.to_string().repeat(MEMORY * 5 / 8);
    let mut writers: Vec<(Connection, i32)> = (0..WRITERS)
        .map(|writer| {
            let batch = Batch::of_values(requests::now_ms(), &[value(writer)]).encode();
            let mut connection = Connection::open(&address);
            let sent = connection.send::<ProduceRequest>(12, &requests::produce_request(12, &topic, 0, -1, batch));
            (connection, sent)
        })
        .collect();
    for _ in 0..50 {
        // Each answer shows that the broker has gone on.
        requests::cluster(&mut other);
    }
    let small = Batch::of_values(requests::now_ms(), &["small"]);
    assert_eq!(
        requests::produce(&mut other, &topic, 0, &small),
        0,
        "none of the large ones was before it"
    );
    let answer = connection.receive::<FetchRequest>(12, fetch);
    let records = answer.responses[0].partitions[0].records.clone().expect("records");
    assert_eq!(
        Batch::decode_all(&records)[0].records[0].value.as_deref(),
        Some(&b"small"[..])
    );
    let answer = connection.receive::<ProduceRequest>(12, behind);
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);

    let mut offsets: Vec<i64> = writers
        .iter_mut()
        .map(|(connection, sent)| {
            let answer = connection.receive::<ProduceRequest>(12, *sent);
            answer.responses[0].partition_responses[0].base_offset
        })
        .collect();
    let values = requests::read_values(&mut other, &topic, 0);
    for (writer, offset) in offsets.iter().enumerate() {
        let found = &values[usize::try_from(*offset).expect("an offset")];
        assert!(
            *found == value(writer).into_bytes(),
            "another's value at the offset of {writer}"
        );
    }
    offsets.sort_unstable();
    assert_eq!(offsets, [1, 2, 3, 4, 5, 6]);
}

/// Every reader asks for the whole topic at once. An answer holds what the memory allows, and each gets everything in
/// the end.
#[test]
fn answers_to_readers_are_no_larger_than_the_memory_for_them() {
    // Less than a segment, which bounds an answer as well.
    const MEMORY: usize = 256 * 1024;
    const READERS: usize = 8;
    const BATCHES: usize = 80;
    const VALUE_BYTES: usize = 50_000;
    let broker = TestBroker::start_with(&[("kafka.fetch_memory", &MEMORY.to_string())]);
    let address = broker.kafka_address();
    let mut connection = Connection::open(&address);
    let topic = requests::create_topic(&mut connection, "much", 1, &[]);
    let values: Vec<Vec<u8>> = (0..BATCHES)
        .map(|n| format!("{n:0VALUE_BYTES$}").into_bytes())
        .collect();
    for value in &values {
        let batch = Batch::of_values(requests::now_ms(), &[value]);
        requests::produce(&mut connection, &topic, 0, &batch);
    }
    std::thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| {
                let mut connection = Connection::open(&address);
                let (mut read, mut answers) = (Vec::new(), 0);
                while read.len() < BATCHES {
                    let offset = i64::try_from(read.len()).expect("few batches");
                    let found = fetch_all(&mut connection, &topic, offset);
                    assert!(found.len() <= MEMORY, "an answer of {} bytes", found.len());
                    let found = Batch::decode_all(&found);
                    read.extend(found.into_iter().flat_map(|batch| batch.records));
                    answers += 1;
                }
                assert!(BATCHES * VALUE_BYTES / MEMORY < answers, "{answers} answers");
                let read: Vec<Vec<u8>> = read.into_iter().filter_map(|record| record.value).collect();
                assert!(read == values, "every value, once and in order");
            });
        }
    });
}

/// What one fetch without a limit of its own gives.
fn fetch_all(connection: &mut Connection, topic: &Topic, offset: i64) -> Bytes {
    let mut request = requests::fetch_request(12, topic, 0, offset)
        .with_max_wait_ms(600_000)
        .with_max_bytes(i32::MAX);
    request.topics[0].partitions[0].partition_max_bytes = i32::MAX;
    let answer = connection.call(12, &request);
    let partition = &answer.responses[0].partitions[0];
    assert_eq!(partition.error_code, 0, "{:?}", answer.error_code);
    partition.records.clone().expect("records are never null")
}

/// The limit of the configuration, and the one that a statement sets for its own query.
#[test]
fn a_query_beyond_its_memory_fails_and_the_others_go_on() {
    let mut bed = Bed::start_with(&[("sql.memory_limit", "16KiB")]);
    let topic = bed.topic("groups", 1);
    bed.http
        .sql(&format!("CREATE SOURCE s (k TEXT) WITH (topic = '{}')", topic.name));
    for (name, options) in [("small", ""), ("large", "WITH (memory_limit = '64MiB')")] {
        bed.http.sql(&format!(
            "CREATE MATERIALIZED VIEW {name} {options} AS SELECT k, count(DISTINCT k) AS n, min(k) AS least FROM s GROUP BY k"
        ));
    }
    for round in 0..10 {
        let row = |n: usize| json!({ "k": format!("{round}-{n}-{}", "x".repeat(100)) }).to_string();
        bed.send(&topic, 0, &(0..500).map(row).collect::<Vec<_>>());
    }
    bed.status("small", "failed");
    let reason = cell(&bed.query("small").expect("a failed query is shown"), "reason");
    assert!(reason.contains("memory_limit"), "{reason}");
    wait::until("the other query to read all", || {
        bed.view_rows("SELECT count(*) FROM large")[0][0] == json!(5000)
    });
}
