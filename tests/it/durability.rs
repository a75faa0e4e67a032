//! What was acknowledged is there after the power came back: the storage floor on a file system that forgets what was
//! not synced.
//!
//! A kill -9 proves nothing about fsync, because the kernel keeps the page cache. Here the power goes at every single
//! sync and in the middle of every single write of a history that rolls segments, restarts, deletes and fills several
//! logs, and what the double then hands out must hold everything that a ticket promised or a reader saw. The last tests
//! plant the bugs that this must catch, and fail when it does not.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use protocol::{
    Offset, PartitionId, TimestampMs, TopicId, TopicPartition,
    records::{Batch, BatchBuilder, BatchIter, BatchStamp, Codec},
};
use storage::{AppendOrigin, Durability, Isolation, Log, LogConfig, LogManager, MonotonicClock, StorageConfig, fs::Fs};
use tests::faulty_fs::{Faults, FaultyFs, Loss};
use uuid::Uuid;

const NOW: TimestampMs = 1_700_000_000_000;
const PARTITIONS: PartitionId = 3;
const PRODUCER: i64 = 40;

/// What the outside knows: acknowledged batches by their values, and how far readers have seen each log.
#[derive(Debug, Default)]
struct Promises {
    /// Partition and base offset to the value of the batch.
    acknowledged: BTreeMap<(PartitionId, Offset), u64>,
    /// Partition to (high watermark, log start) as last seen.
    seen: BTreeMap<PartitionId, (Offset, Offset)>,
    /// Next sequence of the producer on each partition, as acknowledged.
    sequences: BTreeMap<PartitionId, (i32, Offset)>,
    next_value: u64,
}

/// A clock that stands still: every flush here is awaited.
#[derive(Debug)]
struct Still;

impl MonotonicClock for Still {
    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

struct Node {
    manager: Arc<LogManager>,
    logs: Vec<Arc<Log>>,
}

fn start(fs: &Arc<FaultyFs>, syncfs_threshold: usize) -> Option<Node> {
    let config = StorageConfig {
        flush_delay_max: Duration::from_millis(1),
        flush_threads: 3,
        syncfs_threshold,
        ..StorageConfig::new("/data")
    };
    let manager = LogManager::open(config, Arc::clone(fs) as Arc<dyn Fs>, Arc::new(Still)).ok()?;
    let open = |partition| {
        let id = TopicId(Uuid::from_u128(9));
        manager
            .open_log(
                TopicPartition::new("orders", partition),
                id,
                Arc::new(log_config()),
                NOW,
            )
            .ok()
    };
    let logs = (0..PARTITIONS).map(open).collect::<Option<Vec<_>>>()?;
    Some(Node { manager, logs })
}

fn log_config() -> LogConfig {
    LogConfig {
        segment_bytes: 700,
        index_interval_bytes: 100,
        retention_bytes: Some(2500),
        ..LogConfig::default()
    }
}

fn batch(value: u64, base_sequence: i32) -> Batch {
    let mut builder = BatchBuilder::new(Codec::None, None, NOW);
    let text = format!("{value:020}");
    builder.append(NOW, None, Some(text.as_bytes()), &[]);
    builder.append(NOW, None, Some(text.as_bytes()), &[]);
    builder.finish(BatchStamp {
        producer_id: PRODUCER,
        producer_epoch: 0,
        base_sequence,
        transactional: false,
        control: false,
    })
}

fn value_of(batch: &Batch) -> u64 {
    let records = batch.records(1 << 20).expect("not compressed");
    let record = records.iter().next().expect("a record").expect("a good record");
    let text = std::str::from_utf8(record.value.expect("a value")).expect("digits");
    text.parse().expect("digits")
}

impl Promises {
    /// Appends one batch to each log and notes what the tickets say.
    fn produce(&mut self, node: &Node) {
        let mut waiting = Vec::new();
        for (partition, log) in (0..).zip(&node.logs) {
            let value = self.next_value;
            self.next_value += 1;
            // After a crash the producer goes on behind its last acknowledged batch, as a client would that retries.
            let known = log
                .producer_state(PRODUCER)
                .and_then(|state| state.last_batch().copied());
            let sequence = known.map_or(0, |last| last.last_sequence + 1);
            let Ok(appended) = log.append(&batch(value, sequence), AppendOrigin::Client, NOW) else {
                continue;
            };
            waiting.push((partition, value, sequence, appended));
        }
        for (partition, value, sequence, appended) in waiting {
            if appended.ticket.wait().is_ok() {
                self.acknowledged.insert((partition, appended.base_offset), value);
                self.sequences.insert(partition, (sequence, appended.base_offset));
            }
        }
        self.look(node);
    }

