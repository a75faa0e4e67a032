//! Starts after anything.

use std::sync::Arc;

use crate::{
    Isolation, LogConfig, LogManager, OpenError, ReadError,
    faulty_fs::{Faults, FaultyFs, Loss},
    fs::Fs,
    segment::name::{FileKind, path},
    testing::{NOW, TestNode, clock, idempotent, records, small_segments, storage_config},
};

fn filled(batches: usize) -> TestNode {
    let node = TestNode::new(small_segments());
    for slot in 0..batches {
        node.put(&idempotent(5, 0, slot as i32 * 3, 3));
    }
    node
}

/// What must be the same whatever was rebuilt.
struct Picture {
    headers: Vec<protocol::records::BatchHeader>,
    window: Vec<crate::BatchMeta>,
    found_by_time: Option<i64>,
}

fn picture(node: &TestNode) -> Picture {
    let producer = node.log.producer_state(5).expect("known");
    let time = node
        .log
        .offset_for_timestamp(NOW + 1, Isolation::LogEnd)
        .expect("readable");
    let window = producer.batches().copied().collect();
    Picture {
        headers: node.headers(),
        window,
        found_by_time: time.map(|time| time.offset),
    }
}

#[test]
fn every_start_has_its_own_epoch() {
    let mut node = filled(2);
    assert_eq!(node.log.leader_epoch(), 0);
    node = node.restart();
    assert_eq!(node.log.leader_epoch(), 1);
    node.put(&records(1, NOW));
    node = node.crash(Loss::Nothing);
    assert_eq!(node.log.leader_epoch(), 2);
    node.put(&records(1, NOW));
    node = node.crash(Loss::Unsynced);
    assert_eq!(node.log.leader_epoch(), 3);
    assert_eq!(
        [0, 1, 2, 3, 4].map(|epoch| node.log.end_offset_for_epoch(epoch)),
        [Some((0, 6)), Some((1, 7)), Some((2, 8)), Some((3, 8)), None]
    );
    let epochs: Vec<i32> = node
        .headers()
        .iter()
        .map(|header| header.partition_leader_epoch)
        .collect();
    assert_eq!(epochs, [0, 0, 1, 2]);
}

#[test]
fn the_tail_is_cut_at_every_length() {
    let node = filled(12);
    let expected = node.headers();
    let last = node.log.segments().last().expect("a segment").base_offset();
    let in_last: Vec<_> = expected.iter().filter(|header| last <= header.base_offset).collect();
    let len: usize = in_last.iter().map(|header| header.total_len()).sum();
    for keep in (0..len).step_by(7) {
        // Without marks, so that the loss is one of data that was never promised.
        let node = filled(12).damaged(|fs, dir| {
            let file = path(dir, last, FileKind::Log);
            let mut content = fs.read(&file);
            content.truncate(keep);
            fs.overwrite(&file, &content);
            fs.remove_file(std::path::Path::new("/data/durable-marks"))
                .expect("removed");
        });
        let whole = in_last
            .iter()
            .scan(0, |end, header| {
                *end += header.total_len();
                Some(*end)
            })
            .filter(|end| *end <= keep)
            .count();
        let kept = expected.len() - in_last.len() + whole;
        assert_eq!(node.headers(), expected[..kept], "{keep} bytes kept");
        assert_eq!(
            node.put(&records(1, NOW)),
            expected.get(kept).map_or(36, |header| header.base_offset)
        );
    }
}

