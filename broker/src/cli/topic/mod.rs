//! `tidemill topic`: topics of any Kafka broker, through librdkafka.

mod alter;
mod consume;
mod describe;
mod produce;

use clap::{Args, Subcommand};
use rdkafka::admin::{NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::error::CliError;
use super::kafka::{KafkaArgs, REQUEST_TIMEOUT, admin_options, block_on};
use super::output::{Format, print_table};

/// Arguments of `tidemill topic`.
#[derive(Debug, Args)]
pub(crate) struct TopicArgs {
    #[command(flatten)]
    kafka: KafkaArgs,
    /// Form of lists.
    #[arg(short, long, value_enum, default_value_t = Format::Table, global = true)]
    output: Format,
    #[command(subcommand)]
    command: TopicCommand,
}

#[derive(Debug, Subcommand)]
enum TopicCommand {
    /// List topics.
    List {
        /// Show internal topics too.
        #[arg(long)]
        internal: bool,
    },
    /// Show a topic's partitions, offsets and configuration.
    Describe {
        /// The topic.
        topic: String,
    },
    /// Create topics.
    Create {
        /// The topics.
        #[arg(required = true)]
        topics: Vec<String>,
        /// Partitions; -1 takes the broker's default.
        #[arg(short, long, default_value_t = -1, allow_negative_numbers = true)]
        partitions: i32,
        /// Copies; -1 takes the broker's default.
        #[arg(short, long, default_value_t = -1, allow_negative_numbers = true)]
        replication_factor: i32,
        /// Topic configuration, `name=value`.
        #[arg(short, long = "config", value_name = "NAME=VALUE")]
        configs: Vec<String>,
    },
    /// Delete topics and their data.
    Delete {
        /// The topics.
        #[arg(required = true)]
        topics: Vec<String>,
    },
    /// Change a topic's configuration or add partitions.
    Alter(alter::AlterArgs),
    /// Send the lines of stdin as records.
    Produce(produce::ProduceArgs),
    /// Print records.
    Consume(consume::ConsumeArgs),
}

/// Runs one command.
pub(crate) fn run(args: TopicArgs) -> Result<(), CliError> {
    let kafka = args.kafka;
    match args.command {
        TopicCommand::List { internal } => list(&kafka, internal, args.output),
        TopicCommand::Describe { topic } => describe::run(&kafka, &topic, args.output),
        TopicCommand::Create {
            topics,
            partitions,
            replication_factor,
            configs,
        } => create(&kafka, &topics, partitions, replication_factor, &configs),
        TopicCommand::Delete { topics } => delete(&kafka, &topics),
        TopicCommand::Alter(args) => alter::run(&kafka, &args),
        TopicCommand::Produce(args) => produce::run(&kafka, &args),
        TopicCommand::Consume(args) => consume::run(&kafka, &args),
    }
}

fn list(kafka: &KafkaArgs, internal: bool, format: Format) -> Result<(), CliError> {
    let client: BaseConsumer = kafka.client()?.create()?;
    let metadata = client.fetch_metadata(None, REQUEST_TIMEOUT)?;
    let mut rows: Vec<Vec<String>> = metadata
        .topics()
        .iter()
        .filter(|topic| internal || !is_internal(topic.name()))
        .map(|topic| vec![topic.name().to_owned(), topic.partitions().len().to_string()])
        .collect();
    rows.sort();
    print_table(format, &["TOPIC", "PARTITIONS"], &rows);
    Ok(())
}

/// Kafka's own names and ours; librdkafka does not pass on the internal flag of Metadata.
fn is_internal(name: &str) -> bool {
    name.starts_with("__") || name.starts_with("tidemill.")
}

fn create(
    kafka: &KafkaArgs,
    names: &[String],
    partitions: i32,
    replication_factor: i32,
    configs: &[String],
) -> Result<(), CliError> {
    let configs = configs
        .iter()
        .map(|config| split_config(config))
        .collect::<Result<Vec<_>, _>>()?;
    let topics: Vec<NewTopic<'_>> = names
        .iter()
        .map(|name| {
            let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(replication_factor));
            configs.iter().fold(topic, |topic, (key, value)| topic.set(key, value))
        })
        .collect();
    let results = block_on(async { Ok(kafka.admin()?.create_topics(&topics, &admin_options()).await?) })?;
    check_each(results, "create")
}

fn delete(kafka: &KafkaArgs, names: &[String]) -> Result<(), CliError> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let results = block_on(async { Ok(kafka.admin()?.delete_topics(&names, &admin_options()).await?) })?;
    check_each(results, "delete")
}

/// Splits `name=value`.
fn split_config(config: &str) -> Result<(&str, &str), CliError> {
    config
        .split_once('=')
        .ok_or_else(|| CliError::usage(format!("{config}: expected name=value")))
}

/// The first refusal, after all were carried out.
fn check_each(results: Vec<rdkafka::admin::TopicResult>, verb: &str) -> Result<(), CliError> {
    for result in results {
        if let Err((name, code)) = result {
            return Err(CliError::from_code(code, format!("cannot {verb} topic {name}: {code}")));
        }
    }
    Ok(())
}
