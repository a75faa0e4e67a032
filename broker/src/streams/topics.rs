//! Topics as the processor sees them: names with the open logs of all partitions.

use std::sync::Arc;

use async_trait::async_trait;
use processor::ports::{OwnedTopic, PortError, TopicHandle, TopicSpec, Topics};
use storage::Log;

use super::catalog::port_error;
use crate::cluster::change::{ChangeError, Layout, NewTopic, Requester, TopicRef};
use crate::cluster::{Controller, ControllerError};
use crate::env::Env;
use crate::partitions::{Partitions, Topic};
use crate::services::Services;

/// The broker's topics.
pub(super) struct BrokerTopics {
    controller: Arc<Controller>,
    partitions: Arc<Partitions>,
    env: Arc<Env>,
}

impl BrokerTopics {
    pub(super) fn new(services: &Services) -> Self {
        Self {
            controller: Arc::clone(&services.controller),
            partitions: Arc::clone(&services.partitions),
            env: Arc::clone(&services.env),
        }
    }

    /// A topic of which every log is open; one with an offline partition cannot be read as a whole.
    fn handle(&self, topic: &Topic) -> Result<TopicHandle, PortError> {
        let now = self.env.now_ms();
        let logs: Result<Vec<Arc<Log>>, PortError> = topic
            .topic_partitions()
            .map(|partition| {
                let open = self.partitions.partition(topic, partition.partition, now);
                let open = open.map_err(|error| PortError::Storage(format!("{partition}: {error}")))?;
                Ok(Arc::clone(&open.log))
            })
            .collect();
        Ok(TopicHandle {
            name: Arc::clone(&topic.name),
            id: topic.id,
            partitions: logs?,
            internal: topic.internal,
        })
    }
}

#[async_trait]
impl Topics for BrokerTopics {
    fn open(&self, name: &str) -> Result<TopicHandle, PortError> {
        let topic = self.partitions.topic(name);
        self.handle(&*topic.map_err(|_| PortError::UnknownTopic(name.to_owned()))?)
    }

    fn open_logs(&self, name: &str) -> Vec<Arc<Log>> {
        let Ok(topic) = self.partitions.topic(name) else {
            return Vec::new();
        };
        let open = topic.open_partitions().map(|partition| Arc::clone(&partition.log));
        open.collect()
    }

    fn partition_count(&self, name: &str) -> Option<usize> {
        let topic = self.partitions.topic(name).ok()?;
        Some(topic.partition_count())
    }

    fn list(&self) -> Vec<TopicHandle> {
        let directory = self.partitions.directory();
        let open = directory.topics().filter(|topic| topic.is_open());
        let mut topics: Vec<TopicHandle> = open.filter_map(|topic| self.handle(topic).ok()).collect();
        topics.sort_by(|one, other| one.name.cmp(&other.name));
        topics
    }

    fn owned(&self) -> Vec<OwnedTopic> {
        let directory = self.partitions.directory();
        let owned = directory.topics().filter_map(|topic| {
            Some(OwnedTopic {
                name: Arc::clone(&topic.name),
                owner: topic.owner.clone()?,
            })
        });
        owned.collect()
    }

    async fn create(&self, spec: TopicSpec) -> Result<TopicHandle, PortError> {
        let name = spec.name.clone();
        let created = self
            .controller
            .create_topics(vec![new_topic(spec)], Requester::Broker, false)
            .await;
        for outcome in created {
            outcome.map_err(|error| topic_error(&name, error))?;
        }
        self.open(&name)
    }

    async fn delete(&self, name: &str) -> Result<(), PortError> {
        let topic = TopicRef::Name(name.to_owned());
        for outcome in self.controller.delete_topics(vec![topic], Requester::Broker).await {
            match outcome {
                Ok(_) | Err(ControllerError::Refused(ChangeError::UnknownTopic(_))) => {}
                Err(error) => return Err(topic_error(name, error)),
            }
        }
        Ok(())
    }
}

fn new_topic(spec: TopicSpec) -> NewTopic {
    let layout = Layout::Spread {
        partitions: spec.partitions.unwrap_or(-1),
        replication_factor: -1,
    };
    let configs = spec
        .configs
        .into_iter()
        .map(|(key, value)| (key, Some(value)))
        .collect();
    NewTopic {
        name: spec.name,
        layout,
        configs,
        internal: spec.internal,
        owner: spec.owner.map(Arc::from),
    }
}

fn topic_error(name: &str, error: ControllerError) -> PortError {
    match error {
        ControllerError::Refused(ChangeError::TopicExists(_)) => PortError::TopicExists(name.to_owned()),
        ControllerError::Refused(ChangeError::UnknownTopic(_)) => PortError::UnknownTopic(name.to_owned()),
        other => port_error(other),
    }
}
