//! The end of a query that runs on: when results leave, in which columns, and under which key.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::Result as PlanResult;
use datafusion::physical_expr::expressions::cast;

use super::{Grouping, Pipeline};
use crate::error::{SqlError, SqlState};
use crate::plan::context::external;
use crate::plan::graph::Emit;
use crate::sql::statement::EmitClause;
use crate::sql::types::{canonical, type_name};

/// Time between two updates of one key where `EVERY` says nothing.
const UPDATE_INTERVAL_DEFAULT: Duration = Duration::from_millis(100);

impl Pipeline {
    /// What EMIT says, or the default: windows when they close, other aggregates as they change.
    pub(super) fn emission(&self, clause: Option<EmitClause>) -> PlanResult<Emit> {
        let refuse = |text: &str, hint: &str| Err(external(SqlError::unsupported(text).with_hint(hint)));
        let Some(grouping) = &self.grouping else {
            return match clause {
                Some(EmitClause { on_close: true, .. }) => refuse(
                    "EMIT ON WINDOW CLOSE needs an aggregate over a window",
                    "the rows of this query are final when they come; leave EMIT out",
                ),
                _ => Ok(Emit {
                    on_close: false,
                    on_update: None,
                }),
            };
        };
        match clause {
            None if grouping.windowed => Ok(Emit {
                on_close: true,
                on_update: None,
            }),
            None => Ok(Emit {
                on_close: false,
                on_update: Some(UPDATE_INTERVAL_DEFAULT),
            }),
            Some(EmitClause { on_close: true, .. }) if !grouping.windowed => refuse(
                "EMIT ON WINDOW CLOSE needs a window, and this aggregate has none",
                "read the source through TUMBLE or HOP and GROUP BY window_start, window_end, or use EMIT ON UPDATE",
            ),
            Some(clause) => Ok(Emit {
                on_close: clause.on_close,
                on_update: clause.on_update.map(|every| every.unwrap_or(UPDATE_INTERVAL_DEFAULT)),
            }),
        }
    }

    /// Brings the columns into the form in which they leave, and answers with their schema.
    pub(super) fn finish(&mut self) -> PlanResult<SchemaRef> {
        let schema = self.schema.as_arrow().clone();
        let mut seen = HashSet::new();
        for field in schema.fields() {
            if !seen.insert(field.name()) {
                return Err(external(
                    SqlError::new(
                        SqlState::DUPLICATE_COLUMN,
                        format!("column \"{}\" specified more than once", field.name()),
                    )
                    .with_hint("give one of them another name with AS"),
                ));
            }
        }
        let output: Vec<Field> = schema
            .fields()
            .iter()
            .map(|f| Field::new(f.name(), canonical(f.data_type()), true))
            .collect();
        let mut exprs = Vec::with_capacity(output.len());
        for (index, (from, to)) in schema.fields().iter().zip(&output).enumerate() {
            refuse_output_type(to)?;
            let column = self.column(index);
            exprs.push(match from.data_type() == to.data_type() {
                true => column,
                false => cast(column, &schema, to.data_type().clone())?,
            });
        }
        let output = Arc::new(Schema::new(output));
        self.push_projection(exprs, output.clone());
        Ok(output)
    }

    /// The columns that identify a row of the output; none for an append stream without key.
    pub(super) fn output_key(
        &self,
        schema: &SchemaRef,
        append_only: bool,
        wanted: &[String],
    ) -> PlanResult<Vec<usize>> {
        let grouped = match &self.grouping {
            Some(grouping) => grouping.key(append_only)?,
            None => Vec::new(),
        };
        if wanted.is_empty() {
            return Ok(grouped);
        }
        let named = wanted
            .iter()
            .map(|name| {
                schema.index_of(name).map_err(|_| {
                    external(SqlError::new(
                        SqlState::UNDEFINED_COLUMN,
                        format!("option \"key\": the query has no column \"{name}\""),
                    ))
                })
            })
            .collect::<PlanResult<Vec<_>>>()?;
        let same = named.iter().collect::<HashSet<_>>() == grouped.iter().collect::<HashSet<_>>();
        if !append_only && !same {
            return Err(external(
                SqlError::unsupported("the key of a result that is updated is the columns of its GROUP BY")
                    .with_hint("leave the option \"key\" out, or use EMIT ON WINDOW CLOSE"),
            ));
        }
        Ok(named)
    }
}

impl Grouping {
    /// Positions of the key in the output. A result that is updated must show all of it.
    fn key(&self, append_only: bool) -> PlanResult<Vec<usize>> {
        let window_shown = self.columns.iter().any(|c| c.is_window && c.position.is_some());
        let missing: Vec<&str> = self
            .columns
            .iter()
            .filter(|c| c.position.is_none() && !(c.is_window && window_shown))
            .map(|c| c.name.as_str())
            .collect();
        if missing.is_empty() {
            return Ok(self.columns.iter().filter_map(|c| c.position).collect());
        }
        if append_only {
            return Ok(Vec::new());
        }
        Err(external(
            SqlError::unsupported(format!(
                "the result is updated row by row, so it must show the columns that tell rows apart: {} is missing",
                missing.join(", ")
            ))
            .with_hint("add it to the SELECT list, or use EMIT ON WINDOW CLOSE"),
        ))
    }
}

/// Refuses a column that has no form as JSON.
fn refuse_output_type(field: &Field) -> PlanResult<()> {
    let cannot = |what: &str, hint: &str| {
        let text = format!("column \"{}\" is {what}, which cannot be written", field.name());
        Err(external(SqlError::unsupported(text).with_hint(hint)))
    };
    match field.data_type() {
        DataType::Interval(_) => cannot("an INTERVAL", "write extract(epoch FROM ...) instead"),
        other if !is_written(other) => cannot(
            &format!("of type {}", type_name(other)),
            "take out the values that are needed",
        ),
        _ => Ok(()),
    }
}

/// Refuses columns that can be written and not be read back, as a view must whose topic holds its rows.
pub(super) fn refuse_unreadable(schema: &SchemaRef) -> PlanResult<()> {
    let Some(field) = schema.fields().iter().find(|field| field.data_type().is_nested()) else {
        return Ok(());
    };
    let text = format!(
        "column \"{}\" is a {}, which a materialized view cannot keep",
        field.name(),
        type_name(field.data_type())
    );
    Err(external(SqlError::unsupported(text).with_hint(
        "take out the values that are needed, such as list[1], or write the list as text with array_to_string; \
         a sink can write it as it is",
    )))
}

/// True for the types that the encoder writes.
fn is_written(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(item) => is_written(item.data_type()),
        DataType::Struct(fields) => fields.iter().all(|field| is_written(field.data_type())),
        other => !other.is_nested() && !matches!(other, DataType::Interval(_)),
    }
}
