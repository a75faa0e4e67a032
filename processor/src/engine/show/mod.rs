//! `SHOW` and `DESCRIBE`.

use std::sync::Arc;

use super::rows::{Values, result};
use super::{Engine, SessionSettings, SqlError, SqlState, StatementResult};
use crate::catalog::{Body, Object, Relation, is_metadata, policy_words, topic_relation};
use crate::plan::graph::{OutputTarget, SourceColumn};
use crate::ports::TopicHandle;
use crate::runtime::QueryStatus;
use crate::sql::SETTINGS;
use crate::sql::statement::ShowList;
use crate::sql::types::type_name;

mod queries;

impl Engine {
    /// `SHOW` of a list.
    pub(super) fn show(&self, list: ShowList) -> Result<StatementResult, SqlError> {
        match list {
            ShowList::Sources => self.show_sources(),
            // Topic tables do not exist yet: an empty list is the truth.
            ShowList::Tables => result("SHOW", vec![("name", Values::Text(Vec::new()))]),
            ShowList::Views => self.show_views(),
            ShowList::Sinks => self.show_sinks(),
            ShowList::Queries => self.show_queries(),
            ShowList::Topics => self.show_topics(),
        }
    }

    /// `SHOW CREATE name`: the statement as it was given.
    pub(super) fn show_create(&self, name: &str) -> Result<StatementResult, SqlError> {
        let catalog = self.catalog();
        let object = catalog.find(name).ok_or_else(|| SqlError::undefined_table(name))?;
        result(
            "SHOW",
            vec![
                ("name", Values::text([name])),
                ("statement", Values::text([object.sql.as_str()])),
            ],
        )
    }

    /// `SHOW setting`.
    pub(super) fn show_setting(&self, name: &str, session: &SessionSettings) -> Result<StatementResult, SqlError> {
        if !SETTINGS.contains(&name) {
            let error = SqlError::new(
                SqlState::UNDEFINED_OBJECT,
                format!("there is no setting or list \"{name}\""),
            );
            return Err(error.with_hint(format!("settings are {}", SETTINGS.join(", "))));
        }
        let value = session
            .values()
            .text(name)
            .map(str::to_owned)
            .or_else(|| self.default_setting(name));
        result("SHOW", vec![(name, Values::Text(vec![value]))])
    }

    fn default_setting(&self, name: &str) -> Option<String> {
        match name {
            "parallelism" => Some("1".to_owned()),
            "epoch_interval" => Some(format!("{} ms", self.config.epoch_interval.as_millis())),
            "memory_limit" => Some(format!("{} B", self.config.query_memory_bytes_max)),
            "isolation" => Some("read_committed".to_owned()),
            _ => None,
        }
    }

    fn show_sources(&self) -> Result<StatementResult, SqlError> {
        let catalog = self.catalog();
        let sources: Vec<(&Arc<Object>, &Arc<Relation>)> = catalog
            .objects()
            .filter_map(|object| match &object.body {
                Body::Source(relation) => Some((object, relation)),
                _ => None,
            })
            .collect();
        result(
            "SHOW",
            vec![
                ("name", Values::text(sources.iter().map(|(o, _)| o.name.as_str()))),
                ("topic", Values::text(sources.iter().map(|(_, r)| r.topic.as_str()))),
                ("format", Values::text(sources.iter().map(|_| "json"))),
                (
                    "event_time",
                    Values::text(sources.iter().map(|(_, r)| r.columns[r.event_time].name.as_str())),
                ),
                (
                    "on_error",
                    Values::text(sources.iter().map(|(_, r)| policy_words(&r.on_error))),
                ),
            ],
        )
    }

    fn show_views(&self) -> Result<StatementResult, SqlError> {
        let catalog = self.catalog();
        let views: Vec<&Arc<Object>> = catalog
            .objects()
            .filter(|object| matches!(object.kind().words(), "view" | "materialized view"))
            .collect();
        result(
            "SHOW",
            vec![
                ("name", Values::text(views.iter().map(|o| o.name.as_str()))),
                (
                    "materialized",
                    Values::Truth(views.iter().map(|o| o.kind().words() != "view").collect()),
                ),
                ("status", Values::Text(views.iter().map(|o| self.status(o)).collect())),
            ],
        )
    }

    fn show_sinks(&self) -> Result<StatementResult, SqlError> {
        let catalog = self.catalog();
        let sinks: Vec<&Arc<Object>> = catalog
            .objects()
            .filter(|object| object.kind().words() == "sink")
            .collect();
        let target = |object: &Arc<Object>| object.running().map(|query| query.plan.output.target.clone());
        result(
            "SHOW",
            vec![
                ("name", Values::text(sinks.iter().map(|o| o.name.as_str()))),
                (
                    "connector",
                    Values::Text(
                        sinks
                            .iter()
                            .map(|o| match target(o)? {
                                OutputTarget::Blackhole => Some("blackhole".to_owned()),
                                _ => Some("topic".to_owned()),
                            })
                            .collect(),
                    ),
                ),
                (
                    "topic",
                    Values::Text(
                        sinks
                            .iter()
                            .map(|o| match target(o)? {
                                OutputTarget::Topic { topic } | OutputTarget::View { topic } => Some(topic),
                                OutputTarget::Blackhole => None,
                            })
                            .collect(),
                    ),
                ),
                ("status", Values::Text(sinks.iter().map(|o| self.status(o)).collect())),
            ],
        )
    }

