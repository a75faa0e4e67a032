//! Batches against bytes that Kafka itself wrote, and properties of builder, iterators and codecs.

use bytes::{Bytes, BytesMut};
use proptest::{collection::vec, option, prelude::*};

use super::*;

const LIMIT: usize = 1 << 20;

fn fixture(name: &str) -> Bytes {
    // Tests run in their crate's folder. A path fixed at compile time would be wrong for a second checkout that shares
    // the target directory.
    std::fs::read(format!("src/records/fixtures/{name}")).unwrap().into()
}

fn batch(name: &str) -> Batch {
    Batch::parse(fixture(name)).unwrap()
}

/// A record with everything owned, for comparing.
#[derive(Debug, Clone, PartialEq)]
struct Owned {
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Owned {
    fn append_to(&self, builder: &mut BatchBuilder) {
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_deref()))
            .collect();
        builder.append(self.timestamp, self.key.as_deref(), self.value.as_deref(), &headers);
    }

    fn of(record: &Record<'_>) -> Self {
        let header = |header: Header<'_>| (header.key.to_owned(), header.value.map(<[u8]>::to_vec));
        Self {
            timestamp: record.timestamp,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: record.headers.iter().map(|result| header(result.unwrap())).collect(),
        }
    }
}

/// What the fixtures hold; see their README.
fn expected(i: i64) -> Owned {
    let headers = vec![
        ("h".to_owned(), Some(format!("a{i}").into_bytes())),
        ("h".to_owned(), None),
        ("näme".to_owned(), Some(vec![])),
    ];
    Owned {
        timestamp: 1_700_000_000_000 + (i % 10) * 1000 - i,
        key: (i % 3 != 0).then(|| format!("key-{i}").into_bytes()),
        value: (i % 7 != 0).then(|| format!("value-{i}-{}", "x".repeat(i as usize)).into_bytes()),
        headers: if i % 5 == 0 { headers } else { vec![] },
    }
}

fn read_all(batch: &Batch) -> Vec<Owned> {
    batch
        .records(LIMIT)
        .unwrap()
        .iter()
        .map(|record| Owned::of(&record.unwrap()))
        .collect()
}

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

#[test]
fn foreign_compressors_are_read() {
    let plain = fixture("kafka-4.3-none.batch").slice(HEADER_LEN..);
    for (codec, name) in [
        (Codec::Lz4, "cli.lz4"),
        (Codec::Lz4, "cli-checksums.lz4"),
        (Codec::Gzip, "cli.gz"),
        (Codec::Zstd, "cli.zst"),
    ] {
        assert_eq!(
            decompress(codec, &fixture(name), LIMIT).unwrap()[..],
            plain[..],
            "{name}"
        );
    }
    let raw = snap::raw::Encoder::new().compress_vec(&plain).unwrap();
    assert_eq!(decompress(Codec::Snappy, &raw, LIMIT).unwrap()[..], plain[..]);
    let framed = compress(Codec::Snappy, None, &plain);
    assert!(framed.starts_with(b"\x82SNAPPY\0"));
    let twice = [&framed[..], &framed[..]].concat();
    assert_eq!(
        decompress(Codec::Snappy, &twice, LIMIT).unwrap()[..],
        [&plain[..], &plain[..]].concat()
    );
    let gzip_twice = [fixture("cli.gz"), fixture("cli.gz")].concat();
    assert_eq!(
        decompress(Codec::Gzip, &gzip_twice, LIMIT).unwrap().len(),
        2 * plain.len()
    );
}

#[test]
fn bombs_are_refused_at_the_cap() {
    let plain = vec![0; 8 << 20];
    for codec in &Codec::ALL[1..] {
        let bomb = compress(*codec, None, &plain);
        assert!(bomb.len() < plain.len() / 15, "{codec}");
        let refused = decompress(*codec, &bomb, plain.len() - 1);
        assert_eq!(
            refused,
            Err(DecompressError::TooLarge {
                codec: *codec,
                cap: plain.len() - 1
            })
        );
        let mut kept = Vec::new();
        assert!(decompress_into(*codec, &bomb, 1000, &mut kept).is_err());
        assert!(kept.capacity() < 1 << 17, "{codec} reserved {}", kept.capacity());
        assert_eq!(decompress(*codec, &bomb, plain.len()).unwrap().len(), plain.len());
    }
}

