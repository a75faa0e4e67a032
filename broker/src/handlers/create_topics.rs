//! CreateTopics (key 19), versions 2-7.
//!
//! Versions: 4 -1 takes the default number of partitions and replicas (KIP-464) · 5 flexible, the answer carries the
//! topic's layout and settings (KIP-525) · 7 topic ids (KIP-516).
//!
//! Stage: alone on its connection.
//!
//! Deliberate deviation from Kafka: the answer leaves when the topics are durable and their logs are open, whatever the
//! request's timeout says.

use std::sync::Arc;

use protocol::ErrorCode;
use protocol::messages::create_topics_request::CreatableTopic;
use protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use protocol::messages::{CreateTopicsRequest, CreateTopicsResponse, StrBytes, TopicName};

use super::RequestContext;
use super::distinct::{Distinct, distinct};
use crate::cluster::change::{ChangeError, Layout, NewTopic, Requester};
use crate::cluster::{ControllerError, TopicImage};
use crate::config::keys::TOPIC_KEYS;
use crate::config::kinds::Kind;
use crate::config::topic::{BrokerLayers, effective};
use crate::kafka_error;

/// First version whose answer says what the topic looks like.
const LAYOUT_FROM: i16 = 5;
/// First version with topic ids.
const IDS_FROM: i16 = 7;

/// Answers one request.
pub(crate) async fn handle(ctx: &RequestContext, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let mut topics = Vec::new();
    let mut refused = Vec::new();
    for topic in distinct(&request.topics, |topic| topic.name.as_str()) {
        let Distinct { item: topic, repeated } = topic;
        match new_topic(topic, repeated) {
            Ok(topic) => topics.push(topic),
            Err(error) => refused.push(failed(topic.name.clone(), &ControllerError::Refused(error))),
        }
    }
    let names: Vec<String> = topics.iter().map(|topic| topic.name.clone()).collect();
    let answers = ctx
        .services
        .controller
        .create_topics(topics, Requester::Client, request.validate_only)
        .await;
    let created = names.into_iter().zip(answers).map(|(name, answer)| match answer {
        Ok(topic) => created(ctx, &topic, request.validate_only),
        Err(error) => failed(TopicName(StrBytes::from_string(name)), &error),
    });
    CreateTopicsResponse::default().with_topics(created.chain(refused).collect())
}

fn new_topic(topic: &CreatableTopic, twice: bool) -> Result<NewTopic, ChangeError> {
    if twice {
        return Err(ChangeError::Contradiction(
            "the topic is named twice in this request".to_owned(),
        ));
    }
    Ok(NewTopic {
        name: topic.name.to_string(),
        layout: layout(topic)?,
        configs: topic
            .configs
            .iter()
            .map(|config| (config.name.to_string(), config.value.as_ref().map(ToString::to_string)))
            .collect(),
        internal: false,
        owner: None,
    })
}

fn layout(topic: &CreatableTopic) -> Result<Layout, ChangeError> {
    if topic.assignments.is_empty() {
        return Ok(Layout::Spread {
            partitions: topic.num_partitions,
            replication_factor: topic.replication_factor,
        });
    }
    let contradiction = |what: &str| {
        let text = format!("the partitions are assigned by hand, so the {what} must be -1");
        Err(ChangeError::Contradiction(text))
    };
    if topic.replication_factor != -1 {
        return contradiction("replication factor");
    }
    if topic.num_partitions != -1 {
        return contradiction("number of partitions");
    }
    let assigned = topic.assignments.iter().map(|assignment| {
        let replicas = assignment.broker_ids.iter().map(|broker| broker.0).collect();
        (assignment.partition_index, replicas)
    });
    Ok(Layout::Assigned(assigned.collect()))
}

fn created(ctx: &RequestContext, topic: &Arc<TopicImage>, validate_only: bool) -> CreatableTopicResult {
    let name = TopicName(StrBytes::from_string(topic.name.to_string()));
    // The codec's default is an empty text, which Kafka does not send on success.
    let mut result = CreatableTopicResult::default().with_name(name).with_error_message(None);
    if LAYOUT_FROM <= ctx.api_version {
        let replicas = topic.partitions.first().map_or(0, |partition| partition.replicas.len());
        result.num_partitions = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        result.replication_factor = i16::try_from(replicas).unwrap_or(i16::MAX);
        result.configs = Some(configs(ctx, topic));
    }
    if IDS_FROM <= ctx.api_version && !validate_only {
        result.topic_id = topic.id.0;
    }
    result
}

fn configs(ctx: &RequestContext, topic: &TopicImage) -> Vec<CreatableTopicConfigs> {
    let image = ctx.services.controller.image();
    let layers = BrokerLayers {
        dynamic: &image.broker_configs,
        fixed: &ctx.services.config.kafka.static_keys,
    };
    TOPIC_KEYS
        .iter()
        .map(|key| {
            let effective = effective(key, &topic.configs, layers);
            let sensitive = key.kind == Kind::Password;
            CreatableTopicConfigs::default()
                .with_name(StrBytes::from_static_str(key.name))
                .with_value((!sensitive).then(|| StrBytes::from_string(effective.value)))
                .with_config_source(effective.source as i8)
                .with_is_sensitive(sensitive)
        })
        .collect()
}

fn failed(name: TopicName, error: &ControllerError) -> CreatableTopicResult {
    let code: ErrorCode = kafka_error::controller(error);
    CreatableTopicResult::default()
        .with_name(name)
        .with_error_code(code.code())
        .with_error_message(Some(StrBytes::from_string(error.to_string())))
}
