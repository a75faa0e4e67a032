//! Tests of producer state and its files.

use proptest::prelude::*;

use super::*;

fn entry(producer_id: i64, batches: &[(i32, i64, i32)], txn: Option<Offset>) -> ProducerEntry {
    let mut entry = ProducerEntry::new(producer_id, 7);
    entry.last_timestamp = 1234;
    entry.coordinator_epoch = 3;
    entry.txn_first_offset = txn;
    for (last_sequence, last_offset, offset_delta) in batches {
        entry.push(BatchMeta {
            last_sequence: *last_sequence,
            last_offset: *last_offset,
            offset_delta: *offset_delta,
            timestamp: 1234,
        });
    }
    entry
}

#[test]
fn a_snapshot_has_kafkas_bytes() {
    let producers = Producers::from_entries([entry(1, &[(9, 20, 4)], None), entry(2, &[], Some(5))]);
    let bytes = encode_snapshot(&producers);
    assert_eq!(bytes.len(), 2 + 4 + 4 + 2 * 46);
    assert_eq!(bytes[..2], [0, 1]);
    assert_eq!(bytes[6..10], [0, 0, 0, 2]);
    let second = &bytes[10 + 46..];
    assert_eq!(second[..8], 2_i64.to_be_bytes());
    assert_eq!(second[8..10], 7_i16.to_be_bytes());
    assert_eq!(second[10..14], (-1_i32).to_be_bytes());
    assert_eq!(second[14..22], (-1_i64).to_be_bytes());
    assert_eq!(second[38..46], 5_i64.to_be_bytes());
}

#[test]
fn damage_is_noticed_at_every_byte() {
    let producers = Producers::from_entries([entry(1, &[(9, 20, 4), (14, 30, 4)], None)]);
    let (snapshot, windows) = (encode_snapshot(&producers), encode_windows(&producers));
    for place in 0..snapshot.len() {
        let mut bytes = snapshot.clone();
        bytes[place] ^= 4;
        assert!(decode_snapshot(&bytes).is_err(), "byte {place}");
        assert!(decode_snapshot(&snapshot[..place]).is_err(), "cut at {place}");
    }
    let base = decode_snapshot(&snapshot).expect("good");
    assert_eq!(base.get(1).expect("known").batches().count(), 1);
    for place in 0..windows.len() {
        let mut bytes = windows.clone();
        bytes[place] ^= 4;
        let (unchanged, intact) = apply_windows(base.clone(), &bytes);
        assert!(!intact && unchanged.get(1) == base.get(1), "byte {place}");
    }
    let (full, intact) = apply_windows(base, &windows);
    assert!(intact);
    assert_eq!(full.get(1), producers.get(1));
}

#[test]
fn windows_of_other_batches_are_not_believed() {
    let newer = Producers::from_entries([entry(1, &[(9, 20, 4), (14, 30, 4)], None)]);
    let older = Producers::from_entries([entry(1, &[(4, 10, 4), (9, 20, 4)], None)]);
    let (kept, intact) = apply_windows(newer.clone(), &encode_windows(&older));
    assert!(intact);
    assert_eq!(kept.get(1), newer.get(1));
}

#[test]
fn silent_producers_are_forgotten_unless_a_transaction_is_open() {
    let mut producers = Producers::from_entries([entry(1, &[(0, 0, 0)], None), entry(2, &[(0, 1, 0)], Some(1))]);
    producers.expire(1234 + 999, 1000);
    assert_eq!(producers.len(), 2);
    producers.expire(1234 + 1000, 1000);
    assert_eq!(producers.iter().map(|entry| entry.producer_id).collect::<Vec<_>>(), [2]);
}

proptest! {
    #[test]
    fn snapshot_and_windows_round_trip(batches in proptest::collection::vec((0..i32::MAX, 0..i64::MAX, 0..1000_i32), 0..9), txn in proptest::option::of(0..i64::MAX)) {
        let producers = Producers::from_entries([entry(1, &batches, txn)]);
        let base = decode_snapshot(&encode_snapshot(&producers)).expect("good");
        let (read, intact) = apply_windows(base, &encode_windows(&producers));
        prop_assert!(intact);
        prop_assert_eq!(read.get(1), producers.get(1));
    }
}
