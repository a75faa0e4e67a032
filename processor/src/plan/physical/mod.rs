//! The physical form of a query that runs on: a source, stages, an output.
//!
//! The logical plan of such a query is a chain. It is walked from the scan upwards; on the way go the position of the
//! event time, the window that has not met its aggregate yet, and the columns that identify a row of the aggregate.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::{DFSchemaRef, Result as PlanResult};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::expr::Alias;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, LogicalPlanBuilder, TableScan};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};

use self::window::PendingWindow;
use super::Planner;
use super::context::{Mode, Scope, external};
use super::graph::{
    AggregatePlan, LatePlan, OutputPlan, OutputTarget, RecordColumns, SourcePlan, Stage, StartAt, StreamPlan,
};
use super::logical::analyze;
use super::names::prepare;
use super::refuse::input_of;
use super::windows::as_window;
use crate::catalog::{Bounds, Relation, Repeated};
use crate::error::{SqlError, SqlState};
use crate::query::TopicTable;
use crate::sql::statement::StreamQuery;

mod aggregate;
mod late;
mod output;
mod window;

/// What is to be planned.
pub(crate) struct StreamRequest<'a> {
    /// Name of the view or sink.
    pub(crate) name: &'a str,
    /// The query with its streaming clauses.
    pub(crate) query: &'a StreamQuery,
    /// New names of the columns, or none.
    pub(crate) columns: &'a [String],
    /// Where rows go.
    pub(crate) target: OutputTarget,
    /// Columns that make the record key of an append stream.
    pub(crate) key: &'a [String],
}

/// A planned query.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    /// The physical plan; reads from the log start without end until [`Planned::bind`].
    pub(crate) plan: StreamPlan,
    /// The relation that it reads.
    pub(crate) relation: Arc<Relation>,
    /// The materialized view whose query it repeats, and so must begin and end where that does.
    pub(crate) repeated: Option<Arc<Repeated>>,
    /// Names of the objects that it refers to.
    pub(crate) uses: Vec<String>,
    /// True where rows are never changed once they are written.
    pub(crate) append_only: bool,
    /// Column of the output that is the end of a row's window, as the query computed it.
    pub(crate) window_end: Option<usize>,
}

impl Planned {
    /// Sets where reading begins and ends.
    pub(crate) fn bind(&mut self, bounds: &Bounds) {
        self.plan.source.start = match &bounds.start {
            Some(offsets) => StartAt::Offsets(offsets.clone()),
            None => StartAt::Earliest,
        };
        self.plan.source.stop = bounds.stop.clone();
    }
}

/// Plans a query that runs on, or says why it cannot be maintained.
pub(crate) fn plan_stream(planner: &Planner, scope: &Scope<'_>, request: &StreamRequest<'_>) -> PlanResult<Planned> {
    let mut query = request.query.query.as_ref().clone();
    let mentions = prepare(&mut query, scope.catalog, &[]).map_err(external)?;
    let (plan, uses) = planner.query(scope, Mode::Streaming, &query, mentions)?;
    let plan = analyze(planner, rename(plan, request.columns)?)?;
    let mut pipeline = Pipeline::build(&plan, request.query.late_to.is_some())?;
    pipeline.settle_window()?;
    let emit = pipeline.emission(request.query.emit)?;
    let windowed = pipeline.grouping.as_ref().is_some_and(|g| g.windowed);
    if request.query.late_to.is_some() && !windowed {
        return Err(external(
            SqlError::unsupported("LATE TO needs an aggregate over a window")
                .with_hint("only rows of windows that have closed are late"),
        ));
    }
    let output_schema = pipeline.finish()?;
    let append_only = pipeline.grouping.is_none() || emit.on_update.is_none();
    if append_only && matches!(request.target, OutputTarget::View { .. }) {
        output::refuse_unreadable(&output_schema)?;
    }
    let key = pipeline.output_key(&output_schema, append_only, request.key)?;
    let topic = request.query.late_to.clone();
    let late = topic
        .zip(pipeline.late)
        .map(|(topic, columns)| LatePlan { topic, columns });
    Ok(Planned {
        window_end: pipeline.window_end(),
        plan: StreamPlan {
            source: pipeline.source,
            stages: pipeline.stages,
            emit,
            output: OutputPlan {
                name: request.name.to_owned(),
                schema: output_schema,
                key,
                target: request.target.clone(),
            },
            late,
        },
        relation: pipeline.relation,
        repeated: pipeline.repeated,
        uses,
        append_only,
    })
}

