//! What a source hands out at a time.

use std::sync::Arc;

use protocol::records::{BatchBuilder, BatchStamp, Codec};

use super::bench::{CLOSE, SOURCE, bounded};
use crate::ports::Topics;
use crate::runtime::source::{OPENED_BYTES_PER_ROUND, ReadLimits, Source, SourcePins};
use crate::stats::QueryStats;
use crate::testing::{NOON, World};
use crate::time::watermark::Now;

const BATCHES: usize = 60;
const BATCH_BYTES: usize = 1 << 20;

/// Sixty batches, which are a few hundred bytes each and open to a mebibyte each: one read takes them all.
#[test]
fn a_round_ends_when_enough_is_open() {
    let world = World::new();
    world.topic(SOURCE, 2);
    let value = format!(r#"{{"ts":{NOON},"v":1{}}}"#, " ".repeat(BATCH_BYTES));
    for _ in 0..BATCHES {
        let mut batch = BatchBuilder::new(Codec::Zstd, None, NOON);
        batch.append(NOON, None, Some(value.as_bytes()), &[]);
        world.append(SOURCE, 0, &batch.finish(BatchStamp::NONE));
    }
    let plan = bounded(CLOSE).source;
    let topic = world.topics.open(SOURCE).unwrap();
    let now = Now {
        monotonic: std::time::Duration::ZERO,
        wall: NOON * 1000,
    };
    let pins = Arc::new(SourcePins::new("q"));
    let limits = ReadLimits {
        bytes_per_round: 1 << 20,
        batch_bytes_max: 16 << 20,
        rows_per_round: usize::MAX,
    };
    let mut source = Source::open(&plan, &topic, &pins, None, None, limits, now).unwrap();
    let stats = QueryStats::new();
    let mut offsets = Vec::new();
    let mut chunks = 0;
    while let Some(chunk) = source.read(&stats).unwrap() {
        let opened = chunk.rows.num_rows() * BATCH_BYTES;
        assert!(
            opened <= OPENED_BYTES_PER_ROUND + BATCH_BYTES,
            "{opened} bytes in one chunk"
        );
        offsets.extend(chunk.offsets);
        let positions = source.positions(now);
        let next = i64::try_from(offsets.len()).unwrap();
        assert_eq!((positions[0].next_offset, positions[0].last_offset), (next, next - 1));
        source.advance(now);
        assert_eq!(
            source.lag(),
            60 - next.unsigned_abs(),
            "what was read and not opened is not behind"
        );
        chunks += 1;
    }
    assert_eq!(offsets, (0..60).collect::<Vec<i64>>());
    assert_eq!(stats.snapshot().batches_decompressed, 60, "no batch is opened twice");
    assert_eq!(chunks, 4);
}

/// Rounds end in the middle of batches, which are decompressed once all the same, and no record is left out or read twice.
#[test]
fn a_round_ends_when_there_are_rows_enough() {
    const RECORDS: [i64; 4] = [100, 1, 1_000, 50];
    const ROWS: usize = 64;
    let world = World::new();
    world.topic(SOURCE, 2);
    for count in RECORDS {
        let mut batch = BatchBuilder::new(Codec::Zstd, None, NOON);
        for n in 0..count {
            let value = match n % 10 {
                3 => "no json".to_owned(),
                _ => format!(r#"{{"ts":{NOON},"v":{n}}}"#),
            };
            batch.append(NOON, None, Some(value.as_bytes()), &[]);
        }
        world.append(SOURCE, 0, &batch.finish(BatchStamp::NONE));
    }
    let total: i64 = RECORDS.iter().sum();
    let mut plan = bounded(CLOSE).source;
    plan.stop = Some(vec![(0, total - 1)]);
    let topic = world.topics.open(SOURCE).unwrap();
    let now = Now {
        monotonic: std::time::Duration::ZERO,
        wall: NOON * 1000,
    };
    let pins = Arc::new(SourcePins::new("q"));
    let limits = ReadLimits {
        bytes_per_round: 1 << 20,
        batch_bytes_max: 16 << 20,
        rows_per_round: ROWS,
    };
    let mut source = Source::open(&plan, &topic, &pins, None, None, limits, now).unwrap();
    let stats = QueryStats::new();
    let mut offsets: Vec<i64> = Vec::new();
    while let Some(chunk) = source.read(&stats).unwrap() {
        assert!(chunk.rows.num_rows() + chunk.bad.len() <= ROWS);
        assert_eq!(chunk.rows.num_rows(), chunk.offsets.len());
        let first = i64::try_from(offsets.len()).unwrap();
        offsets.extend(chunk.offsets.iter().chain(chunk.bad.iter().map(|bad| &bad.offset)));
        let next = i64::try_from(offsets.len()).unwrap();
        let positions = source.positions(now);
        assert_eq!((positions[0].next_offset, positions[0].last_offset), (next, next - 1));
        let mut walk = chunk.walk();
        for bad in &chunk.bad {
            let record = walk.find(bad.offset).expect("the record of a bad row");
            assert_eq!(record.value, Some(&b"no json"[..]));
        }
        assert!(first < next, "it gets on");
        source.advance(now);
    }
    offsets.sort_unstable();
    assert_eq!(offsets, (0..total - 1).collect::<Vec<i64>>());
    let stats = stats.snapshot();
    assert_eq!((stats.batches_read, stats.batches_decompressed), (4, 4));
    assert_eq!(stats.rows_read, u64::try_from(total - 1).unwrap());
}
