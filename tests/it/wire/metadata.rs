//! Metadata (3).

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, MetadataRequest, MetadataResponse};
use tests::requests::{self, text, topic_name};

use super::Wire;

const CONTROLLER_SINCE: i16 = 1;
const CLUSTER_ID_SINCE: i16 = 2;
const AUTO_CREATE_SINCE: i16 = 4;
const LEADER_EPOCH_SINCE: i16 = 7;
const TOPIC_ID_SINCE: i16 = 10;

pub(crate) fn good(wire: &Wire, version: i16) {
    let mut connection = wire.connect();
    let topic = requests::create_topic(&mut connection, "metadata", 2, &[]);
    let leader_epoch = requests::leader_epoch(&mut connection, &topic, 0);
    let mut response = connection.call(version, &request(version, &topic.name));
    response.topics[0]
        .partitions
        .sort_by_key(|partition| partition.partition_index);

    let node = BrokerId(wire.cluster.node_id);
    let partitions = (0..2).map(|index| {
        let mut partition = MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(node)
            .with_replica_nodes(vec![node])
            .with_isr_nodes(vec![node]);
        if version >= LEADER_EPOCH_SINCE {
            partition.leader_epoch = leader_epoch;
        }
        partition
    });
    let mut described = MetadataResponseTopic::default()
        .with_name(Some(topic.topic_name()))
        .with_partitions(partitions.collect());
    if version >= TOPIC_ID_SINCE {
        described.topic_id = topic.id;
    }
    assert_eq!(response, answer(wire, version, described));
}

pub(crate) fn bad(wire: &Wire, version: i16) {
    let name = "no topic can be called so!";
    let response = wire.connect().call(version, &request(version, name));
    let refused = MetadataResponseTopic::default()
        .with_name(Some(topic_name(name)))
        .with_error_code(ResponseError::InvalidTopicException.code());
    assert_eq!(response, answer(wire, version, refused));
}

fn request(version: i16, name: &str) -> MetadataRequest {
    // Before that version the broker's setting alone decides, and the codec wants the field at its default.
    requests::metadata_request(&[name], version < AUTO_CREATE_SINCE)
}

fn answer(wire: &Wire, version: i16, topic: MetadataResponseTopic) -> MetadataResponse {
    let cluster = &wire.cluster;
    let broker = MetadataResponseBroker::default()
        .with_node_id(BrokerId(cluster.node_id))
        .with_host(text(&cluster.host))
        .with_port(cluster.port);
    let mut response = MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_topics(vec![topic]);
    if version >= CONTROLLER_SINCE {
        response.controller_id = BrokerId(cluster.node_id);
    }
    if version >= CLUSTER_ID_SINCE {
        response.cluster_id = Some(text(&cluster.cluster_id));
    }
    response
}
