//! `EXPLAIN` of a query that runs on: the dataflow from the output down to the source, with the kind of change on every
//! edge; with VERBOSE also keys, parallelism, state and options.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Literal, lit};
use datafusion::physical_expr_common::physical_expr::fmt_sql;

use super::graph::{
    AggregateCall, AggregateFunction, AggregatePlan, Emit, OutputPlan, OutputTarget, SourceFormat, SourcePlan, Stage,
    StartAt, StreamPlan,
};
use super::physical::Planned;
use super::windows::describe;
use crate::catalog::policy_words;
use crate::functions::window::WindowShape;
use crate::sql::types::type_name;

/// The lines of the explanation.
pub(crate) fn explain(planned: &Planned, verbose: bool) -> Vec<String> {
    let plan = &planned.plan;
    let mut lines = Lines {
        lines: Vec::new(),
        depth: 0,
    };
    let changes = if planned.append_only { "append" } else { "upsert" };
    output(&mut lines, &plan.output, changes, verbose);
    let aggregate = plan
        .stages
        .iter()
        .position(|stage| matches!(stage, Stage::Aggregate(_)));
    for (index, stage) in plan.stages.iter().enumerate().rev() {
        let kind = if aggregate.is_some_and(|at| at <= index) {
            changes
        } else {
            "append"
        };
        lines.depth += 1;
        self::stage(&mut lines, stage, plan, kind, verbose);
    }
    lines.depth += 1;
    source(&mut lines, &plan.source, verbose);
    lines.lines
}

struct Lines {
    lines: Vec<String>,
    depth: usize,
}

impl Lines {
    fn operator(&mut self, text: String) {
        let indent = "  ".repeat(self.depth);
        let arrow = if self.depth == 0 { "" } else { "-> " };
        self.lines.push(format!("{indent}{arrow}{text}"));
    }

    fn detail(&mut self, name: &str, value: impl Display) {
        let indent = "  ".repeat(self.depth + 2);
        self.lines.push(format!("{indent}{name}: {value}"));
    }
}

fn output(lines: &mut Lines, output: &OutputPlan, changes: &str, verbose: bool) {
    let target = match &output.target {
        OutputTarget::View { topic } => format!("MaterializedView {} to topic \"{topic}\"", output.name),
        OutputTarget::Topic { topic } => format!("Sink {} to topic \"{topic}\"", output.name),
        OutputTarget::Blackhole => format!("Sink {} to nowhere", output.name),
    };
    let key: Vec<&str> = output
        .key
        .iter()
        .map(|index| output.schema.field(*index).name().as_str())
        .collect();
    let key = if key.is_empty() {
        "no key".to_owned()
    } else {
        format!("key: {}", key.join(", "))
    };
    lines.operator(format!("{target} [{changes}, {key}]"));
    if !verbose {
        return;
    }
    let columns: Vec<String> = output
        .schema
        .fields()
        .iter()
        .map(|f| format!("{} {}", f.name(), type_name(f.data_type())))
        .collect();
    lines.detail("columns", columns.join(", "));
    lines.detail("parallelism", 1);
    if matches!(output.target, OutputTarget::View { .. }) && !output.key.is_empty() {
        lines.detail("state", "one row per key");
    }
}

fn stage(lines: &mut Lines, stage: &Stage, plan: &StreamPlan, changes: &str, verbose: bool) {
    match stage {
        Stage::Filter(predicate) => lines.operator(format!("Filter {} [{changes}]", sql(predicate))),
        Stage::Project { exprs, schema } => {
            let columns: Vec<String> = exprs
                .iter()
                .zip(schema.fields())
                .map(|(expr, field)| match (sql(expr), star(field.name())) {
                    (text, name) if text == name => text,
                    (text, name) => format!("{text} AS {name}"),
                })
                .collect();
            lines.operator(format!("Project {} [{changes}]", columns.join(", ")));
        }
        Stage::Aggregate(aggregate) => self::aggregate(lines, aggregate, plan, changes, verbose),
    }
    if verbose {
        lines.detail("parallelism", 1);
    }
}

fn aggregate(lines: &mut Lines, aggregate: &AggregatePlan, plan: &StreamPlan, changes: &str, verbose: bool) {
    let calls: Vec<String> = aggregate.aggregates.iter().map(call).collect();
    let keys: Vec<String> = aggregate.keys.iter().map(sql).collect();
    let mut text = String::from("Aggregate");
    if let Some(window) = &aggregate.window {
        let shape = WindowShape {
            slide_us: window.slide_us,
            size_us: window.size_us,
            offset_us: window.offset_us,
        };
        text.push_str(&format!(" {} over {}", describe(shape), sql(&window.time)));
    }
    if !keys.is_empty() {
        text.push_str(&format!(" by {}", keys.join(", ")));
    }
    if !calls.is_empty() {
        text.push_str(&format!(": {}", calls.join(", ")));
    }
    lines.operator(format!("{text} [{changes}, {}]", emission(plan.emit)));
    if !verbose {
        return;
    }
    let by = if aggregate.window.is_some() {
        "window and key, freed when the window closes"
    } else {
        "key"
    };
    lines.detail("state", format!("one entry per {by}"));
    match &plan.late {
        Some(late) => lines.detail("late rows", format!("to topic \"{}\"", late.topic)),
        None if aggregate.window.is_some() => lines.detail("late rows", "counted and dropped"),
        None => {}
    }
}

