//! Offsets, producers, limits, space, failures.

use std::sync::Arc;

use protocol::{
    Offset,
    records::{Batch, Codec, validate_records},
};

use crate::{
    AppendError, AppendOrigin, Durability, FlushError, LogConfig, StorageConfig, TimestampType,
    faulty_fs::{Faults, FaultyFs, Loss},
    log::Flushed,
    testing::{NOW, TestNode, idempotent, records, small_segments, storage_config},
};

#[test]
fn offsets_count_up_and_batches_keep_their_bytes() {
    let node = TestNode::new(small_segments());
    for expected in [0, 3, 6] {
        assert_eq!(node.put(&records(3, NOW)), expected);
    }
    let marks = node.log.marks();
    assert_eq!((marks.high_watermark, marks.log_end, marks.durable), (9, 9, 9));
    let sent = records(3, NOW);
    for (slot, batch) in node
        .read_all(crate::Isolation::Uncommitted)
        .expect("readable")
        .iter()
        .enumerate()
    {
        assert_eq!(batch.header.base_offset, slot as Offset * 3);
        assert_eq!(batch.header.partition_leader_epoch, node.log.leader_epoch());
        assert_eq!(batch.records_bytes(), sent.records_bytes());
        batch.verify_crc().expect("intact");
    }
}

#[test]
fn a_flush_comes_without_anybody_waiting() {
    let node = TestNode::new(small_segments());
    let mut watch = node.log.watch();
    let ticket = node.append(&records(1, NOW)).expect("appended").ticket;
    drop(ticket);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime
        .block_on(watch.wait_for(|marks| marks.high_watermark == 1))
        .expect("the log lives");
}

#[test]
fn without_fsync_tickets_are_done_and_the_high_watermark_follows_the_log_end() {
    let node = TestNode::new(LogConfig {
        durability: Durability::Async,
        ..small_segments()
    });
    let appended = node.append(&records(2, NOW)).expect("appended");
    assert!(appended.ticket.is_done());
    assert_eq!(node.log.marks().high_watermark, 2);
    node.log.flush_through(2).wait().expect("flushed on demand");
    assert_eq!(node.log.marks().durable, 2);
}

#[test]
fn segments_roll_by_size_and_reads_cross_them() {
    let node = TestNode::new(small_segments());
    for _ in 0..40 {
        node.put(&records(4, NOW));
    }
    assert!(4 < node.log.segment_count());
    assert_eq!(
        node.headers()
            .iter()
            .map(|header| header.base_offset)
            .collect::<Vec<_>>(),
        (0..40).map(|slot| slot * 4).collect::<Vec<_>>()
    );
}

#[test]
fn segments_roll_by_age() {
    let node = TestNode::new(LogConfig {
        segment_ms: 1000,
        ..LogConfig::default()
    });
    node.put(&records(1, NOW));
    for (later, segments) in [(999, 1), (1000, 2), (1999, 2), (2000, 3)] {
        node.log
            .append(&records(1, NOW), AppendOrigin::Client, NOW + later)
            .expect("appended");
        assert_eq!(node.log.segment_count(), segments, "{later} ms later");
    }
}

#[test]
fn a_repeated_batch_is_found_in_the_window_of_five() {
    let node = TestNode::new(small_segments());
    for sequence in 0..6 {
        node.put(&idempotent(9, 0, sequence * 2, 2));
    }
    for sequence in 1..6 {
        let again = node.append(&idempotent(9, 0, sequence * 2, 2)).expect("a duplicate");
        assert!(again.duplicate);
        assert_eq!(
            (again.base_offset, again.last_offset),
            (i64::from(sequence) * 2, i64::from(sequence) * 2 + 1)
        );
    }
    let oldest = node.append(&idempotent(9, 0, 0, 2));
    assert!(matches!(oldest, Err(AppendError::DuplicateSequence(_))), "{oldest:?}");
    let gap = node.append(&idempotent(9, 0, 13, 2));
    assert!(
        matches!(gap, Err(AppendError::OutOfOrderSequence(ref fact)) if fact.expected == 12),
        "{gap:?}"
    );
    let overlap = node.append(&idempotent(9, 0, 11, 2));
    assert!(
        matches!(overlap, Err(AppendError::OutOfOrderSequence(_))),
        "{overlap:?}"
    );
    assert_eq!(node.log.marks().log_end, 12);
}

