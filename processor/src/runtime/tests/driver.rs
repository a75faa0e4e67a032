//! Drives a pipeline as a run does, with barriers, crashes and pressure on memory wherever a test wants them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::{Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::col;
use protocol::ids::TopicId;
use tempfile::TempDir;

use super::super::pipeline::Pipeline;
use crate::operators::aggregate::{Setup, UpdatingAggregate, WindowedAggregate};
use crate::operators::epoch_buffer::EpochBuffer;
use crate::operators::{ChangeBatch, ChangeKind, Context, Operator, OperatorError, Progress};
use crate::plan::graph::{AggregateCall, AggregateFunction, AggregatePlan, Emit, WindowPlan};
use crate::state::{CommittedEpoch, EpochRecord, Rocks, StateStore};
use crate::time::split::{Standing, cuts};
use crate::time::window::WindowShape;
use crate::time::{END_OF_TIME, EventTime, START_OF_TIME};

/// An input row: event time, key, value.
pub(super) type Row = (i64, u8, Option<i8>);

/// Window start (0 without windows) and key.
pub(super) type GroupKey = (i64, String);

/// Results by group: the aggregates as text.
pub(super) type Folded = BTreeMap<GroupKey, String>;

fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()))
}

fn input_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("ts", timestamp(), false),
        Field::new("k", DataType::Utf8, false),
        Field::new("v", DataType::Int64, true),
    ]))
}

pub(super) fn plan(window: Option<(i64, i64, i64)>) -> AggregatePlan {
    let input = input_schema();
    let column = |name: &str| -> Arc<dyn PhysicalExpr> { col(name, &input).unwrap() };
    let call = |function, output_type| AggregateCall {
        function,
        argument: Some(column("v")),
        filter: None,
        input_type: Some(DataType::Int64),
        output_type,
    };
    let aggregates = vec![
        AggregateCall {
            argument: None,
            input_type: None,
            ..call(AggregateFunction::Count, DataType::Int64)
        },
        call(AggregateFunction::Sum, DataType::Decimal128(38, 0)),
        call(AggregateFunction::Min, DataType::Int64),
        call(AggregateFunction::CountDistinct, DataType::Int64),
    ];
    let mut fields = Vec::new();
    if window.is_some() {
        fields.push(Field::new("window_start", timestamp(), false));
        fields.push(Field::new("window_end", timestamp(), false));
    }
    fields.push(Field::new("k", DataType::Utf8, false));
    let outputs = aggregates.iter().enumerate();
    fields.extend(outputs.map(|(at, call)| Field::new(format!("a{at}"), call.output_type.clone(), true)));
    AggregatePlan {
        window: window.map(|(size_us, slide_us, offset_us)| WindowPlan {
            time: column("ts"),
            slide_us,
            size_us,
            offset_us,
        }),
        keys: vec![column("k")],
        aggregates,
        schema: Arc::new(Schema::new(fields)),
    }
}

/// What the model says of the values of one group.
pub(super) fn aggregates_of(values: &[Option<i8>]) -> String {
    let known: Vec<i64> = values.iter().flatten().map(|value| i64::from(*value)).collect();
    let distinct: std::collections::BTreeSet<_> = known.iter().collect();
    let text = |value: Option<i64>| value.map_or("NULL".to_owned(), |value| value.to_string());
    let sum = (!known.is_empty()).then(|| known.iter().sum());
    format!(
        "{} {} {} {}",
        values.len(),
        text(sum),
        text(known.iter().min().copied()),
        distinct.len()
    )
}

/// Collects what reaches the end of the pipeline.
struct Collector(Arc<Mutex<Vec<ChangeBatch>>>);

impl Operator for Collector {
    fn name(&self) -> &'static str {
        "collector"
    }

    fn on_batch(&mut self, batch: ChangeBatch, _: &mut Context<'_>) -> Result<(), OperatorError> {
        self.0.lock().unwrap().push(batch);
        Ok(())
    }
}

/// Where a run stands.
#[derive(Debug, Clone, Copy)]
struct Position {
    row: usize,
    own: EventTime,
    current: EventTime,
    output: usize,
}

