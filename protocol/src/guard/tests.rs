//! The guard accepts what clients send in every version and refuses every way to bend it.

use bytes::{BufMut, BytesMut};
use kafka_protocol::messages::{FetchRequest, ProduceRequest};
use proptest::prelude::*;

use super::{schema::Schema, *};
use crate::{
    codec::{Reader, compact, varint},
    limits::{DECODED_BYTES_MAX, ELEMENT_MEMORY_BYTES},
    messages::{
        RequestMessage, decode_request,
        samples::{Visitor, visit_all},
    },
};

/// Bodies of all samples.
struct Bodies(Vec<(ApiKey, i16, Vec<u8>)>);

impl Visitor for Bodies {
    fn visit<T: RequestMessage + PartialEq + std::fmt::Debug>(&mut self, version: i16, request: T) {
        let mut out = BytesMut::new();
        request.encode_body(&mut out, version).unwrap();
        self.0.push((T::KEY, version, out.to_vec()));
    }
}

fn bodies() -> Vec<(ApiKey, i16, Vec<u8>)> {
    let mut bodies = Bodies(Vec::new());
    visit_all(&mut bodies);
    bodies.0
}

#[test]
fn every_request_of_the_codec_is_accepted_in_every_version() {
    let bodies = bodies();
    for (api_key, version, body) in &bodies {
        assert_eq!(check(*api_key, *version, body), Ok(()), "{api_key} v{version}");
    }
    assert_eq!(bodies.len(), 2 * 156);
    for api_key in Schema::api_keys() {
        assert!(
            bodies.iter().any(|(key, ..)| *key == api_key),
            "{api_key} has no sample"
        );
    }
}

#[test]
fn every_truncation_is_refused() {
    for (api_key, version, body) in bodies() {
        for length in 0..body.len() {
            assert!(
                check(api_key, version, &body[..length]).is_err(),
                "{api_key} v{version} cut at {length}"
            );
        }
    }
}

/// Librdkafka 2.12 asks for all topics with three bytes behind the body of Metadata version 13; Kafka ignores them.
#[test]
fn bytes_behind_the_body_are_ignored() {
    for (api_key, version, mut body) in bodies() {
        body.extend([0, 0, 0]);
        assert!(check(api_key, version, &body).is_ok(), "{api_key} v{version}");
    }
}

/// The count as it is written; 0 for null.
fn written_count(bytes: &[u8], flexible: bool) -> usize {
    let mut reader = Reader::new(bytes);
    if flexible {
        (reader.unsigned_varint().unwrap() as usize).saturating_sub(1)
    } else {
        usize::try_from(reader.i32().unwrap()).unwrap_or(0)
    }
}

/// Every count of every request, replaced by one that is 1 too high, and by huge ones, is refused where it stands or
/// where its elements end.
#[test]
fn every_inflated_count_is_refused() {
    let mut bent = 0;
    for (api_key, version, body) in bodies() {
        let flexible = api_key.is_flexible(version);
        let mut walk = Walk::new(&body, version, flexible, &DecodeLimits::DEFAULT);
        walk.whole(Schema::of(api_key).unwrap().body).unwrap();
        for range in walk.counts {
            let count = written_count(&body[range.clone()], flexible);
            for inflated in [count + 1, 0x7f_ffff, i32::MAX as usize - 1] {
                let mut bytes = body[..range.start].to_vec();
                compact::put_count(&mut bytes, flexible, inflated);
                bytes.extend_from_slice(&body[range.end..]);
                assert!(
                    check(api_key, version, &bytes).is_err(),
                    "{api_key} v{version} at {range:?}"
                );
                bent += 1;
            }
        }
    }
    assert!(400 < bent, "only {bent} counts bent");
}

