//! The controller: the only writer of cluster metadata.
//!
//! Commands are taken one at a time. Each is validated against the newest image, its records are appended and flushed,
//! applied to a copy of the image, and handed to the partitions; then the new image is published and the caller gets
//! its answer. So whoever sees an image can rely on its records being durable and its logs being open.
//!
//! Every command runs in a task of its own: a caller that goes away (a closed connection drops its handler) never
//! leaves a change half done.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use protocol::ids::{ProducerId, TopicId};
use tokio::sync::{Mutex, watch};

use super::change::{self, ChangeError, ChangeRules, ConfigChange, NewTopic, Requester, TopicRef};
use super::image::{Image, NodeId, TopicImage};
use super::record::MetadataRecord;
use super::store::{MetadataStore, StoreError};
use crate::env::Env;

/// Producer ids handed out at a time, as in Kafka's `ProducerIdsBlock`.
pub const PRODUCER_ID_BLOCK: ProducerId = 1000;

/// Makes the world follow an image: creates, opens and deletes the logs of partitions, changes their settings.
pub trait ImageApplier: Send + Sync {
    /// Called with each new image before it is published, one call at a time and in order, on a thread that may
    /// block. An error names what could not be done; the image stands all the same, because its records are durable.
    fn apply(&self, image: &Arc<Image>) -> Result<(), String>;
}

/// Why a command was not carried out.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ControllerError {
    /// The command is refused; nothing changed.
    #[error(transparent)]
    Refused(#[from] ChangeError),
    /// The metadata log cannot be written; the change may or may not be there after a restart.
    #[error("the metadata log cannot be written: {0}")]
    Store(Arc<StoreError>),
    /// The broker is stopping.
    #[error("the broker is stopping")]
    Stopping,
}

/// What [`Controller::create_partitions`] is asked for one topic.
#[derive(Clone, Debug)]
pub struct MorePartitions {
    /// The topic.
    pub topic: String,
    /// How many partitions it shall have in all.
    pub count: i32,
    /// Replicas of each new partition, where the client chose them.
    pub assignments: Option<Vec<Vec<NodeId>>>,
}

/// The controller of this cluster.
pub struct Controller {
    images: watch::Sender<Arc<Image>>,
    store: Mutex<MetadataStore>,
    rules: ChangeRules,
    applier: Arc<dyn ImageApplier>,
    env: Arc<Env>,
}

impl Controller {
    /// Starts from what [`MetadataStore::open`] replayed.
    pub fn new(
        store: MetadataStore,
        image: Image,
        rules: ChangeRules,
        applier: Arc<dyn ImageApplier>,
        env: Arc<Env>,
    ) -> Self {
        Self {
            images: watch::Sender::new(Arc::new(image)),
            store: Mutex::new(store),
            rules,
            applier,
            env,
        }
    }

    /// The newest image.
    pub fn image(&self) -> Arc<Image> {
        self.images.borrow().clone()
    }

    /// Follows the images as they are published (a slow reader sees only the newest).
    pub fn subscribe(&self) -> watch::Receiver<Arc<Image>> {
        self.images.subscribe()
    }

    /// Creates topics; one answer per topic in the order asked for. With `validate_only` nothing is written and the
    /// answer is the topic as it would be.
    pub async fn create_topics(
        self: &Arc<Self>,
        topics: Vec<NewTopic>,
        requester: Requester,
        validate_only: bool,
    ) -> Vec<Result<Arc<TopicImage>, ControllerError>> {
        let ids: Vec<TopicId> = topics.iter().map(|_| TopicId(self.env.uuid())).collect();
        let now = self.env.now_ms();
        let rules = self.rules.clone();
        let commands = topics.into_iter().zip(ids).collect();
        self.change_each(commands, validate_only, move |image, (topic, id)| {
            let name = topic.name.clone();
            let records = change::create_topic(image, &rules, topic, requester, id, now)?;
            Ok((records, name))
        })
        .await
        .into_iter()
        .map(|answer| answer.map(|(image, name)| image.topic(&name).expect("the topic was just created").clone()))
        .collect()
    }

    /// Deletes topics; one answer per topic with the name and id it had.
    pub async fn delete_topics(
        self: &Arc<Self>,
        topics: Vec<TopicRef>,
        requester: Requester,
    ) -> Vec<Result<Arc<TopicImage>, ControllerError>> {
        let rules = self.rules.clone();
        self.change_each(topics, false, move |image, topic| {
            change::delete_topic(image, &rules, &topic, requester)
        })
        .await
        .into_iter()
        .map(|answer| answer.map(|(_, deleted)| deleted))
        .collect()
    }

    /// Adds partitions; one answer per topic.
    pub async fn create_partitions(
        self: &Arc<Self>,
        topics: Vec<MorePartitions>,
        requester: Requester,
        validate_only: bool,
    ) -> Vec<Result<(), ControllerError>> {
        let rules = self.rules.clone();
        self.change_each(topics, validate_only, move |image, more| {
            let records = change::add_partitions(image, &rules, &more, requester)?;
            Ok((records, ()))
        })
        .await
        .into_iter()
        .map(|answer| answer.map(|_| ()))
        .collect()
    }

