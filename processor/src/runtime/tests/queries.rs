//! Whole queries over real logs: results, failures at every epoch, recovery, refusals.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, TimeUnit, TimestampMicrosecondType};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::col;
use protocol::ids::{PartitionId, TimestampMs};
use protocol::records::{BatchBuilder, BatchStamp, Codec};
use storage::{AppendOrigin, Isolation, VisibleReader};

use super::super::{QueryHandle, QuerySpec, QueryStatus, Supervisor};
use super::ledger::{Failure, Ledger, LedgerPort, Stage};
use crate::config::EngineConfig;
use crate::plan::graph::{
    AggregateCall, AggregateFunction, AggregatePlan, Emit, ErrorPolicy, OutputPlan, OutputTarget, SourceColumn,
    SourceFormat, SourcePlan, Stage as PlanStage, StartAt, StreamPlan, TimestampUnit, WindowPlan,
};
use crate::ports::{Clock, Ports, TopicSpec, Topics};
use crate::state::Rocks;
use crate::testing::{NOON, World};

const SOURCE: &str = "events";
const RESULT: &str = "result";
const MINUTE: i64 = 60_000_000;

/// A clock that moves a little whenever somebody looks, so that epochs end without anybody waiting.
struct SteppingClock(AtomicI64);

impl Clock for SteppingClock {
    fn now_ms(&self) -> TimestampMs {
        NOON + self.0.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.fetch_add(1, Ordering::SeqCst).unsigned_abs())
    }
}

/// What a query runs in.
struct Bench {
    world: World,
    ledger: Arc<Ledger>,
    clock: Arc<SteppingClock>,
}

impl Bench {
    fn new(partitions: PartitionId) -> Self {
        let world = World::new();
        world.topic(SOURCE, partitions);
        world.topic(RESULT, 2);
        let topics: Arc<dyn Topics> = world.topics.clone();
        Self {
            ledger: Ledger::new(topics),
            world,
            clock: Arc::new(SteppingClock(AtomicI64::new(0))),
        }
    }

    fn ports(&self) -> Ports {
        Ports {
            clock: self.clock.clone(),
            epochs: Arc::new(LedgerPort(Arc::clone(&self.ledger))),
            ..self.world.ports()
        }
    }

    fn config(&self) -> EngineConfig {
        EngineConfig {
            epoch_interval: Duration::from_millis(20),
            // One batch at a time.
            read_bytes_per_round: 1,
            restart_backoff_min: Duration::from_millis(1),
            restart_backoff_max: Duration::from_millis(2),
            ..self.world.config()
        }
    }

    fn start(&self, plan: &StreamPlan) -> QueryHandle {
        Supervisor::start(spec(plan), self.ports(), &self.config())
    }

    /// Runs until the query ends by itself.
    async fn run(&self, plan: &StreamPlan) -> QueryHandle {
        let handle = self.start(plan);
        handle.ended().await;
        handle
    }

    fn produce(&self, partition: PartitionId, time: TimestampMs, value: &str) {
        let mut batch = BatchBuilder::new(Codec::None, None, time);
        batch.append(time, Some(b"key"), Some(value.as_bytes()), &[("h", Some(b"x"))]);
        let topic = self.world.topics.find(SOURCE).unwrap();
        let log = &topic.partitions[usize::try_from(partition).unwrap()];
        log.append(&batch.finish(BatchStamp::NONE), AppendOrigin::Coordinator, NOON)
            .unwrap();
    }

