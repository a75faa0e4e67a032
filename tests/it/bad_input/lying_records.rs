//! Records that lie inside a batch whose header and CRC are right. By default the broker reads no record at produce, so
//! such a batch is stored and served as it came; to SQL it is a bad record; with `kafka.validate = "records"` it is
//! refused like any other.

use kafka_protocol::error::ResponseError;
use serde_json::{Value, json};
use tests::batch::{Batch, Record, encode_record};
use tests::broker::TestBroker;
use tests::client::Connection;
use tests::requests;
use tests::stream::{Bed, cell};

/// The one true record among the lies.
const HONEST: i64 = 3;

/// Bodies that are no records, under a header that says that there are two.
fn lies() -> Vec<Vec<u8>> {
    let header = Batch::of_values(requests::now_ms(), &["one", "two"]);
    let mut wrong_deltas = Vec::new();
    for _ in 0..2 {
        encode_record(&mut wrong_deltas, 7, &Record::default());
    }
    let mut one_only = Vec::new();
    // Long enough for as many records as the header claims, or the header would be enough to refuse it.
    let padding = " ".repeat(20);
    let honest = Record {
        value: Some(format!("{{\"n\": {HONEST}}}{padding}").into_bytes()),
        ..Record::default()
    };
    encode_record(&mut one_only, 0, &honest);
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
    let mut bed = Bed::start();
    // Kafka's dump tool reads records, and would say so.
    bed.broker.discard_data();
    let topic = bed.topic("lies", 1);
    bed.send(&topic, 0, &[r#"{"n": 1}"#]);
    for lie in lies() {
        let answer = requests::produce_bytes(&mut bed.connection, &topic, 0, lie);
        assert_eq!(
            answer.error_code, 0,
            "the header is right, so the batch is stored: {answer:?}"
        );
    }
    bed.send(&topic, 0, &[r#"{"n": 2}"#]);

    let create = |name: &str, policy: &str| {
        bed.http.sql(&format!(
            "CREATE SOURCE {name} (n BIGINT) WITH (topic = '{}', format = 'json') {policy}",
            topic.name
        ));
        bed.http.sql(&format!(
            "CREATE SINK of_{name} AS SELECT n FROM {name} WITH (connector = 'topic', topic = 'of_{name}')"
        ));
    };
    // Each lie is one bad record, and what is true in its batch is a row.
    let bad = lies().len();
    let expected = [[json!(1)], [json!(2)], [json!(HONEST)]];
    create("lenient", "");
    let answer = bed.http.sql("SELECT n FROM lenient ORDER BY n");
    assert_eq!(
        (&answer["rows"], &answer["skipped_rows"]),
        (&json!(expected), &json!(bad))
    );
    bed.caught_up("of_lenient", &topic.name);
    assert_eq!(bed.query_metric("bad_rows_total", "of_lenient"), bad as f64);
    let mut rows: Vec<Value> = bed
        .rows("of_lenient")
        .iter()
        .map(|row| row.json()["n"].clone())
        .collect();
    rows.sort_by_key(Value::as_i64);
    assert_eq!(rows, [json!(1), json!(2), json!(HONEST)]);

    create("strict", "ON ERROR FAIL");
    bed.status("of_strict", "failed");
    let reason = cell(&bed.query("of_strict").expect("a failed query is shown"), "reason");
    assert!(reason.contains("offset 1"), "{reason}");
    let select = bed.http.try_sql("SELECT n FROM strict");
    assert_eq!((select.status, select.error_code()), (400, "22000".into()));
    assert_eq!(bed.rows("of_strict").len(), 0);

    // Served as stored: the last batch is found behind all the lies.
    let end = requests::list_offset(&mut bed.connection, &topic, 0, requests::LATEST).offset;
    let last = requests::fetch(&mut bed.connection, &topic, 0, end - 1);
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
