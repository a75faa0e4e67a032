//! Ranges, limits, times, damage.

use protocol::Offset;

use crate::{
    Isolation, LogConfig, ReadError, VisibleReader,
    faulty_fs::Loss,
    segment::name::{FileKind, path},
    testing::{NOW, TestNode, clock, parse, records, small_segments, storage_config},
};

fn filled(batches: usize) -> TestNode {
    let node = TestNode::new(small_segments());
    for slot in 0..batches {
        node.put(&records(3, NOW + slot as i64 * 10));
    }
    node
}

#[test]
fn reads_begin_with_the_batch_that_holds_the_offset() {
    let node = filled(30);
    // Once from the cache, once from the disk.
    for node in [filled(30), node.crash(Loss::Unsynced)] {
        assert_eq!(node.log.cached(0), node.log.recovery().clean);
        for from in 0..90 {
            let slice = node.log.read(from, Isolation::Uncommitted, 1, true).expect("readable");
            let batches = parse(slice.bytes);
            assert_eq!(batches.len(), 1);
            assert_eq!(batches[0].header.base_offset, from / 3 * 3);
            assert_eq!(slice.next_offset, from / 3 * 3 + 3);
        }
    }
}

#[test]
fn limits_are_strict_but_for_the_first_batch() {
    let node = filled(9).crash(Loss::Unsynced);
    let size = parse(node.log.read(0, Isolation::LogEnd, 1, true).expect("readable").bytes)[0]
        .bytes
        .len();
    assert!(
        node.log
            .read(0, Isolation::LogEnd, size - 1, false)
            .expect("readable")
            .bytes
            .is_empty()
    );
    assert_eq!(
        node.log
            .read(0, Isolation::LogEnd, 2 * size, false)
            .expect("readable")
            .next_offset,
        6
    );
    assert_eq!(
        node.log
            .read(0, Isolation::LogEnd, 3 * size - 1, false)
            .expect("readable")
            .next_offset,
        6
    );
}

#[test]
fn nothing_to_see_is_empty_and_outside_is_an_error() {
    let node = filled(2);
    assert!(
        node.log
            .read(6, Isolation::Uncommitted, 100, true)
            .expect("the log end")
            .bytes
            .is_empty()
    );
    for offset in [-1, 7] {
        let outside = node.log.read(offset, Isolation::Uncommitted, 100, true);
        assert!(
            matches!(outside, Err(ReadError::OffsetOutOfRange(ref fact)) if fact.log_end == 6),
            "{outside:?}"
        );
    }
}

#[test]
fn times_find_the_first_record_that_is_not_earlier() {
    let node = filled(30);
    for node in [filled(30), node.crash(Loss::Unsynced).restart()] {
        for (timestamp, expected) in [
            (0, 0),
            (NOW, 0),
            (NOW + 1, 1),
            (NOW + 3, 3),
            (NOW + 10, 3),
            (NOW + 152, 47),
            (NOW + 292, 89),
        ] {
            let found = node
                .log
                .offset_for_timestamp(timestamp, Isolation::Uncommitted)
                .expect("readable")
                .expect("there is one");
            assert_eq!(found.offset, expected, "at {timestamp}");
            // Three records to a batch.
            let batch = node.log.batch_for_timestamp(timestamp, Isolation::Uncommitted);
            assert_eq!(batch.expect("readable"), Some(expected / 3 * 3), "at {timestamp}");
            assert!(timestamp <= found.timestamp);
        }
        assert_eq!(
            node.log
                .offset_for_timestamp(NOW + 293, Isolation::Uncommitted)
                .expect("readable"),
            None
        );
        let batch = node.log.batch_for_timestamp(NOW + 293, Isolation::Uncommitted);
        assert_eq!(batch.expect("readable"), None);
        let latest = node
            .log
            .max_timestamp_offset()
            .expect("readable")
            .expect("there is one");
        assert_eq!((latest.offset, latest.timestamp), (89, NOW + 292));
    }
}

#[test]
fn times_that_go_back_do_not_hide_what_is_late_enough() {
    let node = TestNode::new(small_segments());
    for timestamp in [50, 40, 90, 20, 90, 95, 10] {
        for _ in 0..3 {
            node.put(&records(2, NOW + timestamp));
        }
    }
    let expect = |node: &TestNode| {
        let at = |timestamp| {
            node.log
                .offset_for_timestamp(NOW + timestamp, Isolation::Uncommitted)
                .expect("readable")
                .map(|found| found.offset)
        };
        assert_eq!(
            [at(0), at(50), at(51), at(52), at(91), at(96), at(97)],
            [Some(0), Some(0), Some(1), Some(12), Some(13), Some(31), None]
        );
    };
    expect(&node);
    let node = node.restart();
    expect(&node);
    expect(&node.crash(Loss::Unsynced));
}