#[test]
fn the_window_survives_clean_stops_and_crashes() {
    let mut node = TestNode::new(small_segments());
    for sequence in 0..8 {
        node.put(&idempotent(9, 0, sequence, 1));
    }
    for restart in 0..4 {
        node = match restart {
            0 => node.restart(),
            1 => node.crash(Loss::Unsynced),
            2 => node.crash(Loss::Nothing),
            _ => node.crash(Loss::Random(restart)),
        };
        for sequence in 3..8 {
            let again = node.append(&idempotent(9, 0, sequence, 1)).expect("a duplicate");
            assert!(
                again.duplicate && again.base_offset == i64::from(sequence),
                "restart {restart}, sequence {sequence}"
            );
        }
    }
}

#[test]
fn a_duplicate_waits_for_the_original() {
    let fs = FaultyFs::new();
    let slow = StorageConfig {
        flush_delay_max: std::time::Duration::from_secs(3600),
        ..storage_config()
    };
    let node = TestNode::start_with(slow, fs, small_segments()).expect("starts");
    let first = node.append(&idempotent(9, 0, 0, 1)).expect("appended");
    let again = node.append(&idempotent(9, 0, 0, 1)).expect("a duplicate");
    assert!(!first.ticket.is_done() && !again.ticket.is_done());
    again.ticket.wait().expect("awaiting it asks for the flush");
    assert!(first.ticket.is_done());
}

#[test]
fn sequences_wrap_and_epochs_fence() {
    let node = TestNode::new(small_segments());
    node.put(&idempotent(9, 3, i32::MAX - 1, 2));
    node.put(&idempotent(9, 3, 0, 2));
    let zombie = node.append(&idempotent(9, 2, 2, 1));
    assert!(
        matches!(zombie, Err(AppendError::InvalidProducerEpoch(ref fact)) if fact.current == 3),
        "{zombie:?}"
    );
    let not_from_zero = node.append(&idempotent(9, 4, 2, 1));
    assert!(
        matches!(not_from_zero, Err(AppendError::OutOfOrderSequence(_))),
        "{not_from_zero:?}"
    );
    node.put(&idempotent(9, 4, 0, 1));
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let config = LogConfig {
        max_message_bytes: 300,
        timestamp_before_max_ms: 1000,
        ..LogConfig::default()
    };
    let node = TestNode::new(config);
    let fits = records(2, NOW);
    node.log.set_config(Arc::new(LogConfig {
        max_message_bytes: fits.bytes.len(),
        ..(*node.log.config()).clone()
    }));
    node.put(&fits);
    let large = node.append(&records(3, NOW));
    assert!(matches!(large, Err(AppendError::TooLarge(_))), "{large:?}");
    for timestamp in [NOW + 3_600_001, NOW - 1001] {
        let refused = node.append(&records(1, timestamp));
        assert!(matches!(refused, Err(AppendError::InvalidTimestamp(_))), "{refused:?}");
    }
    let mut bytes = records(1, NOW).bytes.to_vec();
    bytes[70] ^= 1;
    let corrupt = node.append(&Batch::parse(bytes.into()).expect("a batch"));
    assert!(matches!(corrupt, Err(AppendError::CorruptBatch(_))), "{corrupt:?}");
    assert_eq!(node.log.marks().log_end, 2);
}

#[test]
fn topics_date_convert_and_check() {
    let config = LogConfig {
        timestamp_type: TimestampType::LogAppendTime,
        compression: Some((Codec::Lz4, None)),
        validate_records: true,
        ..LogConfig::default()
    };
    let node = TestNode::new(config);
    let appended = node
        .log
        .append(&records(5, 17), AppendOrigin::Client, NOW)
        .expect("appended");
    assert_eq!(appended.log_append_time, Some(NOW));
    let batch = &node.read_all(crate::Isolation::LogEnd).expect("readable")[0];
    batch.verify_crc().expect("a new checksum");
    assert_eq!((batch.header.codec(), batch.header.max_timestamp), (Codec::Lz4, NOW));
    let stored = batch.records(1 << 20).expect("decompresses");
    validate_records(&stored).expect("good records");
    assert_eq!(stored.iter().count(), 5);
}

#[test]
fn a_compacted_topic_wants_keys() {
    let node = TestNode::new(LogConfig {
        compacted: true,
        ..LogConfig::default()
    });
    node.put(&records(1, NOW));
    let mut builder = protocol::records::BatchBuilder::new(Codec::None, None, NOW);
    builder.append(NOW, Some(b"k"), None, &[]);
    builder.append(NOW, None, Some(b"v"), &[]);
    let refused = node.append(&builder.finish(protocol::records::BatchStamp::NONE));
    assert!(
        matches!(refused, Err(AppendError::InvalidRecord(ref fact)) if fact.index() == Some(1)),
        "{refused:?}"
    );
}

