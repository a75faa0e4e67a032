//! What a log remembers of its producers over starts.

use std::{fs, path::Path, sync::Arc};

use protocol::Offset;
use tempfile::TempDir;

use crate::{
    AppendOrigin, DiskFs, Log, LogManager, StorageConfig,
    faulty_fs::{FaultyFs, Loss},
    segment::name::FileKind,
    testing::{NOW, TestNode, clock, idempotent, partition, small_segments, storage_config, topic_id},
};

fn open(folder: &TempDir) -> (Arc<LogManager>, Arc<Log>) {
    let storage = StorageConfig::new(folder.path());
    let manager = LogManager::open(storage, Arc::new(DiskFs), clock()).expect("opens");
    let log = manager
        .open_log(partition(), topic_id(), Arc::new(small_segments()), NOW)
        .expect("opens");
    (manager, log)
}

/// Makes the newest file of a kind this long, without taking space for it.
fn stretch(dir: &Path, kind: FileKind, len: u64) {
    let entries = fs::read_dir(dir).expect("there");
    let paths = entries.map(|entry| entry.expect("readable").path());
    let newest = paths
        .filter(|path| path.to_string_lossy().ends_with(kind.suffix()))
        .max()
        .expect("a clean stop leaves one");
    let file = fs::OpenOptions::new().write(true).open(newest).expect("opens");
    file.set_len(len).expect("stretched");
}

#[test]
fn producer_files_of_any_length_keep_no_log_from_opening() {
    for kind in [FileKind::Snapshot, FileKind::ProducerWindows] {
        for len in [(64 << 20) + 1, 1 << 40] {
            let folder = tempfile::tempdir().expect("a folder");
            let (manager, log) = open(&folder);
            for slot in 0..12 {
                log.append(&idempotent(5, 0, slot * 3, 3), AppendOrigin::Client, NOW)
                    .expect("appended");
            }
            let expected = log.producer_state(5).expect("known");
            manager.shutdown(NOW).expect("a clean stop");
            let dir = log.dir().to_owned();
            drop((manager, log));
            stretch(&dir, kind, len);
            let (_manager, log) = open(&folder);
            let found = log.producer_state(5).expect("known");
            assert_eq!(found.last_batch(), expected.last_batch(), "{kind:?} of {len} bytes");
        }
    }
}

#[test]
fn a_forgotten_producer_goes_on_as_a_new_one() {
    let few = StorageConfig {
        producer_ids_max: 3,
        ..storage_config()
    };
    let node = TestNode::start_with(few.clone(), FaultyFs::new(), small_segments()).expect("starts");
    for producer_id in [1, 2, 3, 4] {
        node.put(&idempotent(producer_id, 0, 0, 3));
    }
    let again = node.append(&idempotent(4, 0, 0, 3)).expect("accepted");
    assert!(again.duplicate);
    assert!(
        node.log.producer_state(1).is_none(),
        "one too many, and silent for longest"
    );
    let later = node
        .append(&idempotent(1, 0, 3, 3))
        .expect("as from an unknown producer");
    assert!(!later.duplicate);
    let known = |node: &TestNode| {
        let mut ids: Vec<i64> = node
            .log
            .producer_states()
            .iter()
            .map(|entry| entry.producer_id)
            .collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!(known(&node), [1, 3, 4]);
    node.log.flush_through(Offset::MAX).wait().expect("flushed");
    // Once replayed from the batches, once read from the snapshot of a clean stop.
    let fs = node.fs.crash(Loss::Unsynced);
    drop(node);
    let node = TestNode::start_with(few.clone(), fs, small_segments()).expect("starts");
    assert_eq!(known(&node), [1, 3, 4]);
    node.manager.shutdown(NOW).expect("a clean stop");
    let fs = node.fs.crash(Loss::Unsynced);
    drop(node);
    let fewer = StorageConfig {
        producer_ids_max: 2,
        ..few
    };
    let node = TestNode::start_with(fewer, fs, small_segments()).expect("starts");
    assert_eq!(known(&node), [1, 4]);
}
