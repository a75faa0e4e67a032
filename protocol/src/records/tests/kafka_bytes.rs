//! What Kafka wrote is read, and what we write has the bytes that Kafka writes.

use super::*;

#[test]
fn kafkas_batches_are_read_in_every_codec() {
    for codec in Codec::ALL {
        let batch = batch(&format!("kafka-4.3-{codec}.batch"));
        assert_eq!(batch.verify_crc(), Ok(()));
        let header = batch.header;
        assert_eq!(header.codec(), codec);
        assert_eq!(
            (header.base_offset, header.last_offset(), header.next_offset()),
            (0, 99, 100)
        );
        assert_eq!(
            (header.producer_id, header.producer_epoch, header.base_sequence),
            (4000, 3, 17)
        );
        assert_eq!((header.last_sequence(), header.partition_leader_epoch), (116, 5));
        assert_eq!(
            (header.record_count, header.timestamp_type()),
            (100, TimestampType::CreateTime)
        );
        assert_eq!(
            (header.base_timestamp, header.max_timestamp),
            (1_700_000_000_000, 1_700_000_000_000 + 8991)
        );
        assert_eq!(header.total_len(), batch.bytes.len());
        assert_eq!(header.to_bytes()[..], batch.bytes[..HEADER_LEN]);
        assert_eq!(read_all(&batch), (0..100).map(expected).collect::<Vec<_>>());
        assert_eq!(validate_produced(&batch), Ok(()));
        assert_eq!(validate_records(&batch.records(LIMIT).unwrap()), Ok(()));
    }
}

#[test]
fn our_batch_has_the_bytes_of_kafkas() {
    let mut builder = BatchBuilder::new(Codec::None, None, 0);
    (0..100).for_each(|i| expected(i).append_to(&mut builder));
    assert_eq!(builder.size_bytes(), fixture("kafka-4.3-none.batch").len());
    let stamp = BatchStamp {
        producer_id: 4000,
        producer_epoch: 3,
        base_sequence: 17,
        ..BatchStamp::NONE
    };
    let ours = builder.finish(stamp).patched(0, 5, None);
    assert_eq!(ours.bytes, fixture("kafka-4.3-none.batch"));
}

#[test]
fn our_markers_have_the_bytes_of_kafkas() {
    let commit = marker_batch(9000, 4, ControlType::Commit, 11, 1_700_000_000_123).patched(42, 6, None);
    assert_eq!(commit.bytes, fixture("kafka-4.3-commit.batch"));
    let abort = marker_batch(9000, 4, ControlType::Abort, 12, 1_700_000_000_124).patched(43, 6, None);
    assert_eq!(abort.bytes, fixture("kafka-4.3-abort.batch"));
    let marker = Marker {
        producer_id: 9000,
        producer_epoch: 4,
        kind: ControlType::Abort,
        coordinator_epoch: 12,
        timestamp: 1_700_000_000_124,
    };
    assert_eq!(parse_marker(&abort), Ok(marker));
    assert!(abort.header.is_control() && abort.header.is_transactional());
    assert_eq!(abort.header.last_sequence(), -1);
}

#[test]
fn what_is_no_marker_is_told_why() {
    assert_eq!(
        parse_marker(&batch("kafka-4.3-none.batch")),
        Err(MarkerError::NotControl)
    );
    let control = |key: &[u8], value: &[u8]| {
        let mut builder = BatchBuilder::new(Codec::None, None, 0);
        builder.append(0, Some(key), Some(value), &[]);
        parse_marker(&builder.finish(BatchStamp {
            control: true,
            ..BatchStamp::NONE
        }))
    };
    assert_eq!(control(&[0, 0, 0, 2], &[]), Err(MarkerError::OtherType { id: 2 }));
    assert!(matches!(
        control(&[0, 0, 0], &[]),
        Err(MarkerError::Malformed { part: "key", .. })
    ));
    assert!(matches!(
        control(&[0, 0, 0, 1], &[0, 0]),
        Err(MarkerError::Malformed { part: "value", .. })
    ));
    let newer = control(&[0, 1, 0, 1, 9], &[0, 1, 0, 0, 0, 7, 9, 9]).unwrap();
    assert_eq!((newer.kind, newer.coordinator_epoch), (ControlType::Commit, 7));
}
