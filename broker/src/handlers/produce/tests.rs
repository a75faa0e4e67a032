//! Which batches are taken, and how refusals look on the wire.

use bytes::{Bytes, BytesMut};
use protocol::ErrorCode;
use protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use protocol::messages::{ProduceResponse, decode_response, encode_response};
use protocol::records::{Batch, BatchBuilder, BatchStamp, Codec};
use storage::{
    AppendError, BatchTooLarge, DuplicateSequence, InvalidProducerEpoch, InvalidRecord, InvalidTimestamp,
    InvalidTxnState, NoSpace, OutOfOrderSequence, Poisoned,
};

use super::append::{PartitionOutcome, Refusal, TopicOutcome, only_batch, refusal_of_append};
use super::{Acks, reply};

const NOW: i64 = 1_700_000_000_000;

fn batch(codec: Codec, stamp: BatchStamp) -> Bytes {
    let mut builder = BatchBuilder::new(codec, None, NOW);
    builder.append(NOW, Some(b"key"), Some(b"value"), &[]);
    builder.finish(stamp).bytes
}

fn plain() -> Bytes {
    batch(Codec::None, BatchStamp::NONE)
}

fn with_byte(bytes: &Bytes, at: usize, value: u8) -> Bytes {
    let mut changed = BytesMut::from(bytes.as_ref());
    changed[at] = value;
    changed.freeze()
}

fn code(version: i16, records: Option<Bytes>) -> Result<(), ErrorCode> {
    only_batch(version, records)
        .map(|_: Batch| ())
        .map_err(|refusal| refusal.code)
}

#[test]
fn exactly_one_batch_of_magic_2_is_taken() {
    assert_eq!(code(3, Some(plain())), Ok(()));
    assert_eq!(code(3, None), Err(ErrorCode::InvalidRecord));
    assert_eq!(code(3, Some(Bytes::new())), Err(ErrorCode::InvalidRecord));
    let two = [plain(), plain()].concat();
    assert_eq!(code(3, Some(two.into())), Err(ErrorCode::InvalidRecord));
    assert_eq!(code(3, Some(with_byte(&plain(), 16, 1))), Err(ErrorCode::InvalidRecord));
    let torn = plain();
    assert_eq!(
        code(3, Some(torn.slice(..torn.len() - 1))),
        Err(ErrorCode::InvalidRecord)
    );
    assert_eq!(
        code(3, Some(with_byte(&plain(), 8, 0xff))),
        Err(ErrorCode::CorruptMessage)
    );
}

#[test]
fn zstd_needs_version_7() {
    let zstd = || Some(batch(Codec::Zstd, BatchStamp::NONE));
    assert_eq!(code(6, zstd()), Err(ErrorCode::UnsupportedCompressionType));
    assert_eq!(code(7, zstd()), Ok(()));
    assert_eq!(code(3, Some(batch(Codec::Lz4, BatchStamp::NONE))), Ok(()));
}

#[test]
fn transactional_batches_are_refused_like_transactional_ids() {
    let stamp = BatchStamp {
        producer_id: 1,
        producer_epoch: 0,
        base_sequence: 0,
        transactional: true,
        control: false,
    };
    assert_eq!(
        code(9, Some(batch(Codec::None, stamp))),
        Err(ErrorCode::TransactionalIdAuthorizationFailed)
    );
}

#[test]
fn acks_are_minus_one_zero_and_one() {
    assert_eq!(Acks::from_wire(-1), Some(Acks::All));
    assert_eq!(Acks::from_wire(0), Some(Acks::None));
    assert_eq!(Acks::from_wire(1), Some(Acks::Leader));
    assert!(
        [-2, 2, i16::MAX]
            .into_iter()
            .all(|acks| Acks::from_wire(acks).is_none())
    );
}

