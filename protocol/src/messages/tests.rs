//! Every request round-trips through the front door; the versions written by hand have the bytes that Kafka's have.

use bytes::Buf;
use uuid::Uuid;

use super::{
    samples::{Visitor, visit_all},
    *,
};

struct RoundTrip;

impl Visitor for RoundTrip {
    fn visit<T: RequestMessage + PartialEq + std::fmt::Debug>(&mut self, version: i16, request: T) {
        let mut frame = encode_request(version, 42, Some("client"), &request).unwrap();
        assert_eq!(frame.get_i32() as usize, frame.len());
        let header = RequestHeader::decode(&mut frame).unwrap();
        assert_eq!(
            (header.key(), header.api_version, header.correlation_id),
            (Some(T::KEY), version, 42)
        );
        assert_eq!(header.client_id.as_deref(), Some("client"));
        let decoded: T = decode_request(version, frame).unwrap();
        assert_eq!(decoded, request, "{} v{version}", T::KEY);
    }
}

#[test]
fn every_request_round_trips_in_every_version() {
    assert_eq!(visit_all(&mut RoundTrip), 156);
}

#[test]
fn records_of_a_produce_request_share_the_frame() {
    let data = produce_request::PartitionProduceData::default().with_records(Some(Bytes::from_static(b"payload")));
    let topics = produce_request::TopicProduceData::default().with_partition_data(vec![data]);
    let request = ProduceRequest::default().with_topic_data(vec![topics]);
    let mut frame = encode_request(9, 1, None, &request).unwrap();
    frame.advance(4);
    RequestHeader::decode(&mut frame).unwrap();
    let range = frame.as_ptr_range();
    let decoded: ProduceRequest = decode_request(9, frame.clone()).unwrap();
    let records = decoded.topic_data[0].partition_data[0].records.clone().unwrap();
    assert!(range.contains(&records.as_ptr()));
}

#[test]
fn offset_commit_by_id_has_kafkas_bytes() {
    // Group "g", epoch 7, member "m", no instance, one topic id, partition 1 at 5 with epoch 2 and metadata "x".
    let mut bytes = vec![2, b'g', 0, 0, 0, 7, 2, b'm', 0, 2];
    bytes.extend_from_slice(&[0x11; 16]);
    bytes.extend_from_slice(&[2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 2, 2, b'x', 0, 0, 0]);
    let request: OffsetCommitRequest = decode_request(10, bytes.clone().into()).unwrap();
    assert_eq!(request.topics[0].topic_id, Uuid::from_bytes([0x11; 16]));
    assert_eq!(request.topics[0].partitions[0].committed_offset, 5);
    let mut out = BytesMut::new();
    RequestMessage::encode_body(&request, &mut out, 10).unwrap();
    assert_eq!(out, bytes);
}

#[test]
fn offset_fetch_by_id_has_kafkas_bytes() {
    // One group "g" without member, one topic id with partitions 1 and 2, stable offsets required.
    let mut bytes = vec![2, 2, b'g', 0, 0xff, 0xff, 0xff, 0xff, 2];
    bytes.extend_from_slice(&[0x22; 16]);
    bytes.extend_from_slice(&[3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 1, 0]);
    let request: OffsetFetchRequest = decode_request(10, bytes.clone().into()).unwrap();
    let topics = request.groups[0].topics.clone().unwrap();
    assert_eq!(
        (topics[0].topic_id, &topics[0].partition_indexes),
        (Uuid::from_bytes([0x22; 16]), &vec![1, 2])
    );
    assert!(request.require_stable);
    let mut out = BytesMut::new();
    RequestMessage::encode_body(&request, &mut out, 10).unwrap();
    assert_eq!(out, bytes);
}

#[test]
fn by_hand_and_by_crate_agree_but_for_the_topic() {
    // A request without topics has the same bytes in versions 9 and 10, which ties the hand-written codec to the crate's.
    let commit = OffsetCommitRequest::default()
        .with_group_id(GroupId(StrBytes::from_static_str("g")))
        .with_group_instance_id(Some(StrBytes::from_static_str("i")));
    let fetch = OffsetFetchRequest::default().with_groups(vec![
        offset_fetch_request::OffsetFetchRequestGroup::default()
            .with_member_id(Some(StrBytes::from_static_str("m")))
            .with_topics(None),
    ]);
    let bytes = |version| {
        let mut out = BytesMut::new();
        RequestMessage::encode_body(&commit, &mut out, version).unwrap();
        RequestMessage::encode_body(&fetch, &mut out, version).unwrap();
        out
    };
    assert_eq!(bytes(9), bytes(10));
}

#[test]
fn names_do_not_travel_where_ids_do() {
    let topic = offset_commit_request::OffsetCommitRequestTopic::default()
        .with_name(TopicName(StrBytes::from_static_str("orders")));
    let request = OffsetCommitRequest::default().with_topics(vec![topic]);
    assert!(encode_request(10, 1, None, &request).is_err());
    assert!(encode_request(9, 1, None, &request).is_ok());
}

#[test]
fn responses_round_trip_with_the_right_header() {
    let topic = offset_commit_response::OffsetCommitResponseTopic::default()
        .with_topic_id(Uuid::from_u128(5))
        .with_partitions(vec![
            offset_commit_response::OffsetCommitResponsePartition::default().with_error_code(3),
        ]);
    let response = OffsetCommitResponse::default().with_topics(vec![topic]);
    let mut frame = encode_response(10, 77, &response).unwrap();
    assert_eq!(frame.get_i32() as usize, frame.len());
    assert_eq!(decode_response(10, frame), Ok((77, response)));

    let response = ListOffsetsResponse::default().with_throttle_time_ms(5);
    let (v10, v11) = (
        encode_response(10, 1, &response).unwrap(),
        encode_response(11, 1, &response).unwrap(),
    );
    assert_eq!(v10, v11);

    let response = ApiVersionsResponse::default();
    let frame = encode_response(3, 9, &response).unwrap();
    assert_eq!(
        &frame[4..9],
        [0, 0, 0, 9, 0],
        "the body follows the correlation id at once"
    );
}

#[test]
fn a_message_that_does_not_fit_its_version_is_an_error() {
    let group = offset_fetch_response::OffsetFetchResponseGroup::default();
    let response = OffsetFetchResponse::default().with_groups(vec![group]);
    assert!(encode_response(8, 1, &response).is_ok());
    let error = encode_response(7, 1, &response).unwrap_err();
    assert_eq!((error.api_key, error.version), (ApiKey::OffsetFetch, 7));
}

#[test]
fn text_that_is_not_utf8_is_refused_by_the_codec() {
    let body = Bytes::from_static(&[0, 0, 0, 1, 0, 1, 0xff]);
    let refused = decode_request::<MetadataRequest>(0, body).unwrap_err();
    assert!(matches!(
        refused,
        DecodeRequestError::Codec {
            api_key: ApiKey::Metadata,
            version: 0,
            ..
        }
    ));
}

#[test]
fn versions_without_schema_are_refused() {
    let refused = decode_request::<MetadataRequest>(14, Bytes::new()).unwrap_err();
    let no_schema = GuardError::NoSchema {
        api_key: ApiKey::Metadata,
        version: 14,
    };
    assert_eq!(refused, DecodeRequestError::Guard(no_schema));
}
