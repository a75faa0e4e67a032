//! Retention, deletion on request, deletion of logs.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use std::thread;

use crate::{
    DeleteRecordsError, Isolation, LogConfig, ReadError, StorageConfig,
    faulty_fs::{FaultyFs, Loss},
    testing::{NOW, TestNode, clock, partition, records, small_segments, storage_config, topic_id},
};

fn filled(config: LogConfig) -> TestNode {
    let node = TestNode::new(config);
    for _ in 0..30 {
        node.put(&records(3, NOW));
    }
    node
}

#[test]
fn old_segments_go_and_the_log_start_never_comes_back() {
    let mut node = filled(LogConfig {
        retention_ms: Some(1000),
        ..small_segments()
    });
    assert_eq!(node.manager.apply_retention(NOW + 1000).segments, 0);
    let segments = node.log.segment_count();
    let report = node.manager.apply_retention(NOW + 1003);
    assert_eq!(report.segments, segments);
    assert_eq!(
        (
            node.log.marks().log_start,
            node.log.segment_count(),
            node.log.size_bytes()
        ),
        (90, 1, 0)
    );
    let gone = node.log.read(3, Isolation::Uncommitted, 100, true);
    assert!(matches!(gone, Err(ReadError::OffsetOutOfRange(_))), "{gone:?}");
    for seed in 0..5 {
        node = node.crash(if seed == 0 { Loss::Unsynced } else { Loss::Random(seed) });
        assert_eq!((node.log.marks().log_start, node.log.marks().log_end), (90, 90));
    }
    assert_eq!(node.put(&records(1, NOW)), 90);
}

#[test]
fn size_counts_from_the_newest() {
    let node = filled(LogConfig {
        retention_bytes: Some(5000),
        ..small_segments()
    });
    let before = node.log.size_bytes();
    let report = node.manager.apply_retention(NOW);
    assert!(0 < report.segments);
    assert_eq!(node.log.size_bytes(), before - report.bytes);
    assert!(5000 <= node.log.size_bytes() && node.log.size_bytes() < 5000 + 2048);
}

#[test]
fn a_clock_of_clients_that_runs_ahead_keeps_nothing_for_ever() {
    let config = LogConfig {
        retention_ms: Some(1000),
        timestamp_after_max_ms: i64::MAX,
        ..small_segments()
    };
    let node = TestNode::new(config);
    for _ in 0..30 {
        node.put(&records(3, NOW + 1_000_000_000_000));
    }
    assert_eq!(node.manager.apply_retention(NOW + 900).segments, 0);
    assert!(0 < node.manager.apply_retention(NOW + 1100).segments);
    let node = node.restart();
    assert_eq!(node.log.marks().log_start, 90);
}

#[test]
fn pins_open_transactions_and_compaction_hold_it_back() {
    let node = filled(LogConfig {
        retention_ms: Some(1000),
        ..small_segments()
    });
    let pin = node.log.pin("query", 40);
    node.manager.apply_retention(NOW + 5000);
    let start = node.log.marks().log_start;
    assert!(0 < start && start <= 40);
    pin.advance(90);
    pin.advance(10);
    assert_eq!(pin.offset(), 90);
    assert_eq!(node.log.pins(), [(Arc::from("query"), 90)]);
    node.manager.apply_retention(NOW + 5000);
    assert_eq!(node.log.marks().log_start, 90);
    drop(pin);
    assert!(node.log.pins().is_empty());

    let node = TestNode::new(LogConfig {
        retention_ms: Some(1000),
        ..small_segments()
    });
    node.put(&crate::testing::transactional(1, 0, 1));
    for _ in 0..30 {
        node.put(&records(3, NOW));
    }
    assert_eq!(node.manager.apply_retention(NOW + 5000).segments, 0);
}

#[test]
fn a_pin_holds_back_no_more_than_its_bound() {
    let config = LogConfig {
        retention_ms: Some(1000),
        ..small_segments()
    };
    let bounded = StorageConfig {
        pinned_bytes_max: 1_000,
        ..storage_config()
    };
    let node = TestNode::start_with(bounded, FaultyFs::new(), config).expect("starts");
    for _ in 0..30 {
        node.put(&records(3, NOW));
    }
    let pin = node.log.pin("query", 9);
    node.manager.apply_retention(NOW + 5000);
    let marks = node.log.marks();
    assert!(pin.offset() < marks.log_start && marks.log_start < marks.log_end);
    let held = node.log.size_bytes();
    assert!((500..=1_000).contains(&held), "{held}");
}

