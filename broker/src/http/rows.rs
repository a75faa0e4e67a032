//! Result rows in the five forms of the API. JSON is one document and therefore gathered first, within a bound; the
//! others stream, and say in their own way when something fails after the first row has left.

use std::io;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::writer::StreamWriter;
use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use futures::{Stream, StreamExt, stream};
use processor::engine::SkippedRows;
use processor::error::{SqlError, SqlState};
use processor::formats::json::JsonEncoder;
use processor::sql::stream_error;
use processor::sql::types::type_name;
use serde_json::{Value, json};

use super::error::{ErrorDetail, HttpError};
use crate::cli::output::csv_cell;

/// Forms of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One document.
    Json,
    /// Columns, then one array per line.
    Ndjson,
    /// Server-sent events: `schema`, `rows`, `error`, `end`.
    Events,
    /// RFC 4180, with a header.
    Csv,
    /// Arrow's streaming IPC format.
    Arrow,
}

/// What a statement answered.
pub(super) struct ResultRows {
    /// Columns.
    pub(super) schema: SchemaRef,
    /// Rows as they are computed.
    pub(super) stream: SendableRecordBatchStream,
    /// What is said behind them.
    pub(super) summary: Summary,
}

/// The facts about a result that are known at its end.
pub(super) struct Summary {
    /// Command tag without the count.
    pub(super) tag: String,
    /// Bad records that were left out.
    pub(super) skipped: SkippedRows,
}

impl Summary {
    /// `command` and `row_count`, and `skipped_rows` where there are any.
    fn object(&self, row_count: usize) -> Value {
        let mut object = json!({ "command": self.tag, "row_count": row_count });
        match self.skipped.count() {
            0 => {}
            skipped => object["skipped_rows"] = json!(skipped),
        }
        object
    }
}

impl Form {
    /// All of them, the default first.
    pub(super) const ALL: [Form; 5] = [Form::Json, Form::Ndjson, Form::Events, Form::Csv, Form::Arrow];

    /// Its media type.
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Form::Json => "application/json",
            Form::Ndjson => "application/x-ndjson",
            Form::Events => "text/event-stream",
            Form::Csv => "text/csv",
            Form::Arrow => "application/vnd.apache.arrow.stream",
        }
    }

    /// The form of a media type; `*/*` and `application/*` take JSON.
    pub(super) fn of_media_type(media_type: &str) -> Option<Form> {
        match media_type {
            "*/*" | "application/*" => Some(Form::Json),
            "text/*" => Some(Form::Csv),
            name => Form::ALL.into_iter().find(|form| form.media_type() == name),
        }
    }
}

/// The response. An error before the first row is an ordinary error response in every form.
pub(super) async fn respond(form: Form, mut rows: ResultRows, json_bytes_max: usize) -> Result<Response, HttpError> {
    if form != Form::Arrow {
        refuse_columns(&rows.schema)?;
    }
    let first = match rows.stream.next().await {
        Some(batch) => Some(batch.map_err(|error| stream_error(&error))?),
        None => None,
    };
    let ResultRows {
        schema,
        stream: rest,
        summary,
    } = rows;
    let batches = stream::iter(first.map(Ok)).chain(rest);
    let body = match form {
        Form::Json => Body::from(document(&schema, batches, &summary, json_bytes_max).await?),
        Form::Ndjson => Body::from_stream(ndjson(schema, batches)),
        Form::Events => Body::from_stream(events(schema, batches, summary)),
        Form::Csv => Body::from_stream(csv(schema, batches)),
        Form::Arrow => Body::from_stream(arrow_ipc(schema, batches)?),
    };
    Ok(([(header::CONTENT_TYPE, form.media_type())], body).into_response())
}

