//! What SQL names mean to DataFusion's planner.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::catalog::view::ViewTable as InlinedView;
use datafusion::common::config::ConfigOptions;
use datafusion::common::{DataFusionError, Result as PlanResult, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner, RelationPlanner, TypePlanner};
use datafusion::logical_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, TableSource, WindowUDF};
use datafusion::sql::planner::{ParserOptions, SqlToRel};
use datafusion::sql::sqlparser::ast::{Query, Statement as SqlStatement};

use super::Planner;
use super::names::prepare;
use super::physical::rename;
use super::windows::WindowRelations;
use crate::catalog::{Body, Catalog, Object, Relation, Repeated, RunningQuery, topic_relation, view_relation};
use crate::error::{SqlError, SqlState};
use crate::ports::Topics;
use crate::query::{ScanCounts, ScanLimits, TopicTable, ViewReader, ViewTable};
use crate::sql::types::Types;

/// Views within views; more is a chain that nobody wrote by hand.
const VIEW_DEPTH_MAX: usize = 32;

/// The names that a statement sees.
pub(crate) struct Scope<'a> {
    /// Objects.
    pub(crate) catalog: &'a Catalog,
    /// Topics, which are relations without any declaration.
    pub(crate) topics: &'a dyn Topics,
    /// Rows of materialized views.
    pub(crate) views: &'a dyn ViewReaders,
    /// Whether topics are read up to the last stable offset or beyond it, where this does not follow their sources.
    pub(crate) committed_only: Option<bool>,
    /// Bounds of reading topics.
    pub(crate) limits: ScanLimits,
    /// What reading topics counts.
    pub(crate) counts: ScanCounts,
}

/// Where readers of materialized views come from.
pub(crate) trait ViewReaders {
    /// A reader of a materialized view with a key; an error where the view does not run.
    fn reader(&self, view: &str) -> Result<ViewReader, SqlError>;
}

/// What a plan is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A SELECT that ends.
    Bounded,
    /// A query that runs on.
    Streaming,
}

/// The context of one statement.
pub(super) struct PlanContext<'a> {
    planner: &'a Planner,
    scope: &'a Scope<'a>,
    mode: Mode,
    with_metadata: bool,
    depth: usize,
    /// The materialized view whose query is planned here, as the first of those that were named.
    repeated: Option<Arc<Repeated>>,
    used: RefCell<BTreeSet<String>>,
    relation_planners: Vec<Arc<dyn RelationPlanner>>,
}

impl<'a> PlanContext<'a> {
    pub(super) fn new(planner: &'a Planner, scope: &'a Scope<'a>, mode: Mode, with_metadata: bool) -> Self {
        Self {
            planner,
            scope,
            mode,
            with_metadata,
            depth: 0,
            repeated: None,
            used: RefCell::default(),
            relation_planners: vec![Arc::new(WindowRelations)],
        }
    }

