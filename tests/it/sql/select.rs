//! A SELECT that ends: over topics that nobody declared and over sources, with the metadata columns and the bounds on
//! them that spare reading.

use serde_json::{Value, json};
use tests::batch::{Batch, Record};
use tests::requests::{self, Topic};
use tests::stream::Bed;

/// Times of records, apart from the clock: one second between two batches.
const BASE_MS: i64 = 1_767_225_600_000;

/// A topic of three partitions with ten batches of ten records each: record `n` of partition `p` is `p:n`.
fn with_records(bed: &mut Bed) -> Topic {
    let topic = bed.topic("bare", 3);
    for partition in 0..3 {
        for batch in 0..10 {
            let record = |n: i64| Record {
                timestamp_delta: n,
                key: Some(format!("k{n}").into_bytes()),
                value: Some(format!("{{\"n\": {}, \"p\": {partition}}}", batch * 10 + n).into_bytes()),
                headers: vec![("trace".to_owned(), Some(b"abc".to_vec())), ("trace".to_owned(), None)],
            };
            let batch = Batch::of_records(BASE_MS + batch * 1_000, (0..10).map(record).collect());
            requests::produce(&mut bed.connection, &topic, partition, &batch);
        }
    }
    topic
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("no whole number: {value}"))
}

#[test]
fn a_bare_topic_shows_its_metadata() {
    let mut bed = Bed::start();
    let name = with_records(&mut bed).name;
    let answer = bed.http.sql(&format!(
        "SELECT * FROM \"{name}\" WHERE _partition = 1 AND _offset = 42"
    ));
    let columns: Vec<&Value> = answer["columns"]
        .as_array()
        .expect("columns")
        .iter()
        .map(|c| &c["name"])
        .collect();
    assert_eq!(
        columns,
        ["_partition", "_offset", "_timestamp", "_key", "_value", "_headers"]
    );
    let row = &answer["rows"][0];
    assert_eq!(answer["row_count"], json!(1));
    assert_eq!(row[0], json!(1));
    assert_eq!(row[1], json!(42));
    assert_eq!(row[2], json!("2026-01-01T00:00:04.002000Z"));
    assert_eq!(row[3], json!("k2"));
    assert_eq!(row[4], json!("{\"n\": 42, \"p\": 1}"));
    assert_eq!(
        row[5],
        json!([{ "name": "trace", "value": "YWJj" }, { "name": "trace", "value": null }])
    );
    let inside =
        format!("SELECT (_value ->> 'n')::INT + 1 AS next FROM \"{name}\" WHERE _offset = 42 AND _partition = 2");
    assert_eq!(bed.http.rows(&inside), [[json!(43)]]);
}

#[test]
fn bounds_on_metadata_leave_exactly_what_they_say() {
    let mut bed = Bed::start();
    let name = with_records(&mut bed).name;
    let count = |condition: &str| {
        number(
            &bed.http
                .rows(&format!("SELECT count(*) AS n FROM \"{name}\" WHERE {condition}"))[0][0],
        )
    };
    for (condition, expected) in [
        ("true", 300),
        ("_partition = 0", 100),
        ("_partition IN (0, 2)", 200),
        ("_partition <> 1", 200),
        ("_offset >= 95", 15),
        ("_offset BETWEEN 10 AND 19", 30),
        ("_offset < 10 OR _offset > 97", 36),
        ("55 > _offset AND _partition = 2", 55),
        ("_timestamp >= TIMESTAMPTZ '2026-01-01T00:00:09.005Z'", 15),
        ("_timestamp < TIMESTAMPTZ '2026-01-01T00:00:01Z'", 30),
        (
            "_timestamp > TIMESTAMPTZ '2026-01-01T00:00:01Z' AND _timestamp < TIMESTAMPTZ '2026-01-01T00:00:02Z'",
            27,
        ),
        ("_timestamp >= TIMESTAMPTZ '2027-01-01T00:00:00Z'", 0),
        ("_offset = 7 AND _key = 'k7'", 3),
        ("_offset = 7 AND _key = 'k8'", 0),
    ] {
        assert_eq!(count(condition), expected, "{condition}");
    }
}