    /// What a consumer sees counts as promised too.
    fn look(&mut self, node: &Node) {
        for (partition, log) in (0..).zip(&node.logs) {
            let marks = log.marks();
            self.seen.insert(partition, (marks.high_watermark, marks.log_start));
            let mut from = marks.log_start;
            while let Ok(slice) = log.read(from, Isolation::Uncommitted, 10_000, true) {
                if slice.bytes.is_empty() {
                    break;
                }
                for batch in BatchIter::new(slice.bytes).map_while(Result::ok) {
                    self.acknowledged
                        .insert((partition, batch.header.base_offset), value_of(&batch));
                }
                from = slice.next_offset;
            }
        }
    }

    /// Compares what is there with what was promised; `Err` names the first thing that is missing.
    fn check(&self, node: &Node) -> Result<(), String> {
        for (partition, log) in (0..).zip(&node.logs) {
            self.check_log(partition, log)?;
        }
        Ok(())
    }

    fn check_log(&self, partition: PartitionId, log: &Arc<Log>) -> Result<(), String> {
        let marks = log.marks();
        if !log.quarantined().is_empty() {
            return Err(format!("{partition}: quarantined {:?}", log.quarantined()));
        }
        if let Some((high_watermark, log_start)) = self.seen.get(&partition)
            && (marks.high_watermark < *high_watermark || marks.log_start < *log_start)
        {
            return Err(format!(
                "{partition}: marks went back from {high_watermark}, {log_start} to {marks:?}"
            ));
        }
        let mut found = BTreeMap::new();
        let mut from = marks.log_start;
        loop {
            let slice = log
                .read(from, Isolation::LogEnd, 10_000, true)
                .map_err(|error| format!("{partition}: {error}"))?;
            if slice.bytes.is_empty() {
                break;
            }
            for batch in BatchIter::new(slice.bytes) {
                let batch = batch.map_err(|error| format!("{partition}: {error}"))?;
                found.insert(batch.header.base_offset, value_of(&batch));
            }
            from = slice.next_offset;
        }
        if from != marks.log_end {
            return Err(format!("{partition}: readable up to {from}, not {}", marks.log_end));
        }
        for ((_, offset), value) in self.acknowledged.range((partition, 0)..(partition, Offset::MAX)) {
            // A batch that the log start cuts through is still there.
            if offset + 2 <= marks.log_start {
                continue;
            }
            if found.get(offset) != Some(value) {
                return Err(format!(
                    "{partition}: offset {offset} held {value}, now {:?}",
                    found.get(offset)
                ));
            }
        }
        self.check_duplicate(partition, log)
    }

