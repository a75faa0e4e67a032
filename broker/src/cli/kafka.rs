//! The Kafka client inside the commands: librdkafka, configured by the same flags everywhere.

use std::time::Duration;

use clap::Args;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::error::CliError;

/// How long an answer may take.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Which broker to talk to, and how.
#[derive(Debug, Clone, Args)]
pub(crate) struct KafkaArgs {
    /// Address of the broker.
    #[arg(
        short,
        long,
        env = "TIDEMILL_BROKERS",
        default_value = "127.0.0.1:9092",
        global = true
    )]
    pub(super) brokers: String,
    /// Properties of librdkafka, `name=value`.
    #[arg(short = 'X', long = "property", value_name = "NAME=VALUE", global = true)]
    properties: Vec<String>,
}

impl KafkaArgs {
    /// Arguments for a broker whose address is known.
    pub(super) fn at(brokers: String) -> KafkaArgs {
        KafkaArgs {
            brokers,
            properties: Vec::new(),
        }
    }

    /// A client configuration: the address, and the user's properties on top.
    pub(super) fn client(&self) -> Result<ClientConfig, CliError> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        config.set("client.id", "tidemill-cli");
        for property in &self.properties {
            let Some((name, value)) = property.split_once('=') else {
                return Err(CliError::usage(format!("-X {property}: expected name=value")));
            };
            config.set(name, value);
        }
        Ok(config)
    }

    /// An admin client. It must be created and used inside a tokio runtime.
    pub(super) fn admin(&self) -> Result<AdminClient<DefaultClientContext>, CliError> {
        Ok(self.client()?.create()?)
    }
}

/// Options of every admin request.
pub(super) fn admin_options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(REQUEST_TIMEOUT))
        .operation_timeout(Some(REQUEST_TIMEOUT))
}

/// The partitions of a topic, or the one of them that was asked for.
pub(super) fn partitions(consumer: &BaseConsumer, topic: &str, only: Option<i32>) -> Result<Vec<i32>, CliError> {
    let metadata = consumer.fetch_metadata(Some(topic), REQUEST_TIMEOUT)?;
    let all = metadata
        .topics()
        .iter()
        .flat_map(|topic| topic.partitions())
        .map(|partition| partition.id());
    let wanted: Vec<i32> = all.filter(|id| only.is_none_or(|only| only == *id)).collect();
    if wanted.is_empty() {
        return Err(CliError::not_found(format!("topic {topic} has no such partition")));
    }
    Ok(wanted)
}

/// Runs a command's future on a runtime of its own.
pub(super) fn block_on<T>(future: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(future)
}