#[test]
fn a_block_that_claims_more_than_it_can_hold_reserves_nothing() {
    // Raw snappy: the first varint is the plain length, here 256 MiB.
    let mut kept = Vec::new();
    let refused = decompress_into(Codec::Snappy, &[0x80, 0x80, 0x80, 0x80, 0x01, 0], usize::MAX, &mut kept);
    assert!(matches!(
        refused,
        Err(DecompressError::Corrupt {
            codec: Codec::Snappy,
            ..
        })
    ));
    assert_eq!(kept.capacity(), 0);
    let mut framed = compress(Codec::Snappy, None, b"some text");
    framed.truncate(framed.len() - 1);
    assert!(decompress(Codec::Snappy, &framed, LIMIT).is_err());
}

#[test]
fn one_decompressor_serves_batch_after_batch_and_after_errors() {
    let mut decompressor = Decompressor::new();
    let mut plain = Vec::new();
    for round in 0..3 {
        for codec in Codec::ALL {
            let batch = batch(&format!("kafka-4.3-{codec}.batch"));
            let packed = batch.records_bytes();
            decompressor.decompress_into(codec, &packed, LIMIT, &mut plain).unwrap();
            assert_eq!(
                plain[..],
                fixture("kafka-4.3-none.batch")[HEADER_LEN..],
                "{codec} {round}"
            );
            if codec != Codec::None {
                assert!(
                    decompressor.decompress_into(codec, &packed, 1000, &mut plain).is_err(),
                    "{codec}"
                );
                let half = packed.slice(..packed.len() / 2);
                assert!(
                    decompressor.decompress_into(codec, &half, LIMIT, &mut plain).is_err(),
                    "{codec}"
                );
                assert!(
                    decompressor
                        .decompress_into(codec, b"nothing of the sort", LIMIT, &mut plain)
                        .is_err()
                );
            }
        }
    }
    let twice = [fixture("cli.zst"), fixture("cli.zst")].concat();
    decompressor
        .decompress_into(Codec::Zstd, &twice, LIMIT, &mut plain)
        .unwrap();
    assert_eq!(plain.len(), 2 * (fixture("kafka-4.3-none.batch").len() - HEADER_LEN));
}

#[test]
fn levels_are_taken_or_ignored_but_never_fatal() {
    let plain = vec![7; 10_000];
    for codec in Codec::ALL {
        for level in [
            None,
            Some(-1),
            Some(1),
            Some(9),
            Some(22),
            Some(i32::MAX),
            Some(i32::MIN),
        ] {
            let packed = compress(codec, level, &plain);
            assert_eq!(
                decompress(codec, &packed, LIMIT).unwrap()[..],
                plain[..],
                "{codec} {level:?}"
            );
        }
    }
}

#[test]
fn patching_changes_what_it_says_and_keeps_the_crc_right() {
    let batch = batch("kafka-4.3-zstd.batch");
    let create_time = batch.patched(1000, 9, None);
    assert_eq!(
        (
            create_time.header.base_offset,
            create_time.header.partition_leader_epoch
        ),
        (1000, 9)
    );
    assert_eq!(
        (create_time.header.crc, create_time.verify_crc()),
        (batch.header.crc, Ok(()))
    );
    assert_eq!(create_time.bytes[HEADER_LEN..], batch.bytes[HEADER_LEN..]);

    let append_time = batch.patched(1000, 9, Some(5_000_000));
    assert_eq!(append_time.verify_crc(), Ok(()));
    assert_ne!(append_time.header.crc, batch.header.crc);
    assert_eq!(append_time.header.timestamp_type(), TimestampType::LogAppendTime);
    let records = append_time.records(LIMIT).unwrap();
    let first = records.iter().next().unwrap().unwrap();
    assert_eq!((first.offset, first.timestamp), (1000, 5_000_000));
    assert_eq!(first.headers.last("h"), Ok(Some(None)));
    assert_eq!(first.headers.last("none"), Ok(None));
}

