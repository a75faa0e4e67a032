//! Recovery of the state folder from the changelog, whatever state the folder is in.

use std::sync::Arc;
use std::time::Duration;

use protocol::ids::TopicId;
use protocol::records::{BatchBuilder, BatchStamp, Codec};
use storage::{AppendOrigin, Log};
use tempfile::TempDir;

use crate::ports::Topics;
use crate::state::changelog::{EPOCH_KEY, write_change_key};
use crate::state::key::write_key;
use crate::state::{Changes, CommittedEpoch, EpochRecord, Rocks, StoredEntry, TableId, recover};
use crate::testing::{NOON, World};

const BATCH_BYTES: usize = 1 << 20;

fn record(epoch: i64) -> EpochRecord {
    EpochRecord {
        epoch,
        committed_at: NOON + epoch,
        finished: false,
        watermark: epoch,
        silence: Duration::ZERO,
        sources: Vec::new(),
    }
}

/// Epoch n sets `n` and `last`, and deletes `n - 1`.
fn changes(epoch: i64) -> Changes {
    let mut changes = Changes::default();
    let mut key = Vec::new();
    let mut set = |name: i64, value: Option<&[u8]>| {
        write_key(&mut key, TableId::GROUPS, 0, &[&name.to_be_bytes()]);
        changes.set(&key, value);
    };
    set(epoch, Some(b"here"));
    set(epoch - 1, None);
    set(1_000, Some(&epoch.to_be_bytes()));
    changes
}

/// A changelog of so many epochs; returns it with the offset behind each epoch.
fn changelog(world: &World, epochs: i64) -> (Arc<Log>, Vec<i64>) {
    world.topic("changelog", 1);
    let log = world.topics.find("changelog").unwrap().partitions.remove(0);
    let mut ends = vec![0];
    for epoch in 1..=epochs {
        let mut batch = BatchBuilder::new(Codec::None, None, NOON);
        let mut key = Vec::new();
        for (state_key, value) in changes(epoch).iter() {
            write_change_key(&mut key, state_key);
            batch.append(NOON, Some(&key), value, &[]);
        }
        batch.append(NOON, Some(EPOCH_KEY), Some(&record(epoch).encode()), &[]);
        let batch = batch.finish(BatchStamp::NONE);
        ends.push(log.append(&batch, AppendOrigin::Coordinator, NOON).unwrap().last_offset + 1);
    }
    (log, ends)
}

fn content(rocks: &Rocks) -> Vec<StoredEntry> {
    rocks.table_iter(TableId::GROUPS).map(Result::unwrap).collect()
}

fn committed(log: &Log, ends: &[i64], epoch: i64) -> CommittedEpoch {
    CommittedEpoch {
        changelog: log.topic_id(),
        next_offset: ends[usize::try_from(epoch).unwrap()],
        record: record(epoch),
    }
}

#[test]
fn an_older_store_takes_only_what_is_missing() {
    let world = World::new();
    let (log, ends) = changelog(&world, 5);
    let folder = TempDir::new().unwrap();
    let rocks = Rocks::open(&folder.path().join("q")).unwrap();
    for epoch in 1..=3 {
        rocks
            .write_epoch(&changes(epoch), &committed(&log, &ends, epoch))
            .unwrap();
    }
    let recovered = recover(&rocks, &log, BATCH_BYTES).unwrap();
    assert_eq!(recovered.committed, Some(committed(&log, &ends, 5)));
    assert_eq!((recovered.applied, recovered.rebuilt), (8, false));
    assert_eq!(rocks.committed().unwrap(), recovered.committed);
    assert_eq!(content(&rocks).len(), 2);

    let again = recover(&rocks, &log, BATCH_BYTES).unwrap();
    assert_eq!((again.applied, again.committed), (0, recovered.committed));
}

#[test]
fn every_other_store_is_rebuilt() {
    let world = World::new();
    let (log, ends) = changelog(&world, 5);
    let stray = {
        let mut stray = Changes::default();
        stray.set(&[TableId::GROUPS.number(), 0, 0, 9], Some(b"stray"));
        stray
    };
    let ahead = CommittedEpoch {
        next_offset: ends[5] + 1,
        ..committed(&log, &ends, 5)
    };
    let foreign = CommittedEpoch {
        changelog: TopicId::NIL,
        ..committed(&log, &ends, 5)
    };
    let old = {
        let mut old = committed(&log, &ends, 1);
        old.record.committed_at = NOON - 48 * 3_600_000;
        old
    };
    let folder = TempDir::new().unwrap();
    for (name, standing) in [
        ("new", None),
        ("ahead", Some(ahead)),
        ("foreign", Some(foreign)),
        ("old", Some(old)),
    ] {
        let rocks = Rocks::open(&folder.path().join(name)).unwrap();
        if let Some(standing) = standing {
            rocks.write_epoch(&stray, &standing).unwrap();
        }
        let recovered = recover(&rocks, &log, BATCH_BYTES).unwrap();
        assert_eq!(recovered.committed, Some(committed(&log, &ends, 5)), "{name}");
        assert!(recovered.rebuilt, "{name}");
        assert_eq!(rocks.committed().unwrap(), recovered.committed, "{name}");
        let rows = content(&rocks);
        assert_eq!(rows.len(), 2, "{name}: the stray entry is gone");
        assert_eq!(&*rows[1].1, 5i64.to_be_bytes(), "{name}");
    }
}

#[test]
fn a_store_that_was_being_rebuilt_starts_over() {
    let world = World::new();
    let (log, ends) = changelog(&world, 2);
    let folder = TempDir::new().unwrap();
    let rocks = Rocks::open(&folder.path().join("q")).unwrap();
    rocks.write_epoch(&changes(1), &committed(&log, &ends, 1)).unwrap();
    rocks.begin_rebuild().unwrap();
    rocks.write_rebuilt(&changes(1)).unwrap();
    let recovered = recover(&rocks, &log, BATCH_BYTES).unwrap();
    assert_eq!(
        (recovered.rebuilt, recovered.committed),
        (true, Some(committed(&log, &ends, 2)))
    );
}

#[test]
fn an_empty_changelog_is_a_new_query() {
    let world = World::new();
    let (log, _) = changelog(&world, 0);
    let folder = TempDir::new().unwrap();
    let rocks = Rocks::open(&folder.path().join("q")).unwrap();
    let recovered = recover(&rocks, &log, BATCH_BYTES).unwrap();
    assert_eq!(
        (recovered.committed, recovered.applied, recovered.rebuilt),
        (None, 0, false)
    );
}
