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
