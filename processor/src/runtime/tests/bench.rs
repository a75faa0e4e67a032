//! What whole queries are tested in: real logs, a ledger of transactions, a clock of its own, a query to run.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
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

use super::super::{QueryHandle, QuerySpec, Supervisor};
use super::ledger::{Ledger, LedgerPort};
use crate::config::EngineConfig;
use crate::plan::graph::{
    AggregateCall, AggregateFunction, AggregatePlan, Emit, ErrorPolicy, OutputPlan, OutputTarget, SourceColumn,
    SourceFormat, SourcePlan, Stage as PlanStage, StartAt, StreamPlan, TimestampUnit, WindowPlan,
};
use crate::ports::{Clock, Ports, Topics};
use crate::state::Rocks;
use crate::testing::{NOON, World, pass};

pub(super) const SOURCE: &str = "events";
pub(super) const RESULT: &str = "result";
pub(super) const MINUTE: i64 = 60_000_000;

/// A clock that moves a little whenever somebody looks, so that epochs end without anybody waiting.
pub(super) struct SteppingClock(pub(super) AtomicI64);

#[async_trait::async_trait]
impl Clock for SteppingClock {
    fn now_ms(&self) -> TimestampMs {
        NOON + self.0.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.fetch_add(1, Ordering::SeqCst).unsigned_abs())
    }

    async fn sleep(&self, time: Duration) {
        pass(time).await;
    }
}

pub(super) type KeyValue = (Option<Vec<u8>>, Option<Vec<u8>>);

/// What a query runs in.
pub(super) struct Bench {
    pub(super) world: World,
    pub(super) ledger: Arc<Ledger>,
    pub(super) clock: Arc<SteppingClock>,
}

impl Bench {
    pub(super) fn new(partitions: PartitionId) -> Self {
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

    pub(super) fn ports(&self) -> Ports {
        Ports {
            clock: self.clock.clone(),
            epochs: Arc::new(LedgerPort(Arc::clone(&self.ledger))),
            ..self.world.ports()
        }
    }

    pub(super) fn config(&self) -> EngineConfig {
        EngineConfig {
            epoch_interval: Duration::from_millis(20),
            // One batch at a time.
            read_bytes_per_round: 1,
            restart_backoff_min: Duration::from_millis(1),
            restart_backoff_max: Duration::from_millis(2),
            ..self.world.config()
        }
    }

    pub(super) fn start(&self, plan: &StreamPlan) -> QueryHandle {
        Supervisor::start(spec(plan), self.ports(), &self.config())
    }

    /// Runs until the query ends by itself.
    pub(super) async fn run(&self, plan: &StreamPlan) -> QueryHandle {
        let handle = self.start(plan);
        handle.ended().await;
        handle
    }

    pub(super) fn produce(&self, partition: PartitionId, time: TimestampMs, value: &str) {
        let mut batch = BatchBuilder::new(Codec::None, None, time);
        batch.append(time, Some(b"key"), Some(value.as_bytes()), &[("h", Some(b"x"))]);
        let topic = self.world.topics.find(SOURCE).unwrap();
        let log = &topic.partitions[usize::try_from(partition).unwrap()];
        log.append(&batch.finish(BatchStamp::NONE), AppendOrigin::Coordinator, NOON)
            .unwrap();
    }

    /// Ten minutes of events on every partition, in order; returns counts per (window start, key).
    pub(super) fn produce_events(&self, partitions: PartitionId) -> BTreeMap<(i64, String), i64> {
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

    /// Committed records of a topic, in partition order.
    pub(super) fn records(&self, topic: &str) -> Vec<KeyValue> {
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
    pub(super) fn result(&self, once: bool) -> BTreeMap<(i64, String), i64> {
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

    pub(super) fn destroy_state(&self) {
        Rocks::destroy(&self.config().state_dir.join("id-1")).unwrap();
    }

    /// The source offsets of the last committed epoch.
    pub(super) fn truncate_read(&self, beyond: i64) {
        for (partition, offset) in self.ledger.mirrored() {
            let topic = self.world.topics.find(SOURCE).unwrap();
            let log = &topic.partitions[usize::try_from(partition.partition).unwrap()];
            let before = (offset + beyond).min(log.marks().high_watermark);
            log.delete_records(before, NOON).unwrap();
        }
    }

    pub(super) fn unread(&self) -> u64 {
        let topic = self.world.topics.find(SOURCE).unwrap();
        let all: i64 = topic.partitions.iter().map(|log| log.marks().high_watermark).sum();
        let read: i64 = self.ledger.mirrored().iter().map(|(_, offset)| offset).sum();
        u64::try_from(all - read).unwrap()
    }
}

pub(super) fn spec(plan: &StreamPlan) -> QuerySpec {
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

pub(super) fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()))
}

/// Counts per minute and key, into a keyed view. `stop` per partition makes it bounded.
pub(super) fn plan(emit: Emit, stop: Option<Vec<(PartitionId, i64)>>) -> StreamPlan {
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
        late: None,
    }
}

pub(super) const CLOSE: Emit = Emit {
    on_close: true,
    on_update: None,
};
pub(super) const BOTH: Emit = Emit {
    on_close: true,
    on_update: Some(Duration::ZERO),
};

pub(super) fn bounded(emit: Emit) -> StreamPlan {
    plan(emit, Some(vec![(0, 60), (1, 60)]))
}

pub(super) fn view(handle: &QueryHandle) -> BTreeMap<(i64, String), i64> {
    let mut rows = BTreeMap::new();
    let mut batches = Vec::new();
    let take = |batch| {
        batches.push(batch);
        ControlFlow::Continue(())
    };
    handle.view_rows().unwrap().read(1 << 20, take).unwrap();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let start = batch.column(0).as_primitive::<TimestampMicrosecondType>().value(row);
            let key = batch.column(2).as_string::<i32>().value(row).to_owned();
            rows.insert((start, key), batch.column(3).as_primitive::<Int64Type>().value(row));
        }
    }
    rows
}
