//! Whole queries over real logs: results, failures at every epoch, recovery, refusals.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, col, lit};
use protocol::ids::TimestampMs;
use protocol::records::{BatchBuilder, BatchStamp, Codec};
use storage::{AppendOrigin, Log};

use super::super::{QueryHandle, QueryStatus, Supervisor};
use super::bench::{BOTH, Bench, CLOSE, MINUTE, SOURCE, SteppingClock, bounded, plan, spec, view};
use super::ledger::{Failure, Stage};
use crate::config::EngineConfig;
use crate::plan::graph::{Emit, ErrorPolicy, LatePlan, OutputTarget, Stage as PlanStage};
use crate::ports::{Clock, EpochLog, EpochWriter, OwnedTopic, PortError, Ports, TopicHandle, TopicSpec, Topics};
use crate::testing::{NOON, TestTopics, pass, wait};

/// A test that waits longer than this has failed.
const WAIT_MAX: Duration = Duration::from_secs(30);

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
    wait::until("a closed window", async || !bench.result(true).is_empty()).await;
    assert_eq!(bench.result(true), BTreeMap::from([((time * 1_000, "a".into()), 1)]));
    handle.stop().await;
    assert_eq!(handle.status(), QueryStatus::Running);
    assert!(bench.ledger.commits() < 20, "a clock that moves is nothing to commit");
}

struct FastClock(AtomicI64);

