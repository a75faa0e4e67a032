//! `count(*)` and `count(x)`.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::DataType;
use protocol::codec::{DecodeError, Reader};

use super::physical::for_each_counted;
use super::state::{AggregateState, Input};
use crate::operators::OperatorError;
use crate::operators::expression::conform;

/// Number of rows that count, per group.
pub(super) struct CountState {
    counts: Vec<i64>,
    output: DataType,
}

impl CountState {
    pub(super) fn new(output: DataType) -> Self {
        Self {
            counts: Vec::new(),
            output,
        }
    }
}

impl AggregateState for CountState {
    fn resize(&mut self, slots: usize) {
        self.counts.resize(slots.max(self.counts.len()), 0);
    }

    fn reset(&mut self, slot: usize) {
        self.counts[slot] = 0;
    }

    fn update(&mut self, slots: &[u32], input: Input<'_>) -> Result<(), OperatorError> {
        let counts = &mut self.counts;
        for_each_counted(slots, input.counted, |slot, _| counts[slot] += 1);
        Ok(())
    }

    fn merge(&mut self, into: usize, from: usize) -> Result<(), OperatorError> {
        self.counts[into] += self.counts[from];
        Ok(())
    }

    fn evaluate(&self, slots: &[u32]) -> Result<ArrayRef, OperatorError> {
        let counts: Int64Array = slots.iter().map(|slot| Some(self.counts[*slot as usize])).collect();
        conform(Arc::new(counts), &self.output).map_err(OperatorError::Result)
    }

    fn save(&self, slot: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.counts[slot].to_be_bytes());
    }

    fn load(&mut self, slot: usize, input: &mut Reader<'_>) -> Result<u32, DecodeError> {
        self.counts[slot] = input.i64()?;
        Ok(0)
    }

    fn memory_bytes(&self, groups: usize) -> usize {
        groups * size_of::<i64>()
    }
}
