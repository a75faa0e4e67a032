//! Records that go to a dead-letter topic.

use protocol::ids::TopicPartition;
use protocol::records::Record;

use super::pipeline::Pipeline;
use super::source::BadRecord;
use crate::operators::epoch_buffer::Port;

/// A dead letter keeps key, value and headers, and tells in headers of its own where it came from and what is wrong.
pub(super) fn write_dead_letter(
    pipeline: &mut Pipeline,
    port: Port,
    partition: &TopicPartition,
    record: Option<Record<'_>>,
    bad: &BadRecord,
) {
    let number = partition.partition.to_string();
    let offset = bad.offset.to_string();
    let mut headers: Vec<(&str, Option<&[u8]>)> = record
        .iter()
        .flat_map(|record| record.headers.iter().filter_map(Result::ok))
        .map(|header| (header.key, header.value))
        .collect();
    headers.push(("tidemill.topic", Some(partition.topic.as_bytes())));
    headers.push(("tidemill.partition", Some(number.as_bytes())));
    headers.push(("tidemill.offset", Some(offset.as_bytes())));
    headers.push(("tidemill.error", Some(bad.reason.as_bytes())));
    let (key, value) = record.map_or((None, None), |record| (record.key, record.value));
    let target = partition.partition % pipeline.buffer.partitions(port);
    pipeline.buffer.append(port, target, key, value, &headers);
}
