//! The administrative APIs in every version they are served in, from request bytes to response bytes.

use protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use protocol::messages::metadata_request::MetadataRequestTopic;
use protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, CreatePartitionsRequest, CreateTopicsRequest, CreateTopicsResponse,
    DeleteTopicsRequest, DescribeClusterRequest, DescribeConfigsRequest, DescribeConfigsResponse,
    FindCoordinatorRequest, IncrementalAlterConfigsRequest, MetadataRequest, MetadataResponse, RequestHeader,
    RequestMessage, ResponseMessage, StrBytes, TopicName, create_partitions_request, decode_response,
    delete_topics_request, describe_configs_request, encode_request,
};
use protocol::{ApiKey, ErrorCode};

use super::{Reply, route};
use crate::partitions::fixture::Node;

/// Sends a request through its route and reads the answer as a client would.
async fn ask<R: RequestMessage>(node: &Node, version: i16, request: &R) -> R::Response {
    let mut frame = encode_request(version, 1, Some("test"), request)
        .expect("a request of that version")
        .split_off(4);
    RequestHeader::decode(&mut frame).expect("the header that was just written");
    let route = route(R::KEY.key()).expect("a served API");
    let reply = (route.call)(node.context(version), frame).await;
    let Ok(Reply::Frame { frame, .. }) = reply else {
        panic!("{:?} v{version}: {reply:?}", R::KEY)
    };
    let bytes = bytes::Bytes::from(frame.parts.concat()).split_off(4);
    let (correlation_id, response) = decode_response(version, bytes).expect("a response of that version");
    assert_eq!(correlation_id, 1, "{:?}", <R::Response as ResponseMessage>::KEY);
    response
}

fn versions(api: ApiKey) -> std::ops::RangeInclusive<i16> {
    let route = route(api.key()).expect("a served API");
    route.min_version..=route.max_version
}

fn text(text: impl Into<String>) -> StrBytes {
    StrBytes::from_string(text.into())
}

fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

async fn create(node: &Node, version: i16, name: &str) -> CreateTopicsResponse {
    let config = CreatableTopicConfig::default()
        .with_name(text("retention.ms"))
        .with_value(Some(text("5")));
    let topic = CreatableTopic::default()
        .with_name(topic_name(name))
        .with_num_partitions(2)
        .with_replication_factor(-1)
        .with_configs(vec![config]);
    ask(node, version, &CreateTopicsRequest::default().with_topics(vec![topic])).await
}

#[tokio::test]
async fn api_versions() {
    let node = Node::start();
    for version in versions(ApiKey::ApiVersions) {
        let mut request = ApiVersionsRequest::default();
        if 3 <= version {
            request = request
                .with_client_software_name(text("test"))
                .with_client_software_version(text("1.0"));
        }
        let response: ApiVersionsResponse = ask(&node, version, &request).await;
        assert_eq!((response.error_code, response.api_keys.len()), (0, super::ROUTES.len()));
        assert_eq!(response.finalized_features.len(), usize::from(3 <= version));
        if 3 <= version {
            let refused = ask(&node, version, &ApiVersionsRequest::default()).await;
            assert_eq!(refused.error_code, ErrorCode::InvalidRequest.code());
        }
    }
}

#[tokio::test]
async fn topics_are_created_and_deleted() {
    let node = Node::start();
    for version in versions(ApiKey::CreateTopics) {
        let name = format!("topic-{version}");
        let created = create(&node, version, &name).await.topics.remove(0);
        assert_eq!((created.error_code, created.name.as_str()), (0, name.as_str()));
        let again = create(&node, version, &name).await.topics.remove(0);
        assert_eq!(again.error_code, ErrorCode::TopicAlreadyExists.code());
        if 5 <= version {
            assert_eq!((created.num_partitions, created.replication_factor), (2, 1));
            let configs = created.configs.expect("settings are told");
            let retention = configs
                .iter()
                .find(|config| config.name.as_str() == "retention.ms")
                .expect("every key");
            assert_eq!((retention.value.as_deref(), retention.config_source), (Some("5"), 1));
        }
        assert_eq!(created.topic_id.is_nil(), version < 7);
    }
    for version in versions(ApiKey::DeleteTopics) {
        let name = format!("doomed-{version}");
        create(&node, 7, &name).await;
        for expected in [ErrorCode::None, ErrorCode::UnknownTopicOrPartition] {
            let request = match version {
                6 => DeleteTopicsRequest::default().with_topics(vec![
                    delete_topics_request::DeleteTopicState::default().with_name(Some(topic_name(&name))),
                ]),
                _ => DeleteTopicsRequest::default().with_topic_names(vec![topic_name(&name)]),
            };
            let answer = ask(&node, version, &request).await.responses.remove(0);
            assert_eq!(answer.error_code, expected.code(), "version {version}");
        }
    }
}

