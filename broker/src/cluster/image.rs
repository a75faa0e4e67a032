//! The image: all cluster metadata as one immutable value.
//!
//! An image is built by applying [`MetadataRecord`]s in log order and by nothing else, so that a restart and living
//! through the same changes end in equal images. Readers hold an `Arc<Image>` and never see a half-applied change.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use protocol::ErrorCode;
use protocol::ids::{LeaderEpoch, PartitionId, ProducerId, TimestampMs, TopicId, TopicPartition};

use super::record::MetadataRecord;

/// Number of a node in the cluster (Kafka's `node.id`).
pub type NodeId = i32;

/// Everything the cluster knows about itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// Kafka's cluster id: 16 random bytes in URL-safe base64 without padding.
    pub cluster_id: Arc<str>,
    /// This node.
    pub node_id: NodeId,
    /// Number of records applied so far; grows with every change. Also the epoch of finalized features.
    pub version: i64,
    /// How often the node was started on this data folder.
    pub starts: i64,
    /// Topics in name order.
    pub topics_by_name: BTreeMap<Arc<str>, Arc<TopicImage>>,
    /// Name of each living topic by its id.
    pub topics_by_id: BTreeMap<TopicId, Arc<str>>,
    /// Broker keys changed while running, under their Kafka names (source: dynamic default).
    pub broker_configs: BTreeMap<String, String>,
    /// Definitions of SQL objects: opaque to the cluster, keyed by the name the catalog chose.
    pub sql_objects: BTreeMap<Arc<str>, Bytes>,
    /// First producer id that no block has been handed out for.
    pub next_producer_id: ProducerId,
}

/// One topic.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicImage {
    /// Random id; a topic that is created again under the same name gets another one.
    pub id: TopicId,
    /// Name, already checked against Kafka's rules.
    pub name: Arc<str>,
    /// Partitions by number: index 0 is partition 0.
    pub partitions: Vec<PartitionImage>,
    /// Overrides under their Kafka names, each checked against the key table when it was set.
    pub configs: BTreeMap<String, String>,
    /// Kafka's internal topics and our own: clients may read but neither write nor change them.
    pub internal: bool,
    /// Id of the query that writes this topic, for views and changelogs.
    pub owner: Option<Arc<str>>,
    /// When the topic was created, in milliseconds since the epoch.
    pub created_at: TimestampMs,
}

/// One partition's place in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionImage {
    /// Leading node.
    pub leader: NodeId,
    /// Epoch of that leadership; every start of the node begins a new one.
    pub leader_epoch: LeaderEpoch,
    /// Nodes that hold the partition, preferred leader first.
    pub replicas: Vec<NodeId>,
    /// The replicas that are in sync.
    pub isr: Vec<NodeId>,
}

impl Image {
    /// The image before the first record.
    pub fn empty(cluster_id: Arc<str>, node_id: NodeId) -> Self {
        Self {
            cluster_id,
            node_id,
            version: 0,
            starts: 0,
            topics_by_name: BTreeMap::new(),
            topics_by_id: BTreeMap::new(),
            broker_configs: BTreeMap::new(),
            sql_objects: BTreeMap::new(),
            next_producer_id: 0,
        }
    }

    /// The topic of this name.
    pub fn topic(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.topics_by_name.get(name)
    }

    /// The topic with this id.
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<TopicImage>> {
        self.topics_by_name.get(self.topics_by_id.get(&id)?)
    }

    /// Number of partitions of all topics.
    pub fn partition_count(&self) -> usize {
        self.topics_by_name.values().map(|topic| topic.partitions.len()).sum()
    }

