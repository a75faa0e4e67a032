//! GROUP BY of a query that runs on.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::Result as PlanResult;
use datafusion::logical_expr::expr::AggregateFunction as LogicalAggregate;
use datafusion::logical_expr::{Aggregate, Expr, ExprSchemable};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;

use super::window::{window_fields, window_plan};
use super::{GroupColumn, Grouping, Pipeline, unalias};
use crate::error::SqlError;
use crate::plan::context::external;
use crate::plan::graph::{AggregateCall, AggregateFunction, AggregatePlan};
use crate::sql::types::type_name;

/// Adds the aggregate to the chain.
pub(super) fn add(pipeline: &mut Pipeline, aggregate: &Aggregate) -> PlanResult<()> {
    if pipeline.grouping.is_some() {
        return Err(external(
            SqlError::unsupported("an aggregate of an aggregate is not supported in one query")
                .with_hint("keep the inner result in a materialized view with EMIT ON WINDOW CLOSE and read that"),
        ));
    }
    let is_bound = |p: &Pipeline, e: &Expr| match (&p.window, p.position(e)) {
        (Some(window), Some(index)) => window.holds(index),
        _ => false,
    };
    let computed: Vec<&Expr> = aggregate
        .group_expr
        .iter()
        .filter(|e| !is_bound(pipeline, e))
        .chain(&aggregate.aggr_expr)
        .collect();
    pipeline.settle_for(computed)?;

    let layout = Layout::new(pipeline, aggregate)?;
    let window = match (&pipeline.window, layout.windowed) {
        (Some(window), true) => Some(window_plan(window.shape, pipeline.window_time(window)?)),
        _ => None,
    };
    let keys = layout
        .keys
        .iter()
        .map(|e| pipeline.physical(unalias(e)))
        .collect::<PlanResult<Vec<_>>>()?;
    let calls = aggregate
        .aggr_expr
        .iter()
        .map(|e| call(pipeline, e))
        .collect::<PlanResult<Vec<_>>>()?;
    let plan = AggregatePlan {
        window,
        keys,
        schema: Arc::new(layout.schema(aggregate)),
        aggregates: calls,
    };
    let columns = layout.columns(aggregate);
    pipeline.push_aggregate(plan);
    pipeline.schema = aggregate.schema.clone();
    pipeline.event_time = None;
    pipeline.window = None;
    pipeline.push_projection(columns, super::fields(&aggregate.schema));
    pipeline.grouping = Some(layout.grouping(aggregate));
    Ok(())
}

/// Where each column of the logical aggregate lies in the physical one: the window's bounds, the keys, the aggregates.
struct Layout<'a> {
    windowed: bool,
    /// Group expressions that are no bound of the window.
    keys: Vec<&'a Expr>,
    /// Per group expression: its place in the physical output.
    places: Vec<usize>,
}

impl<'a> Layout<'a> {
    fn new(pipeline: &Pipeline, aggregate: &'a Aggregate) -> PlanResult<Self> {
        let bound = |expr: &Expr| {
            let window = pipeline.window.as_ref()?;
            let index = pipeline.position(expr)?;
            match (window.start == Some(index), window.end == Some(index)) {
                (true, _) => Some(0),
                (_, true) => Some(1),
                _ => None,
            }
        };
        let windowed = aggregate.group_expr.iter().any(|e| bound(e).is_some());
        if let (Some(window), false) = (&pipeline.window, windowed)
            && !window.tumbles()
        {
            return Err(external(
                SqlError::unsupported("an aggregate over HOP must group by its window")
                    .with_hint("add window_start, window_end to GROUP BY"),
            ));
        }
        if aggregate.group_expr.is_empty() {
            return Err(external(
                SqlError::unsupported("an aggregate over the whole stream is not supported in a query that runs on")
                    .with_hint("GROUP BY a column, or read the source through TUMBLE or HOP and GROUP BY window_start, window_end"),
            ));
        }
        let first_key = if windowed { 2 } else { 0 };
        let (mut keys, mut places) = (Vec::new(), Vec::new());
        for expr in &aggregate.group_expr {
            match bound(expr) {
                Some(place) => places.push(place),
                None => {
                    places.push(first_key + keys.len());
                    keys.push(expr);
                }
            }
        }
        Ok(Self { windowed, keys, places })
    }

    /// The physical output.
    fn schema(&self, aggregate: &Aggregate) -> Schema {
        let groups = self.places.len();
        let field = |index: usize| {
            let field = aggregate.schema.field(index);
            Field::new(field.name(), field.data_type().clone(), true)
        };
        let mut fields: Vec<Field> = if self.windowed {
            window_fields().to_vec()
        } else {
            Vec::new()
        };
        let bounds = fields.len();
        fields.extend((0..groups).filter(|at| bounds <= self.places[*at]).map(field));
        fields.extend((groups..aggregate.schema.fields().len()).map(field));
        Schema::new(fields)
    }

