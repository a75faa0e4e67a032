//! Metadata (key 3), versions 0-13.
//!
//! Versions: 1 null asks for all topics, an empty list for none; controller and internal flag · 2 cluster id · 4 the client
//! says whether topics may be created · 5 offline replicas · 7 leader epochs · 8 authorized operations (KIP-430) ·
//! 9 flexible · 10 topic ids in the answer (KIP-516) · 12 topics by id · 13 top-level error (KIP-1102, never needed here).
//!
//! Stage: pipelined.
//!
//! Deliberate deviation from Kafka: a topic that this request creates is answered at once, ready for use, where Kafka says
//! LEADER_NOT_AVAILABLE and lets the client ask again.

use std::sync::Arc;

use protocol::ErrorCode;
use protocol::ids::TopicId;
use protocol::messages::metadata_request::MetadataRequestTopic;
use protocol::messages::metadata_response::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic};
use protocol::messages::{BrokerId, MetadataRequest, MetadataResponse, StrBytes, TopicName};

use super::RequestContext;
use super::distinct::{Distinct, distinct};
use crate::cluster::change::{NewTopic, Requester};
use crate::cluster::names::{check_topic_name, is_reserved};
use crate::cluster::{ControllerError, Image, PartitionImage, TopicImage};
use crate::kafka_error;
use crate::partitions::LookupError;

/// First version in which topics may be asked for by id.
const IDS_FROM: i16 = 12;
/// First version that shows topic ids.
const IDS_SHOWN_FROM: i16 = 10;
/// Operations on a topic that everybody may do while there is no authorizer, as bits of Kafka's `AclOperation`.
const READ_OPERATIONS: i32 = 1 << 3 | 1 << 8 | 1 << 10;
const CHANGE_OPERATIONS: i32 = 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 11;
/// The same for the cluster.
pub(super) const CLUSTER_OPERATIONS: i32 = 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12;

/// Answers one request.
pub(crate) async fn handle(ctx: &RequestContext, request: MetadataRequest) -> MetadataResponse {
    let wanted = match wanted(ctx.api_version, &request) {
        Wanted::All => None,
        Wanted::Topics(topics) => Some(topics),
        Wanted::Refused(topics) => return response(ctx, &request, topics),
    };
    let topics = match wanted {
        None => all_topics(ctx, &request),
        Some(topics) => some_topics(ctx, &request, topics).await,
    };
    response(ctx, &request, topics)
}

enum Wanted {
    All,
    Topics(Vec<MetadataRequestTopic>),
    Refused(Vec<MetadataResponseTopic>),
}

fn wanted(version: i16, request: &MetadataRequest) -> Wanted {
    let topics = match &request.topics {
        None => return Wanted::All,
        Some(topics) if topics.is_empty() && version == 0 => return Wanted::All,
        Some(topics) => topics,
    };
    let is_refused = |topic: &MetadataRequestTopic| match version < IDS_FROM {
        true => topic.name.is_none() || !topic.topic_id.is_nil(),
        false => topic.name.is_none() && topic.topic_id.is_nil(),
    };
    if !topics.iter().any(is_refused) {
        return Wanted::Topics(topics.clone());
    }
    let refused = topics.iter().map(|topic| {
        let name = topic.name.clone().unwrap_or_default();
        failed(version, Some(name), TopicId(topic.topic_id), ErrorCode::InvalidRequest)
    });
    Wanted::Refused(refused.collect())
}

fn all_topics(ctx: &RequestContext, request: &MetadataRequest) -> Vec<MetadataResponseTopic> {
    let image = ctx.services.controller.image();
    image
        .topics_by_name
        .values()
        .map(|topic| described(ctx, request, topic))
        .collect()
}

async fn some_topics(
    ctx: &RequestContext,
    request: &MetadataRequest,
    wanted: Vec<MetadataRequestTopic>,
) -> Vec<MetadataResponseTopic> {
    let mut topics = Vec::with_capacity(wanted.len());
    let mut image = ctx.services.controller.image();
    for Distinct { item: topic, .. } in distinct(&wanted, |topic| (topic.name.as_deref(), topic.topic_id)) {
        match find(ctx, request, &mut image, topic).await {
            Ok(found) => topics.push(described(ctx, request, &found)),
            Err(code) => topics.push(failed(
                ctx.api_version,
                topic.name.clone(),
                TopicId(topic.topic_id),
                code,
            )),
        }
    }
    topics
}

/// The topic asked for; created where that is allowed.
async fn find(
    ctx: &RequestContext,
    request: &MetadataRequest,
    image: &mut Arc<Image>,
    topic: &MetadataRequestTopic,
) -> Result<Arc<TopicImage>, ErrorCode> {
    let Some(name) = topic.name.as_ref().filter(|_| topic.topic_id.is_nil()) else {
        return image
            .topic_by_id(TopicId(topic.topic_id))
            .cloned()
            .ok_or(ErrorCode::UnknownTopicId);
    };
    if let Some(found) = image.topic(name.as_str()) {
        return Ok(Arc::clone(found));
    }
    check_topic_name(name.as_str()).map_err(|error| kafka_error::topic_name(&error))?;
    let may_create = request.allow_auto_topic_creation && ctx.services.config.kafka.defaults.auto_create_topics;
    if !may_create || is_reserved(name.as_str()) {
        return Err(ErrorCode::UnknownTopicOrPartition);
    }
    let created = create(ctx, name.as_str()).await;
    *image = ctx.services.controller.image();
    created
}

