//! Fetch and ListOffsets: bounds, long polls, epochs, sessions, and every special timestamp.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::FetchRequest;
use tests::batch::{Batch, Record};
use tests::broker::Target;
use tests::client::Connection;
use tests::requests::{self, EARLIEST, LATEST, MAX_TIMESTAMP, Topic};

const VERSION: i16 = 12;
/// Longer than any test may take: a fetch that waits this long hangs.
const FOREVER_MS: i32 = 600_000;

fn bed(partitions: i32) -> (Target, Connection, Topic) {
    let target = Target::start_with(&[]);
    let mut connection = Connection::open(&target.address());
    let topic = requests::create_topic(&mut connection, "fetching", partitions, &[]);
    (target, connection, topic)
}

fn batch_of(bytes: usize) -> Batch {
    Batch::of_total_bytes(requests::now_ms(), bytes)
}

#[test]
fn a_long_poll_wakes_when_a_record_comes() {
    let (target, mut connection, topic) = bed(1);
    let request = requests::fetch_request(VERSION, &topic, 0, 0).with_max_wait_ms(FOREVER_MS);
    let correlation_id = connection.send(VERSION, &request);
    let mut other = Connection::open(&target.address());
    requests::produce(&mut other, &topic, 0, &Batch::of_values(requests::now_ms(), &["wake"]));
    let response = connection.receive::<FetchRequest>(VERSION, correlation_id);
    let records = response.responses[0].partitions[0]
        .records
        .clone()
        .expect("records are never null");
    assert_eq!(Batch::decode_all(&records).len(), 1);
}

#[test]
fn a_long_poll_waits_for_min_bytes_over_all_partitions() {
    let (target, mut connection, topic) = bed(2);
    let mut request = requests::fetch_request(VERSION, &topic, 0, 0)
        .with_max_wait_ms(FOREVER_MS)
        .with_min_bytes(3_000);
    let second = request.topics[0].partitions[0].clone().with_partition(1);
    request.topics[0].partitions.push(second);
    let correlation_id = connection.send(VERSION, &request);
    let mut other = Connection::open(&target.address());
    for partition in [0, 1, 0] {
        requests::produce(&mut other, &topic, partition, &batch_of(1_000));
    }
    let response = connection.receive::<FetchRequest>(VERSION, correlation_id);
    let bytes: usize = response.responses[0]
        .partitions
        .iter()
        .map(|partition| partition.records.as_ref().map_or(0, bytes::Bytes::len))
        .sum();
    assert_eq!(bytes, 3_000);
}

#[test]
fn an_empty_fetch_is_answered_when_its_wait_is_over() {
    let (_target, mut connection, topic) = bed(1);
    for wait_ms in [0, 1, 200] {
        let request = requests::fetch_request(VERSION, &topic, 0, 0).with_max_wait_ms(wait_ms);
        let response = connection.call(VERSION, &request);
        let partition = &response.responses[0].partitions[0];
        assert_eq!((partition.error_code, partition.high_watermark), (0, 0));
        assert_eq!(partition.records.as_ref().map(bytes::Bytes::len), Some(0));
    }
    let nothing = FetchRequest::default()
        .with_max_wait_ms(10)
        .with_min_bytes(1)
        .with_max_bytes(1_000);
    assert!(connection.call(VERSION, &nothing).responses.is_empty());
}

#[test]
fn an_offset_outside_the_log_is_out_of_range_and_its_end_is_not() {
    let (_target, mut connection, topic) = bed(1);
    requests::produce(
        &mut connection,
        &topic,
        0,
        &Batch::of_values(requests::now_ms(), &["a", "b"]),
    );
    assert_eq!(requests::fetch(&mut connection, &topic, 0, 2).error_code, 0);
    for offset in [3, 1_000_000, i64::MAX, -1] {
        let answer = requests::fetch(&mut connection, &topic, 0, offset);
        assert_eq!(
            answer.error_code,
            ResponseError::OffsetOutOfRange.code(),
            "offset {offset}: {answer:?}"
        );
    }
    let beyond = requests::fetch(&mut connection, &topic, 7, 0);
    assert_eq!(beyond.error_code, ResponseError::UnknownTopicOrPartition.code());
}

