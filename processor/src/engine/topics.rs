//! Topics that queries write: created before the query, taken back when its statement fails.

use protocol::ids::PartitionId;

use super::draft::Draft;
use super::{Engine, SqlError, SqlState};
use crate::plan::graph::{ErrorPolicy, OutputTarget, StreamPlan};
use crate::ports::{PortError, TopicSpec};

/// Longest name of a topic, and so of a materialized view.
const NAME_MAX: usize = 249;
/// Names that begin so belong to the engine.
const RESERVED_PREFIX: &str = "tidemill.";

impl Engine {
    /// Creates the topics that the query writes and that do not exist. Answers with their names.
    pub(super) async fn create_topics(&self, draft: &mut Draft) -> Result<Vec<String>, SqlError> {
        if let OutputTarget::View { topic } = &draft.planned.plan.output.target
            && self.is_leftover(topic)
        {
            self.clear_leftovers().await;
        }
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
        refuse_shared(plan)?;
        let mut specs = Vec::new();
        match &plan.output.target {
            OutputTarget::View { topic } => {
                if self.ports.topics.exists(topic) {
                    return Err(
                        SqlError::new(SqlState::DUPLICATE_TABLE, format!("topic \"{topic}\" already exists"))
                            .with_hint("a materialized view has a topic of its own name; choose another name"),
                    );
                }
                let mut configs = Vec::new();
                if !plan.output.key.is_empty() {
                    configs.push(("cleanup.policy".to_owned(), "compact".to_owned()));
                }
                let partitions = Some(
                    draft
                        .options
                        .partitions
                        .unwrap_or_else(|| self.source_partitions(draft)),
                );
                let owner = Some(draft.stored.id.clone());
                specs.push((
                    TopicSpec {
                        name: topic.clone(),
                        partitions,
                        configs,
                        owner,
                        internal: false,
                    },
                    true,
                ));
            }
            OutputTarget::Topic { topic } => {
                self.refuse_target(draft, topic)?;
                self.refuse_partitions(topic, draft.options.partitions)?;
                specs.extend(self.missing(topic, draft.options.partitions));
            }
            OutputTarget::Blackhole => {}
        }
        for topic in late_rows(plan).into_iter().chain(dead_letters(plan)) {
            topic_name(topic)?;
            self.refuse_target(draft, topic)?;
            specs.extend(self.missing(topic, None));
        }
        Ok(specs)
    }

    fn source_partitions(&self, draft: &Draft) -> PartitionId {
        let topic = self.ports.topics.find(&draft.planned.relation.topic);
        topic
            .and_then(|t| PartitionId::try_from(t.partitions.len()).ok())
            .unwrap_or(1)
    }

    fn missing(&self, topic: &str, partitions: Option<PartitionId>) -> Option<(TopicSpec, bool)> {
        if self.ports.topics.exists(topic) {
            return None;
        }
        let spec = TopicSpec {
            name: topic.to_owned(),
            partitions,
            configs: Vec::new(),
            owner: None,
            internal: false,
        };
        Some((spec, false))
    }

    /// Topics that this query may not write: its own source, which it would read again and again, those of
    /// materialized views, and internal ones.
    fn refuse_target(&self, draft: &Draft, topic: &str) -> Result<(), SqlError> {
        if *topic == *draft.planned.relation.topic {
            return Err(SqlError::new(
                SqlState::INVALID_DEFINITION,
                format!("the query reads topic \"{topic}\", and would read again what it writes there"),
            )
            .with_hint("write to another topic"));
        }
        let owner = self
            .catalog()
            .running()
            .find(|(_, q)| q.stored.owns.iter().any(|t| t == topic))
            .map(|(o, _)| o.name.clone());
        if let Some(owner) = owner {
            return Err(SqlError::new(
                SqlState::OBJECT_IN_USE,
                format!("topic \"{topic}\" belongs to materialized view \"{owner}\", which alone may write it"),
            ));
        }
        match self.ports.topics.find(topic) {
            Some(handle) if handle.internal => Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("topic \"{topic}\" is internal"),
            )),
            _ => Ok(()),
        }
    }

    /// The option `partitions` where the topic exists and has another number of them: it would do nothing.
    fn refuse_partitions(&self, topic: &str, wanted: Option<PartitionId>) -> Result<(), SqlError> {
        let (Some(wanted), Some(handle)) = (wanted, self.ports.topics.find(topic)) else {
            return Ok(());
        };
        let count = handle.partitions.len();
        if usize::try_from(wanted).is_ok_and(|wanted| wanted == count) {
            return Ok(());
        }
        Err(SqlError::invalid_value(format!(
            "option \"partitions\" = {wanted}, but topic \"{topic}\" exists already and has {count}"
        ))
        .with_hint("leave the option out, or write to another topic"))
    }

    pub(super) async fn delete_topics(&self, topics: &[String]) {
        for topic in topics {
            if let Err(error) = self.ports.topics.delete(topic).await {
                tracing::warn!(topic, %error, "topic of a dropped or failed query was not deleted");
            }
        }
    }
}

fn late_rows(plan: &StreamPlan) -> Option<&String> {
    plan.late.as_ref().map(|late| &late.topic)
}

fn dead_letters(plan: &StreamPlan) -> Option<&String> {
    match &plan.source.on_error {
        ErrorPolicy::DeadLetter(topic) => Some(topic),
        _ => None,
    }
}

/// Results, late rows and dead letters go to topics of their own: in one topic nobody could tell them apart, and a view
/// could not be read any more.
fn refuse_shared(plan: &StreamPlan) -> Result<(), SqlError> {
    let output = match &plan.output.target {
        OutputTarget::View { topic } | OutputTarget::Topic { topic } => Some(topic),
        OutputTarget::Blackhole => None,
    };
    let written = [
        ("as the output of the query", output),
        ("by LATE TO", late_rows(plan)),
        ("by ON ERROR DLQ of its source", dead_letters(plan)),
    ];
    for (at, (what, topic)) in written.iter().enumerate() {
        let Some(topic) = topic else { continue };
        if let Some((other, _)) = written[..at].iter().find(|(_, other)| *other == Some(*topic)) {
            return Err(SqlError::new(
                SqlState::INVALID_OBJECT_DEFINITION,
                format!("topic \"{topic}\" is named twice: {other} and {what}"),
            )
            .with_hint("give each of them a topic of its own"));
        }
    }
    Ok(())
}

/// Checks the name of a topic that the query is to write.
pub(super) fn topic_name(name: &str) -> Result<(), SqlError> {
    let invalid = |reason: String| {
        Err(SqlError::new(
            SqlState::INVALID_NAME,
            format!("\"{name}\" cannot be the name of a topic: {reason}"),
        ))
    };
    if name.is_empty() || name == "." || name == ".." {
        return invalid("it names nothing".to_owned());
    }
    if NAME_MAX < name.len() {
        return invalid(format!("it has more than {NAME_MAX} characters"));
    }
    if let Some(wrong) = name.chars().find(|c| !c.is_ascii_alphanumeric() && !"._-".contains(*c)) {
        return invalid(format!(
            "it contains '{wrong}'; letters, digits, '.', '_' and '-' are allowed"
        ));
    }
    if name.starts_with(RESERVED_PREFIX) || name.starts_with("__") {
        return invalid("the prefixes \"tidemill.\" and \"__\" are reserved".to_owned());
    }
    Ok(())
}
