//! `CREATE`: whole or not at all. What has to exist besides the object (topics) is made first and taken back when a
//! later step fails; the object counts as created once it is stored.

use std::sync::Arc;

use datafusion::common::{DFSchema, ToDFSchema};
use datafusion::logical_expr::ExprSchemable;

use super::draft::Draft;
use super::{Engine, SessionSettings, SqlError, SqlState, StatementResult, command, plan_error, prepare};
use crate::catalog::{Body, Object, Relation, Stored, StoredQuery, declared_relation};
use crate::crash;
use crate::plan::{Mode, watermark_expression};
use crate::ports::{OwnedTopic, StoredObject};
use crate::runtime::{QuerySpec, Supervisor};
use crate::sql::statement::{CreateQuery, CreateSink, CreateSource};

impl Engine {
    pub(super) async fn create_source(&self, sql: &str, source: &CreateSource) -> Result<StatementResult, SqlError> {
        let mut order = self.changes.lock().await;
        if self.is_taken(&source.name, source.if_not_exists)? {
            return Ok(command("CREATE SOURCE"));
        }
        let relation = self.relation(sql, source)?;
        let body = Body::Source(Arc::new(relation));
        self.store(sql, &source.name, Vec::new(), body, None, &mut order)
            .await?;
        Ok(command("CREATE SOURCE"))
    }

    pub(super) async fn create_view(&self, sql: &str, view: &CreateQuery) -> Result<StatementResult, SqlError> {
        let mut order = self.changes.lock().await;
        if self.is_taken(&view.name, view.if_not_exists)? {
            return Ok(command("CREATE VIEW"));
        }
        let (body, uses) = self.view_body(sql, view)?;
        self.store(sql, &view.name, uses, body, None, &mut order).await?;
        Ok(command("CREATE VIEW"))
    }

    pub(super) async fn create_materialized_view(
        &self,
        sql: &str,
        view: &CreateQuery,
        session: &SessionSettings,
    ) -> Result<StatementResult, SqlError> {
        let mut order = self.changes.lock().await;
        if !self.is_taken(&view.name, view.if_not_exists)? {
            let draft = self.draft_view(sql, &self.catalog(), view, session)?;
            self.create_query(sql, draft, &mut order).await?;
        }
        Ok(command("CREATE MATERIALIZED VIEW"))
    }

    pub(super) async fn create_sink(
        &self,
        sql: &str,
        sink: &CreateSink,
        session: &SessionSettings,
    ) -> Result<StatementResult, SqlError> {
        let mut order = self.changes.lock().await;
        if !self.is_taken(&sink.name, sink.if_not_exists)? {
            let draft = self.draft_sink(sql, &self.catalog(), sink, session)?;
            self.create_query(sql, draft, &mut order).await?;
        }
        Ok(command("CREATE SINK"))
    }

    /// The relation of a source, with its watermark planned.
    pub(super) fn relation(&self, sql: &str, source: &CreateSource) -> Result<Relation, SqlError> {
        let relation = declared_relation(source)?;
        let Some(watermark) = source.watermark.as_ref().and_then(|w| w.expression.as_ref()) else {
            return Ok(relation);
        };
        let schema: DFSchema = relation
            .schema(true)
            .to_dfschema()
            .map_err(|e| SqlError::internal(e.to_string()))?;
        let catalog = self.catalog();
        let planned = watermark_expression(&self.planner, &self.scope(&catalog), watermark, &schema)
            .and_then(|expr| Ok((expr.get_type(&schema)?, expr)))
            .map_err(|e| plan_error(&e, sql))?;
        relation.with_watermark(planned.1, &planned.0)
    }

    /// A plain view, planned once to see that it can be.
    pub(super) fn view_body(&self, sql: &str, view: &CreateQuery) -> Result<(Body, Vec<String>), SqlError> {
        let catalog = self.catalog();
        let mut query = view.query.query.as_ref().clone();
        let mentions = prepare(&mut query, &catalog, &[])?;
        let (plan, uses) = self
            .planner
            .query(&self.scope(&catalog), Mode::Streaming, &query, mentions)
            .and_then(|(plan, uses)| Ok((crate::plan::rename(plan, &view.columns)?, uses)))
            .map_err(|e| plan_error(&e, sql))?;
        let body = Body::View {
            query: view.query.query.clone(),
            schema: Arc::new(plan.schema().as_arrow().clone()),
            columns: view.columns.clone(),
        };
        Ok((body, uses))
    }