    fn show_topics(&self) -> Result<StatementResult, SqlError> {
        let topics: Vec<TopicHandle> = self.ports.topics.list().into_iter().filter(|t| !t.internal).collect();
        let number = |value: usize| i64::try_from(value).ok();
        let sum =
            |topic: &TopicHandle, of: fn(&storage::Log) -> i64| Some(topic.partitions.iter().map(|l| of(l)).sum());
        result(
            "SHOW",
            vec![
                ("name", Values::text(topics.iter().map(|t| t.name.as_ref()))),
                (
                    "partitions",
                    Values::Number(topics.iter().map(|t| number(t.partitions.len())).collect()),
                ),
                (
                    "offsets",
                    Values::Number(
                        topics
                            .iter()
                            .map(|t| {
                                sum(t, |log| {
                                    let marks = log.marks();
                                    marks.last_stable - marks.log_start
                                })
                            })
                            .collect(),
                    ),
                ),
                (
                    "bytes",
                    Values::Number(
                        topics
                            .iter()
                            .map(|t| sum(t, |log| i64::try_from(log.size_bytes()).unwrap_or(i64::MAX)))
                            .collect(),
                    ),
                ),
            ],
        )
    }

    /// `DESCRIBE name`: the columns of whatever can be read, and of sinks those that they write.
    pub(super) fn describe(&self, name: &str) -> Result<StatementResult, SqlError> {
        let catalog = self.catalog();
        let columns = match catalog.find(name).map(|object| &object.body) {
            Some(Body::Source(relation)) => relation_columns(relation),
            Some(Body::View { schema, .. }) => schema_columns(schema, &[]),
            Some(Body::MaterializedView(query) | Body::Sink(query)) => {
                schema_columns(&query.plan.output.schema, &query.plan.output.key)
            }
            Some(Body::Broken { reason, .. }) => {
                return Err(SqlError::new(
                    SqlState::NOT_IN_STATE,
                    format!("\"{name}\" could not be restored: {reason}"),
                ));
            }
            None if self.ports.topics.exists(name) => relation_columns(&topic_relation(name)),
            None => return Err(SqlError::undefined_table(name)),
        };
        result(
            "DESCRIBE",
            vec![
                ("column", Values::text(columns.iter().map(|c| c.name.as_str()))),
                ("type", Values::text(columns.iter().map(|c| c.sql_type.as_str()))),
                ("nullable", Values::Truth(columns.iter().map(|c| c.nullable).collect())),
                (
                    "note",
                    Values::Text(columns.iter().map(|c| c.note.map(str::to_owned)).collect()),
                ),
            ],
        )
    }

    /// The status of an object's query, in words.
    fn status(&self, object: &Object) -> Option<String> {
        if let Body::Broken { reason, .. } = &object.body {
            return Some(format!("FAILED: {reason}"));
        }
        object.running()?;
        let handle = self.running().get(&object.name).cloned();
        Some(match handle.map(|handle| handle.status()) {
            None => "STOPPED".to_owned(),
            Some(status) => status_words(&status).0.to_owned(),
        })
    }
}

/// A status as a word, and its reason.
fn status_words(status: &QueryStatus) -> (&'static str, Option<String>) {
    let reason = match status {
        QueryStatus::Running | QueryStatus::Finished => None,
        QueryStatus::Restarting { reason } | QueryStatus::Failed { reason } => Some(reason.clone()),
    };
    (status.name(), reason)
}

/// A column as DESCRIBE shows it.
struct Column {
    name: String,
    sql_type: String,
    nullable: bool,
    note: Option<&'static str>,
}

fn relation_columns(relation: &Relation) -> Vec<Column> {
    let columns = relation.columns.iter().enumerate();
    columns
        .map(|(index, column)| Column {
            name: column.name.clone(),
            sql_type: type_name(&column.data_type),
            nullable: !matches!(column.source, SourceColumn::Field { not_null: true, .. })
                && index != relation.event_time,
            note: match () {
                () if index == relation.event_time => Some("event time"),
                () if is_metadata(&column.name) => Some("metadata"),
                () => None,
            },
        })
        .collect()
}

fn schema_columns(schema: &arrow::datatypes::Schema, key: &[usize]) -> Vec<Column> {
    let columns = schema.fields().iter().enumerate();
    columns
        .map(|(index, field)| Column {
            name: field.name().clone(),
            sql_type: type_name(field.data_type()),
            nullable: true,
            note: key.contains(&index).then_some("key"),
        })
        .collect()
}