/// Renames the columns of a plan as `CREATE VIEW v (a, b)` says.
pub(crate) fn rename(plan: LogicalPlan, names: &[String]) -> PlanResult<LogicalPlan> {
    if names.is_empty() {
        return Ok(plan);
    }
    let columns = plan.schema().columns();
    if columns.len() < names.len() {
        return Err(external(SqlError::new(
            SqlState::INVALID_DEFINITION,
            format!(
                "{} column names are given, but the query has {} columns",
                names.len(),
                columns.len()
            ),
        )));
    }
    let renamed: Vec<Expr> = columns
        .into_iter()
        .enumerate()
        .map(|(index, column)| match names.get(index) {
            Some(name) => Expr::Column(column).alias(name),
            None => Expr::Column(column),
        })
        .collect();
    LogicalPlanBuilder::from(plan).project(renamed)?.build()
}

/// A chain under construction.
struct Pipeline {
    relation: Arc<Relation>,
    repeated: Option<Arc<Repeated>>,
    source: SourcePlan,
    stages: Vec<Stage>,
    /// The columns at this point. The source may deliver more behind them, which nothing refers to.
    schema: DFSchemaRef,
    /// Where the event time is, as long as nothing was done to it.
    event_time: Option<usize>,
    /// A window that has not met its aggregate.
    window: Option<PendingWindow>,
    /// The aggregate below.
    grouping: Option<Grouping>,
    /// Where the record of a row is, as long as it is carried for late rows.
    record: Option<RecordColumns>,
    /// Where it was when it met the aggregate.
    late: Option<RecordColumns>,
}

/// What identifies a row of the aggregate below.
#[derive(Debug, Clone)]
struct Grouping {
    columns: Vec<GroupColumn>,
    windowed: bool,
}

#[derive(Debug, Clone)]
struct GroupColumn {
    name: String,
    /// Where it is now, unless it was left out.
    position: Option<usize>,
    /// A bound of the window; one of the two is enough.
    is_window: bool,
    /// The bound that is the window's end.
    is_end: bool,
}

impl Pipeline {
    /// The chain of a plan; it carries the records of its rows up to the aggregate where late rows are kept.
    fn build(plan: &LogicalPlan, keeps_late: bool) -> PlanResult<Self> {
        match plan {
            LogicalPlan::TableScan(scan) => Self::scan(scan, keeps_late),
            LogicalPlan::SubqueryAlias(alias) => {
                let mut pipeline = Self::build(&alias.input, keeps_late)?;
                pipeline.schema = alias.schema.clone();
                Ok(pipeline)
            }
            LogicalPlan::Filter(filter) => {
                let mut pipeline = Self::build(&filter.input, keeps_late)?;
                pipeline.filter(&filter.predicate)?;
                Ok(pipeline)
            }
            LogicalPlan::Projection(projection) => {
                let mut pipeline = Self::build(&projection.input, keeps_late)?;
                pipeline.project(&projection.expr, projection.schema.clone())?;
                Ok(pipeline)
            }
            LogicalPlan::Aggregate(aggregate) => {
                let mut pipeline = Self::build(&aggregate.input, keeps_late)?;
                pipeline.aggregate(aggregate)?;
                Ok(pipeline)
            }
            other => match as_window(other) {
                Some(window) => {
                    let mut pipeline = Self::build(&*input_of(other)?, keeps_late)?;
                    pipeline.assign_window(window)?;
                    Ok(pipeline)
                }
                None => Err(external(SqlError::unsupported(
                    "this form of query is not supported in a query that runs on",
                ))),
            },
        }
    }

    fn scan(scan: &TableScan, keeps_late: bool) -> PlanResult<Self> {
        let provider = source_as_provider(&scan.source)?;
        let Some(table) = provider.downcast_ref::<TopicTable>() else {
            return Err(external(SqlError::unsupported(format!(
                "\"{}\" cannot be read as a stream",
                scan.table_name
            ))));
        };
        let relation = table.relation().clone();
        let wanted: Vec<usize> = match &scan.projection {
            Some(projection) => projection.clone(),
            None => (0..provider.schema().fields().len()).collect(),
        };
        let mut source = relation.source_plan(&wanted)?;
        let record = keeps_late.then(|| source.carry_records());
        Ok(Self {
            event_time: wanted.iter().position(|index| *index == relation.event_time),
            relation,
            repeated: table.repeated().cloned(),
            source,
            stages: Vec::new(),
            schema: scan.projected_schema.clone(),
            window: None,
            grouping: None,
            record,
            late: None,
        })
    }

    fn filter(&mut self, predicate: &Expr) -> PlanResult<()> {
        self.settle_for([predicate])?;
        let predicate = self.physical(predicate)?;
        self.stages.push(Stage::Filter(predicate));
        Ok(())
    }