/// The first batch comes whole even where it breaks both limits, or its reader would never get past it; after that the
/// limits are strict.
#[test]
fn the_first_batch_always_comes_and_the_limits_hold_behind_it() {
    let (_target, mut connection, topic) = bed(2);
    for partition in [0, 1] {
        for _ in 0..3 {
            requests::produce(&mut connection, &topic, partition, &batch_of(10_000));
        }
    }
    let sizes = |connection: &mut Connection, partition_max: i32, max: i32| -> Vec<usize> {
        let mut request = requests::fetch_request(VERSION, &topic, 0, 0).with_max_bytes(max);
        let first = request.topics[0].partitions[0]
            .clone()
            .with_partition_max_bytes(partition_max);
        request.topics[0].partitions = vec![first.clone(), first.with_partition(1)];
        let response = connection.call(VERSION, &request);
        let partitions = response.responses[0].partitions.iter();
        partitions
            .map(|partition| partition.records.as_ref().map_or(0, bytes::Bytes::len))
            .collect()
    };
    assert_eq!(sizes(&mut connection, 1 << 20, 1 << 20), [30_000, 30_000]);
    let whole = |length: usize| length.is_multiple_of(10_000);
    let tight = sizes(&mut connection, 1, 1);
    assert_eq!(tight[0], 10_000, "one whole batch");
    assert_eq!(tight[1], 0, "and nothing else");
    let budget = sizes(&mut connection, 1 << 20, 30_000);
    assert_eq!((budget[0], budget[1]), (30_000, 0));
    // Kafka may cut a batch at the end of a partition's bytes; a reader drops the cut part.
    let partition_limit = sizes(&mut connection, 25_000, 1 << 20);
    assert!(
        partition_limit
            .iter()
            .all(|length| *length <= 25_000 && *length >= 20_000),
        "{partition_limit:?}"
    );
    assert!(whole(budget[0]));
}

#[test]
fn a_fetch_inside_a_batch_gives_the_whole_batch() {
    let (_target, mut connection, topic) = bed(1);
    for start in [0, 4, 8] {
        let values: Vec<String> = (start..start + 4).map(|number: i32| number.to_string()).collect();
        requests::produce(
            &mut connection,
            &topic,
            0,
            &Batch::of_values(requests::now_ms(), &values),
        );
    }
    for offset in 0..12 {
        let answer = requests::fetch(&mut connection, &topic, 0, offset);
        let first = &Batch::decode_all(&answer.records.expect("records are never null"))[0];
        assert_eq!(first.base_offset, offset / 4 * 4, "fetch at {offset}");
    }
}

/// The codes of Fetch and ListOffsets for a client that believes in a leader epoch: they judge it alike.
fn code_at_epoch(connection: &mut Connection, topic: &Topic, epoch: i32) -> i16 {
    let mut request = requests::fetch_request(VERSION, topic, 0, 0).with_max_wait_ms(0);
    request.topics[0].partitions[0].current_leader_epoch = epoch;
    let fetched = connection.call(VERSION, &request).responses[0].partitions[0].error_code;
    for version in 4..=10 {
        let mut list = requests::list_offsets_request(topic, 0, LATEST);
        list.topics[0].partitions[0].current_leader_epoch = epoch;
        let listed = connection.call(version, &list).topics[0].partitions[0].clone();
        assert_eq!(listed.error_code, fetched, "ListOffsets version {version}");
        let nothing = (listed.offset, listed.timestamp, listed.leader_epoch) == (-1, -1, -1);
        assert_eq!(nothing, fetched != 0, "{listed:?}");
    }
    fetched
}

#[test]
fn leader_epochs_are_checked() {
    let (mut target, mut connection, topic) = bed(1);
    let first = requests::leader_epoch(&mut connection, &topic, 0);
    if let Target::Own(broker) = &mut target {
        // A leadership begins with every start, so that there is an epoch to be behind.
        assert!(broker.terminate().success());
        broker.restart();
        connection = Connection::open(&broker.kafka_address());
        assert_eq!(requests::leader_epoch(&mut connection, &topic, 0), first + 1);
    }
    let epoch = requests::leader_epoch(&mut connection, &topic, 0);
    let mut code = |epoch: i32| code_at_epoch(&mut connection, &topic, epoch);
    assert_eq!((code(epoch), code(-1)), (0, 0));
    assert_eq!(code(epoch + 1), ResponseError::UnknownLeaderEpoch.code());
    assert_eq!(code(i32::MAX), ResponseError::UnknownLeaderEpoch.code());
    if epoch > 0 {
        assert_eq!(code(epoch - 1), ResponseError::FencedLeaderEpoch.code());
    }
}

/// A client that knows no session, and one that names a session which the broker does not have.
#[test]
fn sessions_are_optional_and_unknown_ones_are_refused() {
    let (_target, mut connection, topic) = bed(1);
    let sessionless = requests::fetch_request(VERSION, &topic, 0, 0).with_max_wait_ms(0);
    let response = connection.call(VERSION, &sessionless);
    assert_eq!((response.error_code, response.session_id), (0, 0));
    let invented = sessionless.with_session_id(123_456).with_session_epoch(5);
    let response = connection.call(VERSION, &invented);
    assert_eq!(response.error_code, ResponseError::FetchSessionIdNotFound.code());
    assert!(response.responses.is_empty());
}