    /// Applies one record: the only way an image changes.
    ///
    /// # Panics
    /// When the record contradicts the image (a topic created twice, a config of a missing topic). The controller
    /// validated every record before it wrote it, so such a log was not written by this program.
    pub(crate) fn apply(&mut self, record: &MetadataRecord) {
        self.version += 1;
        match record {
            MetadataRecord::NodeStarted { .. } => self.begin_leaderships(),
            MetadataRecord::TopicCreated(created) => self.add_topic(created.clone().into_image()),
            MetadataRecord::TopicDeleted { id } => self.remove_topic(*id),
            MetadataRecord::PartitionsAdded { id, assignments } => self.change_topic(*id, |topic| {
                topic
                    .partitions
                    .extend(assignments.iter().cloned().map(PartitionImage::first));
            }),
            MetadataRecord::TopicConfig { id, key, value } => {
                self.change_topic(*id, |topic| put_or_remove(&mut topic.configs, key, value.as_deref()));
            }
            MetadataRecord::BrokerConfig { key, value } => {
                put_or_remove(&mut self.broker_configs, key, value.as_deref());
            }
            MetadataRecord::ProducerIdBlock { end } => {
                assert!(self.next_producer_id < *end, "producer ids never go back");
                self.next_producer_id = *end;
            }
            MetadataRecord::SqlObject {
                name,
                payload: Some(payload),
            } => {
                self.sql_objects.insert(Arc::from(name.as_str()), payload.clone());
            }
            MetadataRecord::SqlObject { name, payload: None } => {
                self.sql_objects.remove(name.as_str());
            }
        }
    }

    fn begin_leaderships(&mut self) {
        self.starts += 1;
        let node = self.node_id;
        for topic in self.topics_by_name.values_mut() {
            for partition in &mut Arc::make_mut(topic).partitions {
                if partition.leader == node {
                    partition.leader_epoch += 1;
                }
            }
        }
    }

    fn add_topic(&mut self, topic: TopicImage) {
        let name = topic.name.clone();
        let earlier_id = self.topics_by_id.insert(topic.id, name.clone());
        assert!(earlier_id.is_none(), "topic id {} is used twice", topic.id);
        let earlier = self.topics_by_name.insert(name, Arc::new(topic));
        assert!(earlier.is_none(), "a topic is created once");
    }

    fn remove_topic(&mut self, id: TopicId) {
        let name = self.topics_by_id.remove(&id).expect("only living topics are deleted");
        self.topics_by_name
            .remove(&name)
            .expect("both topic maps hold the same topics");
    }

    fn change_topic(&mut self, id: TopicId, change: impl FnOnce(&mut TopicImage)) {
        let name = self.topics_by_id.get(&id).expect("only living topics are changed");
        let topic = self
            .topics_by_name
            .get_mut(name)
            .expect("both topic maps hold the same topics");
        change(Arc::make_mut(topic));
    }
}

impl TopicImage {
    /// The partition of this number.
    pub fn partition(&self, partition: PartitionId) -> Option<&PartitionImage> {
        self.partitions.get(usize::try_from(partition).ok()?)
    }

    /// All partitions of the topic by name and number.
    pub fn topic_partitions(&self) -> impl Iterator<Item = TopicPartition> + '_ {
        (0..).zip(&self.partitions).map(|(partition, _)| TopicPartition {
            topic: self.name.clone(),
            partition,
        })
    }

    /// Why clients may not write, trim, alter or delete this topic; `None` where they may.
    ///
    /// Internal topics answer as Kafka does. A topic that belongs to a query is readable by everybody, but a foreign
    /// record in it would contradict the query's state.
    pub fn client_change_refusal(&self) -> Option<ErrorCode> {
        if self.internal {
            return Some(ErrorCode::InvalidTopicException);
        }
        self.owner.as_ref().map(|_| ErrorCode::TopicAuthorizationFailed)
    }
}

impl PartitionImage {
    /// A partition at its birth: the first replica leads with epoch 0.
    pub(crate) fn first(replicas: Vec<NodeId>) -> Self {
        let leader = *replicas.first().expect("a partition has at least one replica");
        Self {
            leader,
            leader_epoch: 0,
            isr: replicas.clone(),
            replicas,
        }
    }
}

fn put_or_remove(configs: &mut BTreeMap<String, String>, key: &str, value: Option<&str>) {
    match value {
        Some(value) => configs.insert(key.to_owned(), value.to_owned()),
        None => configs.remove(key),
    };
}
