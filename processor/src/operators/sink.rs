//! The end of a query: result rows become records of a topic and, for a keyed materialized view, rows of a state table.
//!
//! An append-only result without a key becomes records with null keys. A result with a key is an upsert stream: the key
//! is a JSON object of the key columns, the value the row, null where the row is gone. Only net changes are written.
//!
//! A view row's entry: version 1 (u8), then the row bytes of all columns. Its key: the row bytes of the key columns.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, Rows, SortField};
use protocol::ids::PartitionId;

use super::epoch_buffer::{EpochBuffer, Port};
use super::partitioner::partition_of;
use super::{ChangeBatch, ChangeKind, Context, Operator, OperatorError};
use crate::formats::json::{JsonEncoder, JsonRows};
use crate::state::{TableId, virtual_node};

/// Version of an entry of the view table.
pub(crate) const VIEW_VERSION: u8 = 1;

/// Writes rows of one schema as JSON records of one topic.
pub struct RowEncoder {
    port: Port,
    values: JsonEncoder,
    keys: Option<JsonEncoder>,
    value: Vec<u8>,
    key: Vec<u8>,
}

impl RowEncoder {
    /// An encoder for a topic with so many partitions; `key` names the key columns, none for null keys.
    pub fn new(
        buffer: &mut EpochBuffer,
        topic: &str,
        partitions: PartitionId,
        schema: &SchemaRef,
        key: &[usize],
    ) -> Self {
        Self {
            port: buffer.topic(topic, partitions),
            values: JsonEncoder::all(schema),
            keys: (!key.is_empty()).then(|| JsonEncoder::new(schema, key)),
            value: Vec::new(),
            key: Vec::new(),
        }
    }
}

/// A batch being written.
struct Writer<'a> {
    port: Port,
    values: JsonRows<'a>,
    keys: Option<JsonRows<'a>>,
    value: &'a mut Vec<u8>,
    key: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    fn new(encoder: &'a mut RowEncoder, rows: &'a RecordBatch) -> Result<Self, OperatorError> {
        Ok(Self {
            port: encoder.port,
            values: encoder.values.bind(rows)?,
            keys: encoder.keys.as_ref().map(|keys| keys.bind(rows)).transpose()?,
            value: &mut encoder.value,
            key: &mut encoder.key,
        })
    }

    /// Writes a row, or that the row of its key is gone.
    fn write(&mut self, row: usize, present: bool, buffer: &mut EpochBuffer) {
        self.value.clear();
        if present {
            self.values.write(row, self.value);
        }
        let value = present.then_some(self.value.as_slice());
        let Some(keys) = &self.keys else {
            buffer.append(self.port, buffer.turn(self.port), None, value, &[]);
            return;
        };
        self.key.clear();
        keys.write(row, self.key);
        let partition = partition_of(self.key, buffer.partitions(self.port));
        buffer.append(self.port, partition, Some(self.key), value, &[]);
    }
}

/// Writes results to a topic.
pub struct TopicSink {
    encoder: RowEncoder,
    net: NetChanges,
}

impl TopicSink {
    /// A sink of rows of `schema`; `key` are the columns that identify a row.
    pub fn new(encoder: RowEncoder, schema: &SchemaRef, key: &[usize]) -> Result<Self, OperatorError> {
        Ok(Self {
            encoder,
            net: NetChanges::new(schema, key)?,
        })
    }
}

impl Operator for TopicSink {
    fn name(&self) -> &'static str {
        "topic sink"
    }

    fn on_batch(&mut self, batch: ChangeBatch, context: &mut Context<'_>) -> Result<(), OperatorError> {
        let mut writer = Writer::new(&mut self.encoder, &batch.rows)?;
        self.net.for_each(&batch, |row, present, _| {
            writer.write(row, present, context.buffer);
            context.counts.rows_out += 1;
        })
    }
}

/// Writes results to a topic and keeps the current row per key, for SQL to read.
pub struct ViewSink {
    encoder: RowEncoder,
    net: NetChanges,
    value: Vec<u8>,
}

impl ViewSink {
    /// A sink of rows of `schema`; `key` must not be empty.
    pub fn new(encoder: RowEncoder, schema: &SchemaRef, key: &[usize]) -> Result<Self, OperatorError> {
        assert!(!key.is_empty(), "a view without a key has no table");
        Ok(Self {
            encoder,
            net: NetChanges::new(schema, key)?.with_rows(),
            value: Vec::new(),
        })
    }
}

