//! What a change to the cluster's metadata means: pure functions from an image and a command to records.
//!
//! Nothing here touches a log or a clock. A function returns the records that make the change true, or the reason why
//! it is refused; the controller appends, applies and answers.

mod configs;
mod topics;

pub use configs::{ConfigChange, ConfigOperation, alter_broker, alter_topic};
pub use topics::{Layout, NewTopic, TopicRef, add_partitions, create_topic, delete_topic};

use protocol::ids::{PartitionId, TopicId};

use super::image::NodeId;
use crate::config::keys::KeyError;

/// On whose behalf a change is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requester {
    /// A Kafka client: internal topics and topics of queries are out of its reach.
    Client,
    /// The broker itself, or a query that manages its own topics.
    Broker,
}

/// What the pure part must know beside the image.
#[derive(Clone, Debug)]
pub struct ChangeRules {
    /// `num.partitions`.
    pub default_partitions: PartitionId,
    /// `default.replication.factor`.
    pub default_replication_factor: i16,
    /// `delete.topic.enable`.
    pub deletion_enabled: bool,
    /// Most topics that may exist.
    pub max_topics: usize,
    /// Most partitions that may exist.
    pub max_partitions: usize,
}

/// Why a change is refused. The text is what the client shows to its user.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ChangeError {
    /// The name breaks Kafka's rules.
    #[error(transparent)]
    TopicName(#[from] super::names::TopicNameError),
    /// The name equals an existing one but for `.` and `_`, which metric names cannot tell apart.
    #[error("topic '{name}' collides with existing topic: {existing}")]
    NameCollision {
        /// The name asked for.
        name: String,
        /// The topic it collides with.
        existing: String,
    },
    /// A topic of this name exists.
    #[error("topic '{0}' already exists")]
    TopicExists(String),
    /// No topic of this name.
    #[error("topic '{0}' does not exist")]
    UnknownTopic(String),
    /// No topic of this id.
    #[error("no topic has the id {0}")]
    UnknownTopicId(TopicId),
    /// Zero or less partitions, or not more than there are.
    #[error("{0}")]
    PartitionCount(String),
    /// A replication factor that this cluster cannot have.
    #[error("{0}")]
    ReplicationFactor(String),
    /// A manual assignment that makes no sense.
    #[error("{0}")]
    ReplicaAssignment(String),
    /// Parts of the request contradict each other.
    #[error("{0}")]
    Contradiction(String),
    /// A configuration key or value.
    #[error(transparent)]
    Config(#[from] KeyError),
    /// Kafka's internal topic, or one of ours.
    #[error("topic '{0}' is internal: the broker alone changes it")]
    InternalTopic(String),
    /// A query writes this topic.
    #[error("topic '{topic}' belongs to the query '{owner}': change or drop the query instead")]
    OwnedTopic {
        /// The topic.
        topic: String,
        /// The query.
        owner: String,
    },
    /// `delete.topic.enable=false`.
    #[error("topic deletion is disabled (delete.topic.enable=false)")]
    DeletionDisabled,
    /// A bound of the configuration.
    #[error("the cluster may have {limit} {what} at most")]
    Limit {
        /// What is bounded.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// The broker named by a resource is not this one.
    #[error("broker {0} does not exist")]
    UnknownBroker(NodeId),
}
