//! Records that lie inside a batch whose header and CRC are right. By default the broker reads no record at produce, so
//! such a batch is stored and served as it came; to SQL it is a bad record; with `kafka.validate = "records"` it is
//! refused like any other.

use kafka_protocol::error::ResponseError;
use serde_json::json;
use tests::batch::{Batch, Record, encode_record};
use tests::broker::TestBroker;
use tests::client::Connection;
use tests::http::Http;
use tests::requests;

/// Bodies that are no records, under a header that says that there are two.
fn lies() -> Vec<Vec<u8>> {
    let header = Batch::of_values(requests::now_ms(), &["one", "two"]);
    let mut wrong_deltas = Vec::new();
    for _ in 0..2 {
        encode_record(&mut wrong_deltas, 7, &Record::default());
    }
    let mut one_only = Vec::new();
    let value = Some(vec![b' '; 20]);
    encode_record(
        &mut one_only,
        0,
        &Record {
            value,
            ..Record::default()
        },
    );
    // Long enough for two records, or the header would be enough to refuse them.
    let huge_length = b"\xff\xff\xff\xff\x0f\0\0\0\0\0\0\0\0\0\0".to_vec();
    let huge_header_count = b"\x14\0\0\0\x01\x01\xfe\xff\xff\xff\x0f\0\0\0\0".to_vec();
    let noise = vec![0xa5; 40];
    [wrong_deltas, one_only, huge_length, huge_header_count, noise]
        .iter()
        .map(|records| header.encode_around(records))
        .chain([Batch {
            attributes: 1,
            ..header.clone()
        }
        .encode_around(b"no gzip")])
        .collect()
}

#[test]
fn they_are_stored_and_served_and_are_bad_records_to_sql() {
    let mut broker = TestBroker::start();
    // Kafka's dump tool reads records, and would say so.
    broker.discard_data();
    let mut connection = Connection::open(&broker.kafka_address());
    let topic = requests::create_topic(&mut connection, "lies", 1, &[]);
    let truth = |number: i64| Batch::of_values(requests::now_ms(), &[format!("{{\"n\":{number}}}")]);

    requests::produce(&mut connection, &topic, 0, &truth(1));
    for lie in lies() {
        let answer = requests::produce_bytes(&mut connection, &topic, 0, lie);
        assert_eq!(
            answer.error_code, 0,
            "the header is right, so the batch is stored: {answer:?}"
        );
    }
    requests::produce(&mut connection, &topic, 0, &truth(2));

    let http = Http::of(&broker);
    http.sql(&format!(
        "CREATE SOURCE lies (n BIGINT) WITH (topic = '{}', format = 'json')",
        topic.name
    ));
    let rows = http.rows("SELECT n FROM lies WHERE n IS NOT NULL ORDER BY n");
    assert_eq!(rows, [[json!(1)], [json!(2)]]);

    // Served as stored: the last batch is found behind all the lies.
    let end = requests::list_offset(&mut connection, &topic, 0, requests::LATEST).offset;
    let last = requests::fetch(&mut connection, &topic, 0, end - 1);
    let batches = Batch::decode_all(&last.records.expect("records are never null"));
    assert_eq!(batches.last().map(Batch::last_offset), Some(end - 1));
}

/// Every such batch would take 2^31 offsets and a segment of its own.
#[test]
fn more_records_than_bytes_are_refused_anywhere() {
    let broker = TestBroker::start();
    let mut connection = Connection::open(&broker.kafka_address());
    let topic = requests::create_topic(&mut connection, "lies", 1, &[]);
    let lie = Batch {
        count: i32::MAX,
        last_offset_delta: i32::MAX - 1,
        ..Batch::of_values(requests::now_ms(), &["one"])
    };
    for attributes in 0..=4 {
        let lie = Batch {
            attributes,
            ..lie.clone()
        };
        let answer = requests::produce_bytes(&mut connection, &topic, 0, lie.encode_around(b"123456789"));
        assert_eq!(
            answer.error_code,
            ResponseError::InvalidRecord.code(),
            "{attributes}: {answer:?}"
        );
    }
    let truth = Batch::of_values(requests::now_ms(), &["one"]);
    assert_eq!(requests::produce(&mut connection, &topic, 0, &truth), 0);
}

#[test]
fn they_are_refused_where_the_broker_looks() {
    let broker = TestBroker::start_with(&[("kafka.validate", "records")]);
    let mut connection = Connection::open(&broker.kafka_address());
    let topic = requests::create_topic(&mut connection, "lies", 1, &[]);
    let refusals = [
        ResponseError::InvalidRecord.code(),
        ResponseError::CorruptMessage.code(),
    ];
    for lie in lies() {
        let answer = requests::produce_bytes(&mut connection, &topic, 0, lie);
        assert!(refusals.contains(&answer.error_code), "{answer:?}");
    }
    let truth = Batch::of_values(requests::now_ms(), &["one", "two"]);
    assert_eq!(requests::produce(&mut connection, &topic, 0, &truth), 0);
}
