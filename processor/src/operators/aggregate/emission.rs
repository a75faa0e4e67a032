//! From groups to result rows: final rows of a closed window, or what has changed since a row was emitted last.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, TimestampMicrosecondArray};
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, Rows, SortField};

use super::grouping::Grouping;
use crate::operators::expression::conform;
use crate::operators::{ChangeBatch, ChangeKind, OperatorError};
use crate::plan::graph::AggregatePlan;
use crate::state::key::ordered_time;
use crate::state::{StateStore, TableId, virtual_node};
use crate::time::EventTime;

/// Result rows of one batch.
pub(super) const EMIT_ROWS: usize = 8_192;

/// Version of an entry in the table of emitted rows; the row bytes of the aggregates follow.
const VERSION: u8 = 1;

/// One result row: a group in a window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unit {
    /// Start of the window; 0 without windows.
    pub(super) start: EventTime,
    /// A slot with the grouping key.
    pub(super) key_slot: u32,
    /// The slot with the result; another one where several panes were merged.
    pub(super) result_slot: u32,
    /// False when the row has certainly never been emitted, which saves a look-up.
    pub(super) maybe_emitted: bool,
}

/// Makes result rows and remembers what was emitted.
pub(super) struct Emission {
    schema: SchemaRef,
    size: Option<i64>,
    values: RowConverter,
    aggregates: usize,
}

/// Rows of a change stream before they are columns.
#[derive(Default)]
struct Assembly {
    kinds: Vec<ChangeKind>,
    units: Vec<Unit>,
    values: Vec<Box<[u8]>>,
}

impl Emission {
    pub(super) fn new(plan: &AggregatePlan) -> Result<Self, OperatorError> {
        let values = plan
            .aggregates
            .iter()
            .map(|call| SortField::new(call.output_type.clone()))
            .collect();
        Ok(Self {
            schema: Arc::clone(&plan.schema),
            size: plan.window.as_ref().map(|window| window.size_us),
            values: RowConverter::new(values)?,
            aggregates: plan.aggregates.len(),
        })
    }

    /// Final rows.
    pub(super) fn finals(&self, grouping: &Grouping, units: &[Unit]) -> Result<ChangeBatch, OperatorError> {
        let slots: Vec<u32> = units.iter().map(|unit| unit.result_slot).collect();
        let results = grouping.results(&slots)?;
        Ok(ChangeBatch::inserts(self.rows(grouping, units, results)?))
    }

    /// Changes against what was emitted last; `None` when nothing has changed. What is emitted is remembered, or, when
    /// the window `closes`, forgotten.
    pub(super) fn changes(
        &self,
        grouping: &Grouping,
        units: &[Unit],
        closes: bool,
        state: &mut StateStore,
    ) -> Result<Option<ChangeBatch>, OperatorError> {
        let slots: Vec<u32> = units.iter().map(|unit| unit.result_slot).collect();
        let results = grouping.results(&slots)?;
        let rows = match self.aggregates {
            0 => None,
            _ => Some(self.values.convert_columns(&results)?),
        };
        let mut assembly = Assembly::default();
        for (index, unit) in units.iter().enumerate() {
            let value = rows.as_ref().map_or(&[][..], |rows| rows.row(index).data());
            compare(&mut assembly, grouping, *unit, value, closes, state)?;
        }
        if assembly.kinds.is_empty() {
            return Ok(None);
        }
        let columns = self.value_columns(&assembly, rows.as_ref())?;
        Ok(Some(ChangeBatch {
            rows: self.rows(grouping, &assembly.units, columns)?,
            kinds: Some(assembly.kinds.into()),
        }))
    }

    fn value_columns(&self, assembly: &Assembly, rows: Option<&Rows>) -> Result<Vec<ArrayRef>, OperatorError> {
        if rows.is_none() {
            return Ok(Vec::new());
        }
        let parser = self.values.parser();
        let values = assembly.values.iter().map(|value| parser.parse(value));
        Ok(self.values.convert_rows(values)?)
    }

    /// Window bounds, keys and aggregates of units as a batch.
    fn rows(&self, grouping: &Grouping, units: &[Unit], results: Vec<ArrayRef>) -> Result<RecordBatch, OperatorError> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        if let Some(size) = self.size {
            columns.push(times(units.iter().map(|unit| unit.start)));
            columns.push(times(units.iter().map(|unit| unit.start.saturating_add(size))));
        }
        let keys = units.iter().map(|unit| grouping.groups.key(unit.key_slot));
        columns.extend(grouping.reader.key_values(keys)?);
        columns.extend(results);
        let columns = columns
            .into_iter()
            .zip(self.schema.fields())
            .map(|(column, field)| conform(column, field.data_type()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(OperatorError::Result)?;
        let options = RecordBatchOptions::new().with_row_count(Some(units.len()));
        Ok(RecordBatch::try_new_with_options(
            Arc::clone(&self.schema),
            columns,
            &options,
        )?)
    }
}

/// Compares a row with the one emitted last, and remembers the new one where they differ and more may come.
fn compare(
    assembly: &mut Assembly,
    grouping: &Grouping,
    unit: Unit,
    value: &[u8],
    closes: bool,
    state: &mut StateStore,
) -> Result<(), OperatorError> {
    let key = grouping.groups.key(unit.key_slot);
    let node = virtual_node(key);
    let parts: [&[u8]; 2] = [&ordered_time(unit.start), key];
    let mut was_emitted = false;
    let mut changed = true;
    if unit.maybe_emitted {
        state.get(TableId::EMITTED, node, &parts, |old| {
            let Some((_, old)) = old.and_then(<[u8]>::split_first) else {
                return;
            };
            was_emitted = true;
            changed = old != value;
            if changed {
                assembly.push(ChangeKind::UpdateBefore, unit, old);
            }
        })?;
    }
    if changed {
        let kind = match was_emitted {
            true => ChangeKind::UpdateAfter,
            false => ChangeKind::Insert,
        };
        assembly.push(kind, unit, value);
    }
    if closes && was_emitted {
        state.set(TableId::EMITTED, node, &parts, None);
    } else if !closes && changed {
        let mut entry = Vec::with_capacity(1 + value.len());
        entry.push(VERSION);
        entry.extend_from_slice(value);
        state.set(TableId::EMITTED, node, &parts, Some(&entry));
    }
    Ok(())
}

impl Assembly {
    fn push(&mut self, kind: ChangeKind, unit: Unit, value: &[u8]) {
        self.kinds.push(kind);
        self.units.push(unit);
        self.values.push(value.into());
    }
}

fn times(times: impl Iterator<Item = EventTime>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter_values(times))
}
