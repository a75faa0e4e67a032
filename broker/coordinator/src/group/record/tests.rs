//! Golden bytes: what Kafka 4.3's own serializers make of the same values.

use bytes::Bytes;
use proptest::prelude::*;
use protocol::codec::DecodeError;
use protocol::ids::TopicId;
use uuid::Uuid;

use super::{GroupMetadataValue, GroupRecord, GroupRecordError, MemberMetadata, OffsetCommitKey, OffsetCommitValue};

const OFFSET_COMMIT_KEY_V0: &str = "0000000567726f757000066f726465727300000003";
const OFFSET_COMMIT_KEY_V1: &str = "0001000567726f757000066f726465727300000003";
const GROUP_METADATA_KEY_V2: &str = "0002000567726f7570";
const CONSUMER_GROUP_METADATA_KEY_V3: &str = "0003000567726f7570";
const OFFSET_COMMIT_VALUE_V0: &str = "00000000011f71fb04cb00046e6f74650000018bcfe56800";
const OFFSET_COMMIT_VALUE_V1: &str = "00010000011f71fb04cb00046e6f74650000018bcfe568000000018bcfee8fc0";
const OFFSET_COMMIT_VALUE_V2: &str = "00020000011f71fb04cb00046e6f74650000018bcfe56800";
const OFFSET_COMMIT_VALUE_V3: &str = "00030000011f71fb04cb0000000c00046e6f74650000018bcfe56800";
const OFFSET_COMMIT_VALUE_V4: &str = "00040000011f71fb04cb0000000c056e6f74650000018bcfe5680000";
const OFFSET_COMMIT_VALUE_TOPIC_ID_V4: &str =
    "00040000011f71fb04cb0000000c056e6f74650000018bcfe5680001001000000000000000010000000000000002";
const GROUP_METADATA_VALUE_V0: &str = "\
    00000008636f6e73756d657200000007000572616e676500036d2d310000000200036d2d310006636c69656e74000a2f3132372e302e30\
    2e310000afc80000000301020300000002040500036d2d320006636c69656e74000a2f3132372e302e302e310000afc800000001090000\
    0000";
const GROUP_METADATA_VALUE_V1: &str = "\
    00010008636f6e73756d657200000007000572616e676500036d2d310000000200036d2d310006636c69656e74000a2f3132372e302e30\
    2e310000ea600000afc80000000301020300000002040500036d2d320006636c69656e74000a2f3132372e302e302e310000ea600000af\
    c8000000010900000000";
const GROUP_METADATA_VALUE_V2: &str = "\
    00020008636f6e73756d657200000007000572616e676500036d2d310000018bcfe568010000000200036d2d310006636c69656e74000a\
    2f3132372e302e302e310000ea600000afc80000000301020300000002040500036d2d320006636c69656e74000a2f3132372e302e302e\
    310000ea600000afc8000000010900000000";
const GROUP_METADATA_VALUE_V3: &str = "\
    00030008636f6e73756d657200000007000572616e676500036d2d310000018bcfe568010000000200036d2d310004696e73740006636c\
    69656e74000a2f3132372e302e302e310000ea600000afc80000000301020300000002040500036d2d32ffff0006636c69656e74000a2f\
    3132372e302e302e310000ea600000afc8000000010900000000";
const GROUP_METADATA_VALUE_V4: &str = "\
    000409636f6e73756d6572000000070672616e6765046d2d310000018bcfe5680103046d2d3105696e737407636c69656e740b2f313237\
    2e302e302e310000ea600000afc80401020303040500046d2d320007636c69656e740b2f3132372e302e302e310000ea600000afc80209\
    010000";
const GROUP_METADATA_VALUE_EMPTY_V3: &str = "00030008636f6e73756d657200000008ffffffff0000018bcfe5680100000000";
const GROUP_METADATA_VALUE_EMPTY_V4: &str = "000409636f6e73756d65720000000800000000018bcfe568010100";

#[test]
fn keys_are_kafkas() {
    let key = OffsetCommitKey {
        group: "group".into(),
        topic: "orders".into(),
        partition: 3,
    };
    for golden in [OFFSET_COMMIT_KEY_V0, OFFSET_COMMIT_KEY_V1] {
        let expected = GroupRecord::OffsetCommit {
            key: key.clone(),
            value: None,
        };
        assert_eq!(GroupRecord::decode(&bytes(golden), None), Ok(expected));
    }
    let offset = GroupRecord::OffsetCommit { key, value: None }.encode();
    assert_eq!((hex(&offset.key), offset.value), (OFFSET_COMMIT_KEY_V1.into(), None));

    let group = GroupRecord::GroupMetadata {
        group: "group".into(),
        value: None,
    };
    assert_eq!(
        GroupRecord::decode(&bytes(GROUP_METADATA_KEY_V2), None),
        Ok(group.clone())
    );
    assert_eq!(hex(&group.encode().key), GROUP_METADATA_KEY_V2);
}

#[test]
fn a_key_of_another_kind_of_group_is_told_apart() {
    let read = GroupRecord::decode(&bytes(CONSUMER_GROUP_METADATA_KEY_V3), Some(b"whatever"));
    assert_eq!(read, Ok(GroupRecord::Unknown { key_type: 3 }));
}

