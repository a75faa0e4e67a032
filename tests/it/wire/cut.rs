//! Frames that end too early, and versions that are only advertised. Both end the connection: there is no encoding in
//! which to answer.

use bytes::BytesMut;
use kafka_protocol::messages::{ApiKey, RequestHeader};
use kafka_protocol::protocol::{Encodable, StrBytes};
use tests::requests;

use super::Wire;

/// A whole header and nothing of the body. Where a body may be empty, the header lacks its last byte instead.
pub(crate) fn cut_frame_closes(wire: &Wire, key: ApiKey, version: i16) {
    let mut frame = header(key, version);
    if matches!(key, ApiKey::ListGroups | ApiKey::ApiVersions) && version < 3 {
        frame.truncate(frame.len() - 1);
    }
    assert_closes(wire, &frame);
    // Only that connection: the next one is served.
    assert_eq!(requests::cluster(&mut wire.connect()), wire.cluster);
}

/// A body that is whole but for what it says: null where the protocol allows no null. Kafka ends the connection too.
pub(crate) fn null_closes(wire: &Wire, key: ApiKey, version: i16, body: &[u8]) {
    let mut frame = header(key, version);
    frame.extend_from_slice(body);
    assert_closes(wire, &frame);
}

/// A version that is advertised for the sake of old clients and that nobody may use.
pub(crate) fn version_is_refused(wire: &Wire, key: ApiKey, version: i16) {
    assert_closes(wire, &header(key, version));
}

fn assert_closes(wire: &Wire, frame: &[u8]) {
    let mut connection = wire.connect();
    connection.send_frame(frame);
    assert!(connection.is_closed_by_peer(), "the broker answered");
}

fn header(key: ApiKey, version: i16) -> BytesMut {
    let header = RequestHeader::default()
        .with_request_api_key(key as i16)
        .with_request_api_version(version)
        .with_correlation_id(1)
        .with_client_id(Some(StrBytes::from_static_str("cut")));
    let mut frame = BytesMut::new();
    header
        .encode(&mut frame, key.request_header_version(version))
        .expect("request headers encode");
    frame
}
