//! `CREATE`: whole or not at all. What has to exist besides the object (topics) is made first and taken back when a
//! later step fails; the object counts as created once it is stored.

use std::sync::Arc;

use datafusion::common::{DFSchema, ToDFSchema};
use datafusion::logical_expr::ExprSchemable;
use protocol::ids::PartitionId;
use uuid::Uuid;

use super::{Engine, SessionSettings, SqlError, SqlState, StatementResult, bounds, command, plan_error, prepare};
use crate::catalog::{Body, Catalog, Object, Relation, RunningQuery, Stored, StoredQuery, declared_relation};
use crate::plan::graph::{ErrorPolicy, OutputTarget};
use crate::plan::{Mode, Planned, StreamRequest, plan_stream, watermark_expression};
use crate::ports::{PortError, StoredObject, TopicSpec};
use crate::runtime::{QuerySpec, Supervisor};
use crate::sql::statement::{CreateQuery, CreateSink, CreateSource, ObjectKind, SinkInput, StreamQuery};
use crate::sql::types::type_name;
use crate::sql::{QueryOptions, SETTINGS, SettingValues, SinkConnector, SinkOptions};

/// Longest name of a topic, and so of a materialized view.
const NAME_MAX: usize = 249;
/// Names that begin so belong to the engine.
const RESERVED_PREFIX: &str = "tidemill.";

/// A materialized view or sink before it exists.
pub(super) struct Draft {
    pub(super) name: String,
    kind: ObjectKind,
    query: StreamQuery,
    columns: Vec<String>,
    options: QueryOptions,
    pub(super) planned: Planned,
    stored: StoredQuery,
}

impl Draft {
    fn body(&self) -> Body {
        let query = Arc::new(RunningQuery {
            stored: self.stored.clone(),
            query: self.query.clone(),
            columns: self.columns.clone(),
            options: self.options.clone(),
            plan: Arc::new(self.planned.plan.clone()),
            append_only: self.planned.append_only,
        });
        match self.kind {
            ObjectKind::Sink => Body::Sink(query),
            _ => Body::MaterializedView(query),
        }
    }
}