#[tokio::test]
async fn topics_are_deleted_by_id() {
    let node = Node::start();
    let id = node.topic("a", 1).await;
    for expected in [ErrorCode::None, ErrorCode::UnknownTopicId] {
        let state = delete_topics_request::DeleteTopicState::default()
            .with_name(None)
            .with_topic_id(id.0);
        let answer = ask(&node, 6, &DeleteTopicsRequest::default().with_topics(vec![state]))
            .await
            .responses
            .remove(0);
        assert_eq!((answer.error_code, answer.topic_id), (expected.code(), id.0));
    }
}

#[tokio::test]
async fn metadata() {
    let node = Node::start();
    let id = node.topic("a", 2).await;
    for version in versions(ApiKey::Metadata) {
        let all = MetadataRequest::default().with_topics(if version == 0 { Some(vec![]) } else { None });
        let response: MetadataResponse = ask(&node, version, &all).await;
        assert_eq!(
            (response.brokers.len(), response.topics.len()),
            (1, 1),
            "version {version}"
        );
        let topic = &response.topics[0];
        assert_eq!((topic.error_code, topic.partitions.len()), (0, 2));
        assert_eq!(topic.topic_id, if 10 <= version { id.0 } else { uuid::Uuid::nil() });
        assert_eq!(topic.partitions[1].leader_id.0, response.brokers[0].node_id.0);
        let unknown = MetadataRequestTopic::default().with_name(Some(topic_name("bad name")));
        let mut request = MetadataRequest::default().with_topics(Some(vec![unknown]));
        request.allow_auto_topic_creation = version < 4;
        let response = ask(&node, version, &request).await;
        assert_eq!(response.topics[0].error_code, ErrorCode::InvalidTopicException.code());
    }
}

#[tokio::test]
async fn asking_for_a_topic_may_create_it() {
    let node = Node::start();
    let wanted = |name: &str, may_create| {
        let topic = MetadataRequestTopic::default().with_name(Some(topic_name(name)));
        MetadataRequest::default()
            .with_topics(Some(vec![topic]))
            .with_allow_auto_topic_creation(may_create)
    };
    let refused = ask(&node, 12, &wanted("a", false)).await;
    assert_eq!(refused.topics[0].error_code, ErrorCode::UnknownTopicOrPartition.code());
    let created = ask(&node, 12, &wanted("a", true)).await;
    assert_eq!(
        (created.topics[0].error_code, created.topics[0].partitions.len()),
        (0, 1)
    );
    let internal = ask(&node, 12, &wanted("__consumer_offsets", true)).await;
    assert_eq!(internal.topics[0].error_code, ErrorCode::UnknownTopicOrPartition.code());
}

#[tokio::test]
async fn partitions_are_added() {
    let node = Node::start();
    node.topic("a", 1).await;
    for (version, count) in versions(ApiKey::CreatePartitions).zip(2..) {
        let topic = create_partitions_request::CreatePartitionsTopic::default()
            .with_name(topic_name("a"))
            .with_count(count)
            .with_assignments(None);
        let request = CreatePartitionsRequest::default().with_topics(vec![topic]);
        assert_eq!(ask(&node, version, &request).await.results[0].error_code, 0);
        let again = ask(&node, version, &request).await.results.remove(0);
        assert_eq!(again.error_code, ErrorCode::InvalidPartitions.code());
    }
}

fn describe(resource_type: i8, name: &str) -> DescribeConfigsRequest {
    let resource = describe_configs_request::DescribeConfigsResource::default()
        .with_resource_type(resource_type)
        .with_resource_name(text(name))
        .with_configuration_keys(None);
    DescribeConfigsRequest::default()
        .with_resources(vec![resource])
        .with_include_synonyms(true)
}

