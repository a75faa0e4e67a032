//! DescribeCluster (60).

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::{ApiKey, BrokerId, DescribeClusterRequest, DescribeClusterResponse};
use tests::requests::text;

use super::{Wire, cut};

const ENDPOINT_TYPE_SINCE: i16 = 1;
const BROKERS: i8 = 1;
const NO_SUCH_ENDPOINT_TYPE: i8 = 9;

pub(crate) fn good(wire: &Wire, version: i16) {
    let cluster = &wire.cluster;
    let response = wire.connect().call(version, &DescribeClusterRequest::default());
    let broker = DescribeClusterBroker::default()
        .with_broker_id(BrokerId(cluster.node_id))
        .with_host(text(&cluster.host))
        .with_port(cluster.port);
    let expected = DescribeClusterResponse::default()
        .with_cluster_id(text(&cluster.cluster_id))
        .with_controller_id(BrokerId(cluster.node_id))
        .with_brokers(vec![broker]);
    assert_eq!(response, expected);
}

/// An endpoint type that nobody has. Version 0 has one field, a boolean, which is good with every byte: there it is
/// the frame that is cut.
pub(crate) fn bad(wire: &Wire, version: i16) {
    if version < ENDPOINT_TYPE_SINCE {
        cut::cut_frame_closes(wire, ApiKey::DescribeCluster, version);
        return;
    }
    let request = DescribeClusterRequest::default().with_endpoint_type(NO_SUCH_ENDPOINT_TYPE);
    let mut response = wire.connect().call(version, &request);
    assert!(response.error_message.take().is_some(), "a refusal says why");
    let refused = DescribeClusterResponse::default()
        .with_error_code(ResponseError::UnsupportedEndpointType.code())
        .with_endpoint_type(BROKERS)
        .with_cluster_id(text(""))
        .with_controller_id(BrokerId(-1));
    assert_eq!(response, refused);
}
