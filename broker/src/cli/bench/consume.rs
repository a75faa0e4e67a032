//! `tidemill bench consume`: reads every partition of a topic from its start.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::disk::DiskCeiling;
use super::report::Report;
use super::server::ServerUsage;
use super::{CliError, ConsumeArgs};
use crate::env::Env;

const METADATA_TIMEOUT: Duration = Duration::from_secs(30);

/// Reads and reports. The clock starts at the first record.
pub(super) fn run(args: &ConsumeArgs) -> Result<Report, CliError> {
    let disk = args.target.disk.as_deref().map(DiskCeiling::measure).transpose()?;
    let consumer = consumer(args)?;
    let (assignment, available) = assignment(&consumer, &args.target.topic)?;
    let wanted = if args.records > 0 { args.records } else { available };
    if wanted == 0 {
        return Err(CliError::not_found(format!(
            "topic {} holds no records",
            args.target.topic
        )));
    }

    let before = args.target.pid.map(ServerUsage::read).transpose()?;
    consumer.assign(&assignment)?;
    let env = Env::system();
    let mut started = None;
    let mut records = 0_u64;
    let mut bytes = 0_u64;
    while records < wanted {
        let Some(message) = consumer.poll(Duration::from_secs(args.timeout_s)) else {
            return Err(CliError::timed_out(format!(
                "{records} of {wanted} records after {} s of silence",
                args.timeout_s
            )));
        };
        let message = message?;
        started.get_or_insert_with(|| env.monotonic());
        records += 1;
        bytes += (message.payload().map_or(0, <[u8]>::len) + message.key().map_or(0, <[u8]>::len)) as u64;
    }
    let elapsed = started.map_or(Duration::ZERO, |started| env.monotonic() - started);
    let after = args.target.pid.map(ServerUsage::read).transpose()?;
    Ok(Report {
        name: "consume",
        records,
        bytes,
        errors: 0,
        elapsed,
        latency_us: None,
        server: before.zip(after),
        disk,
    })
}

fn consumer(args: &ConsumeArgs) -> Result<BaseConsumer, CliError> {
    let mut config = args.target.kafka.client()?;
    config.set("group.id", "tidemill-bench");
    config.set("enable.auto.commit", "false");
    config.set("enable.auto.offset.store", "false");
    config.set("queued.min.messages", "1000000");
    Ok(config.create()?)
}

/// All partitions from their start, and how many offsets they hold.
fn assignment(consumer: &BaseConsumer, topic: &str) -> Result<(TopicPartitionList, u64), CliError> {
    let metadata = consumer.fetch_metadata(Some(topic), METADATA_TIMEOUT)?;
    let mut list = TopicPartitionList::new();
    let mut available = 0;
    for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
        let (low, high) = consumer.fetch_watermarks(topic, partition.id(), METADATA_TIMEOUT)?;
        list.add_partition_offset(topic, partition.id(), Offset::Beginning)?;
        available += (high - low).max(0) as u64;
    }
    Ok((list, available))
}
