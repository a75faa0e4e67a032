//! Codecs: foreign compressors, bombs, levels, names.

use super::*;

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
    let given = 3 * 4 * (Codec::ALL.len() as u64 - 1) + 1;
    assert_eq!([decompressor.take_count(), decompressor.take_count()], [given, 0]);
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
fn names_of_codecs_round_trip() {
    for codec in Codec::ALL {
        assert_eq!(Codec::from_name(codec.name()), Some(codec));
        assert_eq!(Codec::from_id(codec.id()), Some(codec));
    }
    assert_eq!(Codec::from_name("uncompressed"), Some(Codec::None));
    assert_eq!((Codec::from_name("lzma"), Codec::from_id(5)), (None, None));
}

proptest! {
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
}