#[test]
fn records_are_deleted_on_request_within_segments_too() {
    let mut node = filled(small_segments());
    assert_eq!(node.log.delete_records(50, NOW).expect("deleted"), 50);
    assert_eq!(node.log.delete_records(20, NOW).expect("nothing to do"), 50);
    let above = node.log.delete_records(91, NOW);
    assert!(
        matches!(above, Err(DeleteRecordsError::OffsetOutOfRange(_))),
        "{above:?}"
    );
    for round in 0..3 {
        assert_eq!(node.headers()[0].base_offset, 48);
        assert!(node.log.read(49, Isolation::Uncommitted, 100, true).is_err());
        assert_eq!(node.log.earliest().0, 50);
        node = if round == 0 {
            node.restart()
        } else {
            node.crash(Loss::Random(round))
        };
        assert_eq!(node.log.marks().log_start, 50);
    }
    assert_eq!(node.log.delete_records(-1, NOW).expect("deleted"), 90);
    assert_eq!(node.put(&records(1, NOW)), 90);
}

#[test]
fn a_deleted_topic_never_comes_back() {
    let node = filled(small_segments());
    let reader = Arc::clone(&node.log);
    node.manager.delete_log(&partition(), NOW).expect("deleted");
    assert!(node.manager.log(&partition()).is_none());
    assert!(
        reader.read(0, Isolation::Uncommitted, 100, true).is_ok(),
        "a reader that is under way may finish"
    );
    assert!(matches!(
        node.append(&records(1, NOW)),
        Err(crate::AppendError::Closed(_))
    ));
    let again = protocol::TopicId(uuid::Uuid::from_u128(78));
    let fresh = node
        .manager
        .open_log(partition(), again, Arc::new(small_segments()), NOW)
        .expect("opens");
    assert_eq!(fresh.marks().log_end, 0);
    drop((reader, fresh));
    let fs = node.fs.crash(Loss::Unsynced);
    drop(node);
    let manager = crate::LogManager::open(storage_config(), fs.clone(), clock()).expect("opens");
    let mismatch = manager.open_log(partition(), topic_id(), Arc::new(small_segments()), NOW);
    assert!(
        matches!(mismatch, Err(crate::OpenError::TopicIdMismatch { .. })),
        "{mismatch:?}"
    );
    assert!(
        fs.files(std::path::Path::new("/data/topics"))
            .iter()
            .all(|file| !file.to_string_lossy().contains("-delete"))
    );
    let fresh = manager
        .open_log(partition(), again, Arc::new(small_segments()), NOW)
        .expect("opens");
    assert_eq!(fresh.marks().log_end, 0);
}

#[test]
fn deleted_files_go_after_their_delay() {
    let node = filled(LogConfig {
        file_delete_delay_ms: 60_000,
        retention_bytes: Some(0),
        ..small_segments()
    });
    assert!(0 < node.manager.apply_retention(NOW).segments);
    let deleted = |node: &TestNode| {
        node.fs
            .files(node.log.dir())
            .iter()
            .filter(|file| file.to_string_lossy().ends_with(".deleted"))
            .count()
    };
    assert!(0 < deleted(&node));
    assert_eq!(node.manager.apply_retention(NOW + 59_999).unlinked, 0);
    assert!(0 < node.manager.apply_retention(NOW + 60_000).unlinked);
    assert_eq!(deleted(&node), 0);
}

#[test]
fn appends_go_on_while_a_new_start_is_synced() {
    let node = filled(LogConfig {
        retention_ms: Some(1000),
        ..small_segments()
    });
    let free = Arc::new(AtomicUsize::new(0));
    let (log, here, seen) = (Arc::clone(&node.log), thread::current().id(), Arc::clone(&free));
    // The flush thread has nothing to do, so that nobody else holds the lock.
    node.fs.before_sync(move || {
        if thread::current().id() == here {
            assert!(log.writer.try_lock().is_ok(), "an append would wait for the device");
            seen.fetch_add(1, Ordering::Relaxed);
        }
    });
    node.log.delete_records(5, NOW).expect("deleted");
    assert_eq!(free.swap(0, Ordering::Relaxed), 1);
    assert!(0 < node.manager.apply_retention(NOW + 1003).segments);
    assert_eq!(free.load(Ordering::Relaxed), 1);
    node.put(&records(1, NOW));
}