/// Overwrites each byte, and each run of four, with what a huge count or length looks like. Whatever the guard lets
/// through (a changed timeout is no lie) must be harmless to the codec.
#[test]
fn whatever_an_inflated_field_passes_as_the_codec_survives() {
    struct Inflate(usize);
    impl Visitor for Inflate {
        fn visit<T: RequestMessage + PartialEq + std::fmt::Debug>(&mut self, version: i16, request: T) {
            let mut out = BytesMut::new();
            request.encode_body(&mut out, version).unwrap();
            for position in 0..out.len() {
                for run in [
                    &[0x7f, 0xff, 0xff, 0xff][..],
                    &[0xff, 0xff, 0xff, 0xff, 0x0f],
                    &[0x7f, 0xff],
                    &[0xff],
                ] {
                    let mut bent = out.to_vec();
                    let end = bent.len().min(position + run.len());
                    bent[position..end].copy_from_slice(&run[..end - position]);
                    let refused = check(T::KEY, version, &bent).is_err();
                    let decoded = decode_request::<T>(version, bent.into());
                    assert!(!refused || decoded.is_err());
                    self.0 += usize::from(refused);
                }
            }
        }
    }
    let mut inflate = Inflate(0);
    visit_all(&mut inflate);
    assert!(5_000 < inflate.0, "only {} refusals", inflate.0);
}

#[test]
fn counts_are_refused_where_they_stand() {
    // Metadata v1: the body is nothing but a count of topics.
    let refused = check(ApiKey::Metadata, 1, &[0x7f, 0xff, 0xff, 0xff]).unwrap_err();
    let source = DecodeError::CountTooLarge {
        count: 0x7fff_ffff,
        remaining: 0,
    };
    let expected = GuardError::Malformed {
        api_key: ApiKey::Metadata,
        version: 1,
        field: "topics",
        position: 4,
        source,
    };
    assert_eq!(refused, expected);
}

#[test]
fn null_stands_only_where_it_may() {
    assert_eq!(check(ApiKey::Metadata, 1, &[0xff; 4]), Ok(()));
    assert!(check(ApiKey::Metadata, 0, &[0xff; 4]).is_err());
    assert!(check(ApiKey::DescribeGroups, 0, &[0xff; 4]).is_err());
    assert!(check(ApiKey::DescribeGroups, 0, &[0, 0, 0, 1, 0xff, 0xff]).is_err());
}

#[test]
fn small_elements_that_become_large_structs_are_bounded() {
    // Two bytes per topic on the wire, about a hundred once decoded.
    let count = 2_000_000;
    let mut body = BytesMut::new();
    body.put_i32(count);
    body.put_bytes(0, 2 * count as usize);
    let refused = check(ApiKey::Metadata, 1, &body).unwrap_err();
    assert!(
        matches!(
            refused,
            GuardError::TooCostly {
                field: "topics",
                position: 0,
                ..
            }
        ),
        "{refused}"
    );

    let roomy = DecodeLimits {
        decoded_bytes_max: 1 << 30,
        ..DecodeLimits::DEFAULT
    };
    let footprint = measure(ApiKey::Metadata, 1, &body, &roomy).unwrap();
    assert_eq!(footprint.elements, count as usize);
    assert!(50 * count as usize <= footprint.decoded_bytes);
}

/// A partition is four bytes on the wire and in the request, and has a place of a hundred in the answer.
#[test]
fn every_element_costs_what_its_answer_takes() {
    let body = |partitions: usize| {
        let mut body = BytesMut::new();
        // A group and one topic, both without a name.
        body.put_slice(&[0, 0, 0, 0, 0, 1, 0, 0]);
        body.put_i32(partitions as i32);
        body.put_bytes(0, 4 * partitions);
        body
    };
    let most = DECODED_BYTES_MAX / ELEMENT_MEMORY_BYTES;
    // The topic itself costs something too.
    assert_eq!(check(ApiKey::OffsetFetch, 5, &body(most - 8)), Ok(()));
    let refused = check(ApiKey::OffsetFetch, 5, &body(most)).unwrap_err();
    assert!(
        matches!(refused, GuardError::TooCostly { position: 8, .. }),
        "{refused}"
    );
}