#[tokio::test]
async fn settings_are_described_and_altered() {
    let node = Node::start();
    node.topic("a", 1).await;
    for version in versions(ApiKey::DescribeConfigs) {
        for (resource_type, name, known) in [(2, "a", "cleanup.policy"), (4, "1", "num.partitions")] {
            let response: DescribeConfigsResponse = ask(&node, version, &describe(resource_type, name)).await;
            let result = &response.results[0];
            assert_eq!(result.error_code, 0, "{:?}", result.error_message);
            let config = result
                .configs
                .iter()
                .find(|config| config.name.as_str() == known)
                .expect("every key");
            assert!(!config.synonyms.is_empty() && (version < 3 || config.config_type != 0));
        }
        let unknown = ask(&node, version, &describe(2, "nobody")).await;
        assert_eq!(unknown.results[0].error_code, ErrorCode::UnknownTopicOrPartition.code());
        let other_broker = ask(&node, version, &describe(4, "7")).await;
        assert_eq!(other_broker.results[0].error_code, ErrorCode::InvalidRequest.code());
    }
    for version in versions(ApiKey::IncrementalAlterConfigs) {
        for (name, value, expected) in [
            ("retention.ms", "7", ErrorCode::None),
            ("retention.ms", "soon", ErrorCode::InvalidConfig),
            ("nonsense", "7", ErrorCode::InvalidConfig),
            ("flush.messages", "1", ErrorCode::InvalidConfig),
        ] {
            let config = AlterableConfig::default()
                .with_name(text(name))
                .with_value(Some(text(value)));
            let resource = AlterConfigsResource::default()
                .with_resource_type(2)
                .with_resource_name(text("a"))
                .with_configs(vec![config]);
            let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
            assert_eq!(
                ask(&node, version, &request).await.responses[0].error_code,
                expected.code(),
                "{name}={value}"
            );
        }
    }
    let log_config = node
        .services
        .partitions
        .topic("a")
        .expect("there")
        .open_partitions()
        .next()
        .map(|p| p.log.config());
    assert_eq!(
        log_config.expect("open").retention_ms,
        Some(7),
        "a changed setting reaches the log"
    );
}

#[tokio::test]
async fn a_resource_named_twice_is_described_once() {
    let node = Node::start();
    node.topic("a", 1).await;
    let mut request = describe(2, "a");
    request.resources.extend(describe(4, "1").resources);
    request.resources.extend(request.resources.clone());
    // Other ways to write the broker's number name no broker.
    request.resources.extend(describe(4, "+1").resources);
    let results = ask(&node, 4, &request).await.results;
    let codes: Vec<_> = results
        .iter()
        .map(|result| (result.resource_type, result.error_code))
        .collect();
    assert_eq!(codes, [(2, 0), (4, 0), (4, ErrorCode::InvalidRequest.code())]);
}

#[tokio::test]
async fn cluster_and_coordinators() {
    let node = Node::start();
    for version in versions(ApiKey::DescribeCluster) {
        let response = ask(&node, version, &DescribeClusterRequest::default().with_endpoint_type(1)).await;
        assert_eq!((response.error_code, response.brokers.len()), (0, 1));
        if 1 <= version {
            let controllers = ask(&node, version, &DescribeClusterRequest::default().with_endpoint_type(2)).await;
            assert_eq!(controllers.error_code, ErrorCode::MismatchedEndpointType.code());
        }
    }
    for version in versions(ApiKey::FindCoordinator) {
        for (key_type, expected) in [(0, ErrorCode::None), (1, ErrorCode::TransactionalIdAuthorizationFailed)] {
            let mut request = FindCoordinatorRequest::default();
            if 1 <= version {
                request.key_type = key_type;
            } else if key_type != 0 {
                continue;
            }
            let code = if version < 4 {
                request.key = text("g");
                ask(&node, version, &request).await.error_code
            } else {
                request.coordinator_keys = vec![text("g")];
                ask(&node, version, &request).await.coordinators[0].error_code
            };
            assert_eq!(code, expected.code(), "version {version}");
        }
    }
}