#[test]
fn recompression_keeps_everything_but_the_codec() {
    let batch = batch("kafka-4.3-gzip.batch").patched(500, 2, None);
    for codec in Codec::ALL {
        let other = batch.recompressed(codec, None, LIMIT).unwrap();
        assert_eq!(other.verify_crc(), Ok(()));
        assert_eq!(other.header.codec(), codec);
        assert_eq!((other.header.base_offset, other.header.last_offset()), (500, 599));
        assert_eq!(read_all(&other), read_all(&batch));
    }
    assert!(batch.recompressed(Codec::None, None, 100).is_err());
}

#[test]
fn damaged_headers_are_refused() {
    let bytes = fixture("kafka-4.3-none.batch");
    let bent = |at: usize, with: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes[at..at + with.len()].copy_from_slice(with);
        Batch::parse(bytes.into())
    };
    assert_eq!(bent(16, &[1]), Err(BatchError::UnsupportedMagic { magic: 1 }));
    assert_eq!(
        bent(8, &[0, 0, 0, 48]),
        Err(BatchError::InvalidLength { batch_length: 48 })
    );
    assert_eq!(bent(8, &[0xff; 4]), Err(BatchError::InvalidLength { batch_length: -1 }));
    assert_eq!(bent(22, &[5]), Err(BatchError::UnknownCodec { attributes: 5 }));
    assert!(bent(100, &[0xff]).unwrap().verify_crc().is_err());
    assert!(bent(21, &[0, 1]).unwrap().verify_crc().is_err());

    let (needed, available) = (bytes.len(), bytes.len() - 1);
    assert_eq!(
        Batch::parse(bytes.slice(..available)),
        Err(BatchError::Truncated { needed, available })
    );
    assert_eq!(
        BatchHeader::parse(&bytes[..60]),
        Err(BatchError::Truncated {
            needed: HEADER_LEN,
            available: 60
        })
    );
    assert_eq!(
        BatchHeader::parse(&[]),
        Err(BatchError::Truncated {
            needed: HEADER_LEN,
            available: 0
        })
    );
    let mut longer = bytes.to_vec();
    longer.push(0);
    assert_eq!(Batch::parse(longer.into()), Err(BatchError::TrailingBytes { count: 1 }));
}

#[test]
fn an_old_format_is_named_even_where_it_is_shorter_than_a_header() {
    let mut old = [0; 30];
    old[MAGIC_OFFSET] = 1;
    assert_eq!(BatchHeader::parse(&old), Err(BatchError::UnsupportedMagic { magic: 1 }));
}

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
    assert_eq!(
        with(&|h| h.attributes = h.attributes.with_delete_horizon(true)),
        refused
    );
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

/// A batch whose header says what the test wants about these record bytes.
fn lying(record_count: i32, last_offset_delta: i32, records: &[u8]) -> Batch {
    let header = BatchHeader {
        record_count,
        last_offset_delta,
        ..BatchHeader::empty(Codec::None)
    };
    Batch::assemble(header, records)
}

fn first_error(batch: &Batch) -> RecordError {
    batch.records(LIMIT).unwrap().iter().find_map(Result::err).unwrap()
}

