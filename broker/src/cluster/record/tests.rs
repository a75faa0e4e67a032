//! Every record survives its encoding; broken bytes are refused, never believed.

use super::*;

fn samples() -> Vec<MetadataRecord> {
    let id = TopicId(Uuid::from_u128(0x0123_4567_89ab_cdef_0011_2233_4455_6677));
    vec![
        MetadataRecord::NodeStarted {
            node: 1,
            at: 1_700_000_000_000,
        },
        MetadataRecord::TopicCreated(TopicCreated {
            id,
            name: "clicks".to_owned(),
            partitions: vec![vec![1], vec![1]],
            configs: BTreeMap::from([("retention.ms".to_owned(), "-1".to_owned())]),
            internal: false,
            owner: Some("q7".to_owned()),
            created_at: 5,
        }),
        MetadataRecord::TopicDeleted { id },
        MetadataRecord::PartitionsAdded {
            id,
            assignments: vec![vec![1]],
        },
        MetadataRecord::TopicConfig {
            id,
            key: "segment.bytes".to_owned(),
            value: Some("1048576".to_owned()),
        },
        MetadataRecord::TopicConfig {
            id,
            key: "segment.bytes".to_owned(),
            value: None,
        },
        MetadataRecord::BrokerConfig {
            key: "log.retention.ms".to_owned(),
            value: Some(String::new()),
        },
        MetadataRecord::ProducerIdBlock { end: 1000 },
        MetadataRecord::SqlObject {
            name: "v".to_owned(),
            payload: Some(Bytes::from_static(b"\0\xff")),
        },
        MetadataRecord::SqlObject {
            name: "v".to_owned(),
            payload: None,
        },
    ]
}

#[test]
fn every_record_survives_its_encoding() {
    for record in samples() {
        assert_eq!(MetadataRecord::decode(&record.encode()), Ok(record));
    }
}

#[test]
fn the_layout_does_not_drift() {
    let id = TopicId(Uuid::from_u128(1));
    let bytes = MetadataRecord::TopicConfig {
        id,
        key: "k".to_owned(),
        value: None,
    }
    .encode();
    let mut expected = vec![0, 5, 0];
    expected.extend([0; 15]);
    expected.extend([1, 0, 0, 0, 1, b'k', 0xff, 0xff, 0xff, 0xff]);
    assert_eq!(bytes.as_ref(), expected);
}

#[test]
fn truncation_is_noticed_at_every_byte() {
    for record in samples() {
        let bytes = record.encode();
        for end in 0..bytes.len() {
            assert!(
                MetadataRecord::decode(&bytes[..end]).is_err(),
                "{record:?} cut at {end}"
            );
        }
    }
}

#[test]
fn what_is_not_known_is_refused() {
    assert_eq!(MetadataRecord::decode(&[0, 99, 0]), Err(RecordError::UnknownType(99)));
    assert_eq!(
        MetadataRecord::decode(&[0, 7, 1, 0, 0, 0, 0, 0, 0, 0, 1]),
        Err(RecordError::UnknownVersion {
            record_type: 7,
            version: 1
        })
    );
    assert_eq!(
        MetadataRecord::decode(&[0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 9]),
        Err(RecordError::Trailing(1))
    );
    let huge_count = [&[0, 4, 0][..], &[0; 16], &[0x7f, 0xff, 0xff, 0xff]].concat();
    assert_eq!(MetadataRecord::decode(&huge_count), Err(RecordError::Length(i32::MAX)));
}