#[test]
fn the_log_speaks_in_kafkas_codes() {
    let log = protocol::ids::TopicPartition::new("t", 0);
    let sequence = OutOfOrderSequence {
        producer_id: 1,
        producer_epoch: 0,
        expected: 4,
        found: 9,
    };
    let cases: [(AppendError, ErrorCode); 9] = [
        (
            BatchTooLarge {
                size_bytes: 2,
                max_bytes: 1,
            }
            .into(),
            ErrorCode::MessageTooLarge,
        ),
        (
            InvalidTimestamp {
                timestamp: 9,
                min: 0,
                max: 1,
            }
            .into(),
            ErrorCode::InvalidTimestamp,
        ),
        (sequence.into(), ErrorCode::OutOfOrderSequenceNumber),
        (
            DuplicateSequence {
                producer_id: 1,
                base_sequence: 0,
            }
            .into(),
            ErrorCode::DuplicateSequenceNumber,
        ),
        (
            InvalidProducerEpoch {
                producer_id: 1,
                current: 2,
                found: 1,
            }
            .into(),
            ErrorCode::InvalidProducerEpoch,
        ),
        (
            InvalidTxnState {
                producer_id: 1,
                first_offset: 0,
            }
            .into(),
            ErrorCode::InvalidTxnState,
        ),
        (
            NoSpace {
                free_bytes: 1,
                needed_bytes: 2,
            }
            .into(),
            ErrorCode::KafkaStorageError,
        ),
        (
            Poisoned {
                log: log.clone(),
                cause: "fsync".into(),
            }
            .into(),
            ErrorCode::KafkaStorageError,
        ),
        (AppendError::Closed(log), ErrorCode::NotLeaderOrFollower),
    ];
    for (error, code) in cases {
        assert_eq!(refusal_of_append(&error).code, code, "{error}");
    }
}

#[test]
fn a_bad_record_is_named_by_its_place() {
    let error = InvalidRecord::MissingKey { index: 3 };
    let refusal = refusal_of_append(&error.into());
    assert_eq!((refusal.code, refusal.record), (ErrorCode::InvalidRecord, Some(3)));
    for version in 3..=13 {
        let response = sent(version, reply::response(vec![outcome(version, refusal.clone())]));
        let partition = &response.responses[0].partition_responses[0];
        assert_eq!(
            (
                partition.error_code,
                partition.base_offset,
                partition.log_append_time_ms
            ),
            (87, -1, -1)
        );
        assert_eq!(
            partition.record_errors.len(),
            usize::from(8 <= version),
            "version {version}"
        );
        if 8 <= version {
            assert_eq!(partition.record_errors[0].batch_index, 3);
            assert!(
                partition
                    .error_message
                    .as_ref()
                    .is_some_and(|message| message.contains("key"))
            );
        }
    }
}

#[test]
fn invalid_acks_refuse_every_partition_in_its_place() {
    let partition = |index| PartitionProduceData::default().with_index(index);
    let topic = TopicProduceData::default().with_partition_data(vec![partition(4), partition(2)]);
    let request = ProduceRequest::default().with_acks(2).with_topic_data(vec![topic]);
    let response = reply::all_refused(request, ErrorCode::InvalidRequiredAcks);
    let partitions: Vec<_> = response.responses[0]
        .partition_responses
        .iter()
        .map(|partition| (partition.index, partition.error_code))
        .collect();
    assert_eq!(partitions, [(4, 21), (2, 21)]);
}

fn outcome(version: i16, refusal: Refusal) -> TopicOutcome {
    let data = match version < 13 {
        true => TopicProduceData::default().with_name(protocol::messages::StrBytes::from_static_str("t").into()),
        false => TopicProduceData::default().with_topic_id(uuid::Uuid::from_u128(7)),
    };
    let partitions = vec![PartitionOutcome {
        index: 0,
        result: Err(refusal),
    }];
    TopicOutcome {
        name: data.name,
        topic_id: data.topic_id,
        partitions,
    }
}

/// The response as a client reads it.
fn sent(version: i16, response: ProduceResponse) -> ProduceResponse {
    let frame = encode_response(version, 1, &response).expect("every version can say it");
    decode_response(version, frame.slice(4..))
        .expect("and a client can read it")
        .1
}