    /// Ten minutes of events on every partition, in order; returns counts per (window start, key).
    fn produce_events(&self, partitions: PartitionId) -> BTreeMap<(i64, String), i64> {
        let mut expected = BTreeMap::new();
        for partition in 0..partitions {
            for at in 0..60 {
                let time = NOON + at * 10_000 + i64::from(partition);
                let key = format!("k{}", at % 3);
                self.produce(partition, time, &format!(r#"{{"ts":{time},"k":"{key}","v":{at}}}"#));
                let start = (time * 1_000).div_euclid(MINUTE) * MINUTE;
                *expected.entry((start, key)).or_insert(0) += 1;
            }
        }
        expected
    }

    /// Committed records of a topic as (key, value), in partition order.
    fn records(&self, topic: &str) -> Vec<(Option<Vec<u8>>, Option<Vec<u8>>)> {
        let mut found = Vec::new();
        for log in self.world.topics.find(topic).unwrap().partitions {
            let mut reader = VisibleReader::new(log, 0, None, Isolation::Committed);
            while let Some(batches) = reader.next_batches(1 << 20).unwrap() {
                for batch in &batches {
                    let records = batch.records(1 << 20).unwrap();
                    found.extend(records.iter().map(|record| {
                        let record = record.unwrap();
                        (record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec))
                    }));
                }
            }
        }
        found
    }

    /// The result topic folded by key: count per (window start, key). `once` fails on a key that comes twice.
    fn result(&self, once: bool) -> BTreeMap<(i64, String), i64> {
        let mut folded = BTreeMap::new();
        for (key, value) in self.records(RESULT) {
            assert!(key.is_some());
            let value: serde_json::Value = serde_json::from_slice(&value.unwrap()).unwrap();
            let start = chrono::DateTime::parse_from_rfc3339(value["window_start"].as_str().unwrap());
            let group = (
                start.unwrap().timestamp_micros(),
                value["k"].as_str().unwrap().to_owned(),
            );
            let before = folded.insert(group.clone(), value["n"].as_i64().unwrap());
            assert!(!once || before.is_none(), "{group:?} came twice");
        }
        folded
    }

    fn destroy_state(&self) {
        Rocks::destroy(&self.config().state_dir.join("id-1")).unwrap();
    }

    /// The source offsets of the last committed epoch.
    fn truncate_read(&self, beyond: i64) {
        for (partition, offset) in self.ledger.mirrored() {
            let topic = self.world.topics.find(SOURCE).unwrap();
            let log = &topic.partitions[usize::try_from(partition.partition).unwrap()];
            let before = (offset + beyond).min(log.marks().high_watermark);
            log.delete_records(before, NOON).unwrap();
        }
    }

    fn unread(&self) -> u64 {
        let topic = self.world.topics.find(SOURCE).unwrap();
        let all: i64 = topic.partitions.iter().map(|log| log.marks().high_watermark).sum();
        let read: i64 = self.ledger.mirrored().iter().map(|(_, offset)| offset).sum();
        u64::try_from(all - read).unwrap()
    }
}

fn spec(plan: &StreamPlan) -> QuerySpec {
    QuerySpec {
        name: "q".into(),
        id: "id".into(),
        generation: 1,
        plan: Arc::new(plan.clone()),
        changelog_topic: "tidemill.changelog.id-1".into(),
        transactional_id: "tidemill.query.id-1".into(),
        group: "tidemill.query.q".into(),
    }
}

fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()))
}

/// Counts per minute and key, into a keyed view. `stop` per partition makes it bounded.
fn plan(emit: Emit, stop: Option<Vec<(PartitionId, i64)>>) -> StreamPlan {
    let input = Arc::new(Schema::new(vec![
        Field::new("ts", timestamp(), true),
        Field::new("k", DataType::Utf8, true),
        Field::new("v", DataType::Int64, true),
    ]));
    let column = |name: &str| -> Arc<dyn PhysicalExpr> { col(name, &input).unwrap() };
    let field = |name: &str| SourceColumn::Field {
        name: name.into(),
        not_null: false,
    };
    let result = Arc::new(Schema::new(vec![
        Field::new("window_start", timestamp(), false),
        Field::new("window_end", timestamp(), false),
        Field::new("k", DataType::Utf8, true),
        Field::new("n", DataType::Int64, false),
    ]));
    StreamPlan {
        source: SourcePlan {
            name: "events".into(),
            topic: SOURCE.into(),
            format: SourceFormat::Json {
                timestamp_unit: TimestampUnit::Millisecond,
            },
            schema: input.clone(),
            columns: vec![field("ts"), field("k"), field("v")],
            event_time: 0,
            watermark: column("ts"),
            start: StartAt::Earliest,
            stop,
            idle_timeout: Duration::from_millis(50),
            max_future: Duration::from_secs(3_600),
            on_error: ErrorPolicy::Skip,
            committed_only: true,
        },
        stages: vec![PlanStage::Aggregate(AggregatePlan {
            window: Some(WindowPlan {
                time: column("ts"),
                slide_us: MINUTE,
                size_us: MINUTE,
                offset_us: 0,
            }),
            keys: vec![column("k")],
            aggregates: vec![AggregateCall {
                function: AggregateFunction::Count,
                argument: None,
                filter: None,
                input_type: None,
                output_type: DataType::Int64,
            }],
            schema: result.clone(),
        })],
        emit,
        output: OutputPlan {
            name: "q".into(),
            schema: result,
            key: vec![0, 1, 2],
            target: OutputTarget::View { topic: RESULT.into() },
        },
        late_topic: None,
    }
}