#[test]
fn a_failed_fsync_stops_the_log_for_good() {
    let node = TestNode::new(small_segments());
    node.put(&records(1, NOW));
    node.fs.set_faults(Faults {
        fail_sync: Some(1),
        ..Faults::default()
    });
    let ticket = node.append(&records(1, NOW)).expect("appended").ticket;
    // The marks file may be what fails first; it is not the log, so only the log's own failure is waited for.
    let mut outcome = ticket.wait();
    while outcome.is_ok() {
        node.fs.set_faults(Faults {
            fail_sync: Some(1),
            ..Faults::default()
        });
        outcome = node.append(&records(1, NOW)).expect("appended").ticket.wait();
    }
    assert!(matches!(outcome, Err(FlushError::Poisoned(_))));
    let refused = node.append(&records(1, NOW));
    assert!(matches!(refused, Err(AppendError::Poisoned(_))), "{refused:?}");
    assert!(node.manager.health().is_some());
    let acknowledged = node.log.marks().high_watermark;
    assert_eq!(
        node.read_all(crate::Isolation::Uncommitted).expect("readable").len() as i64,
        acknowledged
    );
    // The pages are clean now and would be lost with the power, so the next start writes them again.
    let node = node.crash(Loss::Nothing).crash(Loss::Unsynced);
    assert!(acknowledged < node.log.marks().log_end);
    node.put(&records(1, NOW));
}

#[test]
fn a_flush_of_a_log_that_is_deleted_is_no_failure() {
    let node = TestNode::new(small_segments());
    let job = loop {
        node.append(&records(1, NOW)).expect("appended");
        if let Some(job) = node.log.capture_flush() {
            break job;
        }
    };
    let name = node.log.topic_partition().clone();
    node.manager.delete_log(&name, NOW).expect("deleted");
    let failure = crate::IoFailure::new("sync", node.log.dir(), rustix::io::Errno::NOENT.into());
    assert_eq!(node.log.finish_flush(job, Err(failure)), Flushed::NotNow);
    assert_eq!(node.manager.health(), None);
}

#[test]
fn a_flush_without_a_file_descriptor_is_tried_again() {
    let node = TestNode::new(small_segments());
    // The flush thread may come first; then there is nothing to take from it.
    let (ticket, job) = loop {
        let ticket = node.append(&records(1, NOW)).expect("appended").ticket;
        if let Some(job) = node.log.capture_flush() {
            break (ticket, job);
        }
    };
    let no_descriptor = rustix::io::Errno::MFILE.into();
    let failure = crate::IoFailure::new("sync", node.log.dir(), no_descriptor);
    assert_eq!(node.log.finish_flush(job, Err(failure)), Flushed::NotNow);
    assert_eq!(ticket.wait(), Ok(()));
    node.put(&records(1, NOW));
    assert_eq!(node.manager.health(), None);
}

#[test]
fn a_roll_that_fails_half_way_leaves_a_segment_that_takes_appends() {
    // Nearly a segment of its own, so that it does not go behind anything.
    let mut sizes = (1..).map(|count| records(count, NOW));
    let large = sizes.find(|batch| 1800 <= batch.bytes.len());
    let large = large.expect("batches grow");
    // The log file, the offset index, and the time index are cut at a roll, in this order.
    for first in 1..=3 {
        let node = TestNode::new(LogConfig {
            index_interval_bytes: 1,
            ..small_segments()
        });
        for _ in 0..4 {
            node.put(&records(1, NOW));
        }
        node.fs.set_faults(Faults {
            fail_truncate: Some(first),
            ..Faults::default()
        });
        let refused = node.append(&large);
        assert!(matches!(refused, Err(AppendError::Io(_))), "{refused:?}");
        node.fs.set_faults(Faults::default());
        let segment = Arc::clone(&node.log.segments()[0]);
        let entries = segment.offsets.len();
        node.put(&records(1, NOW));
        assert_eq!((segment.offsets.len(), node.log.segment_count()), (entries + 1, 1));
        node.put(&large);
        assert_eq!(node.log.segment_count(), 2);
    }
}

#[test]
fn a_full_index_ends_its_segment() {
    // Every batch but a segment's first makes an entry. 48 bytes are 6 entries of the offset index; of the time index,
    // which grows only with the timestamps and keeps room for its last entry, they are 3.
    for (step_ms, batches) in [(0, 7), (1, 4)] {
        let node = TestNode::new(LogConfig {
            index_interval_bytes: 0,
            segment_index_bytes: 48,
            ..LogConfig::default()
        });
        for number in 0..=batches {
            node.put(&records(1, NOW + step_ms * number));
        }
        let bases: Vec<_> = node
            .log
            .segments()
            .iter()
            .map(|segment| segment.base_offset())
            .collect();
        assert_eq!(bases, [0, batches], "timestamps {step_ms} ms apart");
    }
}

