//! `tidemill topic alter`: configuration by IncrementalAlterConfigs, partitions by CreatePartitions.

use clap::Args;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{ApiKey, IncrementalAlterConfigsResponse};
use kafka_protocol::protocol::StrBytes;
use rdkafka::admin::NewPartitions;

use super::{check_each, split_config};
use crate::cli::error::CliError;
use crate::cli::kafka::{KafkaArgs, admin_options, block_on};
use crate::cli::wire;

const RESOURCE_TOPIC: i8 = 2;
const OPERATION_SET: i8 = 0;
const OPERATION_DELETE: i8 = 1;

#[derive(Debug, Args)]
pub(super) struct AlterArgs {
    /// The topic.
    topic: String,
    /// Raise the number of partitions to this.
    #[arg(short, long)]
    partitions: Option<usize>,
    /// Set a configuration key, `name=value`.
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Return a configuration key to its default.
    #[arg(long, value_name = "NAME")]
    delete: Vec<String>,
}

/// Carries out all changes asked for, configuration first.
pub(super) fn run(kafka: &KafkaArgs, args: &AlterArgs) -> Result<(), CliError> {
    if args.partitions.is_none() && args.set.is_empty() && args.delete.is_empty() {
        return Err(CliError::usage(
            "nothing to change: give --set, --delete or --partitions",
        ));
    }
    if !args.set.is_empty() || !args.delete.is_empty() {
        alter_configs(kafka, args)?;
    }
    let Some(count) = args.partitions else {
        return Ok(());
    };
    let partitions = NewPartitions::new(&args.topic, count);
    let results = block_on(async {
        Ok(kafka
            .admin()?
            .create_partitions([&partitions], &admin_options())
            .await?)
    })?;
    check_each(results, "add partitions to")
}

/// Librdkafka's Rust binding has only the older AlterConfigs, which resets every key that it does not name; so this
/// one request goes over the wire directly.
fn alter_configs(kafka: &KafkaArgs, args: &AlterArgs) -> Result<(), CliError> {
    let mut configs = Vec::new();
    for config in &args.set {
        let (name, value) = split_config(config)?;
        configs.push(alterable(name, OPERATION_SET, Some(value)));
    }
    configs.extend(args.delete.iter().map(|name| alterable(name, OPERATION_DELETE, None)));
    let resource = AlterConfigsResource::default()
        .with_resource_type(RESOURCE_TOPIC)
        .with_resource_name(StrBytes::from_string(args.topic.clone()))
        .with_configs(configs);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let response: IncrementalAlterConfigsResponse =
        wire::call(&kafka.brokers, ApiKey::IncrementalAlterConfigs, 1, &request)?;
    match response.responses.iter().find(|answer| answer.error_code != 0) {
        Some(answer) => Err(refusal(&args.topic, answer)),
        None => Ok(()),
    }
}

fn refusal(topic: &str, answer: &AlterConfigsResourceResponse) -> CliError {
    let reason = answer.error_message.as_ref().map_or("", |message| message.as_str());
    let message = format!("cannot alter {topic}: error {} {reason}", answer.error_code);
    if answer.error_code == ResponseError::UnknownTopicOrPartition.code() {
        return CliError::not_found(message);
    }
    CliError::failed(message)
}

fn alterable(name: &str, operation: i8, value: Option<&str>) -> AlterableConfig {
    AlterableConfig::default()
        .with_name(StrBytes::from_string(name.to_owned()))
        .with_config_operation(operation)
        .with_value(value.map(|value| StrBytes::from_string(value.to_owned())))
}
