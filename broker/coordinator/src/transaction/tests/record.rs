//! Golden bytes: what Kafka 4.3's own serializers make of the same values. The end offsets were given to Kafka as an
//! unknown tagged field, which its own tools read over.

use bytes::Bytes;
use proptest::prelude::*;
use protocol::ids::TopicPartition;

use crate::transaction::record::TransactionRecordError;
use crate::transaction::{TransactionLogValue, TransactionPartition, TransactionRecord, TransactionState};

const TRANSACTION_LOG_KEY_V0: &str = "000000027478";
const TRANSACTION_LOG_VALUE_V0: &str = "\
    00000000000000000fa000050000ea60020000000200066f726465727300000002000000000000000200036f7574000000010000000100\
    00018bcfe568020000018bcfe56800";
const TRANSACTION_LOG_VALUE_V1: &str = "\
    00010000000000000fa000050000ea600203076f726465727303000000000000000200046f75740200000001000000018bcfe568020000\
    018bcfe5680000";
const TRANSACTION_LOG_VALUE_EMPTY_V0: &str =
    "00000000000000000fa000000000ea6000ffffffff0000018bcfe56802ffffffffffffffff";
const TRANSACTION_LOG_VALUE_EMPTY_V1: &str = "00010000000000000fa000000000ea6000000000018bcfe56802ffffffffffffffff00";
const TRANSACTION_LOG_VALUE_TAGGED_V1: &str = "\
    00010000000000000fa000050000ea600203076f726465727303000000000000000200046f75740200000001000000018bcfe568020000\
    018bcfe568000400080000000000000f9f01080000000000000fa10202000203020001";
const TRANSACTION_LOG_VALUE_ENDS_V1: &str = "\
    00010000000000000fa000050000ea600203076f726465727303000000000000000200046f75740200000001000000018bcfe568020000\
    018bcfe5680001904e1800000000000000640000000000000007ffffffffffffffff";
const TRANSACTION_LOG_VALUE_COMPLETE_V1: &str =
    "00010000000000000fa000050000ea6004010000018bcfe56802ffffffffffffffff00";

#[test]
fn keys_are_kafkas() {
    let record = TransactionRecord::State {
        transactional_id: "tx".into(),
        value: None,
    };
    assert_eq!(
        TransactionRecord::decode(&bytes(TRANSACTION_LOG_KEY_V0), None),
        Ok(record.clone())
    );
    let encoded = record.encode();
    assert_eq!(
        (hex(&encoded.key), encoded.value),
        (TRANSACTION_LOG_KEY_V0.into(), None)
    );
    assert_eq!(
        TransactionRecord::decode(&[0, 9], None),
        Ok(TransactionRecord::Unknown { key_type: 9 })
    );
}

#[test]
fn values_are_read_in_both_versions() {
    let tagged = TransactionLogValue {
        previous_producer_id: 3_999,
        next_producer_id: 4_001,
        next_producer_epoch: 1,
        client_version: 2,
        ..value()
    };
    let versions = [
        (TRANSACTION_LOG_VALUE_V0, value()),
        (TRANSACTION_LOG_VALUE_V1, value()),
        (TRANSACTION_LOG_VALUE_EMPTY_V0, empty()),
        (TRANSACTION_LOG_VALUE_EMPTY_V1, empty()),
        (TRANSACTION_LOG_VALUE_TAGGED_V1, tagged),
        (TRANSACTION_LOG_VALUE_ENDS_V1, with_ends()),
        (TRANSACTION_LOG_VALUE_COMPLETE_V1, complete()),
    ];
    for (golden, expected) in versions {
        assert_eq!(TransactionLogValue::decode(&bytes(golden)), Ok(expected), "{golden}");
    }
}

#[test]
fn values_are_written_in_version_1() {
    let tagged = TransactionLogValue::decode(&bytes(TRANSACTION_LOG_VALUE_TAGGED_V1)).expect("it is Kafka's");
    let values = [
        (TRANSACTION_LOG_VALUE_V1, value()),
        (TRANSACTION_LOG_VALUE_EMPTY_V1, empty()),
        (TRANSACTION_LOG_VALUE_TAGGED_V1, tagged),
        (TRANSACTION_LOG_VALUE_ENDS_V1, with_ends()),
        (TRANSACTION_LOG_VALUE_COMPLETE_V1, complete()),
    ];
    for (golden, value) in values {
        assert_eq!(hex(&value.encode()), golden);
    }
}

#[test]
fn damage_and_the_future_are_named() {
    let mut unknown_status = bytes(TRANSACTION_LOG_VALUE_V1).to_vec();
    unknown_status[16] = 99;
    assert_eq!(
        TransactionLogValue::decode(&unknown_status),
        Err(TransactionRecordError::Status { status: 99 })
    );
    assert_eq!(
        TransactionLogValue::decode(&[0, 2]),
        Err(TransactionRecordError::Version { version: 2 })
    );

    // One end offset less than there are partitions, and the sizes put right.
    let mut one_end_less = bytes(TRANSACTION_LOG_VALUE_ENDS_V1).to_vec();
    let size_at = one_end_less.len() - 25;
    one_end_less[size_at] = 16;
    one_end_less.truncate(size_at + 17);
    let read = TransactionLogValue::decode(&one_end_less);
    assert_eq!(read, Err(TransactionRecordError::Ends { partitions: 3, ends: 2 }));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(key: Vec<u8>, value: Vec<u8>, version in 0..2_i16) {
        let _any = TransactionRecord::decode(&key, Some(&value));
        let _any = TransactionLogValue::decode(&[&version.to_be_bytes(), value.as_slice()].concat());
    }
}

fn value() -> TransactionLogValue {
    TransactionLogValue {
        producer_id: 4_000,
        previous_producer_id: -1,
        next_producer_id: -1,
        producer_epoch: 5,
        next_producer_epoch: -1,
        timeout_ms: 60_000,
        state: TransactionState::PrepareCommit,
        partitions: partitions([None, None, None]),
        last_update: 1_700_000_000_002,
        started: 1_700_000_000_000,
        client_version: 0,
    }
}

fn empty() -> TransactionLogValue {
    let state = TransactionState::Empty;
    TransactionLogValue {
        producer_epoch: 0,
        state,
        partitions: Vec::new(),
        started: -1,
        ..value()
    }
}

fn complete() -> TransactionLogValue {
    TransactionLogValue {
        state: TransactionState::CompleteCommit,
        partitions: Vec::new(),
        started: -1,
        ..value()
    }
}

fn with_ends() -> TransactionLogValue {
    TransactionLogValue {
        partitions: partitions([Some(100), Some(7), None]),
        ..value()
    }
}

fn partitions(ends: [Option<i64>; 3]) -> Vec<TransactionPartition> {
    let names = [("orders", 0), ("orders", 2), ("out", 1)].into_iter().zip(ends);
    let partitions = names.map(|((topic, partition), end)| {
        let partition = TopicPartition {
            topic: topic.into(),
            partition,
        };
        TransactionPartition { partition, end }
    });
    partitions.collect()
}

fn bytes(hex: &str) -> Bytes {
    let digits = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("golden bytes are hexadecimal");
    (0..hex.len()).step_by(2).map(digits).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