/// Fails where a column has a type that only Arrow can carry.
fn refuse_columns(schema: &SchemaRef) -> Result<(), SqlError> {
    let empty = RecordBatch::new_empty(SchemaRef::clone(schema));
    for (index, field) in schema.fields().iter().enumerate() {
        if JsonEncoder::new(schema, &[index]).bind(&empty).is_ok() {
            continue;
        }
        let type_name = type_name(field.data_type());
        let hint = match type_name.as_str() {
            "INTERVAL" => "write extract(epoch FROM ...) instead",
            _ => "cast it to TEXT, or ask for application/vnd.apache.arrow.stream",
        };
        let message = format!(
            "column \"{}\" is of type {type_name}, which cannot be written as JSON",
            field.name()
        );
        return Err(SqlError::unsupported(message).with_hint(hint));
    }
    Ok(())
}

type Batch = Result<RecordBatch, DataFusionError>;

async fn document(
    schema: &Schema,
    batches: impl Stream<Item = Batch>,
    summary: &Summary,
    bytes_max: usize,
) -> Result<Vec<u8>, HttpError> {
    let mut batches = std::pin::pin!(batches);
    let mut text = format!("{{\"columns\":{},\"rows\":[", columns(schema)).into_bytes();
    let mut count = 0;
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(|error| stream_error(&error))?;
        write_arrays(&batch, if count == 0 { "" } else { "," }, ",", &mut text)?;
        count += batch.num_rows();
        if bytes_max < text.len() {
            let message = format!("the result is larger than http.max_result ({bytes_max} bytes)");
            let hint = "add a LIMIT, or ask for a streaming type such as application/x-ndjson";
            return Err(SqlError::new(SqlState::PROGRAM_LIMIT, message).with_hint(hint).into());
        }
    }
    // The object's own brace was opened in front of the columns.
    let summary = summary.object(count).to_string();
    text.extend_from_slice(b"],");
    text.extend_from_slice(summary.trim_start_matches('{').as_bytes());
    Ok(text)
}

fn ndjson(schema: SchemaRef, batches: impl Stream<Item = Batch>) -> impl Stream<Item = io::Result<Bytes>> {
    let head = format!("{}\n", columns(&schema));
    let lines = batches.map(|batch| {
        let written = batch.map_err(|error| stream_error(&error)).and_then(|batch| {
            let mut text = Vec::new();
            write_arrays(&batch, "", "\n", &mut text)?;
            if batch.num_rows() > 0 {
                text.push(b'\n');
            }
            Ok(text)
        });
        Ok(Bytes::from(written.unwrap_or_else(|error| {
            format!("{}\n", error_object(error)).into_bytes()
        })))
    });
    stream::iter([Ok(Bytes::from(head))]).chain(lines)
}

fn events(
    schema: SchemaRef,
    batches: impl Stream<Item = Batch>,
    summary: Summary,
) -> impl Stream<Item = io::Result<Bytes>> {
    let head = event("schema", &columns(&schema));
    let mut count = 0;
    let rows = batches.map(move |batch| {
        let written = batch.map_err(|error| stream_error(&error)).and_then(|batch| {
            count += batch.num_rows();
            let mut text = b"[".to_vec();
            write_arrays(&batch, "", ",", &mut text)?;
            text.push(b']');
            Ok((text, count))
        });
        match written {
            Ok((text, count)) => (event("rows", &String::from_utf8_lossy(&text)), Some(count)),
            Err(error) => (event("error", &error_object(error)), None),
        }
    });
    // The end tells the count; after an error there is no end.
    let mut last = Some(0);
    let marked = rows.map(Some).chain(stream::iter([None]));
    let body = marked.map(move |step| match step {
        Some((text, count)) => {
            last = count;
            Ok(Bytes::from(text))
        }
        None => Ok(Bytes::from(last.map_or(String::new(), |count| {
            event("end", &summary.object(count).to_string())
        }))),
    });
    stream::iter([Ok(Bytes::from(head))]).chain(body)
}

fn event(name: &str, data: &str) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}