async fn create(ctx: &RequestContext, name: &str) -> Result<Arc<TopicImage>, ErrorCode> {
    let controller = &ctx.services.controller;
    let answers = controller
        .create_topics(vec![NewTopic::with_defaults(name)], Requester::Client, false)
        .await;
    match answers.into_iter().next().expect("one answer per topic") {
        Ok(topic) => {
            tracing::info!(
                topic = name,
                "a topic was created because a client asked for its metadata"
            );
            Ok(topic)
        }
        Err(error) => after_failure(ctx, name, &error),
    }
}

/// Another request may have created the topic meanwhile.
fn after_failure(ctx: &RequestContext, name: &str, error: &ControllerError) -> Result<Arc<TopicImage>, ErrorCode> {
    match kafka_error::controller(error) {
        ErrorCode::TopicAlreadyExists => ctx
            .services
            .controller
            .image()
            .topic(name)
            .cloned()
            .ok_or(ErrorCode::LeaderNotAvailable),
        // Codes that a client does not expect in Metadata; it asks again.
        ErrorCode::KafkaStorageError | ErrorCode::NotController => Err(ErrorCode::LeaderNotAvailable),
        code => Err(code),
    }
}

fn described(ctx: &RequestContext, request: &MetadataRequest, topic: &TopicImage) -> MetadataResponseTopic {
    let partitions = (0..)
        .zip(&topic.partitions)
        .map(|(index, partition)| described_partition(ctx, topic, index, partition));
    let mut response = MetadataResponseTopic::default()
        .with_name(Some(topic_name(&topic.name)))
        .with_is_internal(topic.internal)
        .with_partitions(partitions.collect());
    if IDS_SHOWN_FROM <= ctx.api_version {
        response.topic_id = topic.id.0;
    }
    if request.include_topic_authorized_operations {
        let changeable = topic.client_change_refusal().is_none();
        response.topic_authorized_operations = READ_OPERATIONS | if changeable { CHANGE_OPERATIONS } else { 0 };
    }
    response
}

fn described_partition(
    ctx: &RequestContext,
    topic: &TopicImage,
    index: i32,
    partition: &PartitionImage,
) -> MetadataResponsePartition {
    let brokers = |nodes: &[i32]| nodes.iter().copied().map(BrokerId).collect::<Vec<_>>();
    let mut response = MetadataResponsePartition::default()
        .with_partition_index(index)
        .with_leader_id(BrokerId(partition.leader))
        .with_replica_nodes(brokers(&partition.replicas))
        .with_isr_nodes(brokers(&partition.isr));
    if 7 <= ctx.api_version {
        response.leader_epoch = partition.leader_epoch;
    }
    if is_offline(ctx, topic, index) {
        response.error_code = ErrorCode::LeaderNotAvailable.code();
        response.leader_id = BrokerId(-1);
        if 5 <= ctx.api_version {
            response.offline_replicas = brokers(&partition.replicas);
        }
    }
    response
}

/// Whether the partition's log could not be opened. Logs that are made at their first use are not opened for this.
fn is_offline(ctx: &RequestContext, topic: &TopicImage, index: i32) -> bool {
    if topic.internal {
        return false;
    }
    let partitions = &ctx.services.partitions;
    let state = partitions
        .topic_by_id(topic.id)
        .and_then(|topic| partitions.partition(&topic, index, ctx.now()));
    matches!(state, Err(LookupError::Offline(_)))
}

fn failed(version: i16, name: Option<TopicName>, id: TopicId, code: ErrorCode) -> MetadataResponseTopic {
    // Before version 12 the name cannot be null.
    let name = if version < IDS_FROM {
        Some(name.unwrap_or_default())
    } else {
        name
    };
    let mut response = MetadataResponseTopic::default()
        .with_error_code(code.code())
        .with_name(name);
    if IDS_SHOWN_FROM <= version {
        response.topic_id = id.0;
    }
    response
}

fn response(ctx: &RequestContext, request: &MetadataRequest, topics: Vec<MetadataResponseTopic>) -> MetadataResponse {
    let image = ctx.services.controller.image();
    let broker = MetadataResponseBroker::default()
        .with_node_id(BrokerId(image.node_id))
        .with_host(StrBytes::from_string(ctx.advertised.host.clone()))
        .with_port(i32::from(ctx.advertised.port));
    let mut response = MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_controller_id(BrokerId(image.node_id))
        .with_topics(topics);
    if 2 <= ctx.api_version {
        response.cluster_id = Some(StrBytes::from_string(image.cluster_id.to_string()));
    }
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = CLUSTER_OPERATIONS;
    }
    response
}

fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}