const CLOSE: Emit = Emit {
    on_close: true,
    on_update: None,
};
const BOTH: Emit = Emit {
    on_close: true,
    on_update: Some(Duration::ZERO),
};

fn bounded(emit: Emit) -> StreamPlan {
    plan(emit, Some(vec![(0, 60), (1, 60)]))
}

fn view(handle: &QueryHandle) -> BTreeMap<(i64, String), i64> {
    let mut rows = BTreeMap::new();
    for batch in handle.view_rows().unwrap() {
        for row in 0..batch.num_rows() {
            let start = batch.column(0).as_primitive::<TimestampMicrosecondType>().value(row);
            let key = batch.column(2).as_string::<i32>().value(row).to_owned();
            rows.insert((start, key), batch.column(3).as_primitive::<Int64Type>().value(row));
        }
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bounded_query_finishes_with_the_right_answer() {
    for emit in [CLOSE, BOTH] {
        let bench = Bench::new(2);
        let expected = bench.produce_events(2);
        let handle = bench.run(&bounded(emit)).await;
        assert_eq!(handle.status(), QueryStatus::Finished);
        assert_eq!(bench.result(emit == CLOSE), expected);
        assert_eq!(view(&handle), expected);
        let stats = handle.stats().snapshot();
        assert_eq!(
            (stats.rows_read, stats.rows_in, stats.late, stats.bad),
            (120, 120, 0, 0)
        );
        assert!(1 < stats.epochs, "several epochs: {}", stats.epochs);
        assert_eq!(u64::from(bench.ledger.commits()), stats.epochs);

        // Started again it is still finished, and readable, and reads nothing.
        drop(handle);
        let again = bench.run(&bounded(emit)).await;
        assert_eq!(again.status(), QueryStatus::Finished);
        assert_eq!(view(&again), expected);
        assert_eq!(again.stats().snapshot().rows_read, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_of_any_commit_at_any_stage_changes_nothing() {
    let commits = {
        let bench = Bench::new(2);
        bench.produce_events(2);
        bench.run(&bounded(CLOSE)).await;
        bench.ledger.commits()
    };
    assert!(3 < commits);
    for commit in 1..=commits {
        for stage in [Stage::AfterOutput, Stage::BetweenMarkers, Stage::AfterMarkers] {
            let bench = Bench::new(2);
            let expected = bench.produce_events(2);
            bench.ledger.fail(Failure {
                commit,
                stage,
                fatal: false,
            });
            let handle = bench.run(&bounded(CLOSE)).await;
            let status = handle.status();
            assert_eq!(status, QueryStatus::Finished, "commit {commit} {stage:?}");
            assert_eq!(bench.result(true), expected, "commit {commit} {stage:?}");
            assert_eq!(view(&handle), expected, "commit {commit} {stage:?}");
            assert!(handle.stats().snapshot().restarts <= 1);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Harm {
    None,
    StateDeleted,
    SourceHeadRemoved,
    Both,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_reads_only_what_came_after_the_last_epoch() {
    for harm in [Harm::None, Harm::StateDeleted, Harm::SourceHeadRemoved, Harm::Both] {
        for commit in [1, 2, 4] {
            let bench = Bench::new(2);
            let expected = bench.produce_events(2);
            bench.ledger.fail(Failure {
                commit,
                stage: Stage::BetweenMarkers,
                fatal: true,
            });
            let handle = bench.run(&bounded(BOTH)).await;
            assert!(
                matches!(handle.status(), QueryStatus::Failed { .. }),
                "{:?}",
                handle.status()
            );
            handle.stop().await;
            drop(handle);
            let unread = bench.unread();
            if matches!(harm, Harm::StateDeleted | Harm::Both) {
                bench.destroy_state();
            }
            if matches!(harm, Harm::SourceHeadRemoved | Harm::Both) {
                bench.truncate_read(0);
            }
            let handle = bench.run(&bounded(BOTH)).await;
            assert_eq!(handle.status(), QueryStatus::Finished, "{harm:?} {commit}");
            assert_eq!(bench.result(false), expected, "{harm:?} {commit}");
            assert_eq!(view(&handle), expected, "{harm:?} {commit}");
            assert_eq!(handle.stats().snapshot().rows_read, unread, "{harm:?} {commit}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_lost_what_is_needed_stops_the_query() {
    let bench = Bench::new(2);
    bench.produce_events(2);
    bench.ledger.fail(Failure {
        commit: 2,
        stage: Stage::AfterMarkers,
        fatal: true,
    });
    bench.run(&bounded(CLOSE)).await.stop().await;
    bench.truncate_read(1);
    let handle = bench.run(&bounded(CLOSE)).await;
    let QueryStatus::Failed { reason } = handle.status() else {
        panic!("{:?}", handle.status());
    };
    assert!(reason.contains("starts at offset"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_topic_of_the_same_name_stops_the_query() {
    let bench = Bench::new(2);
    bench.produce_events(2);
    bench.ledger.fail(Failure {
        commit: 2,
        stage: Stage::AfterMarkers,
        fatal: true,
    });
    bench.run(&bounded(CLOSE)).await.stop().await;
    let topics = bench.world.topics.clone();
    topics.delete(SOURCE).await.unwrap();
    let create = TopicSpec {
        name: SOURCE.into(),
        partitions: Some(2),
        configs: Vec::new(),
        owner: None,
        internal: false,
    };
    topics.create(create).await.unwrap();
    let handle = bench.run(&bounded(CLOSE)).await;
    let QueryStatus::Failed { reason } = handle.status() else {
        panic!("{:?}", handle.status());
    };
    assert!(reason.contains("is another one now"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_records_follow_the_policy() {
    let dead = ErrorPolicy::DeadLetter("dead".into());
    for policy in [ErrorPolicy::Skip, ErrorPolicy::Fail, dead] {
        let bench = Bench::new(1);
        bench.world.topic("dead", 1);
        bench.produce(0, NOON, &format!(r#"{{"ts":{NOON},"k":"a"}}"#));
        bench.produce(0, NOON, "no json");
        bench.produce(0, NOON, &format!(r#"{{"ts":{NOON},"k":"a"}}"#));
        let mut plan = plan(CLOSE, Some(vec![(0, 3)]));
        plan.source.on_error = policy.clone();
        let handle = bench.run(&plan).await;
        assert_eq!(handle.stats().snapshot().bad, 1);
        match policy {
            ErrorPolicy::Fail => {
                let QueryStatus::Failed { reason } = handle.status() else {
                    panic!("{:?}", handle.status());
                };
                assert!(reason.starts_with("events-0 at offset 1"), "{reason}");
                assert_eq!(bench.result(true), BTreeMap::new());
                continue;
            }
            ErrorPolicy::DeadLetter(_) => {
                let letters = bench.records("dead");
                assert_eq!(letters, [(Some(b"key".to_vec()), Some(b"no json".to_vec()))]);
            }
            _ => assert_eq!(bench.records("dead"), []),
        }
        assert_eq!(handle.status(), QueryStatus::Finished);
        assert_eq!(bench.result(true), BTreeMap::from([((NOON * 1_000, "a".into()), 2)]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_pauses_still_closes_its_windows_and_can_be_stopped() {
    let bench = Bench::new(2);
    // The clock is past the window; only one partition ever has data.
    let time = NOON - 3_600_000;
    bench.produce(0, time, &format!(r#"{{"ts":{time},"k":"a"}}"#));
    // More than a minute of the test's clock passes with every look at it.
    let fast = Arc::new(FastClock(AtomicI64::new(0)));
    let ports = Ports {
        clock: fast,
        ..bench.ports()
    };
    let handle = Supervisor::start(spec(&plan(CLOSE, None)), ports, &bench.config());
    let topic = bench.world.topics.find(RESULT).unwrap();
    let mut marks: Vec<_> = topic.partitions.iter().map(|log| log.watch()).collect();
    while bench.result(true).is_empty() {
        let changes = marks.iter_mut().map(|marks| Box::pin(marks.changed()));
        futures::future::select_all(changes).await.0.unwrap();
    }
    assert_eq!(bench.result(true), BTreeMap::from([((time * 1_000, "a".into()), 1)]));
    handle.stop().await;
    assert_eq!(handle.status(), QueryStatus::Running);
    assert!(bench.ledger.commits() < 20, "a clock that moves is nothing to commit");
}

struct FastClock(AtomicI64);

impl Clock for FastClock {
    fn now_ms(&self) -> TimestampMs {
        NOON + self.0.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.fetch_add(100_000, Ordering::SeqCst).unsigned_abs())
    }
}
