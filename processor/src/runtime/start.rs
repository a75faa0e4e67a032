//! The start of a run: topics, fencing of the run before, recovery of the state, the source where the last committed
//! epoch left it. The order is that of the design: nothing is read before the run before is fenced and what it decided
//! is durable everywhere.

use std::path::Path;
use std::sync::Arc;

use tokio::runtime::Handle;

use super::QuerySpec;
use super::build::{dead_letter_topic, operators, partitions, window_shape};
use super::epochs::{Epochs, progress};
use super::error::RunError;
use super::pipeline::Pipeline;
use super::run::now;
use super::source::{ROUND_ROWS_MIN, ROUND_ROWS_START, ReadLimits, Source, SourcePins};
use crate::config::EngineConfig;
use crate::operators::epoch_buffer::{EpochBuffer, Port};
use crate::ports::{PortError, Ports, TopicHandle, TopicSpec};
use crate::state::{EpochRecord, Recovered, Rocks, StateError, StateStore, recover};

/// Shares of a query's memory limit, in eighths: groups kept in memory, cached entries, changes of one epoch.
const GROUP_EIGHTHS: usize = 4;
const CACHE_EIGHTHS: usize = 1;
const EPOCH_EIGHTHS: usize = 1;
/// An epoch never grows beyond this, whatever the memory limit.
const EPOCH_BYTES_MAX: usize = 64 << 20;

/// Bounds of what a query holds in memory, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct MemoryPlan {
    /// All of it.
    pub(super) limit: usize,
    /// Groups that stay in memory after a barrier.
    pub(super) groups: usize,
    /// Cached entries.
    pub(super) cache: usize,
    /// Changes and output of one epoch; a larger one ends early.
    pub(super) epoch: usize,
}

impl MemoryPlan {
    pub(super) fn new(limit: u64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let eighth = limit / 8;
        Self {
            limit,
            groups: eighth * GROUP_EIGHTHS,
            cache: eighth * CACHE_EIGHTHS,
            epoch: (eighth * EPOCH_EIGHTHS).min(EPOCH_BYTES_MAX),
        }
    }
}

/// A run that is ready to go.
pub(super) struct Started {
    pub(super) source: Source,
    pub(super) pipeline: Pipeline,
    pub(super) epochs: Epochs,
    pub(super) dead_letters: Option<Port>,
}

/// What a start came to.
pub(super) enum Start {
    /// The query goes on.
    Ready(Box<Started>),
    /// The last committed epoch says that the query has finished.
    Finished(EpochRecord),
}

/// Opens the state folder. One that cannot be opened is thrown away: the changelog has everything.
pub(super) fn open_state(path: &Path) -> Result<Arc<Rocks>, StateError> {
    match Rocks::open(path) {
        Ok(rocks) => Ok(Arc::new(rocks)),
        Err(error) => {
            tracing::warn!(%error, "the state folder cannot be opened, rebuilding it");
            Rocks::destroy(path)?;
            Ok(Arc::new(Rocks::open(path)?))
        }
    }
}

/// Makes a run ready. What failed before may have failed because too many rows were read at once: a restart begins with
/// few.
pub(super) fn start(
    spec: &QuerySpec,
    ports: &Ports,
    config: &EngineConfig,
    rocks: Arc<Rocks>,
    pins: &Arc<SourcePins>,
    runtime: &Handle,
    is_restart: bool,
) -> Result<Start, RunError> {
    let now = now(ports.clock.as_ref());
    let plan = &spec.plan;
    let changelog = ensure_changelog(spec, ports, runtime)?;
    let writer = runtime.block_on(ports.epochs.open(&spec.transactional_id))?;
    let log = changelog
        .partitions
        .first()
        .ok_or_else(|| PortError::UnknownTopic(spec.changelog_topic.clone()))?;
    let recovered = recover(&rocks, log, config.decompressed_batch_bytes_max)?;
    let last = report(spec, &recovered);
    if let Some(record) = last.filter(|record| record.finished) {
        return Ok(Start::Finished(record.clone()));
    }
    if let Some(record) = last {
        writer.publish_progress(&spec.group, progress(record, &plan.source.topic));
    }

    let memory = MemoryPlan::new(config.query_memory_bytes_max);
    let topic = ports.topics.open(&plan.source.topic)?;
    let limits = ReadLimits {
        bytes_per_round: config.read_bytes_per_round,
        batch_bytes_max: config.decompressed_batch_bytes_max,
        rows_per_round: match is_restart {
            true => ROUND_ROWS_MIN,
            false => ROUND_ROWS_START,
        },
    };
    let shape = window_shape(plan);
    let source = Source::open(&plan.source, &topic, pins, last, shape, limits, now)?;

    let mut buffer = EpochBuffer::new();
    let topics = ports.topics.as_ref();
    let operators = operators(plan, topics, &mut buffer, memory.groups)?;
    let dead_letters = match dead_letter_topic(&plan.source) {
        Some(topic) => Some(buffer.topic(topic, partitions(topics, topic)?)),
        None => None,
    };
    let epochs = Epochs::new(
        runtime.clone(),
        log.topic_partition().clone(),
        changelog.id,
        spec.group.clone(),
        writer,
        &mut buffer,
        last,
    );
    let state = StateStore::new(rocks, memory.cache);
    let mut pipeline = Pipeline::new(operators, state, buffer).with_limit(memory.limit);
    pipeline.open()?;
    Ok(Start::Ready(Box::new(Started {
        source,
        pipeline,
        epochs,
        dead_letters,
    })))
}

fn report<'a>(spec: &QuerySpec, recovered: &'a Recovered) -> Option<&'a EpochRecord> {
    let last = recovered.committed.as_ref().map(|committed| &committed.record);
    tracing::info!(
        query = %spec.name,
        epoch = last.map_or(0, |record| record.epoch),
        changelog_records = recovered.applied,
        rebuilt = recovered.rebuilt,
        "state recovered"
    );
    last
}

/// The changelog topic, created where the query is new.
fn ensure_changelog(spec: &QuerySpec, ports: &Ports, runtime: &Handle) -> Result<TopicHandle, PortError> {
    match ports.topics.open(&spec.changelog_topic) {
        Err(PortError::UnknownTopic(_)) => {}
        found => return found,
    }
    runtime.block_on(ports.topics.create(TopicSpec {
        name: spec.changelog_topic.clone(),
        partitions: Some(1),
        configs: vec![("cleanup.policy".into(), "compact".into())],
        owner: Some(spec.name.clone()),
        internal: true,
    }))
}
