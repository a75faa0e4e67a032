//! Reading a partition step by step. A step blocks for the disk, ends with one batch of rows, and keeps nothing but what
//! it has read and not yet handed on, so that nobody has to block between two of them.

use std::sync::Arc;
use std::vec;

use arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::common::Result as PlanResult;
use datafusion::execution::memory_pool::MemoryReservation;
use protocol::ids::Offset;
use protocol::records::{Batch, Decompressor, Record, RecordPlace, Records};
use storage::VisibleReader;
use tokio::sync::Semaphore;

use super::PartitionScan;
use crate::error::{SqlError, SqlState};
use crate::formats::{BadRecord, RecordOrigin, SourceDecoder};
use crate::plan::external;
use crate::plan::graph::{ErrorPolicy, SourceFormat};

/// Bytes that a header takes in its columns besides its name and value.
const HEADER_BYTES: usize = 16;

/// A partition that is being read.
pub(super) struct PartitionReader {
    scan: PartitionScan,
    from: Offset,
    log: VisibleReader,
    decompressor: Decompressor,
    decoder: SourceDecoder,
    /// Batches that were read and not opened.
    read: vec::IntoIter<Batch>,
    /// The batch whose records are being decoded.
    opened: Option<Opened>,
    /// Bytes of the records behind the rows of the decoder.
    row_bytes: usize,
    /// Bytes of the rows that were handed on last.
    handed_on: usize,
    /// The statement's memory, as far as this partition holds it: the batches, the rows, and the rows handed on last.
    memory: MemoryReservation,
}

/// A batch and how far its records are decoded.
struct Opened {
    records: Records,
    origin: RecordOrigin,
    place: RecordPlace,
    /// Offset behind the last record.
    next: Offset,
}

impl PartitionReader {
    /// Finds where to begin; nothing where no record is late enough.
    pub(super) fn open(scan: PartitionScan, memory: MemoryReservation) -> PlanResult<Option<Self>> {
        let Some(from) = scan.first_offset()? else {
            return Ok(None);
        };
        Ok(Some(Self {
            from,
            log: VisibleReader::new(scan.log.clone(), from, Some(scan.offsets.end), scan.isolation()),
            decompressor: Decompressor::new(),
            decoder: SourceDecoder::new(&scan.plan)?,
            read: Vec::new().into_iter(),
            opened: None,
            row_bytes: 0,
            handed_on: 0,
            memory,
            scan,
        }))
    }

    /// What its steps wait for.
    pub(super) fn steps(&self) -> &Arc<Semaphore> {
        &self.scan.limits.steps
    }

    /// The next rows; nothing at the end.
    pub(super) fn next_rows(&mut self) -> PlanResult<Option<RecordBatch>> {
        loop {
            if let Some(mut opened) = self.opened.take() {
                let is_full = self.decode(&mut opened)?;
                if is_full {
                    self.opened = Some(opened);
                    return self.take_rows().map(Some);
                }
            } else if !self.open_batch()? {
                return match self.decoder.is_empty() {
                    true => Ok(None),
                    false => self.take_rows().map(Some),
                };
            }
        }
    }

    /// Opens the next batch; false at the end of the partition. A batch that cannot be opened is left out.
    fn open_batch(&mut self) -> PlanResult<bool> {
        let batch = match self.read.next() {
            Some(batch) => batch,
            None => match self
                .log
                .next_batches(self.scan.read_bytes())
                .map_err(super::read_error)?
            {
                Some(batches) => {
                    self.read = batches.into_iter();
                    return Ok(true);
                }
                None => return Ok(false),
            },
        };
        let opened = Records::open(&batch, self.scan.limits.decompressed_bytes, &mut self.decompressor);
        let counts = &self.scan.counts;
        counts.of_engine.add_batches(1, self.decompressor.take_count());
        match opened {
            Ok(records) => {
                self.opened = Some(Opened {
                    records,
                    origin: RecordOrigin {
                        partition: self.scan.log.topic_partition().partition,
                        batch_max_timestamp: batch.header.max_timestamp,
                    },
                    place: RecordPlace::FIRST,
                    next: batch.header.base_offset,
                });
                self.account()?;
            }
            Err(error) => self.bad(batch.header.base_offset, &BadRecord::new(error.to_string()))?,
        }
        Ok(true)
    }

    /// Decodes the records of a batch; true when there are rows enough to be handed on before the rest.
    fn decode(&mut self, opened: &mut Opened) -> PlanResult<bool> {
        let offsets = &self.scan.offsets;
        let (end, since) = (offsets.end, self.scan.since);
        let mut records = opened.records.iter_from(opened.place);
        while let Some(record) = records.next() {
            let record = match record {
                Ok(record) => record,
                // The rest of the batch cannot be told apart: it counts as one bad record.
                Err(error) if self.from <= opened.next && opened.next < end => {
                    self.bad(opened.next, &BadRecord::new(error.to_string()))?;
                    return Ok(false);
                }
                Err(_) => return Ok(false),
            };
            opened.next = record.offset + 1;
            let is_older = since.is_some_and(|since| record.timestamp < since);
            if record.offset < self.from || is_older {
                continue;
            }
            if end <= record.offset {
                return Ok(false);
            }
            match self.decoder.push(opened.origin, &record) {
                Ok(_) => self.row_bytes += size_of(&record),
                Err(reason) => self.bad(record.offset, &reason)?,
            }
            if self.scan.batch_rows <= self.decoder.len() || self.scan.batch_bytes <= self.row_bytes {
                opened.place = records.place();
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn take_rows(&mut self) -> PlanResult<RecordBatch> {
        let batch = self.decoder.finish()?;
        self.row_bytes = 0;
        let columns = batch.columns()[..self.scan.schema.fields().len()].to_vec();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let rows = RecordBatch::try_new_with_options(self.scan.schema.clone(), columns, &options)?;
        self.handed_on = rows.get_array_memory_size();
        self.account()?;
        Ok(rows)
    }

    /// Counts what is held against the statement's memory, and fails where that is exceeded.
    fn account(&self) -> PlanResult<()> {
        let read: usize = self.read.as_slice().iter().map(|batch| batch.bytes.len()).sum();
        let opened = self.opened.as_ref().map_or(0, |opened| opened.records.data().len());
        self.memory.try_resize(read + opened + self.row_bytes + self.handed_on)
    }

    /// A bad record ends the query where the source says FAIL, and is left out and counted otherwise.
    fn bad(&self, offset: Offset, reason: &BadRecord) -> PlanResult<()> {
        if self.scan.plan.on_error != ErrorPolicy::Fail {
            self.scan.counts.add_skipped();
            return Ok(());
        }
        let partition = self.scan.log.topic_partition();
        let message = format!("bad record in {partition} at offset {offset}: {reason}");
        let error = SqlError::new(SqlState::DATA_EXCEPTION, message);
        Err(external(match self.scan.plan.format {
            SourceFormat::View => error.with_hint("something else than the view wrote to its topic"),
            _ => error.with_hint("ON ERROR SKIP leaves bad records out"),
        }))
    }
}

/// Bytes of a record that may end up in its row. Headers take more room as columns than as bytes.
fn size_of(record: &Record<'_>) -> usize {
    let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
    length(record.key) + length(record.value) + record.headers.encoded_len() + record.headers.len() * HEADER_BYTES
}
