//! Which topics and partitions this node has: one immutable value, replaced as a whole.

use std::collections::HashMap;
use std::sync::Arc;

use protocol::ids::TopicId;

use super::topic::Topic;

/// All topics of this node. Readers clone an `Arc` of it and look names up without allocating.
#[derive(Debug, Default)]
pub struct Directory {
    by_name: HashMap<Arc<str>, Arc<Topic>>,
    by_id: HashMap<TopicId, Arc<Topic>>,
}

impl Directory {
    pub(super) fn new(topics: impl IntoIterator<Item = Arc<Topic>>) -> Self {
        let mut directory = Self::default();
        for topic in topics {
            directory.by_id.insert(topic.id, topic.clone());
            directory.by_name.insert(topic.name.clone(), topic);
        }
        directory
    }

    /// The topic of this name.
    pub fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.by_name.get(name)
    }

    /// The topic with this id.
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<Topic>> {
        self.by_id.get(&id)
    }

    /// All topics, in no particular order.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.by_name.values()
    }
}
