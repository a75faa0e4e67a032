//! Window table functions in FROM: their arguments, by place or by name, in our spelling and in Flink's.

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{DFSchema, Result as PlanResult, ScalarValue};
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{Expr, ExprSchemable, Extension, LogicalPlan, cast};
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectName, ObjectNamePart, TableAlias,
    TableFactor,
};

use super::{US_PER_DAY, WindowAssign};
use crate::error::{SqlError, SqlState};
use crate::functions::window::WindowShape;
use crate::plan::context::external;
use crate::sql::parser::normalize;
use crate::sql::types::{timestamptz, type_name};

/// Plans window functions in FROM, and refuses by name what DataFusion would drop in silence.
#[derive(Debug)]
pub(in crate::plan) struct WindowRelations;

impl RelationPlanner for WindowRelations {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> PlanResult<RelationPlanning> {
        let (call, alias) = match &relation {
            TableFactor::Table { version: Some(_), .. } => {
                return Err(external(SqlError::unsupported(
                    "FOR SYSTEM_TIME AS OF is not supported",
                )));
            }
            TableFactor::Table {
                name,
                args: Some(args),
                alias,
                ..
            } => (Call::new(name, &args.args), alias),
            TableFactor::TableFunction {
                expr: SqlExpr::Function(function),
                alias,
            } => match &function.args {
                FunctionArguments::List(list) => (Call::new(&function.name, &list.args), alias),
                _ => (None, alias),
            },
            _ => (None, &None),
        };
        match call {
            Some(call) => Ok(RelationPlanning::Planned(Box::new(call.plan(alias.clone(), context)?))),
            None => Ok(RelationPlanning::Original(Box::new(relation))),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WindowKind {
    Tumble,
    Hop,
}

impl WindowKind {
    /// Names of the arguments behind relation and time, in order; the last may be left out.
    fn intervals(self) -> &'static [&'static str] {
        match self {
            Self::Tumble => &["size", "offset"],
            Self::Hop => &["slide", "size", "offset"],
        }
    }

    fn usage(self) -> &'static str {
        match self {
            Self::Tumble => "TUMBLE(relation, time, size [, offset])",
            Self::Hop => "HOP(relation, time, slide, size [, offset])",
        }
    }
}

/// A call of a window function.
struct Call<'a> {
    kind: Result<WindowKind, String>,
    arguments: &'a [FunctionArg],
}

impl<'a> Call<'a> {
    fn new(name: &ObjectName, arguments: &'a [FunctionArg]) -> Option<Self> {
        let name = match name.0.as_slice() {
            [part] => normalize(part.as_ident()?),
            _ => return None,
        };
        let kind = match name.as_str() {
            "tumble" => Ok(WindowKind::Tumble),
            "hop" => Ok(WindowKind::Hop),
            "cumulate" | "session" => Err(name.to_uppercase()),
            _ => return None,
        };
        Some(Self { kind, arguments })
    }

    fn plan(self, alias: Option<TableAlias>, context: &mut dyn RelationPlannerContext) -> PlanResult<PlannedRelation> {
        let kind = self.kind.clone().map_err(|name| {
            external(SqlError::unsupported(format!("{name} is not supported")).with_hint("use TUMBLE or HOP"))
        })?;
        let arguments = self.sort(kind)?;
        let input = context.plan(relation_of(arguments.relation, kind)?)?;
        let time = time_column(arguments.time, &input, context)?;
        let shape = shape(kind, &arguments.intervals, context)?;
        let node = WindowAssign::try_new(Arc::new(input), time, shape)?;
        let plan = LogicalPlan::Extension(Extension { node: Arc::new(node) });
        Ok(PlannedRelation::new(plan, alias))
    }

    /// Arguments by place or by name (`DATA =>`, `TIMECOL =>`, `SIZE =>`, `SLIDE =>`, `OFFSET =>`).
    fn sort(&self, kind: WindowKind) -> PlanResult<Arguments<'a>> {
        let names: Vec<&str> = ["data", "timecol"]
            .into_iter()
            .chain(kind.intervals().iter().copied())
            .collect();
        let mut places: Vec<Option<&SqlExpr>> = vec![None; names.len()];
        for (at, argument) in self.arguments.iter().enumerate() {
            let (place, expr) = match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => (Some(at), expr),
                FunctionArg::Named {
                    name,
                    arg: FunctionArgExpr::Expr(expr),
                    ..
                } => (place_of(&normalize(name), &names), expr),
                FunctionArg::ExprNamed {
                    name: SqlExpr::Identifier(name),
                    arg: FunctionArgExpr::Expr(expr),
                    ..
                } => (place_of(&normalize(name), &names), expr),
                _ => return Err(usage(kind)),
            };
            match place.and_then(|place| places.get_mut(place)) {
                Some(slot) if slot.is_none() => *slot = Some(expr),
                _ => return Err(usage(kind)),
            }
        }
        let (Some(relation), Some(time)) = (places[0], places[1]) else {
            return Err(usage(kind));
        };
        Ok(Arguments {
            relation,
            time,
            intervals: places.split_off(2),
        })
    }
}

