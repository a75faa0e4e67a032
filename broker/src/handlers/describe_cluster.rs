//! DescribeCluster (key 60), versions 0-2.
//!
//! Versions: 1 endpoint type, brokers or controllers (KIP-919) · 2 fenced brokers (KIP-1073), of which there are none.
//!
//! Stage: pipelined.
//!
//! Deliberate deviations from Kafka: none.

use protocol::ErrorCode;
use protocol::messages::describe_cluster_response::DescribeClusterBroker;
use protocol::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse, StrBytes};

use super::RequestContext;
use super::metadata::CLUSTER_OPERATIONS;

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

/// Answers one request.
pub(crate) async fn handle(ctx: &RequestContext, request: DescribeClusterRequest) -> DescribeClusterResponse {
    if 1 <= ctx.api_version && request.endpoint_type != BROKERS {
        return wrong_endpoint(request.endpoint_type);
    }
    let image = ctx.services.controller.image();
    let broker = DescribeClusterBroker::default()
        .with_broker_id(BrokerId(image.node_id))
        .with_host(StrBytes::from_string(ctx.advertised.host.clone()))
        .with_port(i32::from(ctx.advertised.port));
    let mut response = DescribeClusterResponse::default()
        .with_cluster_id(StrBytes::from_string(image.cluster_id.to_string()))
        .with_controller_id(BrokerId(image.node_id))
        .with_brokers(vec![broker]);
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = CLUSTER_OPERATIONS;
    }
    response
}

fn wrong_endpoint(endpoint_type: i8) -> DescribeClusterResponse {
    let (code, message) = match endpoint_type {
        CONTROLLERS => (
            ErrorCode::MismatchedEndpointType,
            "this is a broker listener, not a controller listener",
        ),
        _ => (ErrorCode::UnsupportedEndpointType, "unknown endpoint type"),
    };
    DescribeClusterResponse::default()
        .with_error_code(code.code())
        .with_error_message(Some(StrBytes::from_static_str(message)))
        .with_endpoint_type(BROKERS)
}