/// After the header is out, an error can only break the response off.
fn csv(schema: SchemaRef, batches: impl Stream<Item = Batch>) -> impl Stream<Item = io::Result<Bytes>> {
    let names: Vec<String> = schema.fields().iter().map(|field| csv_cell(field.name())).collect();
    let lines = batches.map(|batch| {
        let batch = batch.map_err(broken_off)?;
        let encoder = JsonEncoder::all(&batch.schema());
        let rows = encoder.bind(&batch).map_err(io::Error::other)?;
        let mut text = String::new();
        let mut cell = Vec::new();
        for row in 0..batch.num_rows() {
            for column in 0..batch.num_columns() {
                cell.clear();
                rows.write_cell(row, column, &mut cell);
                text.push_str(if column == 0 { "" } else { "," });
                text.push_str(&csv_cell(&plain(&cell)));
            }
            text.push('\n');
        }
        Ok(Bytes::from(text))
    });
    stream::iter([Ok(Bytes::from(names.join(",") + "\n"))]).chain(lines)
}

/// A JSON value as CSV has it: text without quotes, nothing for null.
fn plain(json: &[u8]) -> String {
    match json {
        b"null" => String::new(),
        [b'"', ..] => serde_json::from_slice(json).unwrap_or_default(),
        other => String::from_utf8_lossy(other).into_owned(),
    }
}

fn arrow_ipc(
    schema: SchemaRef,
    batches: impl Stream<Item = Batch>,
) -> Result<impl Stream<Item = io::Result<Bytes>>, HttpError> {
    let writer = StreamWriter::try_new(Vec::new(), &schema);
    let mut writer = writer.map_err(|error| SqlError::internal(format!("Arrow stream: {error}")))?;
    let steps = batches.map(Some).chain(stream::iter([None]));
    Ok(steps.map(move |step| {
        match step {
            Some(batch) => writer.write(&batch.map_err(broken_off)?),
            None => writer.finish(),
        }
        .map_err(io::Error::other)?;
        Ok(Bytes::from(std::mem::take(writer.get_mut())))
    }))
}

fn broken_off(error: DataFusionError) -> io::Error {
    let error = stream_error(&error);
    tracing::warn!(%error, "a result was broken off after it had begun");
    io::Error::other(error)
}

fn columns(schema: &Schema) -> String {
    let fields = schema.fields().iter();
    let columns = fields.map(|field| json!({ "name": field.name(), "type": type_name(field.data_type()) }));
    json!(columns.collect::<Vec<_>>()).to_string()
}

fn error_object(error: SqlError) -> String {
    json!({ "error": ErrorDetail::of(error) }).to_string()
}

/// Each row as a JSON array: `before` in front of the first, `between` in front of the others.
fn write_arrays(batch: &RecordBatch, before: &str, between: &str, out: &mut Vec<u8>) -> Result<(), SqlError> {
    let encoder = JsonEncoder::all(&batch.schema());
    let rows = encoder
        .bind(batch)
        .map_err(|error| SqlError::unsupported(error.to_string()))?;
    for row in 0..batch.num_rows() {
        out.extend_from_slice(if row == 0 { before } else { between }.as_bytes());
        out.push(b'[');
        for column in 0..batch.num_columns() {
            if column > 0 {
                out.push(b',');
            }
            rows.write_cell(row, column, out);
        }
        out.push(b']');
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_cells_become_plain_text() {
        assert_eq!(plain(b"null"), "");
        assert_eq!(plain(b"\"a\\n\\\"b\""), "a\n\"b");
        assert_eq!(plain(b"12.50"), "12.50");
    }

    #[test]
    fn every_form_is_found_by_its_media_type() {
        for form in Form::ALL {
            assert_eq!(Form::of_media_type(form.media_type()), Some(form));
        }
        assert_eq!(Form::of_media_type("*/*"), Some(Form::Json));
        assert_eq!(Form::of_media_type("image/png"), None);
    }
}