struct Arguments<'a> {
    relation: &'a SqlExpr,
    time: &'a SqlExpr,
    intervals: Vec<Option<&'a SqlExpr>>,
}

fn place_of(name: &str, names: &[&str]) -> Option<usize> {
    names.iter().position(|known| *known == name)
}

fn usage(kind: WindowKind) -> datafusion::common::DataFusionError {
    external(SqlError::syntax(format!(
        "wrong arguments: the form is {}",
        kind.usage()
    )))
}

/// The relation that an argument names: a table, a CTE, or a subquery.
fn relation_of(expr: &SqlExpr, kind: WindowKind) -> PlanResult<TableFactor> {
    let parts = match expr {
        SqlExpr::Identifier(ident) => vec![ObjectNamePart::Identifier(ident.clone())],
        SqlExpr::CompoundIdentifier(parts) => parts.iter().cloned().map(ObjectNamePart::Identifier).collect(),
        SqlExpr::Subquery(query) => {
            return Ok(TableFactor::Derived {
                lateral: false,
                subquery: query.clone(),
                alias: None,
                sample: None,
            });
        }
        SqlExpr::Nested(inner) => return relation_of(inner, kind),
        _ => return Err(usage(kind)),
    };
    Ok(TableFactor::Table {
        name: ObjectName(parts),
        alias: None,
        args: None,
        with_hints: Vec::new(),
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    })
}

fn time_column(expr: &SqlExpr, input: &LogicalPlan, context: &mut dyn RelationPlannerContext) -> PlanResult<Expr> {
    let column = match descriptor(expr) {
        Some(column) => column,
        None => expr.clone(),
    };
    let time = context.sql_to_expr(column, input.schema())?;
    match time.get_type(input.schema())? {
        DataType::Timestamp(TimeUnit::Microsecond, _) => Ok(time),
        DataType::Timestamp(_, Some(_)) => Ok(cast(time, timestamptz())),
        other => Err(external(SqlError::new(
            SqlState::DATATYPE_MISMATCH,
            format!(
                "the time of a window must be a timestamp, {time} is a {}",
                type_name(&other)
            ),
        ))),
    }
}

/// The column inside of `DESCRIPTOR(column)`.
fn descriptor(expr: &SqlExpr) -> Option<SqlExpr> {
    let SqlExpr::Function(function) = expr else {
        return None;
    };
    let [part] = function.name.0.as_slice() else {
        return None;
    };
    if normalize(part.as_ident()?) != "descriptor" {
        return None;
    }
    let FunctionArguments::List(list) = &function.args else {
        return None;
    };
    match list.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(column))] => Some(column.clone()),
        _ => None,
    }
}

fn shape(
    kind: WindowKind,
    intervals: &[Option<&SqlExpr>],
    context: &mut dyn RelationPlannerContext,
) -> PlanResult<WindowShape> {
    let mut lengths = Vec::with_capacity(intervals.len());
    for (name, expr) in kind.intervals().iter().zip(intervals) {
        lengths.push(match expr {
            Some(expr) => Some(microseconds(name, expr, context)?),
            None => None,
        });
    }
    let (slide, size, offset) = match (kind, lengths.as_slice()) {
        (WindowKind::Tumble, [Some(size), offset]) => (*size, *size, *offset),
        (WindowKind::Hop, [Some(slide), Some(size), offset]) => (*slide, *size, *offset),
        _ => return Err(usage(kind)),
    };
    if slide <= 0 || size <= 0 {
        return Err(external(SqlError::invalid_value(
            "the length and the slide of a window must be positive",
        )));
    }
    /// A row lies in at most so many windows.
    const WINDOWS_MAX: i64 = 10_000;
    if WINDOWS_MAX < size / slide {
        return Err(external(SqlError::invalid_value(format!(
            "a window {WINDOWS_MAX} times as long as its slide, or longer, is not allowed"
        ))));
    }
    Ok(WindowShape {
        slide_us: slide,
        size_us: size,
        offset_us: offset.unwrap_or(0).rem_euclid(slide),
    })
}

fn microseconds(name: &str, expr: &SqlExpr, context: &mut dyn RelationPlannerContext) -> PlanResult<i64> {
    let not_an_interval = || {
        external(SqlError::new(
            SqlState::DATATYPE_MISMATCH,
            format!("the {name} of a window must be a constant interval, such as INTERVAL '1 minute'"),
        ))
    };
    let literal = match context.sql_to_expr(expr.clone(), &DFSchema::empty())? {
        Expr::Literal(literal, _) => literal,
        Expr::Negative(inner) => match *inner {
            Expr::Literal(literal, _) => literal.arithmetic_negate()?,
            _ => return Err(not_an_interval()),
        },
        _ => return Err(not_an_interval()),
    };
    let ScalarValue::IntervalMonthDayNano(Some(interval)) = literal else {
        return Err(not_an_interval());
    };
    if interval.months != 0 {
        return Err(external(
            SqlError::unsupported(format!("the {name} of a window cannot be given in months or years"))
                .with_hint("months differ in length; give days"),
        ));
    }
    let days = i64::from(interval.days).checked_mul(US_PER_DAY);
    days.and_then(|days| days.checked_add(interval.nanoseconds / 1000))
        .ok_or_else(not_an_interval)
}
