//! Units and properties of the state store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use protocol::ids::TopicId;
use tempfile::TempDir;

use super::key::{ordered_time, write_key};
use super::*;
use crate::time::watermark::{Activity, PartitionMark};

fn record(epoch: i64) -> EpochRecord {
    EpochRecord {
        epoch,
        committed_at: 1_000 * epoch,
        finished: false,
        watermark: -5,
        silence: Duration::from_micros(7),
        sources: vec![SourcePosition {
            partition: 3,
            topic_id: TopicId::NIL,
            leader_epoch: 2,
            last_offset: (1 << 40) - 3,
            next_offset: 1 << 40,
            mark: PartitionMark {
                activity: Activity::Idle,
                watermark: i64::MIN,
            },
        }],
    }
}

fn committed(epoch: i64) -> CommittedEpoch {
    CommittedEpoch {
        changelog: TopicId::NIL,
        next_offset: epoch * 10,
        record: record(epoch),
    }
}

fn value(store: &mut StateStore, key: &[u8]) -> Option<Vec<u8>> {
    store
        .get(TableId::EMITTED, 0, &[key], |value| value.map(<[u8]>::to_vec))
        .unwrap()
}

fn all(store: &StateStore) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    store
        .scan(&[TableId::EMITTED.number()], None, usize::MAX, |key, value| {
            found.push((key[key::PREFIX_LEN..].to_vec(), value.to_vec()));
            Ok(())
        })
        .unwrap();
    found
}

#[test]
fn epoch_records_survive_the_trip() {
    let record = record(9);
    assert_eq!(EpochRecord::decode(&record.encode()), Ok(record.clone()));
    let mut newer = record.encode();
    newer[0] = 2;
    assert_eq!(
        EpochRecord::decode(&newer),
        Err(epoch::EpochRecordError::UnknownVersion(2))
    );
    let mut cut = record.encode();
    cut.pop();
    assert!(EpochRecord::decode(&cut).is_err());
    cut.extend([0, 0]);
    assert!(EpochRecord::decode(&cut).is_err());
}

#[test]
fn epoch_records_are_a_format() {
    let bytes = record(1).encode();
    assert_eq!(bytes.len(), 1 + 8 + 8 + 1 + 8 + 8 + 4 + (4 + 16 + 4 + 8 + 8 + 1 + 8));
    assert_eq!(&bytes[..9], [1, 0, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(bytes[38 + 4 + 16 + 4 + 8 + 8], 1, "idle");
}

#[test]
fn changelog_keys_tell_changes_from_epochs() {
    let mut key = Vec::new();
    changelog::write_change_key(&mut key, b"abc");
    assert_eq!(
        changelog::parse(Some(&key), None),
        Ok(changelog::Entry::Change {
            key: b"abc",
            value: None
        })
    );
    let epoch = record(4);
    assert_eq!(
        changelog::parse(Some(changelog::EPOCH_KEY), Some(&epoch.encode())),
        Ok(changelog::Entry::Epoch(epoch))
    );
    for key in [None, Some(&b""[..]), Some(&[1][..]), Some(&[7, 7][..])] {
        assert_eq!(
            changelog::parse(key, Some(b"x")),
            Err(changelog::EntryError::UnknownKind)
        );
    }
}

#[test]
fn what_is_not_committed_is_gone_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("q");
    {
        let rocks = Arc::new(Rocks::open(&path).unwrap());
        assert_eq!(rocks.committed().unwrap(), None);
        let mut store = StateStore::new(Arc::clone(&rocks), 1 << 20);
        store.set(TableId::EMITTED, 0, &[b"a"], Some(b"1"));
        store.freeze();
        store.commit(&committed(1)).unwrap();
        store.set(TableId::EMITTED, 0, &[b"a"], Some(b"2"));
        store.set(TableId::EMITTED, 0, &[b"b"], Some(b"2"));
        store.freeze();
        assert_eq!(value(&mut store, b"a").as_deref(), Some(&b"2"[..]));
        rocks.flush().unwrap();
    }
    let rocks = Arc::new(Rocks::open(&path).unwrap());
    assert_eq!(rocks.committed().unwrap(), Some(committed(1)));
    let mut store = StateStore::new(Arc::clone(&rocks), 0);
    assert_eq!(value(&mut store, b"a").as_deref(), Some(&b"1"[..]));
    assert_eq!(value(&mut store, b"b"), None);
    assert_eq!(all(&store), [(b"a".to_vec(), b"1".to_vec())]);
    rocks.begin_rebuild().unwrap();
    assert_eq!(rocks.committed().unwrap(), None);
    assert_eq!(all(&store), []);
}

#[test]
fn scans_stop_and_go_on() {
    let folder = TempDir::new().unwrap();
    let rocks = Arc::new(Rocks::open(&folder.path().join("q")).unwrap());
    let mut store = StateStore::new(rocks, 1 << 20);
    let time = |at: u8| ordered_time(i64::from(at));
    for at in 0..10 {
        store.set(TableId::GROUPS, 0, &[&time(at)], Some(&[at]));
        if at == 4 {
            store.freeze();
            store.commit(&committed(1)).unwrap();
        }
    }
    store.set(TableId::GROUPS, 0, &[&time(3)], None);
    let mut prefix = Vec::new();
    write_key(&mut prefix, TableId::GROUPS, 0, &[]);
    for limit in 1..12 {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let end = store
                .scan(&prefix, after.as_deref(), limit, |_, value| {
                    seen.push(value[0]);
                    Ok(())
                })
                .unwrap();
            match end {
                ScanEnd::Complete => break,
                ScanEnd::More(last) => after = Some(last),
            }
        }
        assert_eq!(seen, [0, 1, 2, 4, 5, 6, 7, 8, 9], "limit {limit}");
    }
}