/// Reading is spared where a bound allows it: a bad record outside of the bounds does not fail a strict source.
#[test]
fn what_bounds_leave_out_is_not_read() {
    let mut bed = Bed::start();
    let topic = bed.topic("pruned", 2);
    bed.send(&topic, 0, &["not JSON"]);
    bed.send(&topic, 0, &[r#"{"n": 1}"#]);
    bed.send(&topic, 1, &[r#"{"n": 2}"#]);
    bed.http.sql(&format!(
        "CREATE SOURCE strict (n INT) WITH (topic = '{}') ON ERROR FAIL",
        topic.name
    ));
    let failed = bed.http.try_sql("SELECT n FROM strict");
    assert_eq!(
        (failed.status, failed.error_code()),
        (400, "22000".into()),
        "{}",
        failed.body
    );
    assert!(failed.body.contains("offset 0"), "{}", failed.body);
    assert_eq!(bed.http.rows("SELECT n FROM strict WHERE _offset > 0"), [[json!(1)]]);
    assert_eq!(bed.http.rows("SELECT n FROM strict WHERE _partition = 1"), [[json!(2)]]);
}

/// A bound on time is found in the index: a bad record before it does not fail a strict source, one behind it does.
#[test]
fn what_a_bound_on_time_leaves_out_is_not_read() {
    let mut bed = Bed::start();
    let topic = bed.topic("pruned", 1);
    for (seconds, value) in [(0, "not JSON"), (10, r#"{"n": 1}"#), (20, r#"{"n": 2}"#)] {
        let batch = Batch::of_values(BASE_MS + seconds * 1_000, &[value]);
        requests::produce(&mut bed.connection, &topic, 0, &batch);
    }
    bed.http.sql(&format!(
        "CREATE SOURCE strict (n INT) WITH (topic = '{}') ON ERROR FAIL",
        topic.name
    ));
    let since = |time: &str| format!("SELECT n FROM strict WHERE _timestamp >= TIMESTAMPTZ '{time}' ORDER BY n");
    assert_eq!(bed.http.rows(&since("2026-01-01T00:00:10Z")), [[json!(1)], [json!(2)]]);
    assert_eq!(bed.http.rows(&since("2026-01-01T00:00:10.001Z")), [[json!(2)]]);
    let failed = bed.http.try_sql(&since("2026-01-01T00:00:00Z"));
    assert_eq!((failed.status, failed.error_code()), (400, "22000".into()));
}

/// Only the columns that a query needs are decoded: what is wrong elsewhere is not noticed, however strict the source.
#[test]
fn what_is_not_projected_is_not_decoded() {
    let mut bed = Bed::start();
    let topic = bed.topic("projected", 1);
    bed.send(&topic, 0, &[r#"{"id": 1, "n": 10}"#, r#"{"id": 2, "n": "many"}"#]);
    bed.http.sql(&format!(
        "CREATE SOURCE strict (id BIGINT, n INT) WITH (topic = '{}') ON ERROR FAIL",
        topic.name
    ));
    assert_eq!(
        bed.http.rows("SELECT id FROM strict ORDER BY id"),
        [[json!(1)], [json!(2)]]
    );
    assert_eq!(bed.http.rows("SELECT count(*) FROM strict"), [[json!(2)]]);
    for needs_it in ["SELECT n FROM strict", "SELECT id FROM strict WHERE n > 0"] {
        let failed = bed.http.try_sql(needs_it);
        assert_eq!(
            (failed.status, failed.error_code()),
            (400, "22000".into()),
            "{needs_it}"
        );
        assert!(failed.body.contains("offset 1"), "{}", failed.body);
    }
    // The same for a query that runs on.
    for (name, column) in [("ids", "id"), ("ns", "n")] {
        bed.http.sql(&format!(
            "CREATE SINK {name} AS SELECT {column} FROM strict WITH (connector = 'topic', topic = '{name}')"
        ));
    }
    bed.status("ns", "failed");
    bed.caught_up("ids", &topic.name);
    assert_eq!(bed.rows("ids").len(), 2);
}

#[test]
fn declared_sources_have_columns_and_hidden_metadata() {
    let mut bed = Bed::start();
    let name = with_records(&mut bed).name;
    bed.http.sql(&format!(
        "CREATE SOURCE s (n BIGINT, p INT) WITH (topic = '{name}', format = 'json')"
    ));
    bed.http
        .sql("CREATE VIEW even (number, place) AS SELECT n, p FROM s WHERE n % 2 = 0");
    assert_eq!(
        bed.http.sql("SELECT * FROM s LIMIT 1")["columns"]
            .as_array()
            .map(Vec::len),
        Some(2)
    );
    let row = &bed
        .http
        .rows("SELECT n, p, _partition, _offset, _key FROM s WHERE n = 33 AND p = 2")[0];
    assert_eq!(row[..4], [json!(33), json!(2), json!(2), json!(33)]);
    assert_eq!(row[4], json!("azM="), "a key of a declared source is BYTEA");
    let grouped = "SELECT p, count(*) AS n, sum(n) AS total, min(n), max(n), avg(n) AS mean, count(DISTINCT n % 7)
                   FROM s GROUP BY p HAVING p > 0 ORDER BY p DESC";
    let rows = bed.http.rows(grouped);
    assert_eq!(rows.len(), 2);
    let numbers: Vec<f64> = rows[0].iter().map(|cell| cell.as_f64().expect("a number")).collect();
    assert_eq!(numbers, [2.0, 100.0, 4950.0, 0.0, 99.0, 49.5, 7.0]);
    assert_eq!(
        bed.http.rows("SELECT count(*) FROM even WHERE place = 1"),
        [[json!(50)]]
    );
    let joined = "SELECT count(*) FROM s AS a JOIN even AS b ON a.n = b.number AND a.p = b.place";
    assert_eq!(bed.http.rows(joined), [[json!(150)]], "bounded queries may join");
    let windows = format!(
        "SELECT window_start, count(*) AS n FROM TUMBLE(\"{name}\", _timestamp, INTERVAL '5 seconds')
         GROUP BY window_start, window_end ORDER BY 1"
    );
    let starts = bed.http.rows(&windows);
    assert_eq!(
        starts,
        [
            [json!("2026-01-01T00:00:00.000000Z"), json!(150)],
            [json!("2026-01-01T00:00:05.000000Z"), json!(150)],
        ]
    );
}

#[test]
fn a_select_ends_at_what_was_there_when_it_began() {
    let mut bed = Bed::start();
    let topic = bed.topic("growing", 1);
    assert_eq!(
        bed.http.rows(&format!("SELECT * FROM \"{}\"", topic.name)).len(),
        0,
        "an empty topic is no error"
    );
    for round in 1..=3_i64 {
        bed.send(&topic, 0, &["{}", "{}"]);
        let rows = bed
            .http
            .rows(&format!("SELECT max(_offset) + 1, count(*) FROM \"{}\"", topic.name));
        assert_eq!(rows, [[json!(round * 2), json!(round * 2)]]);
    }
}

/// Every codec, and values that are no text.
#[test]
fn compressed_batches_and_bytes_are_read() {
    let mut bed = Bed::start();
    let topic = bed.topic("codecs", 1);
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let producer: rdkafka::producer::BaseProducer = rdkafka::ClientConfig::new()
            .set("bootstrap.servers", bed.broker.kafka_address())
            .set("compression.codec", codec)
            .set("linger.ms", "20")
            .create()
            .expect("a producer");
        for n in 0..50 {
            let value = format!(
                "{{\"codec\": \"{codec}\", \"n\": {n}, \"filler\": \"{}\"}}",
                "z".repeat(100)
            );
            let record = rdkafka::producer::BaseRecord::<(), str>::to(&topic.name).payload(&value);
            producer.send(record).expect("queued");
        }
        rdkafka::producer::Producer::flush(&producer, std::time::Duration::from_secs(30)).expect("sent");
    }
    bed.send(&topic, 0, &[[0xff_u8, 0x00, 0xfe]]);
    bed.http.sql(&format!(
        "CREATE SOURCE c (codec TEXT, n INT) WITH (topic = '{}')",
        topic.name
    ));
    let rows = bed
        .http
        .rows("SELECT codec, sum(n) FROM c GROUP BY codec ORDER BY codec");
    let expected = ["gzip", "lz4", "none", "snappy", "zstd"].map(|codec| vec![json!(codec), json!(1225)]);
    assert_eq!(rows, expected);
    let bytes = format!("SELECT _value FROM \"{}\" WHERE _offset = 250", topic.name);
    assert_eq!(bed.http.rows(&bytes).len(), 1, "bytes that are no text are still a row");
}
