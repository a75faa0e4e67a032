//! Changing settings of topics and of the broker (Kafka's `ConfigurationControlManager`).

use std::collections::{BTreeMap, HashSet};

use super::topics::check_changeable;
use super::{ChangeError, Requester};
use crate::cluster::image::{Image, NodeId};
use crate::cluster::record::MetadataRecord;
use crate::config::keys::{Effect, Key, KeyError, broker_key, is_ignored_topic_key, topic_key};
use crate::config::kinds::{Kind, list_items};

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigChange {
    /// Kafka's name of the key.
    pub name: String,
    /// What is done to it.
    pub operation: ConfigOperation,
}

/// What is done to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigOperation {
    /// Gives it a value.
    Set(Option<String>),
    /// Takes its value away, so that the default holds. A key without a value stays so.
    Delete,
    /// Adds elements to a list.
    Append(Option<String>),
    /// Removes elements from a list.
    Subtract(Option<String>),
}

/// Changes settings of a topic: all of them or none.
pub fn alter_topic(
    image: &Image,
    topic: &str,
    changes: &[ConfigChange],
    requester: Requester,
) -> Result<Vec<MetadataRecord>, ChangeError> {
    let topic = image
        .topic(topic)
        .ok_or_else(|| ChangeError::UnknownTopic(topic.to_owned()))?;
    check_changeable(topic, requester)?;
    check_unique(changes)?;
    let mut records = Vec::new();
    for change in changes {
        if is_ignored_topic_key(&change.name) {
            continue;
        }
        let key = topic_key(&change.name)?;
        if let Some(value) = changed(key, &topic.configs, change)? {
            records.push(MetadataRecord::TopicConfig {
                id: topic.id,
                key: key.name.to_owned(),
                value,
            });
        }
    }
    Ok(records)
}

/// Changes broker keys while the broker runs: all of them or none. `broker` is `None` for all brokers.
pub fn alter_broker(
    image: &Image,
    broker: Option<NodeId>,
    changes: &[ConfigChange],
) -> Result<Vec<MetadataRecord>, ChangeError> {
    if let Some(broker) = broker
        && broker != image.node_id
    {
        return Err(ChangeError::UnknownBroker(broker));
    }
    check_unique(changes)?;
    let mut records = Vec::new();
    for change in changes {
        let key = broker_key(&change.name)?;
        if !key.dynamic || key.effect == Effect::Fact {
            return Err(KeyError::ReadOnly(key.name).into());
        }
        if let Some(value) = changed(key, &image.broker_configs, change)? {
            records.push(MetadataRecord::BrokerConfig {
                key: key.name.to_owned(),
                value,
            });
        }
    }
    Ok(records)
}

/// The new value of a key (`Some(None)` takes it away), or `None` where nothing changes.
fn changed(
    key: &'static Key,
    present: &BTreeMap<String, String>,
    change: &ConfigChange,
) -> Result<Option<Option<String>>, ChangeError> {
    let present = present.get(key.name);
    let needed = |value: &Option<String>| value.clone().ok_or_else(|| KeyError::NullValue(change.name.clone()));
    let next = match &change.operation {
        ConfigOperation::Set(value) => Some(key.check(&needed(value)?)?),
        ConfigOperation::Delete => None,
        ConfigOperation::Append(value) => Some(key.check(&appended(key, present, &needed(value)?)?)?),
        ConfigOperation::Subtract(value) => Some(key.check(&subtracted(key, present, &needed(value)?)?)?),
    };
    match next.as_ref() == present {
        true => Ok(None),
        false => Ok(Some(next)),
    }
}

/// Kafka appends to the value that is set on the resource itself or, where there is none, to the default.
fn list_of<'a>(key: &'static Key, present: Option<&'a String>) -> Result<Vec<&'a str>, KeyError> {
    if key.kind != Kind::List {
        return Err(KeyError::NoList(key.name));
    }
    let text = present.map(String::as_str).or(key.default).unwrap_or_default();
    Ok(list_items(text).collect())
}

fn appended(key: &'static Key, present: Option<&String>, value: &str) -> Result<String, KeyError> {
    let mut items = list_of(key, present)?;
    let mut seen: HashSet<&str> = items.iter().copied().collect();
    items.extend(list_items(value).filter(|item| seen.insert(item)));
    Ok(items.join(","))
}

fn subtracted(key: &'static Key, present: Option<&String>, value: &str) -> Result<String, KeyError> {
    let mut items = list_of(key, present)?;
    let removed: HashSet<&str> = list_items(value).collect();
    items.retain(|item| !removed.contains(item));
    Ok(items.join(","))
}

fn check_unique(changes: &[ConfigChange]) -> Result<(), KeyError> {
    let mut seen = HashSet::with_capacity(changes.len());
    match changes.iter().find(|change| !seen.insert(&change.name)) {
        Some(twice) => Err(KeyError::Twice(twice.name.clone())),
        None => Ok(()),
    }
}
