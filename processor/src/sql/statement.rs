//! What a statement says, before any name is looked up.

use std::time::Duration;

use datafusion::sql::sqlparser::ast::{DataType as SqlType, Expr, Query};

/// A statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Statement {
    /// `CREATE SOURCE`.
    CreateSource(Box<CreateSource>),
    /// `CREATE MATERIALIZED VIEW`.
    CreateMaterializedView(Box<CreateQuery>),
    /// `CREATE VIEW`.
    CreateView(Box<CreateQuery>),
    /// `CREATE SINK`.
    CreateSink(Box<CreateSink>),
    /// `DROP`.
    Drop(Drop),
    /// `SHOW` of a list.
    Show(ShowList),
    /// `SHOW CREATE name`.
    ShowCreate(String),
    /// `SHOW setting`.
    ShowSetting(String),
    /// `DESCRIBE name`.
    Describe(String),
    /// `EXPLAIN [VERBOSE] statement`.
    Explain {
        /// With keys, parallelism and state tables of every operator, and options.
        verbose: bool,
        /// What to explain.
        statement: Box<Statement>,
    },
    /// `SET name = value`; the value as text, `DEFAULT` as nothing.
    Set {
        /// The setting.
        name: String,
        /// Its value.
        value: Option<String>,
    },
    /// `SELECT`, `VALUES`, `WITH`, `TABLE`: a bounded query.
    Query(Box<Query>),
}

/// `CREATE SOURCE`.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateSource {
    /// Its name.
    pub name: String,
    /// Says nothing when the name is taken.
    pub if_not_exists: bool,
    /// Columns, in order.
    pub columns: Vec<ColumnDefinition>,
    /// `WATERMARK FOR`.
    pub watermark: Option<Watermark>,
    /// `WITH (...)`.
    pub options: Vec<SqlOption>,
    /// `ON ERROR`.
    pub on_error: Option<OnError>,
}

/// A column of a source.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnDefinition {
    /// Its name.
    pub name: String,
    /// Its type.
    pub data_type: SqlType,
    /// `NOT NULL`.
    pub not_null: bool,
}

/// `WATERMARK FOR column [AS expression]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Watermark {
    /// The event-time column.
    pub column: String,
    /// The watermark that a row proposes; the column itself where nothing is said.
    pub expression: Option<Expr>,
}

/// `name = 'value'` in `WITH (...)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlOption {
    /// Lower-case name, parts joined by dots.
    pub name: String,
    /// The value as text.
    pub value: String,
    /// Where the name stands in the statement, in characters from 1.
    pub position: Option<usize>,
}

/// `ON ERROR`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnError {
    /// The query stops.
    Fail,
    /// The record is left out.
    Skip,
    /// The field becomes NULL.
    Null,
    /// The record goes to this topic.
    DeadLetter(String),
}

/// A query that is kept: `CREATE [MATERIALIZED] VIEW`.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateQuery {
    /// Its name.
    pub name: String,
    /// Says nothing when the name is taken.
    pub if_not_exists: bool,
    /// Names for the result columns, `CREATE VIEW v (a, b)`.
    pub columns: Vec<String>,
    /// The query.
    pub query: StreamQuery,
    /// `WITH (...)`.
    pub options: Vec<SqlOption>,
}

/// A query with its streaming clauses.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamQuery {
    /// The SELECT.
    pub query: Box<Query>,
    /// `EMIT`; the planner's default where nothing is said.
    pub emit: Option<EmitClause>,
    /// `LATE TO`.
    pub late_to: Option<String>,
}

/// `EMIT ON WINDOW CLOSE`, `EMIT ON UPDATE [EVERY interval]`, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmitClause {
    /// `ON WINDOW CLOSE`.
    pub on_close: bool,
    /// `ON UPDATE`; the inner value where `EVERY` says one.
    pub on_update: Option<Option<Duration>>,
}

/// `CREATE SINK`.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateSink {
    /// Its name.
    pub name: String,
    /// Says nothing when the name is taken.
    pub if_not_exists: bool,
    /// What it writes.
    pub input: SinkInput,
    /// `WITH (...)`.
    pub options: Vec<SqlOption>,
}

/// What a sink writes.
#[derive(Debug, Clone, PartialEq)]
pub enum SinkInput {
    /// `FROM name`.
    From(String),
    /// `AS SELECT ...`.
    Query(StreamQuery),
}

/// `DROP kind [IF EXISTS] name [CASCADE]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drop {
    /// The kind that the statement names.
    pub kind: ObjectKind,
    /// The object.
    pub name: String,
    /// Says nothing when there is no such object.
    pub if_exists: bool,
    /// Drops what depends on it, too.
    pub cascade: bool,
}

/// Kinds of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// A stream over a topic.
    Source,
    /// A named query.
    View,
    /// A maintained query.
    MaterializedView,
    /// A query whose rows go somewhere.
    Sink,
}

impl ObjectKind {
    /// Lower-case words, for messages.
    pub fn words(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::View => "view",
            Self::MaterializedView => "materialized view",
            Self::Sink => "sink",
        }
    }

    /// Upper-case words, for command tags.
    pub fn keywords(self) -> &'static str {
        match self {
            Self::Source => "SOURCE",
            Self::View => "VIEW",
            Self::MaterializedView => "MATERIALIZED VIEW",
            Self::Sink => "SINK",
        }
    }
}

/// What `SHOW` lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShowList {
    /// Sources.
    Sources,
    /// Topic tables.
    Tables,
    /// Views, materialized or not.
    Views,
    /// Sinks.
    Sinks,
    /// Running queries with their state and counters.
    Queries,
    /// Topics of the broker.
    Topics,
}
