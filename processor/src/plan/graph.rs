//! The physical form of a streaming query: what the planner hands to the runtime. It holds bound DataFusion
//! expressions and no SQL text; everything in it is resolved (columns by index, options by value).
//!
//! A version-1 query is one pipeline: source -> stages -> output.

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::physical_expr::PhysicalExpr;
use protocol::ids::{Offset, PartitionId};

/// A whole streaming query.
#[derive(Debug, Clone)]
pub struct StreamPlan {
    /// Where rows come from.
    pub source: SourcePlan,
    /// What happens to them, in order. At most one is an aggregate.
    pub stages: Vec<Stage>,
    /// When results leave.
    pub emit: Emit,
    /// Where results go.
    pub output: OutputPlan,
    /// What keeps late rows (`LATE TO`); `None` counts and drops them.
    pub late: Option<LatePlan>,
}

/// Where late rows go: the records that they came from, as they came.
#[derive(Debug, Clone)]
pub struct LatePlan {
    /// The topic.
    pub topic: String,
    /// Where the record is in the aggregate's input.
    pub columns: RecordColumns,
}

/// Columns that hold the record of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordColumns {
    /// Its key, BYTEA.
    pub key: usize,
    /// Its value, BYTEA.
    pub value: usize,
    /// Its headers.
    pub headers: usize,
}

/// A topic read as a stream of typed rows.
#[derive(Debug, Clone)]
pub struct SourcePlan {
    /// Name of the SQL object, for messages and metrics.
    pub name: String,
    /// The topic.
    pub topic: String,
    /// How values become columns.
    pub format: SourceFormat,
    /// The columns that the query needs, in the order in which stages refer to them: declared columns and metadata
    /// columns (`_key`, `_value`, `_partition`, `_offset`, `_timestamp`, `_headers`).
    pub schema: SchemaRef,
    /// Per column of `schema`: where its value comes from.
    pub columns: Vec<SourceColumn>,
    /// Column of `schema` (TIMESTAMPTZ, microseconds) that is the event time; `_timestamp` where none is declared.
    pub event_time: usize,
    /// The watermark a row proposes, as an expression over `schema` of type TIMESTAMPTZ (microseconds).
    pub watermark: Arc<dyn PhysicalExpr>,
    /// Where a partition starts when the query has no committed epoch.
    pub start: StartAt,
    /// Per partition the offset at which reading ends, resolved at CREATE and kept; `None` runs for ever.
    pub stop: Option<Vec<(PartitionId, Offset)>>,
    /// After this long at the log's end without news, a partition is idle.
    pub idle_timeout: Duration,
    /// How far an event time may lie beyond its record's own timestamp.
    pub max_future: Duration,
    /// What happens to a bad record.
    pub on_error: ErrorPolicy,
    /// False reads up to the high watermark (`isolation = 'read_uncommitted'`); true, the default, to the LSO.
    pub committed_only: bool,
}

/// Encodings of a source's values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceFormat {
    /// One JSON object per record value.
    Json {
        /// Unit of JSON numbers that stand for timestamps.
        timestamp_unit: TimestampUnit,
    },
    /// The JSON objects that a materialized view wrote: whatever its query computed is read back as it was.
    View,
    /// No declared columns: the metadata columns alone (a bare topic).
    Raw,
}

/// Unit of a numeric timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampUnit {
    /// Seconds.
    Second,
    /// Milliseconds, the default.
    Millisecond,
    /// Microseconds.
    Microsecond,
    /// Nanoseconds.
    Nanosecond,
}

/// Where a column's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceColumn {
    /// A field of the decoded value, by name; `not_null` makes a missing or null field a bad record.
    Field {
        /// Name in the JSON object.
        name: String,
        /// Declared NOT NULL.
        not_null: bool,
    },
    /// The record's key.
    Key,
    /// The record's value.
    Value,
    /// The partition.
    Partition,
    /// The offset.
    Offset,
    /// The record's timestamp.
    Timestamp,
    /// The record's headers.
    Headers,
}

/// Where a new query starts to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartAt {
    /// The log start.
    Earliest,
    /// What `start` says, resolved per partition at CREATE and kept.
    Offsets(Vec<(PartitionId, Offset)>),
}

