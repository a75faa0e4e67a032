//! IncrementalAlterConfigs (key 44), versions 0-1.
//!
//! Versions: 1 flexible.
//!
//! Stage: alone on its connection. Per resource all changes happen or none (KIP-339).
//!
//! Deliberate deviation from Kafka: topics take every key of the key table, brokers those that may change while they run;
//! loggers, client metrics and groups have no settings here.

use protocol::ErrorCode;
use protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, StrBytes};

use super::RequestContext;
use super::describe_configs::{BROKER, TOPIC};
use super::distinct::{Distinct, distinct};
use crate::cluster::NodeId;
use crate::cluster::change::{ConfigChange, ConfigOperation, Requester};
use crate::cluster::names::check_topic_name;
use crate::kafka_error;

/// An error with the text that the client's user sees.
type Refusal = (ErrorCode, String);

/// Answers one request.
pub(crate) async fn handle(
    ctx: &RequestContext,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let mut responses = Vec::with_capacity(request.resources.len());
    let key = |resource: &'_ AlterConfigsResource| (resource.resource_type, resource.resource_name.clone());
    for resource in distinct(&request.resources, key) {
        let Distinct {
            item: resource,
            repeated,
        } = resource;
        let outcome = match repeated {
            true => Err((
                ErrorCode::InvalidRequest,
                "the resource is named twice in this request".to_owned(),
            )),
            false => alter(ctx, resource, request.validate_only).await,
        };
        responses.push(response(resource, outcome));
    }
    IncrementalAlterConfigsResponse::default().with_responses(responses)
}

async fn alter(ctx: &RequestContext, resource: &AlterConfigsResource, validate_only: bool) -> Result<(), Refusal> {
    let changes = resource.configs.iter().map(change).collect::<Result<Vec<_>, _>>()?;
    let controller = &ctx.services.controller;
    let name = resource.resource_name.to_string();
    let outcome = match resource.resource_type {
        TOPIC => {
            check_topic_name(&name).map_err(|error| (kafka_error::topic_name(&error), error.to_string()))?;
            controller
                .alter_topic_configs(name, changes, Requester::Client, validate_only)
                .await
        }
        BROKER => {
            controller
                .alter_broker_configs(broker(&name)?, changes, validate_only)
                .await
        }
        other => {
            let text = format!("resources of type {other} have no settings that could be altered here");
            return Err((ErrorCode::InvalidRequest, text));
        }
    };
    outcome.map_err(|error| (kafka_error::controller(&error), error.to_string()))
}

/// The broker named by a resource; the empty name is all of them.
fn broker(name: &str) -> Result<Option<NodeId>, Refusal> {
    match name {
        "" => Ok(None),
        name => name.parse().map(Some).map_err(|_| {
            (
                ErrorCode::InvalidRequest,
                format!("a broker is named by its number, not by '{name}'"),
            )
        }),
    }
}

fn change(config: &AlterableConfig) -> Result<ConfigChange, Refusal> {
    let value = config.value.as_ref().map(ToString::to_string);
    let operation = match config.config_operation {
        0 => ConfigOperation::Set(value),
        1 => ConfigOperation::Delete,
        2 => ConfigOperation::Append(value),
        3 => ConfigOperation::Subtract(value),
        unknown => return Err((ErrorCode::InvalidRequest, format!("unknown operation {unknown}"))),
    };
    Ok(ConfigChange {
        name: config.name.to_string(),
        operation,
    })
}

fn response(resource: &AlterConfigsResource, outcome: Result<(), Refusal>) -> AlterConfigsResourceResponse {
    let response = AlterConfigsResourceResponse::default()
        .with_resource_type(resource.resource_type)
        .with_resource_name(resource.resource_name.clone());
    match outcome {
        Ok(()) => response,
        Err((code, text)) => response
            .with_error_code(code.code())
            .with_error_message(Some(StrBytes::from_string(text))),
    }
}