fn source(lines: &mut Lines, source: &SourcePlan, verbose: bool) {
    let columns: Vec<&str> = source.schema.fields().iter().map(|f| f.name().as_str()).collect();
    let format = match source.format {
        SourceFormat::Json { .. } | SourceFormat::View => "json",
        SourceFormat::Raw => "raw",
    };
    lines.operator(format!(
        "Source {} from topic \"{}\" as {format}: {} [append]",
        source.name,
        source.topic,
        columns.join(", ")
    ));
    if !verbose {
        return;
    }
    let event_time = source.schema.field(source.event_time).name();
    lines.detail("event time", event_time);
    lines.detail("watermark", sql(&source.watermark));
    lines.detail("idle timeout", duration(source.idle_timeout));
    if source.format != SourceFormat::View {
        lines.detail("max future", duration(source.max_future));
    }
    lines.detail("on error", policy_words(&source.on_error));
    lines.detail(
        "isolation",
        if source.committed_only {
            "read_committed"
        } else {
            "read_uncommitted"
        },
    );
    match &source.start {
        StartAt::Earliest => lines.detail("start", "earliest"),
        StartAt::Offsets(offsets) => lines.detail("start", self::offsets(offsets)),
    }
    if let Some(stop) = &source.stop {
        lines.detail("stop", offsets(stop));
    }
    lines.detail("parallelism", 1);
}

fn call(call: &AggregateCall) -> String {
    let (name, distinct) = match call.function {
        AggregateFunction::Count => ("count", ""),
        AggregateFunction::CountDistinct => ("count", "DISTINCT "),
        AggregateFunction::Sum => ("sum", ""),
        AggregateFunction::Avg => ("avg", ""),
        AggregateFunction::Min => ("min", ""),
        AggregateFunction::Max => ("max", ""),
    };
    let argument = call.argument.as_ref().map_or("*".to_owned(), sql);
    let filter = call
        .filter
        .as_ref()
        .map(|f| format!(" FILTER (WHERE {})", sql(f)))
        .unwrap_or_default();
    format!("{name}({distinct}{argument}){filter}")
}

fn emission(emit: Emit) -> String {
    let update = emit
        .on_update
        .map(|every| format!("on update every {}", duration(every)));
    let close = emit.on_close.then(|| "on window close".to_owned());
    let parts: Vec<String> = update.into_iter().chain(close).collect();
    format!("emit {}", parts.join(" and "))
}

fn offsets(offsets: &[(i32, i64)]) -> String {
    offsets
        .iter()
        .map(|(partition, offset)| format!("{partition}:{offset}"))
        .collect::<Vec<_>>()
        .join(",")
}

fn duration(duration: Duration) -> String {
    format!("{duration:?}")
}

fn sql(expr: &Arc<dyn PhysicalExpr>) -> String {
    let readable = Arc::clone(expr).transform(|node| {
        Ok(match interval(&node) {
            Some(text) => Transformed::yes(lit(text)),
            None => Transformed::no(node),
        })
    });
    let readable = readable.map_or_else(|_| Arc::clone(expr), |transformed| transformed.data);
    star(&fmt_sql(readable.as_ref()).to_string())
}

/// DataFusion shows an interval as the structure that holds it; here it is written as it would be typed.
fn interval(expr: &Arc<dyn PhysicalExpr>) -> Option<String> {
    let ScalarValue::IntervalMonthDayNano(Some(interval)) = expr.downcast_ref::<Literal>()?.value() else {
        return None;
    };
    let seconds = interval.nanoseconds as f64 / 1e9;
    let parts = [
        (interval.months != 0).then(|| format!("{} months", interval.months)),
        (interval.days != 0).then(|| format!("{} days", interval.days)),
        (interval.nanoseconds != 0).then(|| format!("{seconds} seconds")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    Some(format!(
        "INTERVAL '{}'",
        if parts.is_empty() {
            "0 seconds".to_owned()
        } else {
            parts.join(" ")
        }
    ))
}

/// DataFusion counts rows by counting a constant.
fn star(text: &str) -> String {
    text.replace("count(Int64(1))", "count(*)")
}