/// What happens to a bad record (`ON ERROR`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorPolicy {
    /// The query stops with the reason.
    Fail,
    /// Counted, shown, left out.
    Skip,
    /// The offending field becomes NULL; a record that is no JSON object at all is skipped.
    Null,
    /// Written to this topic with the reason in headers, within the same epoch.
    DeadLetter(String),
}

/// One step between source and output.
#[derive(Debug, Clone)]
pub enum Stage {
    /// Keeps rows for which the expression is true.
    Filter(Arc<dyn PhysicalExpr>),
    /// Computes new columns.
    Project {
        /// One expression per column of `schema`.
        exprs: Vec<Arc<dyn PhysicalExpr>>,
        /// The columns that result.
        schema: SchemaRef,
    },
    /// Groups rows, in windows of event time or without.
    Aggregate(AggregatePlan),
}

/// GROUP BY with aggregates.
#[derive(Debug, Clone)]
pub struct AggregatePlan {
    /// The window, or `None` for a plain GROUP BY (then only `EMIT ON UPDATE` is possible).
    pub window: Option<WindowPlan>,
    /// Group expressions over the input, window columns excluded.
    pub keys: Vec<Arc<dyn PhysicalExpr>>,
    /// The aggregates.
    pub aggregates: Vec<AggregateCall>,
    /// Columns that result: `window_start`, `window_end` (TIMESTAMPTZ microseconds, only when `window` is set), then
    /// the keys, then the aggregates.
    pub schema: SchemaRef,
}

/// A window over event time, `[start, end)`, aligned to the epoch plus `offset`; all in microseconds.
#[derive(Debug, Clone)]
pub struct WindowPlan {
    /// Column of the input that is the time attribute.
    pub time: Arc<dyn PhysicalExpr>,
    /// Distance between starts; equal to `size` for TUMBLE.
    pub slide_us: i64,
    /// Length.
    pub size_us: i64,
    /// Shift of the alignment.
    pub offset_us: i64,
}

/// One aggregate function call.
#[derive(Debug, Clone)]
pub struct AggregateCall {
    /// Which.
    pub function: AggregateFunction,
    /// The argument; `None` for `count(*)`.
    pub argument: Option<Arc<dyn PhysicalExpr>>,
    /// `FILTER (WHERE ...)`.
    pub filter: Option<Arc<dyn PhysicalExpr>>,
    /// Type of the argument, after coercion.
    pub input_type: Option<DataType>,
    /// Type of the result (PostgreSQL's: sum of BIGINT is NUMERIC, avg of integers NUMERIC or DOUBLE as sql docs say).
    pub output_type: DataType,
}

/// Aggregates that version 1 maintains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AggregateFunction {
    /// `count(*)` and `count(x)`.
    Count,
    /// `count(DISTINCT x)`.
    CountDistinct,
    /// `sum(x)`; overflow is an error, not a wrap.
    Sum,
    /// `avg(x)`.
    Avg,
    /// `min(x)`.
    Min,
    /// `max(x)`.
    Max,
}

/// When results leave the query. One without an aggregate has neither: its rows leave as they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Emit {
    /// Final rows when a window closes.
    pub on_close: bool,
    /// Changes as they come, at most once per interval per key.
    pub on_update: Option<Duration>,
}

/// Where results go.
#[derive(Debug, Clone)]
pub struct OutputPlan {
    /// Name of the view or sink.
    pub name: String,
    /// Columns of the result rows, in order; hidden columns are gone.
    pub schema: SchemaRef,
    /// Columns that identify a row (upsert), or empty for an append-only output without key.
    pub key: Vec<usize>,
    /// The target.
    pub target: OutputTarget,
}

/// Kinds of target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputTarget {
    /// Rows as JSON to a topic that the query owns or shares.
    Topic {
        /// The topic, created by the planner's caller before the query starts.
        topic: String,
    },
    /// A materialized view: the topic of the same name and, where it has a key, a state table of its rows.
    View {
        /// The topic.
        topic: String,
    },
    /// Evaluates everything, keeps nothing: for measuring.
    Blackhole,
}
