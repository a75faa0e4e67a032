//! `tidemill bench consume`: reads every partition of a topic from its start.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
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
    let (assignment, ends) = assignment(&consumer, &args.target.topic)?;

    let before = args.target.pid.map(ServerUsage::read).transpose()?;
    consumer.assign(&assignment)?;
    let env = Env::system();
    let mut started = None;
    let mut progress = Progress::new(ends, args.records);
    while !progress.is_done() {
        match consumer.poll(Duration::from_secs(args.timeout_s)) {
            Some(Ok(message)) => {
                started.get_or_insert_with(|| env.monotonic());
                progress.read(&message);
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => progress.ended(partition),
            Some(Err(error)) => return Err(error.into()),
            None => return Err(progress.silent(args.timeout_s)),
        }
    }
    let elapsed = started.map_or(Duration::ZERO, |started| env.monotonic() - started);
    let after = args.target.pid.map(ServerUsage::read).transpose()?;
    if progress.records == 0 {
        return Err(CliError::not_found(format!(
            "topic {} holds no records",
            args.target.topic
        )));
    }
    Ok(Report {
        name: "consume",
        records: progress.records,
        bytes: progress.bytes,
        errors: 0,
        elapsed,
        latency_us: None,
        server: before.zip(after),
        disk,
    })
}

/// How far a run has come. Offsets say where a partition ends and not how much is in it: the markers of transactions
/// have some, aborted records have some, and compaction leaves gaps.
struct Progress {
    /// Where the partitions ended when the run began, of those that are not read that far.
    ends: BTreeMap<i32, i64>,
    /// Records to stop after; 0 reads to the ends.
    wanted: u64,
    records: u64,
    bytes: u64,
}

impl Progress {
    fn new(ends: BTreeMap<i32, i64>, wanted: u64) -> Progress {
        Progress {
            ends,
            wanted,
            records: 0,
            bytes: 0,
        }
    }

    fn is_done(&self) -> bool {
        match self.wanted {
            0 => self.ends.is_empty(),
            wanted => wanted <= self.records,
        }
    }

    /// Counts a record, unless it came to its partition after the run had begun and only what was there is wanted.
    fn read(&mut self, message: &BorrowedMessage<'_>) {
        let (partition, next) = (message.partition(), message.offset() + 1);
        let end = self.ends.get(&partition).copied();
        if end.is_some_and(|end| end <= next) {
            self.ended(partition);
        }
        if self.wanted > 0 || end.is_some_and(|end| next <= end) {
            self.records += 1;
            self.bytes += (message.payload().map_or(0, <[u8]>::len) + message.key().map_or(0, <[u8]>::len)) as u64;
        }
    }

    fn ended(&mut self, partition: i32) {
        self.ends.remove(&partition);
    }

    fn silent(&self, timeout_s: u64) -> CliError {
        let missing = match self.wanted {
            0 => format!("{} partitions are not read to their end", self.ends.len()),
            wanted => format!("{wanted} were asked for"),
        };
        CliError::timed_out(format!(
            "{} records after {timeout_s} s of silence; {missing}",
            self.records
        ))
    }
}

fn consumer(args: &ConsumeArgs) -> Result<BaseConsumer, CliError> {
    let mut config = args.target.kafka.client()?;
    config.set("group.id", "tidemill-bench");
    config.set("enable.auto.commit", "false");
    config.set("enable.auto.offset.store", "false");
    // Says where a partition ends, whatever stands before its end.
    config.set("enable.partition.eof", "true");
    config.set("queued.min.messages", "1000000");
    Ok(config.create()?)
}

/// All partitions from their start, and where those end that hold anything.
fn assignment(consumer: &BaseConsumer, topic: &str) -> Result<(TopicPartitionList, BTreeMap<i32, i64>), CliError> {
    let metadata = consumer.fetch_metadata(Some(topic), METADATA_TIMEOUT)?;
    let mut list = TopicPartitionList::new();
    let mut ends = BTreeMap::new();
    for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
        let (low, high) = consumer.fetch_watermarks(topic, partition.id(), METADATA_TIMEOUT)?;
        list.add_partition_offset(topic, partition.id(), Offset::Beginning)?;
        if low < high {
            ends.insert(partition.id(), high);
        }
    }
    Ok((list, ends))
}
