//! What SQL reads is decompressed once per batch, whatever it does with it, and what is pruned away not at all.

use protocol::records::{Batch, BatchBuilder, BatchStamp, Codec};

use super::Setup;
use crate::engine::Engine;
use crate::testing::{NOON, World};

const PARTITIONS: i32 = 2;

/// Records of each batch of a partition: more than an output batch of a scan holds, and then so many that output batches
/// end elsewhere than these.
const LARGE: [i64; 5] = [10_000, 3_000, 3_000, 3_000, 1];
const LARGE_SUM: i64 = 19_001;
const BATCHES: u64 = 10;

/// Ten batches of ten records.
const SMALL: [i64; 10] = [10; 10];

const SOURCE: &str = "CREATE SOURCE s (id BIGINT, name TEXT, amount NUMERIC(12,2), ts TIMESTAMPTZ, WATERMARK FOR ts)";

/// One batch in turn, or all at once.
const READ_BYTES: [usize; 2] = [1, 64 << 20];

async fn engine(read_bytes_per_round: usize) -> Setup {
    let setup = Setup::new().await;
    let mut config = setup.world.config();
    config.read_bytes_per_round = read_bytes_per_round;
    let engine = Engine::start(config, setup.world.ports()).await.expect("starts");
    Setup { engine, ..setup }
}

