//! Frames: lengths, keys, versions, counts, and plain noise.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, MetadataRequest};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tests::broker::{Target, TestBroker};
use tests::client::Connection;
use tests::requests;

use crate::wire::APIS;

/// `socket.request.max.bytes`.
const FRAME_BYTES_MAX: i32 = 100 * 1024 * 1024;

#[test]
fn a_length_that_cannot_be_closes_the_connection() {
    let target = Target::start_with(&[]);
    // The last one is how a web browser begins.
    let lengths = [
        -1,
        i32::MIN,
        0,
        1,
        FRAME_BYTES_MAX + 1,
        i32::MAX,
        i32::from_be_bytes(*b"GET "),
    ];
    for length in lengths {
        let mut connection = Connection::open(&target.address());
        connection.send_bytes(&length.to_be_bytes());
        if (1..=FRAME_BYTES_MAX).contains(&length) {
            connection.send_bytes(&vec![0; usize::try_from(length).expect("positive")]);
        }
        assert!(connection.is_closed_by_peer(), "length {length}");
        assert_serves(&target.address());
    }
}

#[test]
fn an_unknown_key_or_version_closes_the_connection() {
    let target = Target::start_with(&[]);
    for (key, version) in [
        (9_999, 0),
        (-1, 0),
        (500, 0),
        (3, 99),
        (3, -1),
        (0, 99),
        (1, 3),
        (11, 99),
    ] {
        let mut connection = Connection::open(&target.address());
        connection.send_body(key, version, 1, &[0; 64]);
        assert!(connection.is_closed_by_peer(), "key {key} version {version}");
        assert_serves(&target.address());
    }
}

/// KIP-511: the one version that nobody may close on, because a newer client asks it first.
#[test]
fn a_newer_api_versions_request_is_answered_in_version_0() {
    let target = Target::start_with(&[]);
    let mut connection = Connection::open(&target.address());
    let version = 99;
    let correlation_id = connection.send_body(ApiKey::ApiVersions as i16, version, 2, b"\x05what\x05ever\x00");
    let response = connection.receive::<ApiVersionsRequest>(0, correlation_id);
    assert_eq!(response.error_code, ResponseError::UnsupportedVersion.code());
    let own = response
        .api_keys
        .iter()
        .find(|range| range.api_key == ApiKey::ApiVersions as i16);
    assert!(
        own.is_some_and(|range| range.min_version == 0 && range.max_version >= 4),
        "{response:?}"
    );
    // The client goes on with that answer, on the same connection.
    assert_eq!(connection.call(0, &ApiVersionsRequest::default()).error_code, 0);
}

/// A count takes four bytes on the wire and would take gigabytes if it were believed.
#[test]
fn a_count_without_its_elements_allocates_nothing() {
    let target = Target::start_with(&[]);
    let bodies: [(i16, i16, &[u8]); 4] = [
        (1, 1, b"\x7f\xff\xff\xff"),
        (12, 2, b"\xff\xff\xff\xff\x0f"),
        (12, 2, b"\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\x07"),
        (0, 1, b"\x40\0\0\0"),
    ];
    for (version, header_version, body) in bodies {
        let mut connection = Connection::open(&target.address());
        connection.send_body(ApiKey::Metadata as i16, version, header_version, body);
        assert!(connection.is_closed_by_peer(), "version {version} {body:?}");
    }
    assert_serves(&target.address());
}

/// Kafka reads a body and ignores what comes behind it in the frame. librdkafka relies on that: it puts three bytes too
/// many behind a Metadata request of version 13 for all topics.
#[test]
fn bytes_behind_a_body_are_ignored() {
    let target = Target::start_with(&[]);
    let mut connection = Connection::open(&target.address());
    for (version, header_version, body) in [(13, 2, &b"\0\x01\0\0\0\0\0"[..]), (1, 1, &b"\xff\xff\xff\xff\x07"[..])] {
        let correlation_id = connection.send_body(ApiKey::Metadata as i16, version, header_version, body);
        let response = connection.receive::<MetadataRequest>(version, correlation_id);
        assert_eq!(response.brokers.len(), 1, "version {version}");
    }
}

/// Noise as the body of every advertised key and version, and noise as whole frames. Whatever a request makes of it, the
/// server goes on, and its memory does not grow with what the noise claims.
#[test]
fn noise_harms_nobody() {
    let mut broker = TestBroker::start();
    let mut random = StdRng::seed_from_u64(20_131_231);
    let versions = APIS
        .iter()
        .flat_map(|api| api.advertised.clone().map(move |version| (api.key, version)));
    for (key, version) in versions {
        for fill in [Some(0xff), Some(0x7f), Some(0x01), None] {
            let body: Vec<u8> = (0..96).map(|_| fill.unwrap_or_else(|| random.random())).collect();
            let mut connection = Connection::open(&broker.kafka_address());
            connection.send_body(key as i16, version, key.request_header_version(version), &body);
            connection.finish_sending();
            // An answer or none; what counts is the broker.
            drop(connection);
        }
    }
    for _ in 0..200 {
        let frame: Vec<u8> = (0..random.random_range(1..256)).map(|_| random.random()).collect();
        let mut connection = Connection::open(&broker.kafka_address());
        connection.send_frame(&frame);
        connection.finish_sending();
    }
    assert_serves(&broker.kafka_address());
    assert!(broker.is_running());
    assert!(!broker.messages().contains("panicked"), "{}", broker.messages());
    let resident = resident_bytes(broker.pid());
    assert!(resident < 512 * 1024 * 1024, "{resident} bytes resident after noise");
}

/// A frame may come in any pieces, and several at once; answers keep the order of the requests.
#[test]
fn frames_arrive_in_any_pieces_and_are_answered_in_order() {
    let target = Target::start_with(&[]);
    let mut connection = Connection::open(&target.address());
    let request = MetadataRequest::default().with_topics(Some(Vec::new()));
    let first = connection.send(1, &request);
    let second = connection.send(9, &request);
    let third = connection.send(12, &request);
    assert_eq!(connection.receive::<MetadataRequest>(1, first).brokers.len(), 1);
    assert_eq!(connection.receive::<MetadataRequest>(9, second).brokers.len(), 1);
    assert_eq!(connection.receive::<MetadataRequest>(12, third).brokers.len(), 1);

    // Metadata version 1, correlation id 7, client id "x", no topics: one byte at a time.
    for byte in b"\0\0\0\x0f\0\x03\0\x01\0\0\0\x07\0\x01x\0\0\0\0" {
        connection.send_bytes(&[*byte]);
    }
    assert_eq!(connection.receive::<MetadataRequest>(1, 7).brokers.len(), 1);
}

fn assert_serves(address: &str) {
    let cluster = requests::cluster(&mut Connection::open(address));
    assert!(!cluster.cluster_id.is_empty());
}

fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process has a status");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .expect("it has a resident size");
    let kib: u64 = line
        .split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse().ok())
        .expect("in KiB");
    kib * 1024
}