/// Metadata v9 without topics and with these bytes as its tag buffer.
fn with_tags(tags: &[u8]) -> Vec<u8> {
    let mut body = vec![0, 1, 0, 0];
    body.extend_from_slice(tags);
    body
}

#[test]
fn unknown_tags_are_accepted_but_not_without_end() {
    assert_eq!(check(ApiKey::Metadata, 9, &with_tags(&[0])), Ok(()));
    assert_eq!(check(ApiKey::Metadata, 9, &with_tags(&[2, 9, 1, 0xaa, 10, 0])), Ok(()));
    assert!(check(ApiKey::Metadata, 9, &with_tags(&[1, 9, 2, 0xaa])).is_err());
    let mut tags = Vec::new();
    let count = DecodeLimits::DEFAULT.unknown_tags_max as u32 + 1;
    varint::put_u32(&mut tags, count);
    for tag in 0..count {
        varint::put_u32(&mut tags, tag);
        tags.push(0);
    }
    let refused = check(ApiKey::Metadata, 9, &with_tags(&tags)).unwrap_err();
    assert!(
        matches!(refused, GuardError::TooManyTags { max: 1024, .. }),
        "{refused}"
    );
}

/// Fetch v12 without topics, up to its tag buffer.
fn fetch_before_tags() -> Vec<u8> {
    let mut out = BytesMut::new();
    FetchRequest::default().encode_body(&mut out, 12).unwrap();
    out.truncate(out.len() - 1);
    out.to_vec()
}

#[test]
fn known_tags_are_as_long_as_they_say_and_of_their_version() {
    let with = |tags: &[u8]| {
        let mut body = fetch_before_tags();
        body.extend_from_slice(tags);
        check(ApiKey::Fetch, 12, &body)
    };
    assert_eq!(with(&[1, 0, 3, 3, b'a', b'b']), Ok(()));
    assert_eq!(with(&[1, 0, 1, 0]), Ok(()), "a null cluster id");
    let refused = with(&[1, 0, 4, 3, b'a', b'b', b'c']).unwrap_err();
    assert!(
        matches!(
            refused,
            GuardError::TagSize {
                field: "cluster_id",
                announced: 4,
                actual: 3,
                ..
            }
        ),
        "{refused}"
    );
    assert!(
        with(&[1, 0, 2, 3, b'a', b'b']).is_err(),
        "the value reaches beyond its size"
    );
    let refused = with(&[1, 1, 0]).unwrap_err();
    assert!(
        matches!(
            refused,
            GuardError::TagVersion {
                field: "replica_state",
                ..
            }
        ),
        "{refused}"
    );
}

#[test]
fn versions_are_those_of_the_tables() {
    assert_eq!(versions(ApiKey::Produce), Some((3, 13)));
    assert_eq!(versions(ApiKey::ListOffsets), Some((1, 11)));
    assert_eq!(versions(ApiKey::EndTxn), None);
    let no_schema = GuardError::NoSchema {
        api_key: ApiKey::Produce,
        version: 2,
    };
    assert_eq!(check(ApiKey::Produce, 2, &[]), Err(no_schema));
}

proptest! {
    #[test]
    fn garbage_is_refused_or_decoded_but_never_panics(
        version in 3_i16..=13,
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        if check(ApiKey::Produce, version, &body).is_err() {
            prop_assert!(decode_request::<ProduceRequest>(version, body.into()).is_err());
        } else {
            let _ = decode_request::<ProduceRequest>(version, body.into());
        }
    }

    #[test]
    fn bent_requests_are_refused_or_decoded(index: prop::sample::Index, at: prop::sample::Index, with: u8) {
        let bodies = bodies();
        let (api_key, version, mut body) = bodies[index.index(bodies.len())].clone();
        if !body.is_empty() {
            let position = at.index(body.len());
            body[position] = with;
        }
        let _ = measure(api_key, version, &body, &DecodeLimits::DEFAULT);
    }
}