impl Engine {
    pub(super) async fn create_source(&self, sql: &str, source: &CreateSource) -> Result<StatementResult, SqlError> {
        let mut order = self.changes.lock().await;
        if self.is_taken(&source.name, source.if_not_exists)? {
            return Ok(command("CREATE SOURCE"));
        }
        let relation = self.relation(sql, source)?;
        let body = Body::Source(Arc::new(relation));
        self.store(sql, &source.name, Vec::new(), body, None, &mut order).await?;
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

    pub(super) fn draft_view(
        &self,
        sql: &str,
        catalog: &Catalog,
        view: &CreateQuery,
        session: &SessionSettings,
    ) -> Result<Draft, SqlError> {
        topic_name(&view.name)?;
        let settings = session.values();
        let options = QueryOptions::bind(&view.options, &settings)?;
        let target = OutputTarget::View { topic: view.name.clone() };
        let request = StreamRequest {
            name: &view.name,
            query: &view.query,
            columns: &view.columns,
            target,
            key: &[],
            options: &options,
        };
        let planned = plan_stream(&self.planner, &self.scope(catalog), &request).map_err(|e| plan_error(&e, sql))?;
        Ok(draft(&view.name, ObjectKind::MaterializedView, &view.query, &view.columns, options, &settings, planned))
    }

    pub(super) fn draft_sink(
        &self,
        sql: &str,
        catalog: &Catalog,
        sink: &CreateSink,
        session: &SessionSettings,
    ) -> Result<Draft, SqlError> {
        let settings = session.values();
        let options = SinkOptions::bind(&sink.name, &sink.options, &settings)?;
        let target = match &options.connector {
            SinkConnector::Topic(topic) => {
                topic_name(topic)?;
                OutputTarget::Topic { topic: topic.clone() }
            }
            SinkConnector::Blackhole => OutputTarget::Blackhole,
        };
        let query = sink_query(catalog, &sink.input)?;
        let request = StreamRequest {
            name: &sink.name,
            query: &query,
            columns: &[],
            target,
            key: &options.key,
            options: &options.query,
        };
        let planned = plan_stream(&self.planner, &self.scope(catalog), &request).map_err(|e| plan_error(&e, sql))?;
        Ok(draft(&sink.name, ObjectKind::Sink, &query, &[], options.query, &settings, planned))
    }

    /// Resolves where the query begins and ends.
    pub(super) async fn resolve_bounds(&self, draft: &mut Draft) -> Result<(), SqlError> {
        let relation = draft.planned.relation.clone();
        let Some(topic) = self.ports.topics.find(&relation.topic) else {
            return Err(SqlError::undefined_table(&relation.topic).with_hint(format!(
                "the topic of \"{}\" does not exist; produce to it, or create it",
                relation.name
            )));
        };
        let committed_only = draft.planned.plan.source.committed_only;
        let bounds = tokio::task::spawn_blocking(move || bounds::resolve(&relation.options, &topic, committed_only))
            .await
            .map_err(|e| SqlError::internal(e.to_string()))??;
        draft.planned.bind(&bounds);
        draft.stored.bounds = bounds;
        Ok(())
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

    /// Creates the topics that the query writes and that do not exist. Answers with their names.
    async fn create_topics(&self, draft: &mut Draft) -> Result<Vec<String>, SqlError> {
        let mut created = Vec::new();
        for (spec, own) in self.topic_specs(draft)? {
            let name = spec.name.clone();
            match self.ports.topics.create(spec).await {
                Ok(_) => {
                    if own {
                        draft.stored.owns.push(name.clone());
                    }
                    created.push(name);
                }
                // Someone else was faster; a topic that is not ours alone may be shared.
                Err(PortError::TopicExists(_)) if !own => {}
                Err(error) => {
                    self.delete_topics(&created).await;
                    return Err(error.into());
                }
            }
        }
        Ok(created)
    }

    fn topic_specs(&self, draft: &Draft) -> Result<Vec<(TopicSpec, bool)>, SqlError> {
        let plan = &draft.planned.plan;
        let mut specs = Vec::new();
        match &plan.output.target {
            OutputTarget::View { topic } => {
                if self.ports.topics.find(topic).is_some() {
                    return Err(SqlError::new(SqlState::DUPLICATE_TABLE, format!("topic \"{topic}\" already exists"))
                        .with_hint("a materialized view has a topic of its own name; choose another name"));
                }
                let mut configs = Vec::new();
                if !plan.output.key.is_empty() {
                    configs.push(("cleanup.policy".to_owned(), "compact".to_owned()));
                }
                let partitions = Some(draft.options.partitions.unwrap_or_else(|| self.source_partitions(draft)));
                let owner = Some(draft.stored.id.clone());
                specs.push((TopicSpec { name: topic.clone(), partitions, configs, owner, internal: false }, true));
            }
            OutputTarget::Topic { topic } => {
                self.refuse_internal(topic)?;
                specs.extend(self.missing(topic, draft.options.partitions));
            }
            OutputTarget::Blackhole => {}
        }
        let dead_letters = match &plan.source.on_error {
            ErrorPolicy::DeadLetter(topic) => Some(topic),
            _ => None,
        };
        for topic in plan.late_topic.iter().chain(dead_letters) {
            topic_name(topic)?;
            self.refuse_internal(topic)?;
            specs.extend(self.missing(topic, None));
        }
        Ok(specs)
    }

    fn source_partitions(&self, draft: &Draft) -> PartitionId {
        let topic = self.ports.topics.find(&draft.planned.relation.topic);
        topic.and_then(|t| PartitionId::try_from(t.partitions.len()).ok()).unwrap_or(1)
    }

    fn missing(&self, topic: &str, partitions: Option<PartitionId>) -> Option<(TopicSpec, bool)> {
        if self.ports.topics.find(topic).is_some() {
            return None;
        }
        let spec = TopicSpec { name: topic.to_owned(), partitions, configs: Vec::new(), owner: None, internal: false };
        Some((spec, false))
    }

    fn refuse_internal(&self, topic: &str) -> Result<(), SqlError> {
        let owner = self.catalog().running().find(|(_, q)| q.stored.owns.iter().any(|t| t == topic)).map(|(o, _)| o.name.clone());
        if let Some(owner) = owner {
            return Err(SqlError::new(
                SqlState::OBJECT_IN_USE,
                format!("topic \"{topic}\" belongs to materialized view \"{owner}\", which alone may write it"),
            ));
        }
        match self.ports.topics.find(topic) {
            Some(handle) if handle.internal => {
                Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, format!("topic \"{topic}\" is internal")))
            }
            _ => Ok(()),
        }
    }