#[test]
fn records_that_lie_are_found_where_they_lie() {
    // Length 6, attributes, timestamp delta, offset delta, null key, null value, no headers.
    let record = |delta: u8| [12, 0, 0, delta * 2, 1, 1, 0];
    let two = [record(0), record(1)].concat();
    assert_eq!(read_all(&lying(2, 1, &two)).len(), 2);

    let error = first_error(&lying(3, 2, &two));
    assert!(
        matches!(
            error,
            RecordError {
                index: 2,
                fault: RecordFault::Field { field: "length", .. }
            }
        ),
        "{error}"
    );
    let trailing = RecordError {
        index: 1,
        fault: RecordFault::TrailingBytes { count: 7 },
    };
    assert_eq!(first_error(&lying(1, 0, &two)), trailing);
    let beyond = RecordFault::OffsetDelta {
        delta: 1,
        last_delta: 0,
    };
    assert_eq!(
        first_error(&lying(2, 0, &two)),
        RecordError {
            index: 1,
            fault: beyond
        }
    );
    let same = [record(1), record(1)].concat();
    assert_eq!(first_error(&lying(2, 1, &same)).index, 1);
    for (bad, field) in [
        (&[12, 0, 0, 0, 9, 1, 0][..], "key"),
        (&[12, 0, 0, 0, 1, 3, 0], "value"),
        (&[12, 0, 0, 0, 1, 1, 1], "header count"),
        (&[12, 0, 0, 0, 1, 1, 4], "header count"),
        (&[14, 0, 0, 0, 1, 1, 0, 9], "headers"),
        (&[13, 0, 0, 0, 1, 1, 0], "length"),
        (&[0], "attributes"),
    ] {
        let error = first_error(&lying(1, 0, bad));
        let RecordFault::Field { field: found, .. } = &error.fault else {
            panic!("{error}")
        };
        assert_eq!((error.index, *found), (0, field), "{error}");
    }
}

#[test]
fn after_an_error_the_walk_ends() {
    let batch = lying(5, 4, &[99]);
    let records = batch.records(LIMIT).unwrap();
    assert_eq!(records.iter().count(), 1);
    assert_eq!(records.spans().count(), 1);
}

