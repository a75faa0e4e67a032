//! Rows of a keyed materialized view at the last committed epoch. RocksDB holds nothing else, takes an epoch whole, and
//! gives every reader a view of its own, so reading never waits for the query and the query never for a reader.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};

use crate::operators::sink::VIEW_VERSION;
use crate::state::{Rocks, StateError, TableId};

/// Rows per batch.
const BATCH_ROWS: usize = 8_192;

/// Why a view cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// The query has no table of rows: its result has no key, or it is no view.
    #[error("it has no table of rows; its topic holds them")]
    NoTable,
    /// The state has not been recovered yet.
    #[error("its state is being recovered")]
    Recovering,
    /// The state could not be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// A row could not be turned into columns.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
}

/// All rows of the view, in the order of their table.
pub(super) fn read_rows(rocks: &Rocks, schema: &SchemaRef) -> Result<Vec<RecordBatch>, ViewError> {
    let fields = schema
        .fields()
        .iter()
        .map(|field| SortField::new(field.data_type().clone()))
        .collect();
    let converter = RowConverter::new(fields)?;
    let mut batches = Vec::new();
    let mut rows: Vec<Box<[u8]>> = Vec::new();
    for entry in rocks.table_iter(TableId::VIEW) {
        rows.push(entry?.1);
        if rows.len() == BATCH_ROWS {
            batches.push(batch_of(&converter, schema, &rows)?);
            rows.clear();
        }
    }
    if !rows.is_empty() {
        batches.push(batch_of(&converter, schema, &rows)?);
    }
    Ok(batches)
}

fn batch_of(converter: &RowConverter, schema: &SchemaRef, entries: &[Box<[u8]>]) -> Result<RecordBatch, ViewError> {
    let parser = converter.parser();
    let mut rows = Vec::with_capacity(entries.len());
    for entry in entries {
        match entry.split_first() {
            Some((&VIEW_VERSION, row)) => rows.push(parser.parse(row)),
            _ => {
                return Err(ViewError::State(StateError::Value {
                    table: TableId::VIEW.name(),
                    reason: "row of a version that is not known".into(),
                }));
            }
        }
    }
    let columns = converter.convert_rows(rows)?;
    Ok(RecordBatch::try_new(SchemaRef::clone(schema), columns)?)
}
