//! Creating, widening and deleting topics (Kafka's `ReplicationControlManager`).

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::ids::{PartitionId, TimestampMs, TopicId};

use super::{ChangeError, ChangeRules, Requester};
use crate::cluster::controller::MorePartitions;
use crate::cluster::image::{Image, NodeId, TopicImage};
use crate::cluster::names::{TopicNameError, check_topic_name, colliding_topic, is_reserved};
use crate::cluster::record::{MetadataRecord, TopicCreated};
use crate::config::keys::KeyError;
use crate::config::topic::check_override;

/// A topic to create.
#[derive(Clone, Debug)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions, on how many nodes.
    pub layout: Layout,
    /// Settings under their Kafka names.
    pub configs: Vec<(String, Option<String>)>,
    /// Whether clients may neither write nor change it.
    pub internal: bool,
    /// The query that writes it.
    pub owner: Option<Arc<str>>,
}

/// How a topic is spread.
#[derive(Clone, Debug)]
pub enum Layout {
    /// The broker chooses the nodes. -1 takes the default.
    Spread {
        /// Number of partitions.
        partitions: PartitionId,
        /// Nodes per partition.
        replication_factor: i16,
    },
    /// The client chose the nodes of every partition: number and replicas.
    Assigned(Vec<(PartitionId, Vec<NodeId>)>),
}

/// A topic by name or id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicRef {
    /// By name.
    Name(String),
    /// By id.
    Id(TopicId),
}

impl NewTopic {
    /// An ordinary topic with the broker's defaults.
    pub fn with_defaults(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            layout: Layout::Spread {
                partitions: -1,
                replication_factor: -1,
            },
            configs: Vec::new(),
            internal: false,
            owner: None,
        }
    }
}

/// Creates a topic under the given id.
pub fn create_topic(
    image: &Image,
    rules: &ChangeRules,
    topic: NewTopic,
    requester: Requester,
    id: TopicId,
    now: TimestampMs,
) -> Result<Vec<MetadataRecord>, ChangeError> {
    check_topic_name(&topic.name)?;
    if requester == Requester::Client && is_reserved(&topic.name) && image.topic(&topic.name).is_none() {
        return Err(TopicNameError::Reserved(topic.name).into());
    }
    if image.topic(&topic.name).is_some() {
        return Err(ChangeError::TopicExists(topic.name));
    }
    if let Some(existing) = colliding_topic(image, &topic.name) {
        return Err(ChangeError::NameCollision {
            existing: existing.to_owned(),
            name: topic.name,
        });
    }
    let partitions = place(image, rules, &topic.layout)?;
    check_limits(image, rules, 1, partitions.len())?;
    let configs = check_configs(&topic.configs)?;
    Ok(vec![MetadataRecord::TopicCreated(TopicCreated {
        id,
        name: topic.name,
        partitions,
        configs,
        internal: topic.internal,
        owner: topic.owner.map(|owner| owner.to_string()),
        created_at: now,
    })])
}

/// Deletes a topic and says what it was.
pub fn delete_topic(
    image: &Image,
    rules: &ChangeRules,
    topic: &TopicRef,
    requester: Requester,
) -> Result<(Vec<MetadataRecord>, Arc<TopicImage>), ChangeError> {
    if requester == Requester::Client && !rules.deletion_enabled {
        return Err(ChangeError::DeletionDisabled);
    }
    let found = match topic {
        TopicRef::Name(name) => image
            .topic(name)
            .ok_or_else(|| ChangeError::UnknownTopic(name.clone()))?,
        TopicRef::Id(id) => image.topic_by_id(*id).ok_or(ChangeError::UnknownTopicId(*id))?,
    };
    check_changeable(found, requester)?;
    Ok((vec![MetadataRecord::TopicDeleted { id: found.id }], Arc::clone(found)))
}

/// Adds partitions to a topic.
pub fn add_partitions(
    image: &Image,
    rules: &ChangeRules,
    more: &MorePartitions,
    requester: Requester,
) -> Result<Vec<MetadataRecord>, ChangeError> {
    let topic = image
        .topic(&more.topic)
        .ok_or_else(|| ChangeError::UnknownTopic(more.topic.clone()))?;
    check_changeable(topic, requester)?;
    let added = added_partitions(topic, more.count)?;
    if let Some(assignments) = &more.assignments
        && assignments.len() != added
    {
        return Err(ChangeError::ReplicaAssignment(format!(
            "{added} partitions are to be added, but {} assignments are given",
            assignments.len()
        )));
    }
    let assignments = more
        .assignments
        .clone()
        .unwrap_or_else(|| vec![vec![image.node_id]; added]);
    for replicas in &assignments {
        check_replicas(image, replicas)?;
    }
    check_limits(image, rules, 0, added)?;
    Ok(vec![MetadataRecord::PartitionsAdded {
        id: topic.id,
        assignments,
    }])
}

/// Refuses clients where only the broker or the owning query may change something.
pub(super) fn check_changeable(topic: &TopicImage, requester: Requester) -> Result<(), ChangeError> {
    if requester == Requester::Broker {
        return Ok(());
    }
    if topic.internal {
        return Err(ChangeError::InternalTopic(topic.name.to_string()));
    }
    match &topic.owner {
        Some(owner) => Err(ChangeError::OwnedTopic {
            topic: topic.name.to_string(),
            owner: owner.to_string(),
        }),
        None => Ok(()),
    }
}

