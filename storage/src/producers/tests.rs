//! Tests of producer state and its files.

use proptest::prelude::*;

use super::*;

const MANY: usize = 1000;

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
    let producers = Producers::from_entries(MANY, [entry(1, &[(9, 20, 4)], None), entry(2, &[], Some(5))]);
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
    let producers = Producers::from_entries(MANY, [entry(1, &[(9, 20, 4), (14, 30, 4)], None)]);
    let (snapshot, windows) = (encode_snapshot(&producers), encode_windows(&producers));
    for place in 0..snapshot.len() {
        let mut bytes = snapshot.clone();
        bytes[place] ^= 4;
        assert!(decode_snapshot(&bytes, MANY).is_err(), "byte {place}");
        assert!(decode_snapshot(&snapshot[..place], MANY).is_err(), "cut at {place}");
    }
    let mut base = decode_snapshot(&snapshot, MANY).expect("good");
    assert_eq!(base.get(1).expect("known").batches().count(), 1);
    for place in 0..windows.len() {
        let mut bytes = windows.clone();
        bytes[place] ^= 4;
        let mut unchanged = base.clone();
        let intact = apply_windows(&mut unchanged, &bytes);
        assert!(!intact && unchanged.get(1) == base.get(1), "byte {place}");
    }
    assert!(apply_windows(&mut base, &windows));
    assert_eq!(base.get(1), producers.get(1));
}

#[test]
fn windows_of_other_batches_are_not_believed() {
    let newer = Producers::from_entries(MANY, [entry(1, &[(9, 20, 4), (14, 30, 4)], None)]);
    let older = Producers::from_entries(MANY, [entry(1, &[(4, 10, 4), (9, 20, 4)], None)]);
    let mut kept = newer.clone();
    assert!(apply_windows(&mut kept, &encode_windows(&older)));
    assert_eq!(kept.get(1), newer.get(1));
}

#[test]
fn silent_producers_are_forgotten_unless_a_transaction_is_open() {
    let mut producers = Producers::from_entries(MANY, [entry(1, &[(0, 0, 0)], None), entry(2, &[(0, 1, 0)], Some(1))]);
    producers.expire(1234 + 999, 1000);
    assert_eq!(producers.len(), 2);
    producers.expire(1234 + 1000, 1000);
    assert_eq!(producers.iter().map(|entry| entry.producer_id).collect::<Vec<_>>(), [2]);
}

fn ids(producers: &Producers) -> Vec<i64> {
    let mut ids: Vec<i64> = producers.iter().map(|entry| entry.producer_id).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn at_the_bound_who_was_silent_for_longest_is_forgotten() {
    let header = |producer_id| crate::testing::idempotent(producer_id, 0, 0, 1).header;
    let mut producers = Producers::new(3);
    for producer_id in [1, 2, 3, 1, 4] {
        producers.apply_data(&header(producer_id));
    }
    assert_eq!(ids(&producers), [1, 3, 4], "2 was silent for longest");
    producers.expire(i64::MAX, 1);
    assert_eq!(ids(&producers), [0; 0]);
    for producer_id in 5..9 {
        producers.apply_data(&header(producer_id));
    }
    assert_eq!(ids(&producers), [6, 7, 8]);
}

#[test]
fn an_open_transaction_is_never_forgotten() {
    let open = |producer_id| crate::testing::transactional(producer_id, 0, 1).header;
    let mut producers = Producers::new(2);
    for producer_id in [1, 2, 3] {
        producers.apply_data(&open(producer_id));
    }
    assert_eq!(ids(&producers), [1, 2, 3], "the bound gives way");
    producers.apply_data(&crate::testing::idempotent(4, 0, 0, 1).header);
    let marker = crate::testing::marker(1, ControlType::Commit);
    let marker = protocol::records::parse_marker(&marker).expect("a marker");
    producers.apply_marker(&marker, 9).expect("ended");
    producers.apply_data(&open(5));
    assert_eq!(ids(&producers), [2, 3, 5], "1 has ended its transaction, 4 had none");
}

#[test]
fn of_a_snapshot_beyond_the_bound_the_youngest_are_kept() {
    let many = (1..=5).map(|id| entry(id, &[(0, 100 - id, 0)], (id == 5).then_some(95)));
    let snapshot = encode_snapshot(&Producers::from_entries(MANY, many));
    let producers = decode_snapshot(&snapshot, 3).expect("good");
    assert_eq!(ids(&producers), [1, 2, 5]);
}

proptest! {
    #[test]
    fn snapshot_and_windows_round_trip(batches in proptest::collection::vec((0..i32::MAX, 0..i64::MAX, 0..1000_i32), 0..9), txn in proptest::option::of(0..i64::MAX)) {
        let producers = Producers::from_entries(MANY, [entry(1, &batches, txn)]);
        let mut read = decode_snapshot(&encode_snapshot(&producers), MANY).expect("good");
        prop_assert!(apply_windows(&mut read, &encode_windows(&producers)));
        prop_assert_eq!(read.get(1), producers.get(1));
    }
}
