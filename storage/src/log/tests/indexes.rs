//! A damaged index is never an error, and nothing is skipped for it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use protocol::{Offset, TimestampMs};
use tempfile::TempDir;

use crate::{
    AppendOrigin, DiskFs, Isolation, Log, LogManager, StorageConfig, VisibleReader,
    faulty_fs::{FaultyFs, Loss},
    segment::name::{FileKind, path},
    testing::{NOW, TestNode, clock, parse, partition, records, small_segments, topic_id},
};

const BATCHES: i64 = 30;

/// Timestamps of the first record of each batch; the other two records follow a millisecond apart.
type Times = fn(i64) -> TimestampMs;

fn ascending(slot: i64) -> TimestampMs {
    NOW + slot * 10
}

fn swapped(slot: i64) -> TimestampMs {
    NOW + (slot ^ 1) * 10
}

/// Every offset is read, scanned and found by its time as if nothing were wrong.
fn check(log: &Arc<Log>, times: Times, context: &str) {
    let log_end = BATCHES * 3;
    for from in 0..log_end {
        for max_bytes in [1, 700] {
            let slice = log
                .read(from, Isolation::Uncommitted, max_bytes, true)
                .unwrap_or_else(|error| panic!("{context}: read at {from}: {error}"));
            let first = parse(slice.bytes).first().map(|batch| batch.header.base_offset);
            assert_eq!(first, Some(from / 3 * 3), "{context}: read at {from}");
        }
        let mut reader = VisibleReader::new(Arc::clone(log), from, None, Isolation::Uncommitted);
        let batches = reader
            .next_batches(1)
            .unwrap_or_else(|error| panic!("{context}: scan at {from}: {error}"));
        let first = batches.and_then(|batches| batches.first().map(|batch| batch.header.base_offset));
        assert_eq!(first, Some(from / 3 * 3), "{context}: scan at {from}");
    }
    let dated: Vec<(Offset, TimestampMs)> = (0..log_end).map(|at| (at, times(at / 3) + at % 3)).collect();
    let mut wanted: Vec<TimestampMs> = dated.iter().map(|(_, timestamp)| *timestamp).collect();
    wanted.extend([0, NOW + BATCHES * 10, i64::MAX]);
    for timestamp in wanted {
        let expected = dated
            .iter()
            .find(|(_, found)| timestamp <= *found)
            .map(|(offset, _)| *offset);
        let found = log
            .offset_for_timestamp(timestamp, Isolation::Uncommitted)
            .unwrap_or_else(|error| panic!("{context}: time {timestamp}: {error}"));
        assert_eq!(found.map(|found| found.offset), expected, "{context}: time {timestamp}");
    }
    let latest = dated.iter().map(|(_, timestamp)| *timestamp).max();
    let found = log.max_timestamp_offset().expect("readable");
    assert_eq!(found.map(|found| found.timestamp), latest, "{context}");
}

fn open(folder: &TempDir) -> (Arc<LogManager>, Arc<Log>) {
    let storage = StorageConfig::new(folder.path());
    let manager = LogManager::open(storage, Arc::new(DiskFs), clock()).expect("opens");
    let log = manager
        .open_log(partition(), topic_id(), Arc::new(small_segments()), NOW)
        .expect("opens");
    (manager, log)
}

fn filled(log: &Arc<Log>, times: Times) {
    for slot in 0..BATCHES {
        log.append(&records(3, times(slot)), AppendOrigin::Client, NOW)
            .expect("appended");
    }
}

/// Every bit of some entry, and what it makes of the file.
fn flips(content: &[u8], entry: usize, size: usize) -> impl Iterator<Item = (usize, Vec<u8>)> {
    (entry * size * 8..(entry + 1) * size * 8).map(|bit| {
        let mut content = content.to_vec();
        content[bit / 8] ^= 1 << (bit % 8);
        (bit, content)
    })
}

const KINDS: [(FileKind, usize); 2] = [(FileKind::OffsetIndex, 8), (FileKind::TimeIndex, 12)];

/// A copy of a data folder, so that every damage meets a node that has mended nothing yet.
fn copy(folder: &Path) -> TempDir {
    let copy = tempfile::tempdir().expect("a folder");
    let mut open = vec![folder.to_owned()];
    while let Some(from) = open.pop() {
        let to = copy.path().join(from.strip_prefix(folder).expect("below it"));
        fs::create_dir_all(&to).expect("created");
        for entry in fs::read_dir(&from).expect("listed") {
            let entry = entry.expect("listed");
            if entry.file_type().expect("known").is_dir() {
                open.push(entry.path());
            } else {
                fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
            }
        }
    }
    copy
}

/// On the real file system, so that scans are mapped.
#[test]
fn no_bit_of_a_middle_entry_misleads_a_running_node() {
    for times in [ascending as Times, swapped] {
        let folder = tempfile::tempdir().expect("a folder");
        let (manager, log) = open(&folder);
        filled(&log, times);
        manager.shutdown(NOW).expect("a clean stop");
        let file = |kind| log.segments()[1].path(kind);
        for (kind, size) in KINDS {
            let good = fs::read(file(kind)).expect("readable");
            let middle = good.len() / size / 2;
            assert!(0 < middle, "{kind:?} has entries");
            for (bit, damaged) in flips(&good, middle, size) {
                let copy = copy(folder.path());
                let (_manager, log) = open(&copy);
                let path = log.segments()[1].path(kind);
                fs::write(&path, &damaged).expect("written");
                check(&log, times, &format!("{kind:?}, bit {bit}"));
                let is_position = kind == FileKind::OffsetIndex && 32 <= bit - middle * size * 8;
                if is_position {
                    let mended = fs::read(&path).expect("readable");
                    assert_ne!(mended, damaged, "{kind:?}, bit {bit}: not written anew");
                }
            }
        }
    }
}

#[test]
fn no_bit_of_any_entry_and_no_missing_end_misleads_a_start() {
    for times in [ascending as Times, swapped] {
        let node = TestNode::new(small_segments());
        filled(&node.log, times);
        node.manager.shutdown(NOW).expect("a clean stop");
        let segment = node.log.segments()[1].base_offset();
        let dir = node.log.dir().to_owned();
        let clean = node.fs.crash(Loss::Nothing);
        drop(node);
        let start = |file: &PathBuf, content: &[u8], context: &str| {
            let fs: Arc<FaultyFs> = clean.crash(Loss::Nothing);
            fs.overwrite(file, content);
            let node = TestNode::start(fs, small_segments()).expect("starts");
            check(&node.log, times, context);
            assert!(node.log.quarantined().is_empty(), "{context}");
        };
        for (kind, size) in KINDS {
            let file = path(&dir, segment, kind);
            let good = clean.read(&file);
            let entries = good.len() / size;
            for entry in [0, entries / 2, entries - 1] {
                for (bit, damaged) in flips(&good, entry, size) {
                    start(&file, &damaged, &format!("{kind:?}, entry {entry}, bit {bit}"));
                }
            }
            for kept in 0..entries {
                start(&file, &good[..kept * size], &format!("{kind:?}, {kept} entries kept"));
            }
        }
    }
}