    /// Changes settings of one topic, all of them or none.
    pub async fn alter_topic_configs(
        self: &Arc<Self>,
        topic: String,
        changes: Vec<ConfigChange>,
        requester: Requester,
        validate_only: bool,
    ) -> Result<(), ControllerError> {
        self.change_one(validate_only, move |image| {
            change::alter_topic(image, &topic, &changes, requester)
        })
        .await
    }

    /// Changes broker keys that may change while the broker runs, all of them or none. `broker` is `None` for the
    /// cluster-wide default.
    pub async fn alter_broker_configs(
        self: &Arc<Self>,
        broker: Option<NodeId>,
        changes: Vec<ConfigChange>,
        validate_only: bool,
    ) -> Result<(), ControllerError> {
        self.change_one(validate_only, move |image| {
            change::alter_broker(image, broker, &changes)
        })
        .await
    }

    /// Hands out a block of producer ids that nobody else ever gets.
    pub async fn allocate_producer_ids(self: &Arc<Self>) -> Result<Range<ProducerId>, ControllerError> {
        let answers = self
            .change_each(vec![()], false, |image, ()| {
                let first = image.next_producer_id;
                let end = first + PRODUCER_ID_BLOCK;
                Ok((vec![MetadataRecord::ProducerIdBlock { end }], first..end))
            })
            .await;
        answers
            .into_iter()
            .next()
            .expect("one answer per command")
            .map(|(_, block)| block)
    }

    /// Stores the definition of a SQL object, replacing an earlier one of that name.
    pub async fn put_sql_object(self: &Arc<Self>, name: &str, payload: Bytes) -> Result<(), ControllerError> {
        let record = MetadataRecord::SqlObject {
            name: name.to_owned(),
            payload: Some(payload),
        };
        self.change_one(false, move |_| Ok(vec![record])).await
    }

    /// Removes the definition of a SQL object; nothing happens when there is none.
    pub async fn remove_sql_object(self: &Arc<Self>, name: &str) -> Result<(), ControllerError> {
        let name = name.to_owned();
        self.change_one(false, move |image| {
            if !image.sql_objects.contains_key(name.as_str()) {
                return Ok(Vec::new());
            }
            Ok(vec![MetadataRecord::SqlObject { name, payload: None }])
        })
        .await
    }

    async fn change_one<F>(self: &Arc<Self>, validate_only: bool, change: F) -> Result<(), ControllerError>
    where
        F: FnOnce(&Image) -> Result<Vec<MetadataRecord>, ChangeError> + Send + 'static,
    {
        let commands = vec![change];
        let answers = self
            .change_each(commands, validate_only, |image, change| Ok((change(image)?, ())))
            .await;
        answers.into_iter().next().expect("one answer per command").map(|_| ())
    }

    /// Carries out commands in order, each seeing the ones before it, with one append for all of them.
    async fn change_each<C, T, F>(
        self: &Arc<Self>,
        commands: Vec<C>,
        validate_only: bool,
        decide: F,
    ) -> Vec<Result<(Arc<Image>, T), ControllerError>>
    where
        C: Send + 'static,
        T: Send + 'static,
        F: FnMut(&Image, C) -> Result<(Vec<MetadataRecord>, T), ChangeError> + Send + 'static,
    {
        let count = commands.len();
        let controller = Arc::clone(self);
        let work = async move { controller.change_each_inner(commands, validate_only, decide).await };
        match self.env.spawn("controller-command", work).await {
            Ok(answers) => answers,
            Err(_) => (0..count).map(|_| Err(ControllerError::Stopping)).collect(),
        }
    }

    async fn change_each_inner<C, T, F>(
        &self,
        commands: Vec<C>,
        validate_only: bool,
        mut decide: F,
    ) -> Vec<Result<(Arc<Image>, T), ControllerError>>
    where
        F: FnMut(&Image, C) -> Result<(Vec<MetadataRecord>, T), ChangeError>,
    {
        let mut store = self.store.lock().await;
        let mut image = Image::clone(&self.image());
        let mut records = Vec::new();
        let mut decisions = Vec::new();
        for command in commands {
            let decision = decide(&image, command).map(|(new, value)| {
                for record in &new {
                    image.apply(record);
                }
                records.extend(new);
                value
            });
            decisions.push(decision);
        }
        let image = Arc::new(image);
        let outcome = match validate_only || records.is_empty() {
            true => Ok(()),
            false => self.commit(&mut store, &records, &image).await,
        };
        drop(store);
        decisions
            .into_iter()
            .map(|decision| {
                let value = decision?;
                outcome.clone()?;
                Ok((Arc::clone(&image), value))
            })
            .collect()
    }

    async fn commit(
        &self,
        store: &mut MetadataStore,
        records: &[MetadataRecord],
        image: &Arc<Image>,
    ) -> Result<(), ControllerError> {
        store
            .append(records, self.env.now_ms())
            .await
            .map_err(|error| ControllerError::Store(Arc::new(error)))?;
        let applier = Arc::clone(&self.applier);
        let next = Arc::clone(image);
        let applied = self.env.spawn_blocking(move || applier.apply(&next)).await;
        self.images.send_replace(Arc::clone(image));
        // The change is made and stays made. A partition that is offline says so to whoever uses it; the next commands
        // have nothing to do with it.
        match applied {
            Ok(Ok(())) => {}
            Ok(Err(reason)) => tracing::warn!(reason, "a partition is offline"),
            Err(_) => tracing::warn!("the node stops while a change of the metadata is applied"),
        }
        Ok(())
    }
}