thread_local! {
    /// Opened once per test: creating a RocksDB costs many fsyncs.
    static STATE: (TempDir, Arc<Rocks>) = {
        let folder = TempDir::new().unwrap();
        let rocks = Rocks::open(&folder.path().join("q")).unwrap();
        (folder, Arc::new(rocks))
    };
}

fn empty_state() -> Arc<Rocks> {
    STATE.with(|(_, rocks)| {
        rocks.begin_rebuild().unwrap();
        Arc::clone(rocks)
    })
}

/// A pipeline with its input, and the last committed epoch.
pub(super) struct Driver {
    plan: AggregatePlan,
    emit: Emit,
    rows: Vec<Row>,
    delay: i64,
    rocks: Arc<Rocks>,
    pipeline: Pipeline,
    collected: Arc<Mutex<Vec<ChangeBatch>>>,
    now: Position,
    committed: Position,
    epoch: i64,
}

impl Driver {
    pub(super) fn new(plan: AggregatePlan, emit: Emit, rows: Vec<Row>, delay: i64) -> Self {
        let rocks = empty_state();
        let collected = Arc::default();
        let start = Position {
            row: 0,
            own: START_OF_TIME,
            current: START_OF_TIME,
            output: 0,
        };
        Self {
            pipeline: open(&plan, emit, &rocks, &collected, 1 << 20),
            plan,
            emit,
            rows,
            delay,
            rocks,
            collected,
            now: start,
            committed: start,
            epoch: 0,
        }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.now.row == self.rows.len()
    }

    /// Processes the next rows, at most so many, as one batch of the source.
    pub(super) fn chunk(&mut self, count: usize) {
        let end = self.rows.len().min(self.now.row + count);
        let rows = self.rows[self.now.row..end].to_vec();
        let times: Vec<i64> = rows.iter().map(|row| row.0).collect();
        let proposals: Vec<i64> = times.iter().map(|time| time - self.delay).collect();
        let batch = batch(&rows);
        let mut start = 0;
        if let Some(shape) = self.shape() {
            let standing = Standing {
                current: self.now.current,
                own: self.now.own,
                others: END_OF_TIME,
            };
            for cut in cuts(&times, &proposals, standing, &shape) {
                self.push(&batch.slice(start, cut.row - start));
                self.advance(cut.watermark);
                start = cut.row;
            }
        }
        self.push(&batch.slice(start, rows.len() - start));
        self.now.own = proposals.into_iter().max().unwrap_or(START_OF_TIME).max(self.now.own);
        self.advance(self.now.own);
        self.now.row = end;
    }

    /// Commits an epoch; `tick` emits pending updates first, and memory is shrunk to `target`.
    pub(super) fn barrier(&mut self, tick: bool, target: usize) {
        if tick {
            self.pipeline.tick().unwrap();
        }
        self.pipeline.barrier().unwrap();
        self.pipeline.state.freeze();
        self.epoch += 1;
        let record = EpochRecord {
            epoch: self.epoch,
            committed_at: 0,
            finished: false,
            watermark: self.now.current,
            silence: Duration::ZERO,
            sources: Vec::new(),
        };
        let committed = CommittedEpoch {
            changelog: TopicId::NIL,
            next_offset: 0,
            record,
        };
        self.pipeline.shrink(target);
        self.pipeline.state.commit(&committed).unwrap();
        self.now.output = self.collected.lock().unwrap().len();
        self.committed = self.now;
    }

    /// Loses everything since the last committed epoch, and starts again with so much memory for groups.
    pub(super) fn crash(&mut self, resident_bytes: usize) {
        self.now = self.committed;
        self.collected.lock().unwrap().truncate(self.committed.output);
        self.pipeline = open(&self.plan, self.emit, &self.rocks, &self.collected, resident_bytes);
        self.advance(self.now.current);
    }

    /// Reads the rest, closes everything, and commits.
    pub(super) fn finish(&mut self) {
        if !self.is_at_end() {
            self.chunk(usize::MAX / 2);
        }
        self.advance(END_OF_TIME);
        self.barrier(true, usize::MAX);
    }