fn added_partitions(topic: &TopicImage, count: i32) -> Result<usize, ChangeError> {
    let present = topic.partitions.len();
    let wanted = usize::try_from(count).unwrap_or(0);
    if wanted == present {
        return Err(ChangeError::PartitionCount(format!(
            "topic already has {present} partition(s)"
        )));
    }
    if wanted < present {
        return Err(ChangeError::PartitionCount(format!(
            "the topic {} currently has {present} partition(s); {count} would not be an increase",
            topic.name
        )));
    }
    Ok(wanted - present)
}

fn place(image: &Image, rules: &ChangeRules, layout: &Layout) -> Result<Vec<Vec<NodeId>>, ChangeError> {
    match layout {
        Layout::Spread {
            partitions,
            replication_factor,
        } => {
            let partitions = partition_count(rules, *partitions)?;
            check_replication_factor(rules, *replication_factor)?;
            if rules.max_partitions < partitions {
                return Err(ChangeError::Limit {
                    what: "partitions",
                    limit: rules.max_partitions,
                });
            }
            Ok(vec![vec![image.node_id]; partitions])
        }
        Layout::Assigned(assigned) => assigned_partitions(image, assigned),
    }
}

fn partition_count(rules: &ChangeRules, asked: PartitionId) -> Result<usize, ChangeError> {
    let count = if asked == -1 { rules.default_partitions } else { asked };
    match usize::try_from(count) {
        Ok(count) if 0 < count => Ok(count),
        _ => Err(ChangeError::PartitionCount(
            "the number of partitions must be larger than 0, or -1 for the default".to_owned(),
        )),
    }
}

fn check_replication_factor(rules: &ChangeRules, asked: i16) -> Result<(), ChangeError> {
    let factor = if asked == -1 {
        rules.default_replication_factor
    } else {
        asked
    };
    if factor < 1 {
        return Err(ChangeError::ReplicationFactor(
            "the replication factor must be larger than 0, or -1 for the default".to_owned(),
        ));
    }
    if 1 < factor {
        return Err(ChangeError::ReplicationFactor(format!(
            "unable to replicate a partition {factor} times: only 1 broker is registered"
        )));
    }
    Ok(())
}

fn assigned_partitions(
    image: &Image,
    assigned: &[(PartitionId, Vec<NodeId>)],
) -> Result<Vec<Vec<NodeId>>, ChangeError> {
    let by_number: BTreeMap<PartitionId, &Vec<NodeId>> = assigned
        .iter()
        .map(|(partition, replicas)| (*partition, replicas))
        .collect();
    if by_number.len() != assigned.len() {
        return Err(ChangeError::ReplicaAssignment(
            "a partition is assigned twice".to_owned(),
        ));
    }
    if !(0..)
        .zip(by_number.keys())
        .all(|(expected, partition)| expected == *partition)
    {
        return Err(ChangeError::ReplicaAssignment(
            "the assigned partitions must be numbered from 0 without gaps".to_owned(),
        ));
    }
    let replicas: Vec<Vec<NodeId>> = by_number.into_values().cloned().collect();
    let Some(first) = replicas.first() else {
        return Err(ChangeError::ReplicaAssignment("no partition is assigned".to_owned()));
    };
    if replicas.iter().any(|replicas| replicas.len() != first.len()) {
        return Err(ChangeError::ReplicaAssignment(
            "all partitions need the same number of replicas".to_owned(),
        ));
    }
    for replicas in &replicas {
        check_replicas(image, replicas)?;
    }
    Ok(replicas)
}

fn check_replicas(image: &Image, replicas: &[NodeId]) -> Result<(), ChangeError> {
    if replicas.is_empty() {
        return Err(ChangeError::ReplicaAssignment(
            "a partition needs at least one replica".to_owned(),
        ));
    }
    if let Some(unknown) = replicas.iter().find(|replica| **replica != image.node_id) {
        return Err(ChangeError::ReplicaAssignment(format!(
            "broker {unknown} is not registered"
        )));
    }
    if 1 < replicas.len() {
        return Err(ChangeError::ReplicaAssignment(
            "a broker is named twice for one partition".to_owned(),
        ));
    }
    Ok(())
}

fn check_limits(image: &Image, rules: &ChangeRules, topics: usize, partitions: usize) -> Result<(), ChangeError> {
    if rules.max_topics < image.topics_by_name.len() + topics {
        return Err(ChangeError::Limit {
            what: "topics",
            limit: rules.max_topics,
        });
    }
    if rules.max_partitions < image.partition_count() + partitions {
        return Err(ChangeError::Limit {
            what: "partitions",
            limit: rules.max_partitions,
        });
    }
    Ok(())
}

fn check_configs(configs: &[(String, Option<String>)]) -> Result<BTreeMap<String, String>, ChangeError> {
    let mut checked = BTreeMap::new();
    for (name, value) in configs {
        let Some((key, value)) = check_override(name, value.as_deref())? else {
            continue;
        };
        if checked.insert(key.name.to_owned(), value).is_some() {
            return Err(KeyError::Twice(name.clone()).into());
        }
    }
    Ok(checked)
}
