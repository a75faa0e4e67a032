//! Batches of one partition to rows.

use protocol::ids::Offset;
use protocol::records::{Batch, Records};

use super::{BadRecord, Chunk, OPENED_BYTES_PER_ROUND, Round, Source};
use crate::formats::{Decoded, RecordOrigin};
use crate::operators::OperatorError;
use crate::runtime::error::RunError;

impl Source {
    /// Decodes batches until enough is open, or there are rows enough.
    pub(super) fn decode(&mut self, index: usize, batches: &[Batch]) -> Result<Round, RunError> {
        let mut offsets = Vec::new();
        let mut bad = Vec::new();
        let mut kept = Vec::with_capacity(batches.len());
        let (mut decoded, mut opened) = (0, 0);
        let (mut resumes, mut cut) = (false, None);
        for batch in batches {
            if OPENED_BYTES_PER_ROUND <= opened || self.limits.rows_per_round <= offsets.len() + bad.len() {
                break;
            }
            decoded += 1;
            let origin = RecordOrigin {
                partition: self.partitions[index].name.partition,
                batch_max_timestamp: batch.header.max_timestamp,
            };
            let records = match self.partitions[index].take_opened(batch) {
                Some(records) => {
                    resumes = true;
                    records
                }
                None => match Records::open(batch, self.limits.batch_bytes_max, &mut self.decompressor) {
                    Ok(records) => records,
                    Err(error) => {
                        bad.push(BadRecord::new(batch.header.base_offset, error.to_string()));
                        continue;
                    }
                },
            };
            cut = self.decode_records(index, origin, &records, &mut offsets, &mut bad);
            opened += records.data().len();
            if cut.is_some() {
                self.partitions[index].opened = Some(records.clone());
                kept.push(records);
                break;
            }
            kept.push(records);
        }
        let rows = self.decoder.finish().map_err(OperatorError::Arrow)?;
        let chunk = Chunk {
            partition: index,
            rows,
            offsets,
            event_times: Vec::new(),
            proposals: Vec::new(),
            bad,
            records: kept,
        };
        Ok(Round {
            chunk,
            batches: decoded,
            resumes,
            rest: cut.or_else(|| batches.get(decoded).map(|batch| batch.header.base_offset)),
        })
    }

    /// Decodes records until the round has rows enough; answers at which one that was.
    fn decode_records(
        &mut self,
        index: usize,
        origin: RecordOrigin,
        records: &Records,
        offsets: &mut Vec<Offset>,
        bad: &mut Vec<BadRecord>,
    ) -> Option<Offset> {
        let partition = &self.partitions[index];
        let (from, until) = (partition.position, partition.until.unwrap_or(Offset::MAX));
        let mut next = records.header().base_offset;
        for record in records {
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    // The rest of the batch cannot be told apart: it counts as one bad record.
                    if from <= next && next < until {
                        bad.push(BadRecord::new(next, error.to_string()));
                    }
                    return None;
                }
            };
            next = record.offset + 1;
            if record.offset < from || until <= record.offset {
                continue;
            }
            if self.limits.rows_per_round <= offsets.len() + bad.len() {
                return Some(record.offset);
            }
            match self.decoder.push(origin, &record) {
                Ok(Decoded::Row) => offsets.push(record.offset),
                Ok(Decoded::Repaired) => {
                    offsets.push(record.offset);
                    bad.push(BadRecord {
                        offset: record.offset,
                        reason: "fields that could not be read became NULL".into(),
                        repaired: true,
                    });
                }
                Err(error) => bad.push(BadRecord::new(record.offset, error.reason)),
            }
        }
        None
    }
}