    /// The last row of every group; fails on a change that makes no sense.
    pub(super) fn folded(&self) -> Folded {
        let mut folded = Folded::new();
        for batch in self.collected.lock().unwrap().iter() {
            for (row, (key, value)) in self.texts(&batch.rows).into_iter().enumerate() {
                match batch.kind(row) {
                    ChangeKind::Insert => {
                        let before = folded.insert(key.clone(), value);
                        assert_eq!(before, None, "{key:?} was inserted twice");
                    }
                    ChangeKind::UpdateBefore | ChangeKind::Delete => {
                        assert_eq!(folded.remove(&key), Some(value), "{key:?}");
                    }
                    ChangeKind::UpdateAfter => {
                        assert_eq!(batch.kind(row - 1), ChangeKind::UpdateBefore);
                        assert_eq!(folded.insert(key, value), None);
                    }
                }
            }
        }
        folded
    }

    /// Number of rows that have left so far.
    pub(super) fn emitted(&self) -> usize {
        self.collected
            .lock()
            .unwrap()
            .iter()
            .map(|batch| batch.rows.num_rows())
            .sum()
    }

    /// Rows late for all their windows, as counted since the last crash.
    pub(super) fn late(&self) -> u64 {
        self.pipeline.counts.late
    }

    /// Entries left in the state tables.
    pub(super) fn entries(&self) -> usize {
        let mut entries = 0;
        for table in crate::state::TableId::ALL {
            if table != crate::state::TableId::PROGRESS {
                entries += self.rocks.table_iter(table).count();
            }
        }
        entries
    }

    fn shape(&self) -> Option<WindowShape> {
        let window = self.plan.window.as_ref()?;
        WindowShape::new(window.size_us, window.slide_us, window.offset_us).ok()
    }

    fn push(&mut self, rows: &RecordBatch) {
        if 0 < rows.num_rows() {
            assert!(self.pipeline.push(rows).unwrap().is_empty());
        }
    }

    /// Moves the watermark, as the clock does where no rows come.
    pub(super) fn advance(&mut self, watermark: EventTime) {
        self.now.current = self.now.current.max(watermark);
        while self.pipeline.advance(self.now.current).unwrap() == Progress::More {}
    }

    /// Groups and aggregates of result rows.
    fn texts(&self, rows: &RecordBatch) -> Vec<(GroupKey, String)> {
        let options = FormatOptions::default().with_null("NULL");
        let first = if self.plan.window.is_some() { 2 } else { 0 };
        let texts: Vec<ArrayFormatter<'_>> = rows.columns()[first..]
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
            .collect();
        let starts = rows.column(0).as_any().downcast_ref::<TimestampMicrosecondArray>();
        (0..rows.num_rows())
            .map(|row| {
                let start = starts.map_or(0, |starts| starts.value(row));
                let values: Vec<String> = texts[1..].iter().map(|text| text.value(row).to_string()).collect();
                ((start, texts[0].value(row).to_string()), values.join(" "))
            })
            .collect()
    }
}

fn open(
    plan: &AggregatePlan,
    emit: Emit,
    rocks: &Arc<Rocks>,
    collected: &Arc<Mutex<Vec<ChangeBatch>>>,
    resident_bytes: usize,
) -> Pipeline {
    let setup = Setup {
        plan,
        on_update: emit.on_update.is_some(),
        resident_bytes,
    };
    let aggregate: Box<dyn Operator> = match plan.window {
        Some(_) => Box::new(WindowedAggregate::new(&setup, emit, None).unwrap()),
        None => Box::new(UpdatingAggregate::new(&setup).unwrap()),
    };
    let operators = vec![aggregate, Box::new(Collector(Arc::clone(collected)))];
    let store = StateStore::new(Arc::clone(rocks), 4_000);
    let mut pipeline = Pipeline::new(operators, store, EpochBuffer::new());
    pipeline.open().unwrap();
    pipeline
}

fn batch(rows: &[Row]) -> RecordBatch {
    let times = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.0));
    let keys = StringArray::from_iter_values(rows.iter().map(|row| format!("k{}", row.1)));
    let values = Int64Array::from_iter(rows.iter().map(|row| row.2.map(i64::from)));
    RecordBatch::try_new(
        input_schema(),
        vec![
            Arc::new(times.with_timezone("+00:00")),
            Arc::new(keys),
            Arc::new(values),
        ],
    )
    .unwrap()
}
