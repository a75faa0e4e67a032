//! The rules that clients' batches obey, and the deep look into their records.

use super::*;

#[test]
fn no_codec_promises_more_records_than_its_bytes_can_hold() {
    // As compressible as bytes are: what the formats make of it must stay below what they are trusted with.
    let plain = vec![0; 4 << 20];
    for codec in Codec::ALL {
        let packed = compress(codec, Some(9), &plain);
        assert!(plain.len() <= codec.decompressed_bytes_max(packed.len()), "{codec}");
        assert!(
            codec.decompressed_bytes_max(packed.len()) < 400 * plain.len(),
            "{codec}"
        );
        let header = BatchHeader {
            record_count: i32::MAX,
            last_offset_delta: i32::MAX - 1,
            attributes: Attributes::new(codec),
            ..batch("kafka-4.3-none.batch").header
        };
        let refused = validate_produced(&Batch::assemble(header, &packed));
        assert!(
            matches!(refused, Err(InvalidBatch::TooManyRecords { .. })),
            "{codec}: {refused:?}"
        );
    }
}

#[test]
fn client_batches_obey_the_rules() {
    let good = batch("kafka-4.3-none.batch");
    let with = |change: &dyn Fn(&mut BatchHeader)| {
        let mut header = good.header;
        change(&mut header);
        validate_produced(&Batch::assemble(header, &good.bytes[HEADER_LEN..]))
    };
    assert_eq!(
        with(&|h| h.base_offset = 7),
        Err(InvalidBatch::BaseOffset { base_offset: 7 })
    );
    assert_eq!(
        with(&|h| h.record_count = 0),
        Err(InvalidBatch::RecordCount { record_count: 0 })
    );
    let range = InvalidBatch::OffsetRange {
        last_offset_delta: 98,
        record_count: 100,
    };
    assert_eq!(with(&|h| h.last_offset_delta = 98), Err(range));
    assert_eq!(
        with(&|h| h.attributes = h.attributes.with_control(true)),
        Err(InvalidBatch::Control)
    );
    let append_time = TimestampType::LogAppendTime;
    let refused = Err(InvalidBatch::LogAppendTime);
    assert_eq!(
        with(&|h| h.attributes = h.attributes.with_timestamp_type(append_time)),
        refused
    );
    let refused = Err(InvalidBatch::DeleteHorizon);
    let horizon = Attributes::from_bits(good.header.attributes.bits() | 0x40).expect("the codec is as before");
    assert_eq!(with(&|h| h.attributes = horizon), refused);
    let refused = Err(InvalidBatch::Sequence {
        producer_id: 4000,
        base_sequence: -1,
    });
    assert_eq!(with(&|h| h.base_sequence = -1), refused);
    let refused = Err(InvalidBatch::ProducerEpoch {
        producer_id: 4000,
        producer_epoch: -1,
    });
    assert_eq!(with(&|h| h.producer_epoch = -1), refused);
    let fits = i32::try_from((good.bytes.len() - HEADER_LEN) / 7).expect("small");
    let counted = |count: i32| {
        move |h: &mut BatchHeader| {
            h.record_count = count;
            h.last_offset_delta = count - 1;
        }
    };
    assert_eq!(with(&counted(fits)), Ok(()));
    for count in [fits + 1, i32::MAX] {
        let refused = with(&counted(count));
        let size_bytes = good.bytes.len() - HEADER_LEN;
        assert_eq!(
            refused,
            Err(InvalidBatch::TooManyRecords {
                record_count: count,
                size_bytes
            })
        );
    }
    let transactional = |h: &mut BatchHeader| {
        h.producer_id = -1;
        h.attributes = h.attributes.with_transactional(true);
    };
    assert_eq!(with(&transactional), Err(InvalidBatch::TransactionWithoutProducer));
}

#[test]
fn deep_validation_finds_gaps_and_late_records() {
    let record = |delta: u8, time: u8| [12, 0, time * 2, delta * 2, 1, 1, 0];
    let gap = lying(2, 2, &[record(0, 0), record(2, 0)].concat());
    assert_eq!(
        validate_records(&gap.records(LIMIT).unwrap()),
        Err(InvalidRecords::Gap { index: 1, delta: 2 })
    );
    let late = lying(1, 0, &record(0, 5));
    let refused = InvalidRecords::TimestampAboveMax {
        index: 0,
        timestamp: 4,
        max_timestamp: -1,
    };
    assert_eq!(validate_records(&late.records(LIMIT).unwrap()), Err(refused));
}

proptest! {
    #[test]
    fn lying_batches_never_panic(
        record_count: i32,
        last_offset_delta: i32,
        base_offset: i64,
        attributes in 0_i16..128,
        data in vec(any::<u8>(), 0..200),
    ) {
        let Some(attributes) = Attributes::from_bits(attributes) else { return Ok(()) };
        let header = BatchHeader {
            record_count, last_offset_delta, base_offset, attributes, ..BatchHeader::empty(Codec::None)
        };
        let batch = Batch::assemble(header, &data);
        let _ = (validate_produced(&batch), parse_marker(&batch));
        if let Ok(records) = batch.records(1 << 16) {
            let _ = validate_records(&records);
            for record in records.iter().flatten() {
                record.headers.iter().for_each(drop);
            }
        }
    }
}
