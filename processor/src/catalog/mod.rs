//! What SQL names mean: sources, views, materialized views and sinks.
//!
//! A [`Catalog`] is one immutable picture; a statement works on the picture that it found, and a change makes a new one.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::sql::sqlparser::ast::Query;

use crate::plan::graph::{ErrorPolicy, StreamPlan};
use crate::sql::statement::{ObjectKind, Statement, StreamQuery};
use crate::sql::{QueryOptions, parse};

mod relation;
mod source;
mod stored;

pub(crate) use relation::{METADATA_COLUMNS, Relation, is_metadata};
pub(crate) use source::{declared_relation, topic_relation, view_relation};
pub(crate) use stored::{Bounds, Repeated, Stored, StoredQuery};

/// All objects, by name. Names are unique over all kinds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Catalog {
    objects: BTreeMap<String, Arc<Object>>,
}

/// One object.
#[derive(Debug)]
pub(crate) struct Object {
    /// Its name.
    pub(crate) name: String,
    /// The statement that made it.
    pub(crate) sql: String,
    /// Objects that it refers to, sorted.
    pub(crate) uses: Vec<String>,
    /// What it is.
    pub(crate) body: Body,
}

/// What an object is.
#[derive(Debug)]
pub(crate) enum Body {
    /// A declared source.
    Source(Arc<Relation>),
    /// A named query.
    View {
        /// The query, result columns renamed as the statement says.
        query: Box<Query>,
        /// Its columns.
        schema: SchemaRef,
        /// New names of the columns, or none.
        columns: Vec<String>,
    },
    /// A maintained query.
    MaterializedView(Arc<RunningQuery>),
    /// A query whose rows go somewhere.
    Sink(Arc<RunningQuery>),
    /// An object that was stored and cannot be restored. It can be seen and dropped.
    Broken {
        /// What it was.
        kind: ObjectKind,
        /// Why it cannot be restored.
        reason: String,
        /// What its query left behind.
        stored: Option<StoredQuery>,
    },
}

impl Body {
    /// A broken object; its kind is told from its statement.
    pub(crate) fn broken(sql: &str, stored: Option<StoredQuery>, reason: String) -> Self {
        let kind = match parse(sql, usize::MAX) {
            Ok(Statement::CreateSource(_)) => ObjectKind::Source,
            Ok(Statement::CreateMaterializedView(_)) => ObjectKind::MaterializedView,
            Ok(Statement::CreateSink(_)) => ObjectKind::Sink,
            _ => ObjectKind::View,
        };
        Self::Broken { kind, reason, stored }
    }
}

/// The definition of a materialized view or sink.
#[derive(Debug)]
pub(crate) struct RunningQuery {
    /// Identity and bounds, kept over restarts.
    pub(crate) stored: StoredQuery,
    /// The query with its streaming clauses.
    pub(crate) query: StreamQuery,
    /// New names of the columns, or none.
    pub(crate) columns: Vec<String>,
    /// Options of the query.
    pub(crate) options: QueryOptions,
    /// What runs.
    pub(crate) plan: Arc<StreamPlan>,
    /// True where the output is an append stream: rows are never changed.
    pub(crate) append_only: bool,
    /// Column of the output that is the end of a row's window.
    pub(crate) window_end: Option<usize>,
}

impl Object {
    /// The object's kind.
    pub(crate) fn kind(&self) -> ObjectKind {
        match &self.body {
            Body::Source(_) => ObjectKind::Source,
            Body::View { .. } => ObjectKind::View,
            Body::MaterializedView(_) => ObjectKind::MaterializedView,
            Body::Sink(_) => ObjectKind::Sink,
            Body::Broken { kind, .. } => *kind,
        }
    }

    /// What is stored of the object's query, if it has one.
    pub(crate) fn stored(&self) -> Option<&StoredQuery> {
        match &self.body {
            Body::MaterializedView(query) | Body::Sink(query) => Some(&query.stored),
            Body::Broken { stored, .. } => stored.as_ref(),
            _ => None,
        }
    }

    /// True where so little of a stored object could be read that it is not known what it owns.
    pub(crate) fn is_unreadable(&self) -> bool {
        let Body::Broken { kind, stored: None, .. } = &self.body else {
            return false;
        };
        self.sql.is_empty() || matches!(kind, ObjectKind::MaterializedView | ObjectKind::Sink)
    }

    /// The query that runs for the object, if one does.
    pub(crate) fn running(&self) -> Option<&Arc<RunningQuery>> {
        match &self.body {
            Body::MaterializedView(query) | Body::Sink(query) => Some(query),
            _ => None,
        }
    }
}

impl Catalog {
    /// The object of that name.
    pub(crate) fn find(&self, name: &str) -> Option<&Arc<Object>> {
        self.objects.get(name)
    }

    /// All objects, by name.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.objects.values()
    }

    /// Names of all objects.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.objects.keys().map(String::as_str)
    }

    /// Materialized views and sinks.
    pub(crate) fn running(&self) -> impl Iterator<Item = (&Arc<Object>, &Arc<RunningQuery>)> {
        self.objects
            .values()
            .filter_map(|object| Some((object, object.running()?)))
    }

    /// Adds or replaces an object.
    pub(crate) fn put(&mut self, object: Object) {
        self.objects.insert(object.name.clone(), Arc::new(object));
    }

    /// Removes an object.
    pub(crate) fn remove(&mut self, name: &str) {
        self.objects.remove(name);
    }

    /// Objects that refer to `name`, directly or through others, the farthest first: the order in which they can be
    /// dropped.
    pub(crate) fn dependents(&self, name: &str) -> Vec<Arc<Object>> {
        let mut found = Vec::new();
        self.collect_dependents(name, &mut found);
        found
    }

    fn collect_dependents(&self, name: &str, found: &mut Vec<Arc<Object>>) {
        for object in self.objects.values() {
            let direct = object.uses.iter().any(|used| used == name);
            if direct && !found.iter().any(|f| f.name == object.name) {
                self.collect_dependents(&object.name, found);
                found.push(object.clone());
            }
        }
    }
}

/// The words of an error policy, for DESCRIBE and EXPLAIN.
pub(crate) fn policy_words(policy: &ErrorPolicy) -> String {
    match policy {
        ErrorPolicy::Fail => "FAIL".to_owned(),
        ErrorPolicy::Skip => "SKIP".to_owned(),
        ErrorPolicy::Null => "NULL".to_owned(),
        ErrorPolicy::DeadLetter(topic) => format!("DLQ '{topic}'"),
    }
}