#[test]
fn offsets_are_read_in_every_version() {
    let plain = offset(-1);
    let versions = [
        (OFFSET_COMMIT_VALUE_V0, plain.clone()),
        (
            OFFSET_COMMIT_VALUE_V1,
            OffsetCommitValue {
                expire_timestamp: Some(1_700_000_600_000),
                ..plain.clone()
            },
        ),
        (OFFSET_COMMIT_VALUE_V2, plain),
        (OFFSET_COMMIT_VALUE_V3, offset(12)),
        (OFFSET_COMMIT_VALUE_V4, offset(12)),
        (
            OFFSET_COMMIT_VALUE_TOPIC_ID_V4,
            OffsetCommitValue {
                topic_id: TopicId(Uuid::from_u64_pair(1, 2)),
                ..offset(12)
            },
        ),
    ];
    for (golden, expected) in versions {
        assert_eq!(OffsetCommitValue::decode(&bytes(golden)), Ok(expected), "{golden}");
    }
}

#[test]
fn offsets_are_written_in_version_3_and_with_an_expiry_in_version_1() {
    assert_eq!(hex(&offset(12).encode()), OFFSET_COMMIT_VALUE_V3);
    let expiring = OffsetCommitValue {
        expire_timestamp: Some(1_700_000_600_000),
        ..offset(12)
    };
    assert_eq!(hex(&expiring.encode()), OFFSET_COMMIT_VALUE_V1);
    assert_eq!(
        OffsetCommitValue::decode(&expiring.encode()),
        Ok(expiring.into_written())
    );
}

#[test]
fn groups_are_read_in_every_version() {
    let newest = group();
    let without_instance = |value: &GroupMetadataValue| {
        let members = value.members.iter().cloned().map(|member| MemberMetadata {
            instance: None,
            ..member
        });
        GroupMetadataValue {
            members: members.collect(),
            ..value.clone()
        }
    };
    let version_2 = without_instance(&newest);
    let version_1 = GroupMetadataValue {
        current_state_timestamp: None,
        ..version_2.clone()
    };
    // Version 0 has no rebalance timeout: the session timeout takes its place.
    let members = version_1.members.iter().cloned();
    let members = members
        .map(|member| MemberMetadata {
            rebalance_timeout_ms: 45_000,
            ..member
        })
        .collect();
    let version_0 = GroupMetadataValue {
        members,
        ..version_1.clone()
    };
    let versions = [
        (GROUP_METADATA_VALUE_V0, version_0),
        (GROUP_METADATA_VALUE_V1, version_1),
        (GROUP_METADATA_VALUE_V2, version_2),
        (GROUP_METADATA_VALUE_V3, newest.clone()),
        (GROUP_METADATA_VALUE_V4, newest),
        (GROUP_METADATA_VALUE_EMPTY_V3, empty_group()),
        (GROUP_METADATA_VALUE_EMPTY_V4, empty_group()),
    ];
    for (golden, expected) in versions {
        assert_eq!(GroupMetadataValue::decode(&bytes(golden)), Ok(expected), "{golden}");
    }
}

#[test]
fn groups_are_written_in_version_3() {
    assert_eq!(hex(&group().encode()), GROUP_METADATA_VALUE_V3);
    assert_eq!(hex(&empty_group().encode()), GROUP_METADATA_VALUE_EMPTY_V3);
}

#[test]
fn damage_and_the_future_are_named() {
    let cut = bytes(GROUP_METADATA_VALUE_V3).slice(..20);
    assert!(matches!(
        GroupMetadataValue::decode(&cut),
        Err(GroupRecordError::Value {
            version: Some(3),
            source: DecodeError::Truncated { .. },
            ..
        })
    ));
    assert_eq!(
        OffsetCommitValue::decode(&[0, 5]),
        Err(GroupRecordError::ValueVersion {
            record: "OffsetCommitValue",
            version: 5
        })
    );
    assert!(matches!(
        GroupRecord::decode(&[0], None),
        Err(GroupRecordError::Key { key_type: None, .. })
    ));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(key: Vec<u8>, value: Vec<u8>, key_type in 0..3_i16, version in 0..5_i16) {
        let _any = GroupRecord::decode(&key, Some(&value));
        let with_front = |front: i16, rest: &[u8]| [&front.to_be_bytes(), rest].concat();
        let _any = GroupRecord::decode(&with_front(key_type, &key), Some(&with_front(version, &value)));
        let _any = GroupMetadataValue::decode(&with_front(version, &value));
        let _any = OffsetCommitValue::decode(&with_front(version, &value));
    }
}

fn offset(leader_epoch: i32) -> OffsetCommitValue {
    OffsetCommitValue {
        offset: 1_234_567_890_123,
        leader_epoch,
        metadata: "note".into(),
        commit_timestamp: 1_700_000_000_000,
        expire_timestamp: None,
        topic_id: TopicId::NIL,
    }
}

fn group() -> GroupMetadataValue {
    let member = MemberMetadata {
        member: "m-1".into(),
        instance: Some("inst".into()),
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        rebalance_timeout_ms: 60_000,
        session_timeout_ms: 45_000,
        subscription: Bytes::from_static(&[1, 2, 3]),
        assignment: Bytes::from_static(&[4, 5]),
    };
    let other = MemberMetadata {
        member: "m-2".into(),
        instance: None,
        subscription: Bytes::from_static(&[9]),
        assignment: Bytes::new(),
        ..member.clone()
    };
    GroupMetadataValue {
        protocol_type: "consumer".into(),
        generation: 7,
        protocol: Some("range".into()),
        leader: Some("m-1".into()),
        current_state_timestamp: Some(1_700_000_000_001),
        members: vec![member, other],
    }
}

fn empty_group() -> GroupMetadataValue {
    GroupMetadataValue {
        protocol_type: "consumer".into(),
        generation: 8,
        protocol: None,
        leader: None,
        current_state_timestamp: Some(1_700_000_000_001),
        members: Vec::new(),
    }
}

fn bytes(hex: &str) -> Bytes {
    let digits = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("golden bytes are hexadecimal");
    (0..hex.len()).step_by(2).map(digits).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