thread_local! {
    /// Opened once: creating a RocksDB costs many fsyncs.
    static STATE: (TempDir, Arc<Rocks>) = {
        let folder = TempDir::new().unwrap();
        let rocks = Rocks::open(&folder.path().join("q")).unwrap();
        (folder, Arc::new(rocks))
    };
}

fn empty_state() -> Arc<Rocks> {
    STATE.with(|(_, rocks)| {
        rocks.begin_rebuild().unwrap();
        Arc::clone(rocks)
    })
}

#[derive(Debug, Clone)]
enum Step {
    Set(u8, Option<u8>),
    Freeze,
    Commit,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..20u8, proptest::option::of(any::<u8>())).prop_map(|(key, value)| Step::Set(key, value)),
        2 => Just(Step::Freeze),
        2 => Just(Step::Commit),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The store is a map whose last committed version survives. With a cache or without.
    #[test]
    fn equals_a_map(steps in proptest::collection::vec(step(), 1..80), cache in prop_oneof![Just(0usize), Just(400), Just(1 << 20)]) {
        let rocks = empty_state();
        let mut store = StateStore::new(Arc::clone(&rocks), cache);
        let mut now: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        let mut frozen = None;
        let mut durable = BTreeMap::new();
        let mut epoch = 0;
        for step in steps {
            match step {
                Step::Set(key, new) => {
                    store.set(TableId::EMITTED, 0, &[&[key]], new.as_ref().map(std::slice::from_ref));
                    match new {
                        Some(new) => now.insert(vec![key], vec![new]),
                        None => now.remove(&vec![key]),
                    };
                }
                Step::Freeze if frozen.is_none() => {
                    store.freeze();
                    frozen = Some(now.clone());
                }
                Step::Commit => {
                    if let Some(done) = frozen.take() {
                        epoch += 1;
                        store.commit(&committed(epoch)).unwrap();
                        durable = done;
                    }
                }
                Step::Reopen => {
                    store = StateStore::new(Arc::clone(&rocks), cache);
                    (now, frozen) = (durable.clone(), None);
                }
                Step::Freeze => {}
            }
            for key in 0..20u8 {
                prop_assert_eq!(value(&mut store, &[key]), now.get(&vec![key]).cloned());
            }
            let expected: Vec<_> = now.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
            prop_assert_eq!(all(&store), expected);
        }
    }
}
