//! A materialized view or sink before it exists: planned, bounded, not yet stored.

use std::sync::Arc;

use super::topics::topic_name;
use super::{Engine, SessionSettings, SqlError, bounds, plan_error};
use crate::catalog::{Body, Catalog, RunningQuery, StoredQuery};
use crate::plan::graph::OutputTarget;
use crate::plan::{Planned, StreamRequest, plan_stream};
use crate::sql::statement::{CreateQuery, CreateSink, ObjectKind, SinkInput, StreamQuery};
use crate::sql::types::type_name;
use crate::sql::{QueryOptions, SETTINGS, SettingValues, SinkConnector, SinkOptions};

/// A materialized view or sink before it exists.
pub(super) struct Draft {
    pub(super) name: String,
    kind: ObjectKind,
    query: StreamQuery,
    columns: Vec<String>,
    pub(super) options: QueryOptions,
    pub(super) planned: Planned,
    pub(super) stored: StoredQuery,
}

impl Draft {
    /// What the catalog keeps of it.
    pub(super) fn body(&self) -> Body {
        let query = Arc::new(RunningQuery {
            stored: self.stored.clone(),
            query: self.query.clone(),
            columns: self.columns.clone(),
            options: self.options.clone(),
            plan: Arc::new(self.planned.plan.clone()),
            append_only: self.planned.append_only,
            window_end: self.planned.window_end,
        });
        match self.kind {
            ObjectKind::Sink => Body::Sink(query),
            _ => Body::MaterializedView(query),
        }
    }
}

impl Engine {
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
        let target = OutputTarget::View {
            topic: view.name.clone(),
        };
        let request = StreamRequest {
            name: &view.name,
            query: &view.query,
            columns: &view.columns,
            target,
            key: &[],
        };
        let scope = self.scope_under(catalog, &options);
        let planned = plan_stream(&self.planner, &scope, &request).map_err(|e| plan_error(&e, sql))?;
        Ok(Draft {
            name: view.name.clone(),
            kind: ObjectKind::MaterializedView,
            query: view.query.clone(),
            columns: view.columns.clone(),
            options,
            stored: self.new_stored(&settings, &planned),
            planned,
        })
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
        };
        let scope = self.scope_under(catalog, &options.query);
        let planned = plan_stream(&self.planner, &scope, &request).map_err(|e| plan_error(&e, sql))?;
        Ok(Draft {
            name: sink.name.clone(),
            kind: ObjectKind::Sink,
            query,
            columns: Vec::new(),
            options: options.query,
            stored: self.new_stored(&settings, &planned),
            planned,
        })
    }

    /// What is stored of a new definition, before its bounds and its topics are known.
    fn new_stored(&self, settings: &SettingValues, planned: &Planned) -> StoredQuery {
        StoredQuery {
            id: self.ports.ids.new_id().to_string(),
            generation: 1,
            bounds: Default::default(),
            settings: SETTINGS
                .iter()
                .filter_map(|setting| Some(((*setting).to_owned(), settings.text(setting)?.to_owned())))
                .collect(),
            columns: result_columns(planned),
            owns: Vec::new(),
        }
    }

    /// Resolves where the query begins and ends.
    #[expect(
        clippy::disallowed_methods,
        reason = "looking up a time reads the disk; a panic becomes an error here"
    )]
    pub(super) async fn resolve_bounds(&self, draft: &mut Draft) -> Result<(), SqlError> {
        let relation = draft.planned.relation.clone();
        let topic = relation.open(&*self.ports.topics)?;
        let repeated = draft.planned.repeated.clone();
        let committed_only = draft.planned.plan.source.committed_only;
        let resolve = move || match repeated {
            Some(view) => bounds::repeat(&view, &topic),
            None => bounds::resolve(&relation.options, &topic, committed_only),
        };
        let bounds = tokio::task::spawn_blocking(resolve)
            .await
            .map_err(|e| SqlError::internal(e.to_string()))??;
        draft.planned.bind(&bounds);
        draft.stored.bounds = bounds;
        Ok(())
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
    fields
        .iter()
        .map(|f| (f.name().clone(), type_name(f.data_type())))
        .collect()
}

fn shown(columns: &[(String, String)]) -> String {
    let columns: Vec<String> = columns
        .iter()
        .map(|(name, sql_type)| format!("{name} {sql_type}"))
        .collect();
    format!("({})", columns.join(", "))
}
