//! From a plan to operators.

use std::sync::Arc;

use protocol::ids::PartitionId;

use super::error::RunError;
use crate::operators::Operator;
use crate::operators::aggregate::{Setup, UpdatingAggregate, WindowedAggregate};
use crate::operators::epoch_buffer::EpochBuffer;
use crate::operators::filter::Filter;
use crate::operators::late::LateRecords;
use crate::operators::project::Project;
use crate::operators::sink::{Blackhole, RowEncoder, TopicSink, ViewSink};
use crate::plan::graph::{AggregatePlan, OutputTarget, SourcePlan, Stage, StreamPlan};
use crate::ports::{PortError, Topics};
use crate::time::window::WindowShape;

/// The operators of a plan, in order, the sink last.
pub(super) fn operators(
    plan: &StreamPlan,
    topics: &dyn Topics,
    buffer: &mut EpochBuffer,
    resident_bytes: usize,
) -> Result<Vec<Box<dyn Operator>>, RunError> {
    let mut operators: Vec<Box<dyn Operator>> = Vec::with_capacity(plan.stages.len() + 1);
    for stage in &plan.stages {
        match stage {
            Stage::Filter(condition) => operators.push(Box::new(Filter::new(Arc::clone(condition)))),
            Stage::Project { exprs, schema } => {
                operators.push(Box::new(Project::new(exprs.clone(), Arc::clone(schema))));
            }
            Stage::Aggregate(aggregate) => {
                let late = match &plan.late {
                    Some(late) => Some(LateRecords::new(buffer, partitions(topics, &late.topic)?, late)),
                    None => None,
                };
                operators.push(aggregation(plan, aggregate, late, resident_bytes)?);
            }
        }
    }
    operators.push(sink(plan, topics, buffer)?);
    Ok(operators)
}

/// The windows of a plan, if it has any.
pub(super) fn window_shape(plan: &StreamPlan) -> Option<WindowShape> {
    plan.stages.iter().find_map(|stage| match stage {
        Stage::Aggregate(aggregate) => {
            let window = aggregate.window.as_ref()?;
            WindowShape::new(window.size_us, window.slide_us, window.offset_us).ok()
        }
        _ => None,
    })
}

/// True when the result is kept as rows of a view.
pub(super) fn has_view_table(plan: &StreamPlan) -> bool {
    matches!(plan.output.target, OutputTarget::View { .. }) && !plan.output.key.is_empty()
}

/// Number of partitions of a topic that must exist.
pub(super) fn partitions(topics: &dyn Topics, topic: &str) -> Result<PartitionId, PortError> {
    let handle = topics.open(topic)?;
    Ok(PartitionId::try_from(handle.partitions.len()).expect("partitions are counted in 32 bits"))
}

/// The dead-letter topic of a source, if its policy names one.
pub(super) fn dead_letter_topic(source: &SourcePlan) -> Option<&str> {
    match &source.on_error {
        crate::plan::graph::ErrorPolicy::DeadLetter(topic) => Some(topic),
        _ => None,
    }
}

fn aggregation(
    plan: &StreamPlan,
    aggregate: &AggregatePlan,
    late: Option<LateRecords>,
    resident_bytes: usize,
) -> Result<Box<dyn Operator>, RunError> {
    let setup = Setup {
        plan: aggregate,
        on_update: aggregate.window.is_none() || plan.emit.on_update.is_some(),
        resident_bytes,
    };
    Ok(match aggregate.window {
        Some(_) => Box::new(WindowedAggregate::new(&setup, plan.emit, late)?),
        None => Box::new(UpdatingAggregate::new(&setup)?),
    })
}

fn sink(plan: &StreamPlan, topics: &dyn Topics, buffer: &mut EpochBuffer) -> Result<Box<dyn Operator>, RunError> {
    let output = &plan.output;
    let topic = match &output.target {
        OutputTarget::Topic { topic } | OutputTarget::View { topic } => topic,
        OutputTarget::Blackhole => return Ok(Box::new(Blackhole)),
    };
    let partitions = partitions(topics, topic)?;
    let encoder = RowEncoder::new(buffer, topic, partitions, &output.schema, &output.key);
    Ok(match has_view_table(plan) {
        true => Box::new(ViewSink::new(encoder, &output.schema, &output.key)?),
        false => Box::new(TopicSink::new(encoder, &output.schema, &output.key)?),
    })
}