#[test]
fn a_damaged_batch_in_a_sealed_segment_is_never_served_and_hides_no_other() {
    let node = filled(30);
    let segment_base = node.log.segments()[1].base_offset();
    let size = node.headers()[0].total_len();
    // A bit in the records, in the offset, in the length, in the magic.
    for place in [80, 0, 3, 6, 7, 8, 9, 11, 16, 24, 58] {
        let node = filled(30).damaged(|fs, dir| fs.flip_bit(&path(dir, segment_base, FileKind::Log), size + place));
        let bad = segment_base + 3;
        for from in 0..90 {
            let read = node.log.read(from, Isolation::Uncommitted, 1, true);
            match (bad..bad + 3).contains(&from) {
                true => assert!(
                    matches!(read, Err(ReadError::Corrupt(_))),
                    "byte {place}, offset {from}: {read:?}"
                ),
                false => {
                    let header = parse(
                        read.unwrap_or_else(|error| panic!("byte {place}, offset {from}: {error}"))
                            .bytes,
                    )[0]
                    .header;
                    assert_eq!(header.base_offset, from / 3 * 3, "byte {place}");
                }
            }
        }
        assert!(0 < node.manager.stats().corrupt_reads);
        assert_eq!(node.log.marks().log_end, 90);
    }
}

#[test]
fn visible_reader_reads_all_with_and_without_maps() {
    let folder = tempfile::tempdir().expect("a folder");
    for mmap in [true, false] {
        let storage = crate::StorageConfig {
            data_dir: folder.path().join(format!("{mmap}")),
            mmap,
            batch_cache_bytes: 0,
            ..storage_config()
        };
        let manager = crate::LogManager::open(storage, std::sync::Arc::new(crate::DiskFs), clock()).expect("opens");
        let config = std::sync::Arc::new(small_segments());
        let log = manager
            .open_log(crate::testing::partition(), crate::testing::topic_id(), config, NOW)
            .expect("opens");
        for _ in 0..50 {
            log.append(&records(3, NOW), crate::AppendOrigin::Client, NOW)
                .expect("appended");
        }
        log.flush_through(150).wait().expect("flushed");
        assert!(log.segments()[0].mapped().is_some());
        for (from, until) in [(0, None), (70, None), (71, Some(100)), (149, None)] {
            let mut reader = VisibleReader::new(std::sync::Arc::clone(&log), from, until, Isolation::Committed);
            let mut bases = Vec::new();
            while let Some(batches) = reader.next_batches(500).expect("readable") {
                bases.extend(batches.iter().map(|batch| batch.header.base_offset));
            }
            let expected: Vec<Offset> = (from / 3 * 3..until.unwrap_or(150)).step_by(3).collect();
            assert_eq!(bases, expected, "mmap {mmap}, {from}..{until:?}");
        }
    }
}

#[test]
fn a_reader_behind_the_log_start_is_told() {
    let node = filled(10);
    node.log.delete_records(12, NOW).expect("deleted");
    let mut reader = VisibleReader::new(std::sync::Arc::clone(&node.log), 3, None, Isolation::Committed);
    assert!(matches!(reader.next_batches(100), Err(ReadError::OffsetOutOfRange(_))));
    reader.seek(12);
    assert_eq!(
        reader.next_batches(100).expect("readable").expect("there is more")[0]
            .header
            .base_offset,
        12
    );
}

#[test]
fn the_cache_forgets_the_oldest_and_reads_go_on() {
    let storage = crate::StorageConfig {
        batch_cache_bytes: 1000,
        ..storage_config()
    };
    let node = TestNode::start_with(storage, crate::faulty_fs::FaultyFs::new(), LogConfig::default()).expect("starts");
    for _ in 0..20 {
        node.put(&records(3, NOW));
    }
    assert!(!node.log.cached(0) && node.log.cached(59) && !node.log.cached(60));
    assert_eq!(node.headers().len(), 20);
}

#[test]
fn a_cached_batch_can_be_parted_from_the_bytes_it_was_cut_from() {
    let node = TestNode::new(LogConfig::default());
    let batch = records(3, NOW);
    let frame = bytes::Bytes::from([&batch.bytes[..], &[0; 10_000]].concat());
    let part = protocol::records::Batch::parse(frame.slice(..batch.bytes.len())).expect("a batch");
    let base_offset = node.append(&part).expect("appended").base_offset;
    drop(part);
    assert!(node.log.cached(base_offset) && !frame.is_unique());
    node.log.detach_cached(base_offset);
    assert!(node.log.cached(base_offset) && frame.is_unique());
    node.log.detach_cached(base_offset + 1);
    assert_eq!(node.headers().len(), 1);
}

#[test]
fn a_slice_holds_little_more_memory_than_its_bytes() {
    let node = TestNode::new(LogConfig {
        retention_ms: None,
        ..LogConfig::default()
    });
    for slot in 0..60 {
        node.put(&records(3, NOW + slot));
    }
    let node = node.restart();
    let size = parse(node.log.read(0, Isolation::LogEnd, 1, true).expect("readable").bytes)[0]
        .bytes
        .len();
    for (from, max_bytes) in [(30, 1), (3, 2 * size - 1), (60, 3 * size - 1), (0, 20 * size)] {
        let slice = node
            .log
            .read(from, Isolation::LogEnd, max_bytes, true)
            .expect("readable");
        let len = slice.bytes.len();
        let held = slice.bytes.try_into_mut().expect("nobody else has it").capacity();
        assert!(held < len + len / 2, "{held} bytes are held for {len} at {from}");
    }
}