/// The record at `offset` is dated 10 ms after the one before. Every thousandth is no JSON, every thousandth says that it
/// is much older.
fn produce(world: &World, codec: Codec, batches: &[i64]) {
    world.topic("events", PARTITIONS);
    for partition in 0..PARTITIONS {
        let mut next = 0;
        for count in batches {
            let mut batch = BatchBuilder::new(codec, None, NOON);
            for offset in next..next + count {
                let time = NOON + offset * 10;
                let value = match offset % 1000 {
                    500 => "not json".to_owned(),
                    999 => format!(r#"{{"id":{offset},"name":"late","amount":1,"ts":{NOON}}}"#),
                    _ => format!(r#"{{"id":{offset},"name":"n{offset}","amount":"1.50","ts":{time}}}"#),
                };
                batch.append(time, Some(b"key"), Some(value.as_bytes()), &[]);
            }
            world.append("events", partition, &batch.finish(BatchStamp::NONE));
            next += count;
        }
    }
}

/// What the engine's SELECTs have read and decompressed since the last call.
struct Selects {
    read: u64,
    decompressed: u64,
}

impl Selects {
    fn take(&mut self, setup: &Setup) -> (u64, u64) {
        let stats = setup.engine.select_stats();
        let news = (
            stats.batches_read - self.read,
            stats.batches_decompressed - self.decompressed,
        );
        (self.read, self.decompressed) = (stats.batches_read, stats.batches_decompressed);
        news
    }
}

fn compressed(codec: Codec, batches: u64) -> u64 {
    if codec == Codec::None { 0 } else { batches }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_select_decompresses_each_batch_once() {
    for codec in Codec::ALL {
        for read_bytes in READ_BYTES {
            let setup = engine(read_bytes).await;
            produce(&setup.world, codec, &LARGE);
            setup
                .run(&format!("{SOURCE} WITH (topic = 'events') ON ERROR NULL"))
                .await;
            let mut selects = Selects {
                read: 0,
                decompressed: 0,
            };
            let rows = i64::from(PARTITIONS) * LARGE_SUM;
            let bad = i64::from(PARTITIONS) * 19;
            for (query, expected) in [
                ("SELECT count(*) FROM events".to_owned(), rows.to_string()),
                (
                    "SELECT count(id), count(name), count(amount), count(ts), max(id), max(_offset), count(_key), \
                     min(_timestamp), count(_value) FROM s"
                        .to_owned(),
                    format!("{0}|{0}|{0}|{0}|19000|19000|{0}|2026-01-01T12:00:00Z|{0}", rows - bad),
                ),
                (
                    "SELECT count(*) FROM (SELECT id, name, amount FROM s ORDER BY amount, name, id)".to_owned(),
                    (rows - bad).to_string(),
                ),
            ] {
                assert_eq!(setup.run(&query).await, [expected], "{codec} {query}");
                assert_eq!(
                    selects.take(&setup),
                    (BATCHES, compressed(codec, BATCHES)),
                    "{codec}, reads of {read_bytes} bytes: {query}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_select_decompresses_nothing_that_its_conditions_rule_out() {
    for codec in Codec::ALL {
        for read_bytes in READ_BYTES {
            let setup = engine(read_bytes).await;
            produce(&setup.world, codec, &SMALL);
            let mut selects = Selects {
                read: 0,
                decompressed: 0,
            };
            for (condition, rows, batches) in [
                ("_partition = 1", 100, 10),
                ("_partition IN (2, 3)", 0, 0),
                ("_partition IN (5, 1, 4, 3, 2)", 100, 10),
                ("_offset >= 50", 100, 10),
                // From the middle of a batch to the middle of the next.
                ("_offset BETWEEN 35 AND 44", 20, 4),
                ("_offset = 77 AND _partition = 0", 1, 1),
                ("_offset < 0", 0, 0),
                // The record at offset 75, in the middle of a batch: that one is not decompressed to find it.
                ("_timestamp >= '2026-01-01T12:00:00.750Z'", 50, 6),
                ("_timestamp > '2026-01-01T12:00:00.750Z' AND _offset < 80", 8, 2),
                ("_timestamp >= '2026-01-01T12:00:00.991Z'", 0, 0),
                ("_timestamp > '2027-01-01'", 0, 0),
            ] {
                let query = format!("SELECT count(*), count(_value), count(_key) FROM events WHERE {condition}");
                assert_eq!(
                    setup.run(&query).await,
                    [format!("{rows}|{rows}|{rows}")],
                    "{codec} {query}"
                );
                let expected = (batches, compressed(codec, batches));
                let found = selects.take(&setup);
                assert_eq!(found, expected, "{codec}, reads of {read_bytes} bytes: {query}");
            }
        }
    }
}

/// The same without a count: a batch that cannot be decompressed ends a query that tries.
#[tokio::test]
async fn a_batch_that_is_ruled_out_may_be_garbage() {
    let setup = Setup::new().await;
    setup.world.topic("events", 2);
    let produce = |partition, value: &str| setup.world.produce("events", partition, NOON + 1000, &[value]);
    let mut template = BatchBuilder::new(Codec::Zstd, None, NOON);
    template.append(NOON, None, Some(b"{}"), &[]);
    let header = template.finish(BatchStamp::NONE).header;
    setup
        .world
        .append("events", 0, &Batch::assemble(header, b"nothing of the sort"));
    produce(0, r#"{"id":1}"#);
    produce(1, r#"{"id":2}"#);
    setup
        .run("CREATE SOURCE s (id BIGINT) WITH (topic = 'events') ON ERROR FAIL")
        .await;
    for (condition, expected) in [
        ("_offset >= 1", "1"),
        ("_partition = 1", "2"),
        ("_timestamp >= '2026-01-01T12:00:00.5Z' AND _partition = 0", "1"),
    ] {
        let query = format!("SELECT id FROM s WHERE {condition}");
        assert_eq!(setup.run(&query).await, [expected], "{query}");
    }
    // Its header says that it is late enough, and nobody looks further before it is read.
    for query in [
        "SELECT id FROM s",
        "SELECT id FROM s WHERE _timestamp >= '2026-01-01T12:00:00Z'",
    ] {
        let refused = setup.fail(query).await.message;
        assert!(refused.contains("bad record in events-0 at offset 0"), "{refused}");
    }
}

/// Windows that end within a batch, dead letters, and late rows that are kept: none of them opens a batch again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_query_decompresses_each_batch_once() {
    for codec in Codec::ALL {
        for read_bytes in READ_BYTES {
            let setup = engine(read_bytes).await;
            produce(&setup.world, codec, &LARGE);
            setup
                .run(&format!(
                    "{SOURCE} WITH (topic = 'events', stop = 'latest') ON ERROR DLQ 'dead'"
                ))
                .await;
            setup
                .run(
                    "CREATE SINK counted AS SELECT window_start, count(*) AS n, count(name) AS names, \
                     sum(amount) AS total, max(id) AS most FROM TUMBLE(s, ts, INTERVAL '10 seconds') \
                     GROUP BY window_start, window_end LATE TO 'late' WITH (connector = 'blackhole')",
                )
                .await;
            super::catalog::finished(&setup, "counted").await;
            let stats = setup.engine.queries()[0].stats.snapshot();
            let (rows, bad) = (PARTITIONS.unsigned_abs() as u64 * 19_001, 2 * 19);
            assert_eq!((stats.rows_read, stats.rows_in, stats.bad), (rows, rows - bad, bad));
            assert_eq!(setup.world.values("dead").len() as u64, bad);
            assert_eq!(setup.world.values("late").len() as u64, stats.late);
            assert!(0 < stats.late);
            assert_eq!(
                (stats.batches_read, stats.batches_decompressed),
                (BATCHES, compressed(codec, BATCHES)),
                "{codec}, reads of {read_bytes} bytes"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_query_decompresses_nothing_before_its_start_or_behind_its_stop() {
    for read_bytes in READ_BYTES {
        let setup = engine(read_bytes).await;
        produce(&setup.world, Codec::Zstd, &SMALL);
        // Batches 1 to 3 of one partition, the first and the last in part, and none of the other.
        setup
            .run(&format!(
                "{SOURCE} WITH (topic = 'events', start = '0:15', stop = '0:35')"
            ))
            .await;
        setup
            .run("CREATE SINK copied AS SELECT id, name, amount, _key FROM s WITH (connector = 'blackhole')")
            .await;
        super::catalog::finished(&setup, "copied").await;
        let stats = setup.engine.queries()[0].stats.snapshot();
        assert_eq!((stats.rows_read, stats.rows_out), (20, 20));
        assert_eq!((stats.batches_read, stats.batches_decompressed), (3, 3));
    }
}