#[test]
fn a_full_device_refuses_and_recovers_without_a_restart() {
    let node = TestNode::new(LogConfig::default());
    node.put(&records(4, NOW));
    let used = u64::MAX - {
        use crate::fs::Fs;
        node.fs.set_faults(Faults {
            capacity: Some(u64::MAX),
            ..Faults::default()
        });
        node.fs.free_space(std::path::Path::new("/")).expect("known")
    };
    node.fs.set_faults(Faults {
        capacity: Some(used + 100),
        ..Faults::default()
    });
    for _ in 0..3 {
        let refused = node.append(&records(4, NOW));
        assert!(matches!(refused, Err(AppendError::NoSpace(_))), "{refused:?}");
    }
    assert_eq!(node.headers().len(), 1);
    node.fs.set_faults(Faults::default());
    assert_eq!(node.put(&records(4, NOW)), 4);
    let node = node.crash(Loss::Unsynced);
    assert_eq!(node.headers().len(), 2);
}

#[test]
fn low_space_refuses_clients_early_but_not_the_coordinators() {
    let fs = FaultyFs::new();
    let storage = StorageConfig {
        low_space_bytes: 10_000,
        ..storage_config()
    };
    let node = TestNode::start_with(storage, fs, LogConfig::default()).expect("starts");
    node.put(&records(1, NOW));
    node.fs.set_faults(Faults {
        capacity: Some(9_000),
        ..Faults::default()
    });
    node.manager.apply_retention(NOW);
    let refused = node.append(&records(1, NOW));
    assert!(
        matches!(refused, Err(AppendError::NoSpace(ref fact)) if fact.needed_bytes == 10_000),
        "{refused:?}"
    );
    node.log
        .append(&records(1, NOW), AppendOrigin::Coordinator, NOW)
        .expect("what ends transactions gets in");
    node.fs.set_faults(Faults::default());
    node.put(&records(1, NOW));
}

#[test]
fn short_and_interrupted_writes_are_continued() {
    let node = TestNode::new(small_segments());
    node.fs.set_faults(Faults {
        short_writes: true,
        ..Faults::default()
    });
    for _ in 0..10 {
        node.put(&records(3, NOW));
    }
    node.fs.set_faults(Faults::default());
    let node = node.crash(Loss::Unsynced);
    assert_eq!(node.headers().len(), 10);
}

#[test]
fn a_failed_write_stops_the_log_and_loses_nothing_acknowledged() {
    let node = TestNode::new(LogConfig::default());
    node.put(&records(1, NOW));
    // A new start, so that no write of the flush before is still under way: the next write is the append's.
    let node = node.crash(Loss::Nothing);
    node.fs.set_faults(Faults {
        fail_write: Some(1),
        ..Faults::default()
    });
    let failed = node.append(&records(1, NOW));
    assert!(matches!(failed, Err(AppendError::Poisoned(_))), "{failed:?}");
    let node = node.crash(Loss::Random(5));
    assert_eq!(node.headers().len(), 1);
}

#[test]
fn many_logs_flush_in_one_round() {
    let fs = FaultyFs::new();
    let node = TestNode::start(fs, LogConfig::default()).expect("starts");
    let logs: Vec<_> = (1..20)
        .map(|number| {
            let partition = protocol::TopicPartition::new("orders", number);
            node.manager
                .open_log(
                    partition,
                    crate::testing::topic_id(),
                    Arc::new(LogConfig::default()),
                    NOW,
                )
                .expect("opens")
        })
        .collect();
    for _ in 0..5 {
        let append = |log: &Arc<crate::Log>| {
            log.append(&records(1, NOW), AppendOrigin::Client, NOW)
                .expect("appended")
                .ticket
        };
        let tickets: Vec<_> = logs.iter().map(append).collect();
        tickets.into_iter().for_each(|ticket| ticket.wait().expect("flushed"));
    }
    let (fs, config) = (Arc::clone(&node.fs), node.config.clone());
    let fs = fs.crash(Loss::Unsynced);
    drop((node, logs));
    let node = TestNode::start(fs, config).expect("starts");
    for number in 1..20 {
        let partition = protocol::TopicPartition::new("orders", number);
        let log = node
            .manager
            .open_log(
                partition,
                crate::testing::topic_id(),
                Arc::new(LogConfig::default()),
                NOW,
            )
            .expect("opens");
        assert_eq!(log.marks().log_end, 5, "partition {number}");
    }
}