#[async_trait::async_trait]
impl Clock for FastClock {
    fn now_ms(&self) -> TimestampMs {
        NOON + self.0.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.fetch_add(100_000, Ordering::SeqCst).unsigned_abs())
    }

    async fn sleep(&self, time: Duration) {
        pass(time).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn updates_come_at_most_once_per_interval() {
    let hour = Emit {
        on_close: false,
        on_update: Some(Duration::from_secs(3_600)),
    };
    let bench = Bench::new(1);
    // All in one window, so that nothing but ticks and the end emits.
    for at in 0..40 {
        let time = NOON + at;
        bench.produce(0, time, &format!(r#"{{"ts":{time},"k":"a"}}"#));
    }
    let handle = bench.run(&plan(hour, Some(vec![(0, 40)]))).await;
    assert_eq!(handle.status(), QueryStatus::Finished);
    assert!(1 < bench.ledger.commits());
    assert_eq!(bench.result(true), BTreeMap::from([((NOON * 1_000, "a".into()), 40)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_beyond_its_memory_fails_and_says_so() {
    let bench = Bench::new(2);
    bench.produce_events(2);
    let config = EngineConfig {
        query_memory_bytes_max: 400,
        ..bench.config()
    };
    let handle = Supervisor::start(spec(&bounded(CLOSE)), bench.ports(), &config);
    handle.ended().await;
    let QueryStatus::Failed { reason } = handle.status() else {
        panic!("{:?}", handle.status());
    };
    assert!(reason.contains("memory"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn late_rows_are_kept_where_the_query_says_so() {
    for keep in [true, false] {
        let bench = Bench::new(1);
        bench.world.topic("late", 1);
        let value = |time| format!(r#"{{"ts":{time}, "k":"a", "of no column":[1.50]}}"#);
        for time in [NOON, NOON + 60_000, NOON + 59_999, NOON + 60_001] {
            bench.produce(0, time, &value(time));
        }
        let mut plan = plan(CLOSE, Some(vec![(0, 4)]));
        plan.late = keep.then(|| LatePlan {
            topic: "late".to_owned(),
            columns: plan.source.carry_records(),
        });
        let handle = bench.run(&plan).await;
        assert_eq!(handle.status(), QueryStatus::Finished);
        assert_eq!(handle.stats().snapshot().late, 1);
        let late = (Some(b"key".to_vec()), Some(value(NOON + 59_999).into_bytes()));
        assert_eq!(bench.records("late"), if keep { vec![late] } else { Vec::new() });
        let start = NOON * 1_000;
        let expected = BTreeMap::from([((start, "a".into()), 1), ((start + MINUTE, "a".into()), 2)]);
        assert_eq!(bench.result(true), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_on_which_an_expression_fails_is_a_bad_record_and_the_others_count() {
    let bench = Bench::new(1);
    bench.world.topic("dead", 1);
    let mut batch = BatchBuilder::new(Codec::Lz4, None, NOON);
    for at in 0..9 {
        let value = format!(r#"{{"ts":{NOON},"k":"a","v":{}}}"#, at % 5);
        batch.append(NOON, None, Some(value.as_bytes()), &[]);
    }
    let log = bench.world.topics.find(SOURCE).unwrap().partitions.remove(0);
    log.append(&batch.finish(BatchStamp::NONE), AppendOrigin::Coordinator, NOON)
        .unwrap();
    let mut plan = plan(CLOSE, Some(vec![(0, 9)]));
    plan.source.on_error = ErrorPolicy::DeadLetter("dead".into());
    let v = col("v", &plan.source.schema).unwrap();
    let quotient = BinaryExpr::new(lit(12i64), Operator::Divide, v);
    let is_positive = BinaryExpr::new(Arc::new(quotient), Operator::Gt, lit(0i64));
    plan.stages.insert(0, PlanStage::Filter(Arc::new(is_positive)));
    let handle = bench.run(&plan).await;
    assert_eq!(handle.status(), QueryStatus::Finished);
    assert_eq!(handle.stats().snapshot().bad, 2, "rows 0 and 5 divide by zero");
    assert_eq!(bench.result(true), BTreeMap::from([((NOON * 1_000, "a".into()), 7)]));
    assert_eq!(bench.records("dead").len(), 2);
}

/// Panics once, at the n-th look at the time.
struct PanickingClock(SteppingClock, u128);

#[async_trait::async_trait]
impl Clock for PanickingClock {
    fn now_ms(&self) -> TimestampMs {
        self.0.now_ms()
    }

    fn monotonic(&self) -> Duration {
        let now = self.0.monotonic();
        assert_ne!(now.as_millis(), self.1, "a planned panic");
        now
    }

    async fn sleep(&self, time: Duration) {
        pass(time).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_ends_one_run_and_nothing_else() {
    let bench = Bench::new(2);
    let expected = bench.produce_events(2);
    let clock = PanickingClock(SteppingClock(AtomicI64::new(0)), 100);
    let ports = Ports {
        clock: Arc::new(clock),
        ..bench.ports()
    };
    let handle = Supervisor::start(spec(&bounded(CLOSE)), ports, &bench.config());
    handle.ended().await;
    assert_eq!(handle.status(), QueryStatus::Finished);
    assert_eq!(handle.stats().snapshot().restarts, 1);
    assert_eq!(bench.result(true), expected);
}

/// Epochs cannot be written: a query starts again and again.
struct Unavailable;

#[async_trait::async_trait]
impl EpochLog for Unavailable {
    async fn open(&self, _: &str) -> Result<Box<dyn EpochWriter>, PortError> {
        Err(PortError::Storage("a partition is offline".to_owned()))
    }

    async fn delete_progress_group(&self, _: &str, _: &str) -> Result<(), PortError> {
        Ok(())
    }

    async fn remove_transactional_id(&self, _: &str) -> Result<(), PortError> {
        Ok(())
    }
}

/// Topics of which partition 0 is offline.
struct OneOffline(Arc<TestTopics>);

#[async_trait::async_trait]
impl Topics for OneOffline {
    fn open(&self, name: &str) -> Result<TopicHandle, PortError> {
        match name {
            SOURCE => Err(PortError::Storage(format!("{name}-0 is offline"))),
            _ => self.0.open(name),
        }
    }

    fn open_logs(&self, name: &str) -> Vec<Arc<Log>> {
        self.0.open_logs(name).split_off(1)
    }

    fn list(&self) -> Vec<TopicHandle> {
        self.0.list()
    }

    fn owned(&self) -> Vec<OwnedTopic> {
        self.0.owned()
    }

    async fn create(&self, spec: TopicSpec) -> Result<TopicHandle, PortError> {
        self.0.create(spec).await
    }

    async fn delete(&self, name: &str) -> Result<(), PortError> {
        self.0.delete(name).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_held_while_another_one_is_offline() {
    let bench = Bench::new(2);
    bench.produce_events(2);
    let ports = Ports {
        topics: Arc::new(OneOffline(Arc::clone(&bench.world.topics))),
        ..bench.ports()
    };
    let log = bench.world.topics.find(SOURCE).unwrap().partitions.remove(1);
    let handle = Supervisor::start(spec(&bounded(CLOSE)), ports, &bench.config());
    let held = || log.pins().iter().map(|(_, from)| *from).collect::<Vec<_>>();
    assert_eq!(held(), [0], "at once, so that it is there before retention starts");
    wait::until("two restarts", async || 2 <= handle.stats().snapshot().restarts).await;
    assert_eq!(held(), [0]);
    handle.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_query_has_to_read_is_held_also_while_it_does_not_run() {
    let bench = Bench::new(2);
    bench.produce_events(2);
    let ports = Ports {
        epochs: Arc::new(Unavailable),
        ..bench.ports()
    };
    let log = bench.world.topics.find(SOURCE).unwrap().partitions.remove(0);
    let handle = Supervisor::start(spec(&bounded(CLOSE)), ports, &bench.config());
    let held = || log.pins().iter().map(|(_, from)| *from).collect::<Vec<_>>();
    assert_eq!(held(), [0], "at once, and not when its thread comes to it");
    wait::until("a restart", async || {
        matches!(handle.status(), QueryStatus::Restarting { .. })
    })
    .await;
    assert_eq!(held(), [0]);
    handle.stop().await;
    assert_eq!(held(), [0; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_failed_for_good_holds_nothing() {
    let bench = Bench::new(1);
    bench.produce(0, NOON, "no json");
    let log = bench.world.topics.find(SOURCE).unwrap().partitions.remove(0);
    let mut plan = plan(CLOSE, None);
    plan.source.on_error = ErrorPolicy::Fail;
    let handle = Supervisor::start(spec(&plan), bench.ports(), &bench.config());
    assert_eq!(log.pins().len(), 1);
    handle.ended().await;
    assert!(
        matches!(handle.status(), QueryStatus::Failed { .. }),
        "{:?}",
        handle.status()
    );
    assert_eq!(log.pins().len(), 0, "while the query is still there to be asked why");
}

/// A window of an hour for every microsecond: closing them would take days, in one step of the watermark.
#[tokio::test(flavor = "multi_thread")]
async fn a_query_stops_while_it_closes_windows() {
    let bench = Bench::new(1);
    bench.produce(0, NOON, &format!(r#"{{"ts":{NOON},"k":"k","v":1}}"#));
    let mut plan = plan(CLOSE, Some(vec![(0, 1)]));
    let PlanStage::Aggregate(aggregate) = &mut plan.stages[0] else {
        panic!("an aggregate");
    };
    let window = aggregate.window.as_mut().expect("windows");
    (window.size_us, window.slide_us) = (60 * MINUTE, 1);
    plan.output.target = OutputTarget::Blackhole;
    let handle = bench.start(&plan);
    until_read(&handle, 1).await;
    tokio::time::timeout(WAIT_MAX, handle.stop())
        .await
        .expect("it stops before all windows are closed");
    assert_ne!(handle.status(), QueryStatus::Finished);
}

/// A partition that is added while a query runs counts for its watermark from the first row that may be in it.
#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_new_partition_are_not_late() {
    let bench = Bench::new(1);
    let event = |partition, seconds: i64| {
        let time = NOON + seconds * 1_000;
        bench.produce(partition, time, &format!(r#"{{"ts":{time},"k":"k","v":1}}"#));
    };
    let mut plan = plan(CLOSE, None);
    plan.source.idle_timeout = Duration::from_secs(3_600);
    let handle = bench.start(&plan);
    event(0, 1);
    until_read(&handle, 1).await;
    bench.world.topics.add_partition(SOURCE);
    event(1, 2);
    event(0, 120);
    event(1, 120);
    until_read(&handle, 4).await;
    handle.stop().await;
    assert_eq!(handle.stats().snapshot().late, 0);
}

async fn until_read(handle: &QueryHandle, rows: u64) {
    while handle.stats().snapshot().rows_in < rows {
        tokio::task::yield_now().await;
    }
}

/// Groups of one batch that come to more than the query may hold: they go to the state as they come.
#[tokio::test(flavor = "multi_thread")]
async fn more_groups_than_memory_holds_are_spilled() {
    const GROUPS: usize = 100_000;
    let bench = Bench::new(1);
    let handle = group_all(&bench, GROUPS, "", 16 << 20).await;
    assert_eq!(handle.status(), QueryStatus::Finished);
    assert_eq!(view(&handle).len(), GROUPS);
    assert_eq!(handle.stats().snapshot().restarts, 0);
}

/// The first round alone comes to more than the query may hold: it starts again, with fewer rows at once.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_need_much_memory_are_read_a_few_at_a_time() {
    const GROUPS: usize = 5_000;
    let bench = Bench::new(1);
    let handle = group_all(&bench, GROUPS, &"x".repeat(1_000), 4 << 20).await;
    assert_eq!(handle.status(), QueryStatus::Finished);
    assert_eq!(view(&handle).len(), GROUPS);
    assert_eq!(handle.stats().snapshot().restarts, 1);
}

/// Runs a query over one batch of so many groups, in epochs that end by their size alone.
async fn group_all(bench: &Bench, groups: usize, filler: &str, memory_limit: u64) -> QueryHandle {
    let mut batch = BatchBuilder::new(Codec::Lz4, None, NOON);
    for n in 0..groups {
        let value = format!(r#"{{"ts":{NOON},"k":"key {n}{filler}","v":1}}"#);
        batch.append(NOON, None, Some(value.as_bytes()), &[]);
    }
    bench.world.append(SOURCE, 0, &batch.finish(BatchStamp::NONE));
    let stop = i64::try_from(groups).unwrap();
    let config = EngineConfig {
        epoch_interval: Duration::from_secs(3_600),
        query_memory_bytes_max: memory_limit,
        ..bench.config()
    };
    let handle = Supervisor::start(spec(&plan(CLOSE, Some(vec![(0, stop)]))), bench.ports(), &config);
    handle.ended().await;
    handle
}
