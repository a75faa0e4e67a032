//! `tidemill group`: consumer groups of any Kafka broker, through librdkafka.

mod seek;

use clap::{Args, Subcommand};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::groups::GroupList;
use rdkafka::{Offset, TopicPartitionList};

use super::error::CliError;
use super::kafka::{KafkaArgs, REQUEST_TIMEOUT, admin_options, block_on};
use super::output::{Format, message, print_table};

/// Arguments of `tidemill group`.
#[derive(Debug, Args)]
pub(crate) struct GroupArgs {
    #[command(flatten)]
    kafka: KafkaArgs,
    /// Form of lists.
    #[arg(short, long, value_enum, default_value_t = Format::Table, global = true)]
    output: Format,
    #[command(subcommand)]
    command: GroupCommand,
}

#[derive(Debug, Subcommand)]
enum GroupCommand {
    /// List groups with their state and members.
    List,
    /// Show a group's committed offsets and lag.
    Describe {
        /// The group.
        group: String,
    },
    /// Move a group's committed offsets; the group must have no members.
    Seek(seek::SeekArgs),
    /// Delete groups and their committed offsets.
    Delete {
        /// The groups.
        #[arg(required = true)]
        groups: Vec<String>,
    },
}

/// Runs one command.
pub(crate) fn run(args: GroupArgs) -> Result<(), CliError> {
    let kafka = args.kafka;
    match args.command {
        GroupCommand::List => list(&kafka, args.output),
        GroupCommand::Describe { group } => describe(&kafka, &group, args.output),
        GroupCommand::Seek(args) => seek::run(&kafka, &args),
        GroupCommand::Delete { groups } => delete(&kafka, &groups),
    }
}

fn list(kafka: &KafkaArgs, format: Format) -> Result<(), CliError> {
    let groups = fetch_groups(kafka, None)?;
    let mut rows: Vec<Vec<String>> = groups
        .groups()
        .iter()
        .map(|group| {
            let members = group.members().len().to_string();
            vec![
                group.name().to_owned(),
                group.state().to_owned(),
                members,
                group.protocol().to_owned(),
            ]
        })
        .collect();
    rows.sort();
    print_table(format, &["GROUP", "STATE", "MEMBERS", "PROTOCOL"], &rows);
    Ok(())
}

fn describe(kafka: &KafkaArgs, group: &str, format: Format) -> Result<(), CliError> {
    let consumer = member_of(kafka, group)?;
    let committed = committed(&consumer)?;
    if committed.is_empty() && !exists(kafka, group)? {
        return Err(CliError::not_found(format!("group {group} does not exist")));
    }
    let mut rows = Vec::new();
    for (topic, partition, offset) in committed {
        let (_, end) = consumer.fetch_watermarks(&topic, partition, REQUEST_TIMEOUT)?;
        let lag = (end - offset).max(0);
        rows.push(vec![
            topic,
            partition.to_string(),
            offset.to_string(),
            end.to_string(),
            lag.to_string(),
        ]);
    }
    print_table(format, &["TOPIC", "PARTITION", "COMMITTED", "END", "LAG"], &rows);
    Ok(())
}

fn delete(kafka: &KafkaArgs, groups: &[String]) -> Result<(), CliError> {
    let names: Vec<&str> = groups.iter().map(String::as_str).collect();
    let results = block_on(async { Ok(kafka.admin()?.delete_groups(&names, &admin_options()).await?) })?;
    for result in results {
        match result {
            Ok(group) => message(&format!("deleted {group}")),
            Err((group, code)) => {
                return Err(CliError::from_code(
                    code,
                    format!("cannot delete group {group}: {code}"),
                ));
            }
        }
    }
    Ok(())
}

fn fetch_groups(kafka: &KafkaArgs, only: Option<&str>) -> Result<GroupList, CliError> {
    let client: BaseConsumer = kafka.client()?.create()?;
    Ok(client.fetch_group_list(only, REQUEST_TIMEOUT)?)
}

/// A group that was never heard of is described as dead.
fn exists(kafka: &KafkaArgs, group: &str) -> Result<bool, CliError> {
    let groups = fetch_groups(kafka, Some(group))?;
    Ok(groups.groups().iter().any(|found| found.state() != "Dead"))
}

/// A client that may ask for and commit the group's offsets without joining it.
fn member_of(kafka: &KafkaArgs, group: &str) -> Result<BaseConsumer, CliError> {
    let mut config = kafka.client()?;
    config.set("group.id", group);
    config.set("enable.auto.commit", "false");
    config.set("allow.auto.create.topics", "false");
    Ok(config.create()?)
}

/// Every partition of every topic for which the group has an offset.
fn committed(consumer: &BaseConsumer) -> Result<Vec<(String, i32, i64)>, CliError> {
    let metadata = consumer.fetch_metadata(None, REQUEST_TIMEOUT)?;
    let mut all = TopicPartitionList::new();
    for topic in metadata.topics() {
        for partition in topic.partitions() {
            all.add_partition(topic.name(), partition.id());
        }
    }
    let answered = consumer.committed_offsets(all, REQUEST_TIMEOUT)?;
    let mut offsets = Vec::new();
    for element in answered.elements() {
        if let Offset::Offset(offset) = element.offset() {
            offsets.push((element.topic().to_owned(), element.partition(), offset));
        }
    }
    offsets.sort();
    Ok(offsets)
}