#[test]
fn special_timestamps_mean_what_kafka_says() {
    let (_target, mut connection, topic) = bed(2);
    let start = requests::now_ms() - 60_000;
    // The largest timestamp is not the last record's.
    let deltas = [0, 5_000, 1_000];
    let records = deltas
        .iter()
        .map(|delta| Record {
            timestamp_delta: *delta,
            ..Record::default()
        })
        .collect();
    requests::produce(&mut connection, &topic, 0, &Batch::of_records(start, records));
    requests::produce(&mut connection, &topic, 0, &Batch::of_values(start + 2_000, &["later"]));

    let mut ask = |partition: i32, timestamp: i64| {
        let answer = requests::list_offset(&mut connection, &topic, partition, timestamp);
        assert_eq!(answer.error_code, 0, "{answer:?}");
        (answer.offset, answer.timestamp)
    };
    assert_eq!(ask(0, EARLIEST), (0, -1));
    assert_eq!(ask(0, LATEST), (4, -1));
    assert_eq!(ask(0, MAX_TIMESTAMP), (1, start + 5_000));
    assert_eq!(ask(0, -4), (0, -1), "earliest local");
    assert_eq!(ask(0, -5), (-1, -1), "nothing is tiered");
    assert_eq!(ask(0, 0), (0, start));
    assert_eq!(ask(0, start), (0, start));
    assert_eq!(
        ask(0, start + 1),
        (1, start + 5_000),
        "the first record at or after, in offset order"
    );
    assert_eq!(ask(0, start + 5_000), (1, start + 5_000));
    assert_eq!(ask(0, start + 5_001), (-1, -1), "nothing as late");
    assert_eq!(ask(1, EARLIEST), (0, -1));
    assert_eq!(ask(1, LATEST), (0, -1));
    assert_eq!(ask(1, MAX_TIMESTAMP), (-1, -1));
    assert_eq!(ask(1, 0), (-1, -1));
}

/// Each special timestamp has a version from which on it may be used; nothing waits to be tiered (-6).
#[test]
fn special_timestamps_have_their_versions() {
    let (_target, mut connection, topic) = bed(1);
    let now = requests::now_ms();
    requests::produce(&mut connection, &topic, 0, &Batch::of_values(now, &["only"]));
    for (timestamp, since, found) in [
        (LATEST, 1, (1, -1)),
        (EARLIEST, 1, (0, -1)),
        (MAX_TIMESTAMP, 7, (0, now)),
        (-4, 8, (0, -1)),
        (-5, 9, (-1, -1)),
        (-6, 11, (-1, -1)),
    ] {
        for version in 1..=11 {
            let request = requests::list_offsets_request(&topic, 0, timestamp);
            // Version 11 is laid out like 10.
            let response = connection.call_as(version, version.min(10), &request);
            let answer = &response.topics[0].partitions[0];
            let due = match version < since {
                true => (ResponseError::UnsupportedVersion.code(), -1, -1),
                false => (0, found.0, found.1),
            };
            assert_eq!(
                (answer.error_code, answer.offset, answer.timestamp),
                due,
                "timestamp {timestamp} in version {version}"
            );
        }
    }
}

#[test]
fn a_time_lookup_crosses_segments() {
    let (_target, mut connection, topic) = bed(1);
    let start = requests::now_ms() - 3_600_000;
    // About 4 MB in segments of 1 MiB.
    for number in 0..40 {
        let mut batch = batch_of(100_000);
        batch.base_timestamp = start + number * 1_000;
        batch.max_timestamp = batch.base_timestamp;
        requests::produce(&mut connection, &topic, 0, &batch);
    }
    for number in 0..40 {
        let at = requests::list_offset(&mut connection, &topic, 0, start + number * 1_000);
        assert_eq!((at.offset, at.timestamp), (number, start + number * 1_000));
        let between = requests::list_offset(&mut connection, &topic, 0, start + number * 1_000 - 500);
        assert_eq!(between.offset, number);
    }
    assert_eq!(requests::read_all(&mut connection, &topic, 0).len(), 40);
}

/// A fetch at the front of the answers does not hold back a second connection.
#[test]
fn a_waiting_fetch_blocks_its_own_connection_only() {
    let (target, mut connection, topic) = bed(1);
    let request = requests::fetch_request(VERSION, &topic, 0, 0).with_max_wait_ms(FOREVER_MS);
    connection.send(VERSION, &request);
    let mut other = Connection::open(&target.address());
    assert_eq!(requests::list_offset(&mut other, &topic, 0, LATEST).error_code, 0);
}