impl Operator for ViewSink {
    fn name(&self) -> &'static str {
        "view"
    }

    fn tables(&self) -> &'static [TableId] {
        &[TableId::VIEW]
    }

    fn on_batch(&mut self, batch: ChangeBatch, context: &mut Context<'_>) -> Result<(), OperatorError> {
        let mut writer = Writer::new(&mut self.encoder, &batch.rows)?;
        let entry = &mut self.value;
        self.net.for_each(&batch, |row, present, bytes| {
            writer.write(row, present, context.buffer);
            entry.clear();
            entry.push(VIEW_VERSION);
            entry.extend_from_slice(bytes.row);
            let value = present.then_some(entry.as_slice());
            let node = virtual_node(bytes.key);
            context.state.set(TableId::VIEW, node, &[bytes.key], value);
            context.counts.rows_out += 1;
        })
    }
}

/// Evaluates everything and keeps nothing: for measuring.
pub struct Blackhole;

impl Operator for Blackhole {
    fn name(&self) -> &'static str {
        "blackhole"
    }

    fn on_batch(&mut self, batch: ChangeBatch, context: &mut Context<'_>) -> Result<(), OperatorError> {
        context.counts.rows_out += batch.rows.num_rows() as u64;
        Ok(())
    }
}

/// Row bytes of one row.
#[derive(Clone, Copy)]
struct RowBytes<'a> {
    /// Of the key columns; empty without a key.
    key: &'a [u8],
    /// Of all columns; empty where nobody asked for them.
    row: &'a [u8],
}

/// Reduces a change stream to what changes per key.
struct NetChanges {
    key_columns: Vec<usize>,
    keys: RowConverter,
    rows: RowConverter,
    needs_rows: bool,
}

impl NetChanges {
    fn new(schema: &SchemaRef, key: &[usize]) -> Result<Self, OperatorError> {
        let field = |index: usize| SortField::new(schema.field(index).data_type().clone());
        Ok(Self {
            key_columns: key.to_vec(),
            keys: RowConverter::new(key.iter().copied().map(field).collect())?,
            rows: RowConverter::new((0..schema.fields().len()).map(field).collect())?,
            needs_rows: false,
        })
    }

    fn with_rows(mut self) -> Self {
        self.needs_rows = true;
        self
    }

    /// Calls `each` with the rows that have come (`true`) or gone (`false`). An update whose halves are equal is left
    /// out, and so is the first half of one whose second half follows. Rows without a key are only ever inserted.
    fn for_each(
        &self,
        batch: &ChangeBatch,
        mut each: impl FnMut(usize, bool, RowBytes<'_>),
    ) -> Result<(), OperatorError> {
        let keys = match self.key_columns.is_empty() {
            true => None,
            false => Some(self.keys.convert_columns(&self.key_values(&batch.rows))?),
        };
        let needs_rows = self.needs_rows || batch.kinds.is_some();
        let rows = match needs_rows && 0 < batch.rows.num_columns() {
            true => Some(self.rows.convert_columns(batch.rows.columns())?),
            false => None,
        };
        let bytes = |row: usize| RowBytes {
            key: bytes_of(keys.as_ref(), row),
            row: bytes_of(rows.as_ref(), row),
        };
        let mut row = 0;
        while row < batch.rows.num_rows() {
            let now = bytes(row);
            let is_half = batch.kind(row) == ChangeKind::UpdateBefore
                && row + 1 < batch.rows.num_rows()
                && batch.kind(row + 1) == ChangeKind::UpdateAfter
                && now.key == bytes(row + 1).key;
            match batch.kind(row) {
                ChangeKind::UpdateBefore if is_half => {
                    row += usize::from(now.row == bytes(row + 1).row);
                }
                ChangeKind::Insert | ChangeKind::UpdateAfter => each(row, true, now),
                ChangeKind::UpdateBefore | ChangeKind::Delete => each(row, false, now),
            }
            row += 1;
        }
        Ok(())
    }

    fn key_values(&self, rows: &RecordBatch) -> Vec<ArrayRef> {
        self.key_columns
            .iter()
            .map(|index| ArrayRef::clone(rows.column(*index)))
            .collect()
    }
}

fn bytes_of(rows: Option<&Rows>, row: usize) -> &[u8] {
    rows.map_or(&[], |rows| rows.row(row).data())
}
