//! Rows of a keyed materialized view at the last committed epoch. RocksDB holds nothing else, takes an epoch whole, and
//! gives every reader a view of its own, so reading never waits for the query and the query never for a reader.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use tokio_util::sync::CancellationToken;

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
    /// The query was stopped, or its state is thrown away, while it was being read.
    #[error("its state was closed")]
    Closed,
    /// The state could not be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// A row could not be turned into columns.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
}

/// The rows of a view whose state is open.
pub struct ViewRows {
    pub(super) rocks: Arc<Rocks>,
    pub(super) schema: SchemaRef,
    pub(super) closing: CancellationToken,
}

impl ViewRows {
    /// Fires when the state is to be closed: whoever reads shall stop.
    pub fn closing(&self) -> &CancellationToken {
        &self.closing
    }

    /// Hands all rows to `take`, in the order of their table and all of one epoch, however long that takes and whatever
    /// is committed meanwhile; `take` may break it off. A batch has about `batch_bytes`, or one row. Blocks for the disk.
    pub fn read(
        &self,
        batch_bytes: usize,
        mut take: impl FnMut(RecordBatch) -> ControlFlow<()>,
    ) -> Result<(), ViewError> {
        let fields = self
            .schema
            .fields()
            .iter()
            .map(|field| SortField::new(field.data_type().clone()))
            .collect();
        let converter = RowConverter::new(fields)?;
        let mut rows: Vec<Box<[u8]>> = Vec::new();
        let mut bytes = 0;
        for entry in self.rocks.table_iter(TableId::VIEW) {
            let (_, row) = entry?;
            bytes += row.len();
            rows.push(row);
            if BATCH_ROWS <= rows.len() || batch_bytes <= bytes {
                if take(batch_of(&converter, &self.schema, &rows)?).is_break() {
                    return Ok(());
                }
                rows.clear();
                bytes = 0;
            }
        }
        if !rows.is_empty() {
            let _ = take(batch_of(&converter, &self.schema, &rows)?);
        }
        Ok(())
    }
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
