//! What a batch must satisfy before the log looks at it, and the form in which it will be stored. All of this happens
//! outside the log's critical section.

use bytes::Bytes;
use protocol::{
    TimestampMs,
    ids::NO_TIMESTAMP,
    records::{
        Batch, BatchHeader, HEADER_LEN, InvalidRecords, Marker, MarkerError, Records, TimestampType, parse_marker,
        validate_produced, validate_records,
    },
};

use super::AppendOrigin;
use crate::{
    config::LogConfig,
    error::{AppendError, BatchTooLarge, CorruptBatch, InvalidRecord, InvalidTimestamp},
};

/// A batch that only lacks its offset and epoch.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) header: BatchHeader,
    /// The header's bytes as they will be stored, but for base offset and leader epoch.
    pub(super) head: [u8; HEADER_LEN],
    /// The whole batch; its first bytes are outdated by `head`.
    pub(super) bytes: Bytes,
    /// What the batch says when it is a transaction marker.
    pub(super) marker: Option<Marker>,
    /// When the topic dates records by the append.
    pub(super) log_append_time: Option<TimestampMs>,
}

/// Checks a batch and brings it into the topic's form.
pub(super) fn prepare(
    config: &LogConfig,
    batch: &Batch,
    origin: AppendOrigin,
    now: TimestampMs,
) -> Result<Prepared, AppendError> {
    batch.verify_crc().map_err(CorruptBatch::Crc)?;
    let batch = match origin {
        AppendOrigin::Client => prepare_produced(config, batch, now)?,
        AppendOrigin::Coordinator => batch.clone(),
    };
    let size_bytes = batch.bytes.len();
    let client = origin == AppendOrigin::Client;
    let max_bytes = if client {
        config.max_message_bytes.min(config.segment_bytes as usize)
    } else {
        usize::MAX
    };
    if max_bytes < size_bytes {
        return Err(BatchTooLarge { size_bytes, max_bytes }.into());
    }
    let dated_by_us = config.timestamp_type == TimestampType::LogAppendTime && !batch.header.is_control();
    let log_append_time = dated_by_us.then_some(now);
    let head = batch.patched_header(0, 0, log_append_time);
    let header = BatchHeader::parse(&head).map_err(CorruptBatch::Malformed)?;
    let marker = if header.is_control() {
        read_marker(&batch)?
    } else {
        None
    };
    Ok(Prepared {
        header,
        head,
        bytes: batch.bytes,
        marker,
        log_append_time,
    })
}

fn prepare_produced(config: &LogConfig, batch: &Batch, now: TimestampMs) -> Result<Batch, AppendError> {
    validate_produced(batch)?;
    let (size_bytes, max_bytes) = (batch.bytes.len(), config.max_message_bytes);
    let converted = config.compression.filter(|(codec, _)| *codec != batch.header.codec());
    // A batch that will be compressed anew is measured after that, as Kafka does.
    if converted.is_none() && max_bytes < size_bytes {
        return Err(BatchTooLarge { size_bytes, max_bytes }.into());
    }
    if config.timestamp_type == TimestampType::CreateTime {
        check_timestamps(config, &batch.header, now)?;
    }
    if config.validate_records || config.compacted {
        check_records(config, batch)?;
    }
    match converted {
        Some((codec, level)) => batch
            .recompressed(codec, level, config.decompressed_bytes_max)
            .map_err(|error| InvalidRecord::from(error).into()),
        None => Ok(batch.clone()),
    }
}

/// The header's bounds stand for the records': the largest timestamp is checked by whoever reads the records.
fn check_timestamps(config: &LogConfig, header: &BatchHeader, now: TimestampMs) -> Result<(), InvalidTimestamp> {
    let min = now.saturating_sub(config.timestamp_before_max_ms);
    let max = now.saturating_add(config.timestamp_after_max_ms);
    for timestamp in [header.base_timestamp, header.max_timestamp] {
        if timestamp != NO_TIMESTAMP && (timestamp < min || max < timestamp) {
            return Err(InvalidTimestamp { timestamp, min, max });
        }
    }
    Ok(())
}

fn check_records(config: &LogConfig, batch: &Batch) -> Result<(), InvalidRecord> {
    let records = batch
        .records(config.decompressed_bytes_max)
        .map_err(InvalidRecords::from)?;
    if config.validate_records {
        validate_records(&records)?;
    }
    if config.compacted {
        check_keys(&records)?;
    }
    Ok(())
}

fn check_keys(records: &Records) -> Result<(), InvalidRecord> {
    for (index, span) in records.spans().enumerate() {
        if span.map_err(InvalidRecords::from)?.key.is_none() {
            return Err(InvalidRecord::MissingKey { index });
        }
    }
    Ok(())
}

/// Reads a control batch; `None` for kinds that are no transaction marker.
fn read_marker(batch: &Batch) -> Result<Option<Marker>, AppendError> {
    match parse_marker(batch) {
        Ok(marker) => Ok(Some(marker)),
        Err(MarkerError::Record(error)) => Err(InvalidRecord::from(error).into()),
        Err(_) => Ok(None),
    }
}
