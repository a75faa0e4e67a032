//! `tidemill topic consume`: prints records as lines, or as JSON objects that keep everything.

use std::time::Duration;

use clap::Args;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Value, json};

use crate::cli::error::CliError;
use crate::cli::kafka::{KafkaArgs, partitions};
use crate::cli::output::print_if_read;

#[derive(Debug, Args)]
pub(super) struct ConsumeArgs {
    /// The topic.
    topic: String,
    /// Where to start: `earliest`, `latest`, an offset, or `-N` for the last N of each partition.
    #[arg(short = 's', long, default_value = "earliest", allow_hyphen_values = true)]
    offset: String,
    /// Only this partition.
    #[arg(short, long)]
    partition: Option<i32>,
    /// Stop after this many records.
    #[arg(short = 'n', long)]
    count: Option<u64>,
    /// Stop at the end of every partition instead of waiting for more.
    #[arg(short = 'e', long)]
    exit_at_end: bool,
    /// Print whole records as JSON: partition, offset, timestamp, key, value, headers.
    #[arg(short = 'J', long)]
    json: bool,
    /// Print the key and a tab before the value.
    #[arg(short, long)]
    key: bool,
    /// See records of open and aborted transactions too.
    #[arg(long)]
    read_uncommitted: bool,
}

/// Prints until told to stop, or until nobody reads.
pub(super) fn run(kafka: &KafkaArgs, args: &ConsumeArgs) -> Result<(), CliError> {
    let consumer = consumer(kafka, args)?;
    let mut open_partitions = assign(&consumer, args)?;
    let mut left = args.count.unwrap_or(u64::MAX);
    while left > 0 && open_partitions > 0 {
        match consumer.poll(Duration::from_millis(500)) {
            None => {}
            Some(Ok(message)) => {
                let line = if args.json {
                    json_line(&message)
                } else {
                    plain_line(&message, args.key)
                };
                if !print_if_read(&line) {
                    return Ok(());
                }
                left -= 1;
            }
            Some(Err(KafkaError::PartitionEOF(_))) if args.exit_at_end => open_partitions -= 1,
            Some(Err(KafkaError::PartitionEOF(_))) => {}
            Some(Err(error)) => return Err(error.into()),
        }
    }
    Ok(())
}

fn consumer(kafka: &KafkaArgs, args: &ConsumeArgs) -> Result<BaseConsumer, CliError> {
    let mut config = kafka.client()?;
    config.set("group.id", "tidemill-cli");
    config.set("enable.auto.commit", "false");
    config.set("enable.partition.eof", "true");
    config.set("allow.auto.create.topics", "false");
    config.set(
        "isolation.level",
        if args.read_uncommitted {
            "read_uncommitted"
        } else {
            "read_committed"
        },
    );
    Ok(config.create()?)
}

/// Assigns the partitions asked for and tells how many they are.
fn assign(consumer: &BaseConsumer, args: &ConsumeArgs) -> Result<usize, CliError> {
    let wanted = partitions(consumer, &args.topic, args.partition)?;
    let offset = parse_offset(&args.offset)?;
    let mut list = TopicPartitionList::new();
    for partition in &wanted {
        list.add_partition_offset(&args.topic, *partition, offset)?;
    }
    consumer.assign(&list)?;
    Ok(wanted.len())
}

fn parse_offset(text: &str) -> Result<Offset, CliError> {
    match text {
        "earliest" => return Ok(Offset::Beginning),
        "latest" => return Ok(Offset::End),
        _ => {}
    }
    match text.parse::<i64>() {
        Ok(tail) if tail < 0 => Ok(Offset::OffsetTail(-tail)),
        Ok(offset) => Ok(Offset::Offset(offset)),
        Err(_) => Err(CliError::usage(format!(
            "{text} is no offset: earliest, latest, N or -N"
        ))),
    }
}

fn plain_line(message: &BorrowedMessage<'_>, with_key: bool) -> String {
    let value = text(message.payload()).unwrap_or_default();
    if with_key {
        format!("{}\t{value}\n", text(message.key()).unwrap_or_default())
    } else {
        value + "\n"
    }
}

fn json_line(message: &BorrowedMessage<'_>) -> String {
    let headers: Vec<Value> = message.headers().map_or_else(Vec::new, |headers| {
        headers
            .iter()
            .map(|header| json!([header.key, text(header.value)]))
            .collect()
    });
    let line = json!({
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp": message.timestamp().to_millis(),
        "key": text(message.key()),
        "value": text(message.payload()),
        "headers": headers,
    });
    line.to_string() + "\n"
}

fn text(bytes: Option<&[u8]>) -> Option<String> {
    bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_have_four_spellings() {
        assert_eq!(parse_offset("earliest").ok(), Some(Offset::Beginning));
        assert_eq!(parse_offset("latest").ok(), Some(Offset::End));
        assert_eq!(parse_offset("42").ok(), Some(Offset::Offset(42)));
        assert_eq!(parse_offset("-5").ok(), Some(Offset::OffsetTail(5)));
        assert!(parse_offset("soon").is_err());
    }
}
