//! A topic as a relation: which columns it has and where each comes from.

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{DFSchema, Result as PlanResult};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};

use crate::error::SqlError;
use crate::plan::graph::{ErrorPolicy, SourceColumn, SourceFormat, SourcePlan, StartAt};
use crate::ports::{PortError, TopicHandle, Topics};
use crate::sql::SourceOptions;
use crate::sql::types::{headers, timestamptz};

/// Names of the metadata columns.
pub(crate) const METADATA_COLUMNS: [&str; 6] = ["_partition", "_offset", "_timestamp", "_key", "_value", "_headers"];

/// True for the name of a metadata column.
pub(crate) fn is_metadata(name: &str) -> bool {
    METADATA_COLUMNS.contains(&name)
}

/// A topic as a relation. Columns that `SELECT *` shows come first.
#[derive(Debug, Clone)]
pub(crate) struct Relation {
    /// The object's name, or the topic's.
    pub(crate) name: String,
    /// The topic.
    pub(crate) topic: String,
    /// How values become columns.
    pub(crate) format: SourceFormat,
    /// All columns.
    pub(crate) columns: Vec<RelationColumn>,
    /// How many of them `SELECT *` shows.
    pub(crate) visible: usize,
    /// The event time's index in `columns`.
    pub(crate) event_time: usize,
    /// The watermark that a row proposes, over columns by bare name; the event time itself where nothing is said.
    pub(crate) watermark: Option<Expr>,
    /// Options; the defaults for topics that nobody declared.
    pub(crate) options: SourceOptions,
    /// What happens to a bad record.
    pub(crate) on_error: ErrorPolicy,
}

/// A column of a relation.
#[derive(Debug, Clone)]
pub(crate) struct RelationColumn {
    /// Its name.
    pub(crate) name: String,
    /// Its type.
    pub(crate) data_type: DataType,
    /// Where its value comes from.
    pub(crate) source: SourceColumn,
}

impl RelationColumn {
    fn not_null(&self) -> bool {
        matches!(self.source, SourceColumn::Field { not_null: true, .. })
    }

    fn field(&self) -> Field {
        Field::new(&self.name, self.data_type.clone(), true)
    }
}

/// The metadata columns. `text` shows key and value as TEXT, as bare topics do.
pub(super) fn metadata_columns(text: bool) -> Vec<RelationColumn> {
    let bytes = if text { DataType::Utf8 } else { DataType::Binary };
    let columns = [
        ("_partition", DataType::Int32, SourceColumn::Partition),
        ("_offset", DataType::Int64, SourceColumn::Offset),
        ("_timestamp", timestamptz(), SourceColumn::Timestamp),
        ("_key", bytes.clone(), SourceColumn::Key),
        ("_value", bytes, SourceColumn::Value),
        ("_headers", headers(), SourceColumn::Headers),
    ];
    columns
        .into_iter()
        .map(|(name, data_type, source)| RelationColumn {
            name: name.to_owned(),
            data_type,
            source,
        })
        .collect()
}

impl Relation {
    /// The topic with its logs.
    ///
    /// # Errors
    /// What a statement is told that reads a topic which is not there, or of which a partition is offline.
    pub(crate) fn open(&self, topics: &dyn Topics) -> Result<TopicHandle, SqlError> {
        topics.open(&self.topic).map_err(|error| match error {
            PortError::UnknownTopic(_) => SqlError::undefined_table(&self.topic).with_hint(format!(
                "the topic of \"{}\" does not exist; produce to it, or create it",
                self.name
            )),
            other => SqlError::from(other),
        })
    }

    /// The columns as Arrow fields: the visible ones, or all that can be named.
    pub(crate) fn schema(&self, with_hidden: bool) -> SchemaRef {
        let (visible, hidden) = self.columns.split_at(self.visible);
        let named = hidden
            .iter()
            .take_while(|h| with_hidden && visible.iter().all(|v| v.name != h.name));
        let fields: Vec<Field> = visible.iter().chain(named).map(RelationColumn::field).collect();
        Arc::new(Schema::new(fields))
    }

    /// True where an expression names a field of the values, whose name may be that of a metadata column.
    pub(crate) fn names_field(&self, expr: &Expr) -> bool {
        let is_field = |name: &str| {
            let found = self.columns.iter().find(|c| c.name == name);
            found.is_some_and(|c| matches!(c.source, SourceColumn::Field { .. }))
        };
        expr.column_refs().iter().any(|column| is_field(&column.name))
    }

    /// How to read the columns with these indices, in this order, from the log start and without end. Columns that
    /// reading needs beside them (the event time, what the watermark refers to, those declared NOT NULL) follow.
    pub(crate) fn source_plan(&self, wanted: &[usize]) -> PlanResult<SourcePlan> {
        let read = self.with_needed(wanted);
        let columns: Vec<&RelationColumn> = read.iter().map(|index| &self.columns[*index]).collect();
        let schema = Arc::new(Schema::new(columns.iter().map(|c| c.field()).collect::<Vec<_>>()));
        let event_time = read
            .iter()
            .position(|index| *index == self.event_time)
            .unwrap_or_default();
        Ok(SourcePlan {
            name: self.name.clone(),
            topic: self.topic.clone(),
            format: self.format.clone(),
            columns: columns.iter().map(|c| c.source.clone()).collect(),
            watermark: self.watermark_over(&schema, event_time)?,
            schema,
            event_time,
            start: StartAt::Earliest,
            stop: None,
            idle_timeout: self.options.idle_timeout,
            max_future: self.options.max_future,
            on_error: self.on_error.clone(),
            committed_only: self.options.committed_only,
        })
    }

    fn with_needed(&self, wanted: &[usize]) -> Vec<usize> {
        let mut read = wanted.to_vec();
        let watermark = self.watermark.iter().flat_map(|w| w.column_refs());
        let referred = watermark.filter_map(|column| self.columns.iter().position(|c| c.name == column.name));
        let not_null = self
            .columns
            .iter()
            .enumerate()
            .filter(|(_, c)| c.not_null())
            .map(|(index, _)| index);
        for index in std::iter::once(self.event_time)
            .chain(referred.collect::<Vec<_>>())
            .chain(not_null)
        {
            if !read.contains(&index) {
                read.push(index);
            }
        }
        read
    }

    fn watermark_over(&self, schema: &SchemaRef, event_time: usize) -> PlanResult<Arc<dyn PhysicalExpr>> {
        let Some(watermark) = &self.watermark else {
            return Ok(Arc::new(Column::new(schema.field(event_time).name(), event_time)));
        };
        let schema = DFSchema::try_from(schema.as_ref().clone())?;
        create_physical_expr(watermark, &schema, &ExecutionProps::new(), &Default::default())
    }
}

/// Defaults for a relation over `topic` that nobody declared.
pub(super) fn default_options(topic: &str) -> SourceOptions {
    SourceOptions::bind(topic, &[]).unwrap_or_else(|_| SourceOptions {
        topic: topic.to_owned(),
        start: crate::sql::StartOption::Earliest,
        stop: None,
        idle_timeout: Duration::from_secs(10),
        max_future: Duration::from_secs(3600),
        timestamp_unit: crate::plan::graph::TimestampUnit::Millisecond,
        committed_only: true,
    })
}