#[test]
fn headers_that_lie_are_found_when_they_are_walked() {
    // One header: key length 1, "k", null value, and one byte too many.
    let batch = lying(1, 0, &[20, 0, 0, 0, 1, 1, 2, 2, b'k', 1, 0]);
    let records = batch.records(LIMIT).unwrap();
    let record = records.iter().next().unwrap().unwrap();
    assert_eq!(record.headers.len(), 1);
    let error = record.headers.iter().next().unwrap().unwrap_err();
    assert!(
        matches!(error.fault, RecordFault::Field { field: "headers", .. }),
        "{error}"
    );
    assert!(validate_records(&records).is_err());
    let not_utf8 = lying(1, 0, &[18, 0, 0, 0, 1, 1, 2, 2, 0xff, 1]);
    assert!(validate_records(&not_utf8.records(LIMIT).unwrap()).is_err());
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

#[test]
fn empty_batches_of_compaction_have_no_records() {
    let empty = lying(0, 9, &[]);
    assert_eq!(read_all(&empty), vec![]);
    assert_eq!(empty.header.next_offset(), 10);
}

#[test]
fn runs_are_walked_to_the_torn_tail() {
    let parts = [
        fixture("kafka-4.3-none.batch"),
        fixture("kafka-4.3-zstd.batch"),
        fixture("kafka-4.3-lz4.batch"),
    ];
    let whole: usize = parts[..2].iter().map(Bytes::len).sum();
    let run = Bytes::from(parts.concat()).slice(..whole + 100);

    let mut batches = BatchIter::new(run.clone());
    assert_eq!(batches.next().unwrap().unwrap().bytes, parts[0]);
    assert_eq!(batches.next().unwrap().unwrap().bytes, parts[1]);
    let torn = BatchError::Truncated {
        needed: parts[2].len(),
        available: 100,
    };
    assert_eq!(batches.next(), Some(Err(torn)));
    assert_eq!(
        (batches.next(), batches.position(), batches.rest().len()),
        (None, whole, 100)
    );

    let headers: Vec<_> = HeaderIter::new(&run).collect();
    assert_eq!(headers.len(), 3);
    let (position, header, bytes) = headers[1].unwrap();
    assert_eq!(
        (position, header.codec(), bytes),
        (parts[0].len(), Codec::Zstd, &parts[1][..])
    );
    assert_eq!(headers[2], Err(torn));
    assert_eq!(BatchIter::new(Bytes::new()).next(), None);
}

#[test]
fn names_of_codecs_round_trip() {
    for codec in Codec::ALL {
        assert_eq!(Codec::from_name(codec.name()), Some(codec));
        assert_eq!(Codec::from_id(codec.id()), Some(codec));
    }
    assert_eq!(Codec::from_name("uncompressed"), Some(Codec::None));
    assert_eq!((Codec::from_name("lzma"), Codec::from_id(5)), (None, None));
}

fn any_record() -> impl Strategy<Value = Owned> {
    let bytes = || option::of(vec(any::<u8>(), 0..60));
    let header = ("[a-zä]{0,6}", option::of(vec(any::<u8>(), 0..10)));
    (-1_i64..4_000_000_000_000, bytes(), bytes(), vec(header, 0..4)).prop_map(|(timestamp, key, value, headers)| {
        Owned {
            timestamp,
            key,
            value,
            headers,
        }
    })
}

fn any_codec() -> impl Strategy<Value = Codec> {
    prop::sample::select(&Codec::ALL[..])
}

proptest! {
    #[test]
    fn what_is_built_is_read(records in vec(any_record(), 1..40), codec in any_codec(), base in 0_i64..1 << 50) {
        let mut builder = BatchBuilder::new(codec, None, 0);
        records.iter().for_each(|record| record.append_to(&mut builder));
        prop_assert_eq!(builder.count(), records.len());
        let size = builder.size_bytes();
        let batch = builder.finish(BatchStamp::NONE);
        if codec == Codec::None {
            prop_assert_eq!(batch.bytes.len(), size);
        }
        prop_assert_eq!(validate_produced(&batch), Ok(()));
        let stored = batch.patched(base, 3, None);
        prop_assert_eq!(Batch::parse(stored.bytes.clone()), Ok(stored.clone()));
        prop_assert_eq!(stored.verify_crc(), Ok(()));
        prop_assert_eq!(validate_records(&stored.records(LIMIT).unwrap()), Ok(()));
        prop_assert_eq!(stored.header.max_timestamp, records.iter().map(|r| r.timestamp).max().unwrap());
        prop_assert_eq!(read_all(&stored), records);

        let opened = stored.records(LIMIT).unwrap();
        for (index, (span, record)) in opened.spans().zip(opened.iter()).enumerate() {
            let (span, record) = (span.unwrap(), record.unwrap());
            prop_assert_eq!((span.offset, record.offset), (base + index as i64, base + index as i64));
            prop_assert_eq!(span.key.map(|range| &opened.data()[range]), record.key);
            prop_assert_eq!(span.value.map(|range| &opened.data()[range]), record.value);
        }
    }

    #[test]
    fn what_is_compressed_is_decompressed(plain in vec(any::<u8>(), 0..100_000), codec in any_codec()) {
        let packed = compress(codec, None, &plain);
        prop_assert_eq!(&decompress(codec, &packed, plain.len()).unwrap()[..], &plain[..]);
        if codec != Codec::None && !plain.is_empty() {
            prop_assert!(decompress(codec, &packed, plain.len() - 1).is_err());
        }
    }

    #[test]
    fn garbage_is_refused_or_decompressed_within_the_cap(packed: Vec<u8>, codec in any_codec(), cap in 0_usize..4096) {
        if let Ok(plain) = decompress(codec, &packed, cap) {
            prop_assert!(codec == Codec::None || plain.len() <= cap);
        }
    }

    #[test]
    fn a_flipped_bit_is_noticed_or_lies_outside_the_crc(
        records in vec(any_record(), 1..5),
        codec in any_codec(),
        at: prop::sample::Index,
        bit in 0_u8..8,
    ) {
        let mut builder = BatchBuilder::new(codec, None, 0);
        records.iter().for_each(|record| record.append_to(&mut builder));
        let mut bytes = BytesMut::from(&builder.finish(BatchStamp::NONE).bytes[..]);
        let position = at.index(bytes.len());
        bytes[position] ^= 1_u8 << bit;
        match Batch::parse(bytes.freeze()) {
            Ok(batch) if batch.verify_crc().is_ok() => {
                prop_assert!(position < 8 || (12..16).contains(&position), "byte {}", position);
            }
            _ => {}
        }
    }

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

    #[test]
    fn any_bytes_are_walked_without_panic(bytes: Vec<u8>) {
        let run = Bytes::from(bytes);
        let whole = BatchIter::new(run.clone()).filter(Result::is_ok).count();
        prop_assert_eq!(HeaderIter::new(&run).filter(Result::is_ok).count(), whole);
    }
}
