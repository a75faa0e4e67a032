//! A topic as a table that ends: from its log start, or the conditions on metadata columns, to the last stable offset
//! of the moment when the scan is planned.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::Result as PlanResult;
use datafusion::datasource::{TableProvider, TableType};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use storage::Isolation;

use super::pruning::Pruning;
use super::scan::{PartitionScan, ScanCounts, ScanLimits};
use crate::catalog::{Relation, Repeated};
use crate::error::SqlError;
use crate::plan::external;
use crate::ports::TopicHandle;

/// A topic as a table.
#[derive(Debug)]
pub(crate) struct TopicTable {
    relation: Arc<Relation>,
    topic: Result<TopicHandle, SqlError>,
    schema: SchemaRef,
    limits: ScanLimits,
    counts: ScanCounts,
    repeated: Option<Arc<Repeated>>,
}

impl std::fmt::Debug for TopicHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TopicHandle")
            .field("name", &self.name)
            .field("partitions", &self.partitions.len())
            .finish()
    }
}

impl TopicTable {
    /// The relation over its topic, which need not be there until the table is read.
    pub(crate) fn new(
        relation: Arc<Relation>,
        topic: Result<TopicHandle, SqlError>,
        with_metadata: bool,
        limits: ScanLimits,
        counts: ScanCounts,
    ) -> Self {
        let schema = relation.schema(with_metadata);
        Self {
            relation,
            topic,
            schema,
            limits,
            counts,
            repeated: None,
        }
    }

    /// The same table, read where the query of a materialized view is repeated.
    pub(crate) fn repeating(self, repeated: Option<Arc<Repeated>>) -> Self {
        Self { repeated, ..self }
    }

    /// The materialized view whose query is repeated, if one is.
    pub(crate) fn repeated(&self) -> Option<&Arc<Repeated>> {
        self.repeated.as_ref()
    }

    /// The relation.
    pub(crate) fn relation(&self) -> &Arc<Relation> {
        &self.relation
    }

    fn partitions(&self, wanted: &[usize], pruning: &Pruning) -> PlanResult<Vec<Arc<dyn PartitionStream>>> {
        let topic = self.topic.as_ref().map_err(|error| external(error.clone()))?;
        let plan = Arc::new(self.relation.source_plan(wanted)?);
        let isolation = if plan.committed_only {
            Isolation::Committed
        } else {
            Isolation::Uncommitted
        };
        let mut scans = Vec::new();
        for (partition, log) in (0..).zip(&topic.partitions) {
            if !pruning.keeps(partition) {
                continue;
            }
            let marks = log.marks();
            let from = pruning.first_offset().max(marks.log_start);
            let until = pruning.end_offset().min(isolation.bound(&marks));
            if from < until {
                let (plan, counts) = (plan.clone(), self.counts.clone());
                let scan = PartitionScan::new(
                    plan,
                    wanted.len(),
                    log.clone(),
                    from..until,
                    self.limits.clone(),
                    counts,
                )
                .since(pruning.first_timestamp());
                scans.push(scan);
            }
        }
        let count = scans.len();
        let streams = scans
            .into_iter()
            .map(|scan| Arc::new(scan.among(count)) as Arc<dyn PartitionStream>);
        Ok(streams.collect())
    }
}

#[async_trait]
impl TableProvider for TopicTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> PlanResult<Vec<TableProviderFilterPushDown>> {
        Ok(filters
            .iter()
            .map(|filter| match Pruning::understands(filter) {
                true => TableProviderFilterPushDown::Inexact,
                false => TableProviderFilterPushDown::Unsupported,
            })
            .collect())
    }

    async fn scan(
        &self,
        _session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let wanted: Vec<usize> = match projection {
            Some(projection) => projection.clone(),
            None => (0..self.schema.fields().len()).collect(),
        };
        let projected = Arc::new(self.schema.project(&wanted)?);
        let of_metadata: Vec<Expr> = filters
            .iter()
            .filter(|filter| !self.relation.names_field(filter))
            .cloned()
            .collect();
        let partitions = self.partitions(&wanted, &Pruning::new(&of_metadata))?;
        if partitions.is_empty() {
            return Ok(Arc::new(EmptyExec::new(projected)));
        }
        Ok(Arc::new(StreamingTableExec::try_new(
            projected, partitions, None, None, false, limit,
        )?))
    }
}