    /// DataFusion's planner over this context.
    pub(super) fn planner(&self) -> SqlToRel<'_, Self> {
        SqlToRel::new_with_options(self, ParserOptions::from(&self.options().sql_parser))
    }

    /// Names of the objects that were referred to, sorted.
    pub(super) fn used(&self) -> Vec<String> {
        self.used.borrow().iter().cloned().collect()
    }

    fn object(&self, object: &Arc<Object>) -> PlanResult<Arc<dyn TableProvider>> {
        self.used.borrow_mut().insert(object.name.clone());
        match &object.body {
            Body::Source(relation) => Ok(self.topic_table(self.isolated(relation.clone()))),
            Body::View { query, columns, .. } => self.inline(object, query, columns, None),
            Body::MaterializedView(view) => self.materialized(object, view),
            Body::Sink(_) => Err(external(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("\"{}\" is a sink; sinks cannot be read", object.name),
            ))),
            Body::Broken { reason, .. } => Err(external(SqlError::new(
                SqlState::NOT_IN_STATE,
                format!("\"{}\" could not be restored: {reason}", object.name),
            ))),
        }
    }

    /// The relation under the isolation of the statement, or of the view that is repeated. What a materialized view has
    /// not committed is never read.
    fn isolated(&self, mut relation: Arc<Relation>) -> Arc<Relation> {
        let repeated = self.repeated.as_ref().map(|repeated| repeated.committed_only);
        if let Some(committed_only) = repeated.or(self.scope.committed_only) {
            Arc::make_mut(&mut relation).options.committed_only = committed_only;
        }
        relation
    }

    fn topic_table(&self, relation: Arc<Relation>) -> Arc<dyn TableProvider> {
        let Scope { limits, counts, .. } = self.scope;
        let topic = relation.open(self.scope.topics);
        let table = TopicTable::new(relation, topic, self.with_metadata, limits.clone(), counts.clone());
        Arc::new(table.repeating(self.repeated.clone()))
    }

    /// A materialized view: its rows in a SELECT; its topic in a stream, where rows are never changed; else its query,
    /// maintained once more over the records that it reads itself.
    fn materialized(&self, object: &Arc<Object>, view: &Arc<RunningQuery>) -> PlanResult<Arc<dyn TableProvider>> {
        let output = &view.plan.output;
        let from_topic = view.append_only && (self.mode == Mode::Streaming || output.key.is_empty());
        if from_topic {
            let relation = view_relation(&object.name, &object.name, &output.schema, view.window_end);
            return Ok(self.topic_table(Arc::new(relation)));
        }
        if self.mode == Mode::Streaming {
            let repeated = Repeated {
                view: object.name.clone(),
                bounds: view.stored.bounds.clone(),
                committed_only: view.plan.source.committed_only,
            };
            return self.inline(object, &view.query.query, &view.columns, Some(Arc::new(repeated)));
        }
        let reader = self.scope.views.reader(&object.name).map_err(external)?;
        Ok(Arc::new(ViewTable::new(
            output.schema.clone(),
            reader,
            self.scope.limits.clone(),
        )))
    }

    /// The plan of a view's query in place of the view.
    fn inline(
        &self,
        object: &Object,
        query: &Query,
        columns: &[String],
        repeated: Option<Arc<Repeated>>,
    ) -> PlanResult<Arc<dyn TableProvider>> {
        if VIEW_DEPTH_MAX <= self.depth {
            let error = SqlError::new(
                SqlState::TOO_COMPLEX,
                format!("views are nested more than {VIEW_DEPTH_MAX} deep"),
            );
            return Err(external(error));
        }
        let mut query = query.clone();
        let mentions = prepare(&mut query, self.scope.catalog, &[]).map_err(external)?;
        let inner = Self {
            depth: self.depth + 1,
            repeated: self.repeated.clone().or(repeated),
            ..Self::new(self.planner, self.scope, self.mode, mentions)
        };
        let plan = inner
            .planner()
            .sql_statement_to_plan(SqlStatement::Query(Box::new(query)))?;
        self.used.borrow_mut().extend(inner.used());
        let plan = rename(plan, columns)?;
        Ok(Arc::new(InlinedView::new(plan, Some(object.sql.clone()))))
    }

    fn missing(&self, name: &str) -> DataFusionError {
        let topics = self.scope.topics.list();
        let known = self
            .scope
            .catalog
            .names()
            .chain(topics.iter().filter(|t| !t.internal).map(|t| t.name.as_ref()));
        let near = crate::sql::nearest(name, known).map(|near| format!("did you mean \"{near}\"?"));
        let error = SqlError::undefined_table(name);
        external(match near {
            Some(hint) => error.with_hint(hint),
            None => error.with_hint("SHOW SOURCES, SHOW VIEWS and SHOW TOPICS list what can be read"),
        })
    }
}

/// Our error inside of DataFusion's.
pub(crate) fn external(error: SqlError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

impl ContextProvider for PlanContext<'_> {
    fn get_table_source(&self, reference: TableReference) -> PlanResult<Arc<dyn TableSource>> {
        let name = match &reference {
            TableReference::Bare { table } => table.as_ref(),
            TableReference::Partial { schema, table } if schema.as_ref() == "public" => table.as_ref(),
            other => {
                let error = SqlError::undefined_table(&other.to_string()).with_hint(
                    "there are no schemas; a name with dots must be quoted as a whole, such as \"my.topic\"",
                );
                return Err(external(error));
            }
        };
        let provider = match self.scope.catalog.find(name) {
            Some(object) => self.object(object)?,
            None if self.scope.topics.exists(name) => self.topic_table(self.isolated(Arc::new(topic_relation(name)))),
            None => return Err(self.missing(name)),
        };
        Ok(provider_as_source(provider))
    }

    fn create_cte_work_table(&self, name: &str, schema: SchemaRef) -> PlanResult<Arc<dyn TableSource>> {
        use datafusion::catalog::cte_worktable::CteWorkTable;
        Ok(provider_as_source(Arc::new(CteWorkTable::new(name, schema))))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.planner.state.expr_planners()
    }

    fn get_relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        &self.relation_planners
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(Arc::new(Types))
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.planner.state.scalar_functions().get(name).cloned()
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.planner.state.higher_order_functions().get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.planner.state.aggregate_functions().get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.planner.state.window_functions().get(name).cloned()
    }

    fn get_variable_type(&self, _variable_names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.planner.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        self.planner.state.scalar_functions().keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        self.planner.state.higher_order_functions().keys().cloned().collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.planner.state.aggregate_functions().keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.planner.state.window_functions().keys().cloned().collect()
    }
}
