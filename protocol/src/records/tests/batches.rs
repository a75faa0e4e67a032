//! Whole batches: built, patched, recompressed, damaged, and walked in a run.

use bytes::BytesMut;

use super::*;

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
    fn any_bytes_are_walked_without_panic(bytes: Vec<u8>) {
        let run = Bytes::from(bytes);
        let whole = BatchIter::new(run.clone()).filter(Result::is_ok).count();
        prop_assert_eq!(HeaderIter::new(&run).filter(Result::is_ok).count(), whole);
    }
}
