//! What a SELECT holds at a time: batches of bounded rows and bytes, and no more than its memory.

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use datafusion::execution::SendableRecordBatchStream;
use futures::{StreamExt, TryStreamExt};
use protocol::records::{BatchBuilder, BatchStamp, Codec};

use super::Setup;
use crate::engine::{Engine, StatementResult};
use crate::error::SqlState;
use crate::sql::stream_error;
use crate::testing::{NOON, wait};

/// Most rows of a batch.
const ROWS_MAX: usize = 8192;
/// Most bytes of records in a batch, besides the last one.
const BYTES_MAX: usize = 8 << 20;
/// A test that waits longer than this has failed.
const WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(30);
/// Bytes of a large record.
const LARGE: usize = 100_000;

async fn setup(memory: usize) -> Setup {
    let setup = Setup::new().await;
    let mut config = setup.world.config();
    config.select_memory_bytes_max = memory;
    config.query_memory_bytes_max = 512 << 20;
    let engine = Engine::start(config, setup.world.ports()).await.expect("starts");
    Setup { engine, ..setup }
}

/// One batch of so many records of `{"id":N,"name":"xxx"}`, the name as long as it says.
fn produce(setup: &Setup, ids: std::ops::Range<i64>, name: usize) {
    let mut batch = BatchBuilder::new(Codec::Lz4, None, NOON);
    for id in ids {
        let value = format!(r#"{{"id":{id},"name":"{}"}}"#, "x".repeat(name));
        batch.append(NOON, None, Some(value.as_bytes()), &[]);
    }
    setup.world.append("wide", 0, &batch.finish(BatchStamp::NONE));
}

async fn stream(setup: &Setup, sql: &str) -> SendableRecordBatchStream {
    match setup.execute(sql, &[]).await {
        Ok(StatementResult::Rows { stream, .. }) => stream,
        Ok(StatementResult::Command { tag }) => panic!("{sql}: {tag}"),
        Err(error) => panic!("{sql}: {error}"),
    }
}

/// Bytes of the texts in a batch.
fn text_bytes(batch: &RecordBatch) -> usize {
    let texts = batch
        .columns()
        .iter()
        .filter(|column| *column.data_type() == DataType::Utf8);
    texts.map(|column| column.to_data().buffers()[1].len()).sum()
}

fn assert_bounded(batches: &[RecordBatch], rows: usize) {
    for batch in batches {
        assert!(batch.num_rows() <= ROWS_MAX, "{} rows", batch.num_rows());
        let bytes = text_bytes(batch);
        assert!(bytes <= BYTES_MAX + 2 * LARGE, "{bytes} bytes");
    }
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), rows);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_select_hands_out_batches_of_bounded_rows_and_bytes() {
    let setup = setup(256 << 20).await;
    setup.world.topic("wide", 1);
    produce(&setup, 0..30_000, 1);
    produce(&setup, 0..120, LARGE);
    produce(&setup, 0..120, LARGE);
    let batches: Vec<_> = stream(&setup, "SELECT _value FROM wide")
        .await
        .try_collect()
        .await
        .unwrap();
    assert_bounded(&batches, 30_240);
    let offsets = setup
        .run("SELECT count(DISTINCT _offset), max(_offset) FROM wide")
        .await;
    assert_eq!(offsets, ["30240|30239"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_number_of_selects_is_bounded() {
    let mut setup = Setup::new().await;
    let mut config = setup.world.config();
    config.max_selects = 2;
    setup.engine = Engine::start(config, setup.world.ports()).await.expect("starts");
    setup.world.topic("wide", 1);
    produce(&setup, 0..10, 1);
    let select = "SELECT _offset FROM wide";
    let (first, mut second) = (stream(&setup, select).await, stream(&setup, select).await);
    let error = setup.fail(select).await;
    assert_eq!(error.code, SqlState::CONFIGURATION_LIMIT, "{error}");
    assert!(error.hint.is_some_and(|hint| hint.contains("sql.max_selects")));
    assert_eq!(setup.run("SHOW VIEWS").await, [""; 0], "only SELECTs count");
    drop(first);
    assert_eq!(setup.run(select).await.len(), 10, "one was given up");
    while let Some(batch) = second.next().await {
        batch.expect("readable");
    }
    let _third = stream(&setup, select).await;
    assert_eq!(
        setup.run(select).await.len(),
        10,
        "one was read to its end, though nobody dropped it"
    );
}

/// Two readers of eight partitions that look at their first rows and no further, where the pool has two threads.
#[test]
fn a_reader_that_stands_still_holds_no_thread() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let others = runtime.block_on(async {
        let setup = setup(256 << 20).await;
        setup.world.topic("wide", 8);
        for _ in 0..8 {
            let mut batch = BatchBuilder::new(Codec::Lz4, None, NOON);
            for _ in 0..ROWS_MAX {
                batch.append(NOON, None, None, &[]);
            }
            let batch = batch.finish(BatchStamp::NONE);
            for partition in 0..8 {
                setup.world.append("wide", partition, &batch);
            }
        }
        let mut readers = Vec::new();
        for _ in 0..2 {
            let mut rows = stream(&setup, "SELECT _offset FROM wide").await;
            rows.next().await.expect("rows").expect("readable");
            readers.push(rows);
        }
        // The pool serves in order: what was asked for before is under way or done when this is.
        let mut others = Vec::new();
        for _ in 0..100 {
            others.push(tokio::time::timeout(WAIT_MAX, blocking()).await.is_ok());
        }
        for rows in readers {
            let rows: usize = rows.map(|batch| batch.expect("readable").num_rows()).fold(0, sum).await;
            assert!(7 * 8 * ROWS_MAX <= rows, "{rows} rows");
        }
        others
    });
    runtime.shutdown_background();
    assert!(others.iter().all(|served| *served));
}

async fn sum(sum: usize, rows: usize) -> usize {
    sum + rows
}

/// Disk work of somebody else.
#[expect(clippy::disallowed_methods, reason = "the pool that the broker uses")]
async fn blocking() {
    tokio::task::spawn_blocking(|| ()).await.expect("no panic");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_scan_holds_counts_against_the_memory() {
    let setup = setup(1 << 20).await;
    setup.world.topic("wide", 1);
    produce(&setup, 0..40, LARGE / 10);
    assert_eq!(setup.run("SELECT count(_value) FROM wide").await, ["40"]);
    produce(&setup, 40..41, 2 << 20);
    assert_eq!(
        setup.run("SELECT _offset FROM wide WHERE _offset < 1").await,
        ["0"],
        "what is not read counts nothing"
    );
    let error = setup.fail("SELECT _value FROM wide").await;
    assert_eq!(error.code, SqlState::OUT_OF_MEMORY, "{error}");
}

/// A view with a row for every id below `count`, once it is there.
async fn view(setup: &Setup, count: i64, wide: usize) {
    setup.world.topic("wide", 1);
    for first in (0..count).step_by(100) {
        produce(setup, first..count.min(first + 100), wide);
    }
    setup
        .run("CREATE SOURCE s (id BIGINT, name TEXT) WITH (topic = 'wide')")
        .await;
    setup
        .run("CREATE MATERIALIZED VIEW v AS SELECT id, count(*) AS n, name FROM s GROUP BY id, name")
        .await;
    until(setup, "SELECT count(*) FROM v", &count.to_string()).await;
}

async fn until(setup: &Setup, sql: &str, expected: &str) {
    wait::until(&format!("{expected} from {sql}"), async || {
        setup.world.clock.advance(10);
        setup.run(sql).await == [expected]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_is_read_in_batches_of_bounded_bytes_and_of_one_epoch() {
    let setup = setup(256 << 20).await;
    view(&setup, 240, LARGE / 2).await;
    let mut rows = stream(&setup, "SELECT id, n, name FROM v").await;
    let first = rows.next().await.expect("rows").expect("readable");
    // Rows change and one comes in while the reader stands still.
    produce(&setup, 100..240, LARGE / 2);
    produce(&setup, 240..241, LARGE / 2);
    until(&setup, "SELECT sum(n) FROM v", "381").await;
    let mut batches = vec![first];
    while let Some(batch) = rows.next().await {
        batches.push(batch.expect("readable"));
    }
    assert_bounded(&batches, 240);
    let counts = batches.iter().flat_map(|batch| {
        let counts = batch.column(1).as_any().downcast_ref::<arrow::array::Int64Array>();
        counts.expect("BIGINT").values().to_vec()
    });
    assert_eq!(
        counts.sum::<i64>(),
        240,
        "all rows are of the epoch at which the reading began"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_read_of_a_view_counts_against_the_memory() {
    let setup = setup(1 << 20).await;
    view(&setup, 4, LARGE / 10).await;
    produce(&setup, 4..5, 2 << 20);
    let error = wait::until_some("the large row to be refused", async || {
        setup.world.clock.advance(10);
        match setup.try_run("SELECT count(*) FROM v", &[]).await {
            Ok(rows) => assert_eq!(rows, ["4"], "the large row is not there yet"),
            Err(error) => return Some(error),
        }
        None
    })
    .await;
    assert_eq!(error.code, SqlState::OUT_OF_MEMORY, "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_that_is_dropped_lets_go_of_its_readers() {
    let setup = setup(256 << 20).await;
    view(&setup, 400, LARGE / 2).await;
    let mut rows = stream(&setup, "SELECT id, n, name FROM v").await;
    rows.next().await.expect("rows").expect("readable");
    setup.run("DROP MATERIALIZED VIEW v").await;
    let rest: Result<Vec<_>, _> = rows.try_collect().await;
    let error = stream_error(&rest.expect_err("the rest is not there"));
    assert_eq!(error.code, SqlState::NOT_IN_STATE, "{error}");
}