    fn project(&mut self, exprs: &[Expr], schema: DFSchemaRef) -> PlanResult<()> {
        let computed: Vec<&Expr> = exprs.iter().filter(|e| self.position(e).is_none()).collect();
        self.settle_for(computed)?;
        let physical = exprs
            .iter()
            .map(|e| self.physical(unalias(e)))
            .collect::<PlanResult<Vec<_>>>()?;
        let moved: Vec<Option<usize>> = exprs.iter().map(|e| self.position(e)).collect();
        self.push_projection(physical, fields(&schema));
        self.move_columns(&moved);
        self.schema = schema;
        Ok(())
    }

    /// Follows the columns that matter through a projection; `moved[new] = old`.
    fn move_columns(&mut self, moved: &[Option<usize>]) {
        let find = |old: Option<usize>| old.and_then(|old| moved.iter().position(|m| *m == Some(old)));
        self.event_time = find(self.event_time);
        if let Some(window) = &mut self.window {
            window.start = find(window.start);
            window.end = find(window.end);
        }
        for column in self.grouping.iter_mut().flat_map(|g| &mut g.columns) {
            column.position = find(column.position);
        }
    }

    fn aggregate(&mut self, aggregate: &Aggregate) -> PlanResult<()> {
        aggregate::add(self, aggregate)
    }

    fn push_projection(&mut self, mut exprs: Vec<Arc<dyn PhysicalExpr>>, mut schema: SchemaRef) {
        let below = Arc::clone(self.columns());
        if let Some(record) = &mut self.record {
            let mut fields: Vec<Field> = schema.fields().iter().map(|f| f.as_ref().clone()).collect();
            record.pass_on(&below, &mut exprs, &mut fields);
            schema = Arc::new(Schema::new(fields));
        }
        self.push_columns(exprs, schema);
    }

    fn push_columns(&mut self, exprs: Vec<Arc<dyn PhysicalExpr>>, schema: SchemaRef) {
        if self.is_identity(&exprs, &schema) {
            return;
        }
        if let Some(Stage::Project { exprs: below, .. }) = self.stages.last()
            && let Some(exprs) = through(&exprs, below)
        {
            self.stages.pop();
            return self.push_columns(exprs, schema);
        }
        self.stages.push(Stage::Project { exprs, schema });
    }

    /// All columns of the last stage, those included that nothing refers to.
    fn columns(&self) -> &SchemaRef {
        let last = self.stages.iter().rev().find_map(|stage| match stage {
            Stage::Project { schema, .. } => Some(schema),
            Stage::Aggregate(plan) => Some(&plan.schema),
            Stage::Filter(_) => None,
        });
        last.unwrap_or(&self.source.schema)
    }

    /// True where a projection would change neither columns nor names.
    fn is_identity(&self, exprs: &[Arc<dyn PhysicalExpr>], schema: &SchemaRef) -> bool {
        let current = self.columns();
        current.fields().len() == schema.fields().len()
            && current
                .fields()
                .iter()
                .zip(schema.fields())
                .all(|(a, b)| a.name() == b.name())
            && exprs
                .iter()
                .enumerate()
                .all(|(index, expr)| expr.downcast_ref::<Column>().is_some_and(|c| c.index() == index))
    }

    fn physical(&self, expr: &Expr) -> PlanResult<Arc<dyn PhysicalExpr>> {
        create_physical_expr(expr, &self.schema, &ExecutionProps::new(), &Default::default())
    }

    fn column(&self, index: usize) -> Arc<dyn PhysicalExpr> {
        Arc::new(Column::new(self.schema.field(index).name(), index))
    }

    /// Where the column is that an expression is; nothing for anything but a column.
    fn position(&self, expr: &Expr) -> Option<usize> {
        match unalias(expr) {
            Expr::Column(column) => self.schema.maybe_index_of_column(column),
            _ => None,
        }
    }
}

/// A projection of plain columns over another one as one; nothing where the upper one computes.
fn through(upper: &[Arc<dyn PhysicalExpr>], below: &[Arc<dyn PhysicalExpr>]) -> Option<Vec<Arc<dyn PhysicalExpr>>> {
    upper
        .iter()
        .map(|expr| below.get(expr.downcast_ref::<Column>()?.index()).cloned())
        .collect()
}

fn unalias(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(Alias { expr, .. }) => unalias(expr),
        other => other,
    }
}

/// The Arrow form of a logical schema. Everything may be NULL: nothing is gained by knowing better, and a batch whose
/// schema promised too much would be refused.
fn fields(schema: &DFSchemaRef) -> SchemaRef {
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .map(|f| Field::new(f.name(), f.data_type().clone(), true))
        .collect();
    Arc::new(Schema::new(fields))
}

impl Pipeline {
    fn push_aggregate(&mut self, plan: AggregatePlan) {
        self.late = self.record.take();
        self.stages.push(Stage::Aggregate(plan));
    }
}