#[test]
fn zeros_and_garbage_behind_the_last_batch_are_cut() {
    let (zeros, garbage) = (
        vec![0; 5000],
        (0..5000_u32)
            .map(|byte| (byte.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect::<Vec<_>>(),
    );
    for tail in [zeros, garbage] {
        let expected = filled(12).headers();
        let node = filled(12).damaged(|fs, dir| {
            let file = fs
                .files(dir)
                .into_iter()
                .rfind(|file| file.to_string_lossy().ends_with(".log"))
                .expect("a segment");
            let mut content = fs.read(&file);
            content.extend_from_slice(&tail);
            fs.overwrite(&file, &content);
        });
        assert_eq!(node.headers(), expected);
        assert_eq!(node.log.recovery().bytes_dropped, 5000);
        assert!(node.log.quarantined().is_empty());
        node.put(&idempotent(5, 0, 36, 3));
        assert_eq!(node.crash(Loss::Unsynced).headers().len(), 13);
    }
}

#[test]
fn whatever_can_be_rebuilt_is_rebuilt() {
    let expected = picture(&filled(30));
    let kinds = [
        FileKind::OffsetIndex,
        FileKind::TimeIndex,
        FileKind::TransactionIndex,
        FileKind::Snapshot,
        FileKind::ProducerWindows,
    ];
    for suffix in kinds
        .map(FileKind::suffix)
        .into_iter()
        .chain(["leader-epoch-checkpoint"])
    {
        for damage in 0..4 {
            let hurt = |fs: &FaultyFs, dir: &std::path::Path| {
                for file in fs
                    .files(dir)
                    .iter()
                    .filter(|file| file.to_string_lossy().ends_with(suffix))
                {
                    let mut content = fs.read(file);
                    match damage {
                        0 => fs.remove_file(file).expect("removed"),
                        1 => {
                            content.truncate(content.len() / 2 + 1);
                            fs.overwrite(file, &content);
                        }
                        2 => {
                            content.iter_mut().for_each(|byte| *byte = byte.wrapping_add(0x81));
                            fs.overwrite(file, &content);
                        }
                        _ => {
                            // An index that speaks of more than the log holds.
                            content.extend_from_slice(&[0x7f; 408]);
                            fs.overwrite(file, &content);
                        }
                    }
                }
            };
            let node = filled(30).damaged(hurt);
            let found = picture(&node);
            assert_eq!(found.headers, expected.headers, "{suffix}, damage {damage}");
            assert_eq!(found.found_by_time, expected.found_by_time, "{suffix}, damage {damage}");
            // Without the sidecar a start knows what Kafka's own snapshot holds, and what came after it.
            if suffix != FileKind::ProducerWindows.suffix() {
                assert_eq!(found.window, expected.window, "{suffix}, damage {damage}");
            }
            assert_eq!(
                node.log.end_offset_for_epoch(0),
                Some((0, 90)),
                "{suffix}, damage {damage}"
            );
        }
    }
}

#[test]
fn a_log_that_lost_what_was_promised_never_uses_those_offsets_again() {
    let node = filled(12);
    let last = node.log.segments().last().expect("a segment").base_offset();
    let node = node.damaged(|fs, dir| {
        let file = path(dir, last, FileKind::Log);
        let content = fs.read(&file);
        fs.overwrite(&file, &content[..100]);
    });
    let lost = node.log.quarantined();
    assert_eq!(lost.len(), 1);
    assert_eq!((lost[0].first_offset, lost[0].next_offset), (last, 36));
    assert!(matches!(
        node.log.read(last, Isolation::Uncommitted, 100, true),
        Err(ReadError::Corrupt(_))
    ));
    assert!(node.log.read(last - 1, Isolation::Uncommitted, 100, true).is_ok());
    assert_eq!(node.put(&records(1, NOW)), 36);
    let node = node.restart().crash(Loss::Unsynced);
    assert_eq!(
        node.log
            .read(36, Isolation::Uncommitted, 100, true)
            .expect("readable")
            .next_offset,
        37
    );
    assert!(matches!(
        node.log.read(last, Isolation::Uncommitted, 100, true),
        Err(ReadError::Corrupt(_))
    ));
}

#[test]
fn damage_below_the_mark_cuts_nothing_behind_it() {
    let node = filled(12);
    let last = node.log.segments().last().expect("a segment").base_offset();
    for place in [70, 8, 16] {
        let node = filled(12).damaged(|fs, dir| fs.flip_bit(&path(dir, last, FileKind::Log), place));
        assert_eq!(node.log.marks().log_end, 36, "byte {place}");
        assert!(
            matches!(
                node.log.read(last, Isolation::Uncommitted, 100, true),
                Err(ReadError::Corrupt(_))
            ),
            "byte {place}"
        );
        let behind = node
            .log
            .read(last + 3, Isolation::Uncommitted, 1, true)
            .expect("readable");
        assert_eq!(behind.next_offset, last + 6, "byte {place}");
        assert_eq!(node.log.recovery().bytes_dropped, 0);
    }
}

#[test]
fn a_missing_segment_in_the_middle_is_missed() {
    let node = filled(30);
    let (second, third) = (
        node.log.segments()[1].base_offset(),
        node.log.segments()[2].base_offset(),
    );
    let node = node.damaged(|fs, dir| fs.remove_file(&path(dir, second, FileKind::Log)).expect("removed"));
    for from in [second, third - 1] {
        assert!(matches!(
            node.log.read(from, Isolation::Uncommitted, 100, true),
            Err(ReadError::Corrupt(_))
        ));
    }
    assert!(node.log.read(second - 1, Isolation::Uncommitted, 100, true).is_ok());
    assert!(node.log.read(third, Isolation::Uncommitted, 100, true).is_ok());
    assert_eq!(node.log.marks().log_end, 90);
}

#[test]
fn the_second_process_is_kept_out() {
    let node = filled(1);
    let second = LogManager::open(storage_config(), Arc::clone(&node.fs) as Arc<dyn Fs>, clock());
    assert!(matches!(second, Err(OpenError::Locked(_))), "{second:?}");
    let open_twice = node.manager.open_log(
        crate::testing::partition(),
        crate::testing::topic_id(),
        Arc::new(LogConfig::default()),
        NOW,
    );
    assert!(matches!(open_twice, Err(OpenError::AlreadyOpen(_))));
}

#[test]
fn formats_of_the_future_are_refused() {
    let fs = filled(1).fs.crash(Loss::Nothing);
    fs.overwrite(
        std::path::Path::new("/data/topics/orders-0/partition.metadata"),
        b"version: 9\ntopic_id: AAAAAAAAAAAAAAAAAAAATQ\n",
    );
    let refused = TestNode::start(fs, small_segments()).map(|_| ());
    assert!(
        matches!(refused, Err(OpenError::NewerVersion { found: 9, .. })),
        "{refused:?}"
    );
}

#[test]
fn the_tail_is_written_again_after_an_unclean_stop_only() {
    let node = filled(12);
    let node = node.restart();
    assert!(node.log.recovery().clean && node.log.recovery().bytes_rewritten == 0);
    node.put(&records(1, NOW));
    let node = node.crash(Loss::Nothing);
    assert!(!node.log.recovery().clean);
}

#[test]
fn power_may_go_in_the_middle_of_recovery() {
    for power_off_at_sync in 1.. {
        let node = filled(12);
        let expected = node.headers();
        let fs = node.fs.crash(Loss::Random(power_off_at_sync));
        drop(node);
        fs.set_faults(Faults {
            power_off_at_sync: Some(power_off_at_sync),
            ..Faults::default()
        });
        let started = TestNode::start(Arc::clone(&fs), small_segments()).is_ok() && !fs.is_off();
        let node = TestNode::start(fs.crash(Loss::Random(power_off_at_sync + 1)), small_segments()).expect("starts");
        assert_eq!(node.headers(), expected, "power off at sync {power_off_at_sync}");
        if started {
            assert!(3 < power_off_at_sync);
            break;
        }
    }
}

#[test]
fn a_roll_whose_flush_never_came_leaves_no_empty_index_behind() {
    let never = crate::StorageConfig {
        flush_delay_max: std::time::Duration::from_secs(3600),
        ..storage_config()
    };
    let node = TestNode::start_with(never, FaultyFs::new(), small_segments()).expect("starts");
    let mut flushed = 0;
    while node.log.segment_count() == 1 {
        flushed = node.log.marks().log_end;
        node.log.flush_through(flushed).wait().expect("flushed");
        node.append(&records(3, NOW)).expect("appended");
    }
    assert_eq!(node.log.segments()[1].base_offset(), flushed);
    // The new segment reaches the device by chance, what is in the old one's indexes does not.
    node.log.node().scheduler.abandon();
    node.log.node().marks.sync();
    node.log.segments()[1].sync_log().expect("synced");
    node.fs.sync_dir(node.log.dir()).expect("synced");
    let node = node.crash(Loss::Unsynced);
    assert_eq!(node.log.marks().log_end, flushed + 3);
    let found = node
        .log
        .offset_for_timestamp(NOW + 1, Isolation::LogEnd)
        .expect("readable");
    assert_eq!(found.map(|found| found.offset), Some(1));
}
