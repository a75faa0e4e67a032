//! `tidemill group seek`: where a group goes on reading.

use clap::Args;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::{fetch_groups, member_of};
use crate::cli::error::CliError;
use crate::cli::kafka::{KafkaArgs, REQUEST_TIMEOUT, partitions};
use crate::cli::output::message;

#[derive(Debug, Args)]
pub(super) struct SeekArgs {
    /// The group.
    group: String,
    /// The topic.
    #[arg(short, long)]
    topic: String,
    /// Only this partition.
    #[arg(short, long)]
    partition: Option<i32>,
    /// Where to: `start`, `end`, an offset, or `@N` for the first record at N milliseconds since 1970.
    #[arg(long)]
    to: String,
}

/// Commits the new offsets in the group's name.
pub(super) fn run(kafka: &KafkaArgs, args: &SeekArgs) -> Result<(), CliError> {
    refuse_live_group(kafka, &args.group)?;
    let consumer = member_of(kafka, &args.group)?;
    let mut list = TopicPartitionList::new();
    for partition in partitions(&consumer, &args.topic, args.partition)? {
        let offset = resolve(&consumer, &args.topic, partition, &args.to)?;
        list.add_partition_offset(&args.topic, partition, Offset::Offset(offset))?;
        message(&format!("{}-{partition} -> {offset}", args.topic));
    }
    Ok(consumer.commit(&list, CommitMode::Sync)?)
}

/// A commit beside living members would be taken back by their next one.
fn refuse_live_group(kafka: &KafkaArgs, group: &str) -> Result<(), CliError> {
    let groups = fetch_groups(kafka, Some(group))?;
    if groups.groups().iter().any(|found| !found.members().is_empty()) {
        return Err(CliError::failed(format!("group {group} has members; stop them first")));
    }
    Ok(())
}

fn resolve(consumer: &BaseConsumer, topic: &str, partition: i32, to: &str) -> Result<i64, CliError> {
    let (start, end) = consumer.fetch_watermarks(topic, partition, REQUEST_TIMEOUT)?;
    match to {
        "start" => return Ok(start),
        "end" => return Ok(end),
        _ => {}
    }
    if let Some(time) = to.strip_prefix('@') {
        let time = time
            .parse()
            .map_err(|_| CliError::usage(format!("{to}: expected @milliseconds")))?;
        return Ok(first_at(consumer, topic, partition, time)?.unwrap_or(end));
    }
    let offset: i64 = to
        .parse()
        .map_err(|_| CliError::usage(format!("{to}: expected start, end, N or @N")))?;
    if offset < start || end < offset {
        return Err(CliError::failed(format!(
            "{topic}-{partition} holds offsets {start} to {end}"
        )));
    }
    Ok(offset)
}

fn first_at(consumer: &BaseConsumer, topic: &str, partition: i32, time: i64) -> Result<Option<i64>, CliError> {
    let mut query = TopicPartitionList::new();
    query.add_partition_offset(topic, partition, Offset::Offset(time))?;
    let answer = consumer.offsets_for_times(query, REQUEST_TIMEOUT)?;
    match answer.elements().first().map(|element| element.offset()) {
        Some(Offset::Offset(offset)) => Ok(Some(offset)),
        _ => Ok(None),
    }
}