    async fn create_query(&self, sql: &str, mut draft: Draft, order: &mut u64) -> Result<(), SqlError> {
        let count = self.catalog().running().count();
        if self.config.max_queries <= count {
            return Err(SqlError::new(
                SqlState::CONFIGURATION_LIMIT,
                format!("{count} queries run already, which is the limit"),
            )
            .with_hint("drop a materialized view or sink, or raise the limit in the configuration"));
        }
        self.resolve_bounds(&mut draft).await?;
        let created = self.create_topics(&mut draft).await?;
        crash::pass(crash::BEFORE_OBJECT_STORED);
        let body = draft.body();
        let stored = draft.stored.clone();
        let uses = draft.planned.uses.clone();
        if let Err(error) = self.store(sql, &draft.name, uses, body, Some(stored), order).await {
            self.delete_topics(&created).await;
            return Err(error);
        }
        self.launch(&draft.name);
        Ok(())
    }

    /// Stores an object and puts it into the catalog.
    async fn store(
        &self,
        sql: &str,
        name: &str,
        uses: Vec<String>,
        body: Body,
        query: Option<StoredQuery>,
        order: &mut u64,
    ) -> Result<(), SqlError> {
        let sql = statement_text(sql);
        let stored = Stored::new(sql.clone(), *order, query);
        let object = StoredObject {
            name: name.to_owned(),
            payload: stored.encode(),
        };
        self.ports.catalog.put(object).await?;
        *order += 1;
        self.change_catalog(|catalog| {
            catalog.put(Object {
                name: name.to_owned(),
                sql,
                uses,
                body,
            })
        });
        Ok(())
    }

    /// Starts the query of an object in the catalog.
    pub(super) fn launch(&self, name: &str) {
        let catalog = self.catalog();
        let Some(query) = catalog.find(name).and_then(|object| object.running()) else {
            return;
        };
        let mut config = self.config.clone();
        config.epoch_interval = query.options.epoch_interval.unwrap_or(config.epoch_interval);
        config.query_memory_bytes_max = query.options.memory_limit.unwrap_or(config.query_memory_bytes_max);
        let names = QueryNames::new(name, &query.stored);
        let spec = QuerySpec {
            name: name.to_owned(),
            id: query.stored.id.clone(),
            generation: query.stored.generation,
            plan: query.plan.clone(),
            changelog_topic: names.changelog,
            transactional_id: names.transactional_id,
            group: names.group,
        };
        let handle = Supervisor::start(spec, self.ports.clone(), &config);
        self.running().insert(name.to_owned(), Arc::new(handle));
    }

    /// True where the statement has nothing to do because the object exists.
    fn is_taken(&self, name: &str, if_not_exists: bool) -> Result<bool, SqlError> {
        if name.is_empty() {
            return Err(SqlError::new(SqlState::INVALID_NAME, "a name cannot be empty"));
        }
        match (self.catalog().find(name).is_some(), if_not_exists) {
            (true, false) => Err(SqlError::duplicate_table(name)),
            (taken, _) => Ok(taken),
        }
    }
}

const CHANGELOG_PREFIX: &str = "tidemill.changelog.";

/// Names that a query has outside of SQL.
pub(super) struct QueryNames {
    pub(super) changelog: String,
    pub(super) transactional_id: String,
    pub(super) group: String,
    pub(super) state_folder: String,
}

impl QueryNames {
    pub(super) fn new(name: &str, stored: &StoredQuery) -> Self {
        let incarnation = format!("{}-{}", stored.id, stored.generation);
        Self::of_incarnation(name, &incarnation)
    }

    fn of_incarnation(name: &str, incarnation: &str) -> Self {
        Self {
            changelog: format!("{CHANGELOG_PREFIX}{incarnation}"),
            transactional_id: format!("tidemill.query.{incarnation}"),
            group: format!("tidemill.query.{name}"),
            state_folder: incarnation.to_owned(),
        }
    }

    /// The names of the query that has this changelog; its owner is the query's name. `None` for any other topic.
    pub(super) fn of_changelog(topic: &OwnedTopic) -> Option<Self> {
        let incarnation = topic.name.strip_prefix(CHANGELOG_PREFIX)?;
        Some(Self::of_incarnation(&topic.owner, incarnation))
    }
}

/// The statement as it is kept: without the semicolon.
fn statement_text(sql: &str) -> String {
    sql.trim().trim_end_matches(';').trim_end().to_owned()
}