    pub(super) async fn delete_topics(&self, topics: &[String]) {
        for topic in topics {
            if let Err(error) = self.ports.topics.delete(topic).await {
                tracing::warn!(topic, %error, "topic of a dropped or failed query was not deleted");
            }
        }
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
        let object = StoredObject { name: name.to_owned(), payload: stored.encode() };
        self.ports.catalog.put(object).await?;
        *order += 1;
        self.change_catalog(|catalog| catalog.put(Object { name: name.to_owned(), sql, uses, body }));
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
        config.memory_limit = query.options.memory_limit.unwrap_or(config.memory_limit);
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
        Self {
            changelog: format!("tidemill.changelog.{incarnation}"),
            transactional_id: format!("tidemill.query.{incarnation}"),
            group: format!("tidemill.query.{name}"),
            state_folder: incarnation,
        }
    }
}

/// The query that a sink runs. `FROM view` follows the view: its topic where its rows are never changed, else its
/// query, maintained once more with the same emission.
fn sink_query(catalog: &Catalog, input: &SinkInput) -> Result<StreamQuery, SqlError> {
    let name = match input {
        SinkInput::Query(query) => return Ok(query.clone()),
        SinkInput::From(name) => name,
    };
    let view = catalog.find(name).and_then(|object| match &object.body {
        Body::MaterializedView(view) => Some(view.clone()),
        _ => None,
    });
    let (emit, late_to) = match view {
        Some(view) if !view.append_only => (view.query.emit, None),
        _ => (None, None),
    };
    let quoted = name.replace('"', "\"\"");
    let select = format!("SELECT * FROM \"{quoted}\"");
    match crate::sql::parse(&select, select.len())? {
        crate::sql::statement::Statement::Query(query) => Ok(StreamQuery { query, emit, late_to }),
        _ => Err(SqlError::internal("a SELECT that is none")),
    }
}

fn draft(
    name: &str,
    kind: ObjectKind,
    query: &StreamQuery,
    columns: &[String],
    options: QueryOptions,
    settings: &SettingValues,
    planned: Planned,
) -> Draft {
    let stored = StoredQuery {
        id: Uuid::new_v4().to_string(),
        generation: 1,
        bounds: Default::default(),
        settings: SETTINGS
            .iter()
            .filter_map(|setting| Some(((*setting).to_owned(), settings.text(setting)?.to_owned())))
            .collect(),
        columns: result_columns(&planned),
        owns: Vec::new(),
    };
    Draft { name: name.to_owned(), kind, query: query.clone(), columns: columns.to_vec(), options, planned, stored }
}

impl Draft {
    /// Takes over what was stored when the query was created: identity, bounds, topics. The types of the result must be
    /// what they were.
    pub(super) fn restored(mut self, stored: StoredQuery) -> Result<Body, String> {
        let columns = result_columns(&self.planned);
        if columns != stored.columns {
            return Err(format!(
                "its result would be {} in this release, it was {}; drop it and create it again",
                shown(&columns),
                shown(&stored.columns)
            ));
        }
        self.planned.bind(&stored.bounds);
        self.stored = stored;
        Ok(self.body())
    }
}

fn result_columns(planned: &Planned) -> Vec<(String, String)> {
    let fields = planned.plan.output.schema.fields();
    fields.iter().map(|f| (f.name().clone(), type_name(f.data_type()))).collect()
}

fn shown(columns: &[(String, String)]) -> String {
    let columns: Vec<String> = columns.iter().map(|(name, sql_type)| format!("{name} {sql_type}")).collect();
    format!("({})", columns.join(", "))
}

/// The statement as it is kept: without the semicolon.
fn statement_text(sql: &str) -> String {
    sql.trim().trim_end_matches(';').trim_end().to_owned()
}

/// Checks the name of a topic that the query is to write.
fn topic_name(name: &str) -> Result<(), SqlError> {
    let invalid = |reason: String| Err(SqlError::new(SqlState::INVALID_NAME, format!("\"{name}\" cannot be the name of a topic: {reason}")));
    if name.is_empty() || name == "." || name == ".." {
        return invalid("it names nothing".to_owned());
    }
    if NAME_MAX < name.len() {
        return invalid(format!("it has more than {NAME_MAX} characters"));
    }
    if let Some(wrong) = name.chars().find(|c| !c.is_ascii_alphanumeric() && !"._-".contains(*c)) {
        return invalid(format!("it contains '{wrong}'; letters, digits, '.', '_' and '-' are allowed"));
    }
    if name.starts_with(RESERVED_PREFIX) || name.starts_with("__") {
        return invalid("the prefixes \"tidemill.\" and \"__\" are reserved".to_owned());
    }
    Ok(())
}
