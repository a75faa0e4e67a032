//! Late rows, for `LATE TO`: the records that they came from, with key, value and headers as they were.

use arrow::array::{Array, AsArray, BinaryArray, RecordBatch};
use protocol::ids::PartitionId;

use super::epoch_buffer::{EpochBuffer, Port};
use super::partitioner::partition_of;
use crate::plan::graph::LatePlan;

/// Writes late rows to a topic.
pub struct LateRecords {
    port: Port,
    plan: LatePlan,
}

impl LateRecords {
    /// A writer of what `plan` says, to its topic with so many partitions.
    pub fn new(buffer: &mut EpochBuffer, partitions: PartitionId, plan: &LatePlan) -> Self {
        Self {
            port: buffer.topic(&plan.topic, partitions),
            plan: plan.clone(),
        }
    }

    /// Writes the record of every row. Those with a key go to the partition of their key.
    pub fn append_all(&self, rows: &RecordBatch, buffer: &mut EpochBuffer) {
        let columns = self.plan.columns;
        let keys = rows.column(columns.key).as_binary::<i32>();
        let values = rows.column(columns.value).as_binary::<i32>();
        let headers = rows.column(columns.headers).as_list::<i32>();
        for row in 0..rows.num_rows() {
            let of_row = headers.value(row);
            let entries = of_row.as_struct();
            let (names, contents) = (
                entries.column(0).as_string::<i32>(),
                entries.column(1).as_binary::<i32>(),
            );
            let headers: Vec<(&str, Option<&[u8]>)> = (0..entries.len())
                .map(|at| (names.value(at), bytes(contents, at)))
                .collect();
            let key = bytes(keys, row);
            let partition = match key {
                Some(key) => partition_of(key, buffer.partitions(self.port)),
                None => buffer.turn(self.port),
            };
            buffer.append(self.port, partition, key, bytes(values, row), &headers);
        }
    }
}

fn bytes(array: &BinaryArray, row: usize) -> Option<&[u8]> {
    array.is_valid(row).then(|| array.value(row))
}