    /// The logical columns, taken from the physical output.
    fn columns(&self, aggregate: &Aggregate) -> Vec<Arc<dyn PhysicalExpr>> {
        let groups = self.places.len();
        let first_call = if self.windowed { 2 } else { 0 } + self.keys.len();
        (0..aggregate.schema.fields().len())
            .map(|index| {
                let place = match self.places.get(index) {
                    Some(place) => *place,
                    None => first_call + index - groups,
                };
                Arc::new(Column::new(aggregate.schema.field(index).name(), place)) as Arc<dyn PhysicalExpr>
            })
            .collect()
    }

    fn grouping(&self, aggregate: &Aggregate) -> Grouping {
        let columns = self
            .places
            .iter()
            .enumerate()
            .map(|(index, place)| GroupColumn {
                name: aggregate.schema.field(index).name().clone(),
                position: Some(index),
                is_window: self.windowed && *place < 2,
                is_end: self.windowed && *place == 1,
            })
            .collect();
        Grouping {
            columns,
            windowed: self.windowed,
        }
    }
}

fn call(pipeline: &Pipeline, expr: &Expr) -> PlanResult<AggregateCall> {
    let Expr::AggregateFunction(function) = unalias(expr) else {
        return Err(external(SqlError::internal(format!("{expr} is no aggregate"))));
    };
    let kind = kind(function)?;
    let params = &function.params;
    let filter = match &params.filter {
        Some(filter) => Some(pipeline.physical(filter)?),
        None => None,
    };
    let output_type = expr.get_type(&pipeline.schema)?;
    let argument = match (kind, params.args.as_slice()) {
        // Every row counts: count(*), which DataFusion writes count(1).
        (AggregateFunction::Count, []) => None,
        (AggregateFunction::Count, [Expr::Literal(value, _)]) if !value.is_null() => None,
        (_, [argument]) => Some(argument_of(pipeline, kind, argument)?),
        _ => {
            return Err(external(SqlError::unsupported(format!(
                "{} with {} arguments is not supported in a query that runs on",
                function.func.name(),
                params.args.len()
            ))));
        }
    };
    let (argument, input_type) = match argument {
        Some((argument, data_type)) => (Some(argument), Some(data_type)),
        None => (None, None),
    };
    Ok(AggregateCall {
        function: kind,
        argument,
        filter,
        input_type,
        output_type,
    })
}

/// The argument; for sums and averages, integers come as BIGINT and floating-point numbers as DOUBLE PRECISION.
fn argument_of(
    pipeline: &Pipeline,
    kind: AggregateFunction,
    argument: &Expr,
) -> PlanResult<(Arc<dyn PhysicalExpr>, DataType)> {
    let data_type = argument.get_type(&pipeline.schema)?;
    let physical = pipeline.physical(argument)?;
    let wide = match (kind, &data_type) {
        (AggregateFunction::Sum | AggregateFunction::Avg, DataType::Int16 | DataType::Int32) => DataType::Int64,
        (AggregateFunction::Sum | AggregateFunction::Avg, DataType::Float32) => DataType::Float64,
        _ => data_type.clone(),
    };
    if data_type.is_nested() {
        return Err(external(SqlError::unsupported(format!(
            "an aggregate over {} is not supported in a query that runs on",
            type_name(&data_type)
        ))));
    }
    if wide == data_type {
        return Ok((physical, data_type));
    }
    let cast = datafusion::physical_expr::expressions::cast(physical, pipeline.schema.as_arrow(), wide.clone())?;
    Ok((cast, wide))
}

fn kind(function: &LogicalAggregate) -> PlanResult<AggregateFunction> {
    let name = function.func.name();
    let distinct = function.params.distinct;
    Ok(match name {
        "count" if distinct => AggregateFunction::CountDistinct,
        "count" => AggregateFunction::Count,
        "min" => AggregateFunction::Min,
        "max" => AggregateFunction::Max,
        "sum" if !distinct => AggregateFunction::Sum,
        "avg" if !distinct => AggregateFunction::Avg,
        _ => {
            let shown = if distinct {
                format!("{name}(DISTINCT)")
            } else {
                name.to_owned()
            };
            return Err(external(
                SqlError::unsupported(format!("{shown} is not supported in a query that runs on"))
                    .with_hint("count, count(DISTINCT), sum, avg, min and max are, each with FILTER"),
            ));
        }
    })
}
