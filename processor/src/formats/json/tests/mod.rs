//! Decoding and encoding against each other and against serde_json.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Decimal128Type, Field, Int64Type, Schema, TimestampMicrosecondType};
use datafusion::physical_expr::expressions::Column;
use protocol::records::{Batch, BatchBuilder, BatchStamp, Codec};

use super::JsonEncoder;
use crate::formats::{BadRecord, Decoded, RecordOrigin, SourceDecoder};
use crate::plan::graph::{ErrorPolicy, SourceColumn, SourceFormat, SourcePlan, StartAt, TimestampUnit};
use crate::sql::types::{headers, timestamptz};

mod decoding;
mod round_trip;

/// The time of every record.
const RECORD_MS: i64 = 1_767_268_800_000;

/// A source of these columns; names that begin with `_` are metadata columns.
fn plan(columns: &[(&str, DataType)], event_time: &str, on_error: ErrorPolicy) -> SourcePlan {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, t)| Field::new(*name, t.clone(), true))
        .collect();
    let index = columns
        .iter()
        .position(|(name, _)| *name == event_time)
        .expect("the event time is a column");
    SourcePlan {
        name: "s".to_owned(),
        topic: "t".to_owned(),
        format: SourceFormat::Json {
            timestamp_unit: TimestampUnit::Millisecond,
        },
        schema: Arc::new(Schema::new(fields)),
        columns: columns.iter().map(|(name, _)| source_column(name)).collect(),
        event_time: index,
        watermark: Arc::new(Column::new(event_time, index)),
        start: StartAt::Earliest,
        stop: None,
        idle_timeout: Duration::from_secs(10),
        max_future: Duration::from_secs(3600),
        on_error,
        committed_only: true,
    }
}

fn source_column(name: &str) -> SourceColumn {
    match name {
        "_key" => SourceColumn::Key,
        "_value" => SourceColumn::Value,
        "_partition" => SourceColumn::Partition,
        "_offset" => SourceColumn::Offset,
        "_timestamp" => SourceColumn::Timestamp,
        "_headers" => SourceColumn::Headers,
        field => SourceColumn::Field {
            name: field.to_owned(),
            not_null: field.starts_with("must"),
        },
    }
}

/// A batch of records with these values.
fn batch(values: &[Option<&[u8]>]) -> Batch {
    let mut builder = BatchBuilder::new(Codec::None, None, RECORD_MS);
    for value in values {
        builder.append(RECORD_MS, Some(b"key"), *value, &[("h", Some(b"1")), ("h", None)]);
    }
    builder.finish(BatchStamp::NONE)
}

/// Decodes the values one by one; answers with the rows and what became of each value.
fn decode(plan: &SourcePlan, values: &[Option<&[u8]>]) -> (RecordBatch, Vec<Result<Decoded, BadRecord>>) {
    let mut decoder = SourceDecoder::new(plan).expect("types that JSON has");
    let batch = batch(values);
    let records = batch.records(1 << 20).expect("whole");
    let origin = RecordOrigin {
        partition: 3,
        batch_max_timestamp: batch.header.max_timestamp,
    };
    let outcomes = records
        .iter()
        .map(|record| decoder.push(origin, &record.expect("whole")))
        .collect();
    (decoder.finish().expect("columns of one length"), outcomes)
}

/// Decodes one value into one column beside the record's own time.
fn decode_one(data_type: DataType, json: &str) -> Result<RecordBatch, String> {
    let plan = plan(
        &[("a", data_type), ("_timestamp", timestamptz())],
        "_timestamp",
        ErrorPolicy::Skip,
    );
    let (rows, mut outcomes) = decode(&plan, &[Some(json.as_bytes())]);
    match outcomes.remove(0) {
        Ok(_) => Ok(rows),
        Err(bad) => Err(bad.reason),
    }
}

/// One row as its JSON.
fn encoded(batch: &RecordBatch, row: usize) -> String {
    let encoder = JsonEncoder::all(&batch.schema());
    let mut out = Vec::new();
    encoder.bind(batch).expect("types that JSON has").write(row, &mut out);
    String::from_utf8(out).expect("JSON is UTF-8")
}
