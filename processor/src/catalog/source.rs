//! Relations from their three origins: a `CREATE SOURCE`, a bare topic, and the topic of a materialized view.

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::logical_expr::Expr;

use super::relation::{Relation, RelationColumn, default_options, is_metadata, metadata_columns};
use crate::error::{SqlError, SqlState};
use crate::plan::WINDOW_END;
use crate::plan::graph::{ErrorPolicy, SourceColumn, SourceFormat};
use crate::sql::SourceOptions;
use crate::sql::statement::{ColumnDefinition, CreateSource, OnError};
use crate::sql::types::{column_type, timestamptz, type_name};

/// The relation of a `CREATE SOURCE`, without its watermark expression, which needs a planner.
pub(crate) fn declared_relation(source: &CreateSource) -> Result<Relation, SqlError> {
    let options = SourceOptions::bind(&source.name, &source.options)?;
    if source.columns.is_empty() {
        return Err(SqlError::new(
            SqlState::INVALID_DEFINITION,
            format!("source \"{}\" has no columns", source.name),
        )
        .with_hint(format!(
            "name the fields of the JSON values; without a source, SELECT * FROM \"{}\" shows key and value as text",
            options.topic
        )));
    }
    let mut columns = source.columns.iter().map(field_column).collect::<Result<Vec<_>, _>>()?;
    let visible = columns.len();
    columns.extend(metadata_columns(false));
    let event_time = match &source.watermark {
        Some(watermark) => event_time(&source.name, &columns[..visible], &watermark.column)?,
        None => timestamp_column(&columns),
    };
    Ok(Relation {
        name: source.name.clone(),
        topic: options.topic.clone(),
        format: SourceFormat::Json {
            timestamp_unit: options.timestamp_unit,
        },
        columns,
        visible,
        event_time,
        watermark: None,
        options,
        on_error: policy(source.on_error.as_ref()),
    })
}

/// A topic that nobody declared: the metadata columns, key and value as text.
pub(crate) fn topic_relation(topic: &str) -> Relation {
    let columns = metadata_columns(true);
    let event_time = timestamp_column(&columns);
    Relation {
        name: topic.to_owned(),
        topic: topic.to_owned(),
        format: SourceFormat::Raw,
        visible: columns.len(),
        columns,
        event_time,
        watermark: None,
        options: default_options(topic),
        on_error: ErrorPolicy::Skip,
    }
}

/// The topic of a materialized view whose rows are never changed. Its event time is `window_end` where that is the column
/// with this index, the end of a row's window: all rows of a window are written before any of a later one.
pub(crate) fn view_relation(name: &str, topic: &str, schema: &SchemaRef, window_end: Option<usize>) -> Relation {
    let mut columns: Vec<RelationColumn> = schema
        .fields()
        .iter()
        .map(|field| RelationColumn {
            name: field.name().clone(),
            data_type: field.data_type().clone(),
            source: SourceColumn::Field {
                name: field.name().clone(),
                not_null: false,
            },
        })
        .collect();
    let visible = columns.len();
    // A column of the view hides the metadata of its name, which comes last: its time may still be the event time.
    let (hidden, free): (Vec<_>, Vec<_>) = metadata_columns(false)
        .into_iter()
        .partition(|c| schema.field_with_name(&c.name).is_ok());
    columns.extend(free);
    columns.extend(hidden);
    // Another column may have taken the name.
    let window_end = window_end.filter(|index| columns[*index].name == WINDOW_END);
    let event_time = window_end.unwrap_or_else(|| timestamp_column(&columns));
    Relation {
        name: name.to_owned(),
        topic: topic.to_owned(),
        format: SourceFormat::View,
        columns,
        visible,
        event_time,
        watermark: None,
        options: default_options(topic),
        on_error: ErrorPolicy::Fail,
    }
}

impl Relation {
    /// Sets the watermark expression, which must be a TIMESTAMPTZ.
    pub(crate) fn with_watermark(mut self, watermark: Expr, data_type: &DataType) -> Result<Self, SqlError> {
        if *data_type != timestamptz() {
            return Err(SqlError::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "the watermark of \"{}\" is a {}, it must be a TIMESTAMPTZ",
                    self.name,
                    type_name(data_type)
                ),
            )
            .with_hint("such as WATERMARK FOR ts AS ts - INTERVAL '5 seconds'"));
        }
        self.watermark = Some(watermark);
        Ok(self)
    }
}

fn field_column(column: &ColumnDefinition) -> Result<RelationColumn, SqlError> {
    if is_metadata(&column.name) {
        return Err(SqlError::new(
            SqlState::DUPLICATE_COLUMN,
            format!(
                "column \"{}\" is the name of a metadata column, which every source has",
                column.name
            ),
        ));
    }
    Ok(RelationColumn {
        name: column.name.clone(),
        data_type: column_type(&column.name, &column.data_type)?,
        source: SourceColumn::Field {
            name: column.name.clone(),
            not_null: column.not_null,
        },
    })
}

fn event_time(source: &str, columns: &[RelationColumn], name: &str) -> Result<usize, SqlError> {
    let Some(index) = columns.iter().position(|c| c.name == name) else {
        return Err(SqlError::new(
            SqlState::UNDEFINED_COLUMN,
            format!("WATERMARK FOR: source \"{source}\" has no column \"{name}\""),
        ));
    };
    let data_type = &columns[index].data_type;
    if *data_type != timestamptz() {
        return Err(SqlError::new(
            SqlState::DATATYPE_MISMATCH,
            format!(
                "the event time \"{name}\" is a {}, it must be a TIMESTAMPTZ",
                type_name(data_type)
            ),
        ));
    }
    Ok(index)
}

fn timestamp_column(columns: &[RelationColumn]) -> usize {
    columns
        .iter()
        .position(|c| c.source == SourceColumn::Timestamp)
        .expect("every relation has its metadata columns")
}

fn policy(on_error: Option<&OnError>) -> ErrorPolicy {
    match on_error {
        None | Some(OnError::Skip) => ErrorPolicy::Skip,
        Some(OnError::Fail) => ErrorPolicy::Fail,
        Some(OnError::Null) => ErrorPolicy::Null,
        Some(OnError::DeadLetter(topic)) => ErrorPolicy::DeadLetter(topic.clone()),
    }
}