    /// The last acknowledged batch is still known as one.
    fn check_duplicate(&self, partition: PartitionId, log: &Arc<Log>) -> Result<(), String> {
        let Some((sequence, offset)) = self.sequences.get(&partition) else {
            return Ok(());
        };
        let window = log
            .producer_state(PRODUCER)
            .ok_or(format!("{partition}: the producer is forgotten"))?;
        let is_known = window
            .batches()
            .any(|batch| batch.base_sequence() == *sequence && batch.base_offset() == *offset);
        let newer = window
            .last_batch()
            .is_some_and(|last| sequence + 10 < last.last_sequence);
        if is_known || newer {
            Ok(())
        } else {
            Err(format!("{partition}: sequence {sequence} is forgotten: {window:?}"))
        }
    }
}

/// A life with everything in it. It goes on when the power is gone, as a process would until it notices.
fn live(fs: &Arc<FaultyFs>, promises: &mut Promises, syncfs_threshold: usize) {
    let Some(node) = start(fs, syncfs_threshold) else {
        return;
    };
    for _ in 0..7 {
        promises.produce(&node);
    }
    let _ = node.logs[0].delete_records(5, NOW);
    promises.look(&node);
    promises.produce(&node);
    let clean = node.manager.shutdown(NOW).is_ok();
    drop(node);
    let Some(node) = start(fs, syncfs_threshold) else {
        return;
    };
    assert!(!clean || fs.is_off() || node.manager.started_clean());
    for _ in 0..5 {
        promises.produce(&node);
    }
    node.manager.apply_retention(NOW + 1000);
    promises.look(&node);
    for _ in 0..3 {
        promises.produce(&node);
    }
}

/// Lives with these faults, loses the power, and looks at what is left, twice: the second start must not lose what the
/// first one promised.
fn survive(faults: Faults, loss: Loss, syncfs_threshold: usize) -> (Result<(), String>, bool) {
    let fs = FaultyFs::new();
    fs.set_time(NOW);
    fs.set_faults(faults);
    let mut promises = Promises::default();
    live(&fs, &mut promises, syncfs_threshold);
    let went_off = fs.is_off();
    let fs = fs.crash(loss);
    let mut outcome = revive(&fs, &mut promises, syncfs_threshold);
    if outcome.is_ok() {
        let fs = fs.crash(Loss::Unsynced);
        outcome = revive(&fs, &mut promises, syncfs_threshold);
    }
    (outcome, went_off)
}

fn revive(fs: &Arc<FaultyFs>, promises: &mut Promises, syncfs_threshold: usize) -> Result<(), String> {
    let node = start(fs, syncfs_threshold).ok_or("the node does not start")?;
    promises.check(&node)?;
    promises.produce(&node);
    promises.produce(&node);
    promises.check(&node)
}

/// One `syncfs` for all logs of a round, or a sync for each.
const BOTH_WAYS: [usize; 2] = [0, 100];

/// Turns the power off at the first of something, at the second, and so on, until the history has no more of it; gives how
/// many it has.
fn at_every_point(syncfs_threshold: usize, seeds: u64, power_off_at: impl Fn(u64) -> Faults) -> u64 {
    for point in 1.. {
        let random = (0..seeds).map(|seed| Loss::Random(point + seed * 1_000_000));
        let mut reached = false;
        for loss in [Loss::Unsynced, Loss::Nothing, Loss::Killed].into_iter().chain(random) {
            let faults = power_off_at(point);
            let (outcome, went_off) = survive(faults, loss, syncfs_threshold);
            assert_eq!(outcome, Ok(()), "{faults:?}, {loss:?}, syncfs above {syncfs_threshold}");
            reached |= went_off;
        }
        if !reached {
            return point - 1;
        }
    }
    unreachable!("a history ends")
}

#[test]
fn nothing_acknowledged_is_lost_when_the_power_goes_at_any_sync() {
    for threshold in BOTH_WAYS {
        let syncs = at_every_point(threshold, 2, |point| Faults {
            power_off_at_sync: Some(point),
            ..Faults::default()
        });
        assert!(20 <= syncs, "the history has more than {syncs} syncs");
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_the_power_goes_in_any_write() {
    let writes = at_every_point(100, 1, |point| Faults {
        power_off_at_write: Some(point),
        ..Faults::default()
    });
    assert!(50 <= writes, "the history has more than {writes} writes");
}

#[test]
fn nothing_acknowledged_is_lost_when_any_sync_fails() {
    for threshold in BOTH_WAYS {
        for point in 1..60 {
            for loss in [Loss::Unsynced, Loss::Nothing, Loss::Killed] {
                let faults = Faults {
                    fail_sync: Some(point),
                    ..Faults::default()
                };
                let (outcome, _) = survive(faults, loss, threshold);
                assert_eq!(
                    outcome,
                    Ok(()),
                    "sync {point} failed, {loss:?}, syncfs above {threshold}"
                );
            }
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_any_write_fails() {
    for point in 1..120 {
        let faults = Faults {
            fail_write: Some(point),
            ..Faults::default()
        };
        let (outcome, _) = survive(faults, Loss::Unsynced, 100);
        assert_eq!(outcome, Ok(()), "write {point} failed");
    }
}

#[test]
fn nothing_acknowledged_is_lost_on_a_device_of_any_size() {
    for capacity in (0..14_000).step_by(250) {
        let faults = Faults {
            capacity: Some(capacity),
            ..Faults::default()
        };
        let (outcome, _) = survive(faults, Loss::Random(capacity), 100);
        assert_eq!(outcome, Ok(()), "{capacity} bytes");
    }
}

#[test]
fn short_and_interrupted_writes_lose_nothing() {
    let (outcome, _) = survive(
        Faults {
            short_writes: true,
            ..Faults::default()
        },
        Loss::Unsynced,
        100,
    );
    assert_eq!(outcome, Ok(()));
}

#[test]
fn a_sync_that_does_nothing_is_caught() {
    for threshold in BOTH_WAYS {
        let (outcome, _) = survive(
            Faults {
                lie_about_sync: true,
                ..Faults::default()
            },
            Loss::Unsynced,
            threshold,
        );
        outcome.expect_err("acknowledging before the flush must not pass these tests");
    }
}

#[test]
fn acknowledging_from_the_page_cache_is_caught() {
    let fs = FaultyFs::new();
    let mut promises = Promises::default();
    let node = start(&fs, 100).expect("starts");
    for log in &node.logs {
        // What `durability = "async"` means, taken for a promise: the planted bug.
        log.set_config(Arc::new(LogConfig {
            durability: Durability::Async,
            ..log_config()
        }));
    }
    fs.set_faults(Faults {
        power_off_at_sync: Some(1),
        ..Faults::default()
    });
    promises.produce(&node);
    drop(node);
    let node = start(&fs.crash(Loss::Unsynced), 100).expect("starts");
    promises
        .check(&node)
        .expect_err("an acknowledgement before the flush must not pass");
}

#[test]
fn a_skipped_flush_is_caught() {
    let fs = FaultyFs::new();
    let mut promises = Promises::default();
    let node = start(&fs, 100).expect("starts");
    promises.produce(&node);
    // From here on syncs report success and do nothing, for one batch only.
    fs.set_faults(Faults {
        lie_about_sync: true,
        ..Faults::default()
    });
    promises.produce(&node);
    drop(node);
    let node = start(&fs.crash(Loss::Unsynced), 100).expect("starts");
    promises
        .check(&node)
        .expect_err("a batch that was never flushed must be missed");
}
