//! `sum(x)` and `avg(x)`. Integers and decimals are added exactly in 128 bits; a result that does not fit its type is an
//! error and never a wrap. Doubles are added in the order in which rows come.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Decimal128Array, Float64Array, Int64Array};
use arrow::datatypes::DataType;
use protocol::codec::{DecodeError, Reader};

use super::physical::{Family, decimal_form, decimals, doubles, for_each_counted, integers};
use super::state::{AggregateState, Input};
use crate::functions::aggregate::TotalKind;
use crate::operators::OperatorError;
use crate::operators::expression::conform;

/// Exact totals of integers and decimals.
pub(super) struct ExactTotalState {
    kind: TotalKind,
    family: Family,
    input_scale: i8,
    sums: Vec<i128>,
    counts: Vec<i64>,
    output: DataType,
}

impl ExactTotalState {
    pub(super) fn new(kind: TotalKind, input: &DataType, output: DataType) -> Self {
        let family = Family::of(input);
        Self {
            kind,
            family,
            input_scale: match family {
                Family::Decimal => decimal_form(input).1,
                _ => 0,
            },
            sums: Vec::new(),
            counts: Vec::new(),
            output,
        }
    }

    fn overflow(&self) -> OperatorError {
        OperatorError::Overflow(format!("{} is out of the range of {}", self.kind.name(), self.output))
    }

    fn decimal(&self, slot: usize, precision: u8, scale: i8) -> Result<i128, OperatorError> {
        let digits = scale - self.input_scale;
        let result = self.kind.decimal(self.sums[slot], self.counts[slot], digits, precision);
        result.ok_or_else(|| self.overflow())
    }

    fn integer(&self, slot: usize) -> Result<i64, OperatorError> {
        let result = self.kind.integer(self.sums[slot], self.counts[slot], -self.input_scale);
        result.ok_or_else(|| self.overflow())
    }

    fn double(&self, slot: usize) -> f64 {
        let sum = self.sums[slot] as f64 / 10f64.powi(i32::from(self.input_scale));
        self.kind.double(sum, self.counts[slot])
    }

    /// The slots with their results, NULL where no value was counted.
    fn results<T>(
        &self,
        slots: &[u32],
        result: impl Fn(usize) -> Result<T, OperatorError>,
    ) -> Result<Vec<Option<T>>, OperatorError> {
        slots
            .iter()
            .map(|slot| *slot as usize)
            .map(|slot| match self.counts[slot] {
                0 => Ok(None),
                _ => result(slot).map(Some),
            })
            .collect()
    }
}

impl AggregateState for ExactTotalState {
    fn resize(&mut self, slots: usize) {
        let slots = slots.max(self.sums.len());
        self.sums.resize(slots, 0);
        self.counts.resize(slots, 0);
    }

    fn reset(&mut self, slot: usize) {
        self.sums[slot] = 0;
        self.counts[slot] = 0;
    }

    fn update(&mut self, slots: &[u32], input: Input<'_>) -> Result<(), OperatorError> {
        let values = input.values.expect("sum and avg have an argument");
        let (sums, counts) = (&mut self.sums, &mut self.counts);
        if self.family == Family::Integer {
            let values = integers(values)?;
            let values = values.values();
            // 2^64 rows of 64 bits fit into 128.
            for_each_counted(slots, input.counted, |slot, row| {
                sums[slot] += i128::from(values[row]);
                counts[slot] += 1;
            });
            return Ok(());
        }
        let values = decimals(values)?;
        let values = values.values();
        let mut overflowed = false;
        for_each_counted(slots, input.counted, |slot, row| {
            let (sum, wrapped) = sums[slot].overflowing_add(values[row]);
            overflowed |= wrapped;
            sums[slot] = sum;
            counts[slot] += 1;
        });
        match overflowed {
            true => Err(self.overflow()),
            false => Ok(()),
        }
    }

    fn merge(&mut self, into: usize, from: usize) -> Result<(), OperatorError> {
        let sum = self.sums[into].checked_add(self.sums[from]);
        self.sums[into] = sum.ok_or_else(|| self.overflow())?;
        self.counts[into] += self.counts[from];
        Ok(())
    }

    fn evaluate(&self, slots: &[u32]) -> Result<ArrayRef, OperatorError> {
        if let DataType::Decimal128(precision, scale) = self.output {
            let values = self.results(slots, |slot| self.decimal(slot, precision, scale))?;
            let values = Decimal128Array::from(values).with_data_type(self.output.clone());
            return Ok(Arc::new(values));
        }
        if self.output.is_floating() {
            let values = self.results(slots, |slot| Ok(self.double(slot)))?;
            return conform(Arc::new(Float64Array::from(values)), &self.output).map_err(OperatorError::Result);
        }
        let values = self.results(slots, |slot| self.integer(slot))?;
        let values: ArrayRef = Arc::new(Int64Array::from(values));
        let narrow = conform(Arc::clone(&values), &self.output).map_err(OperatorError::Result)?;
        // The cast gives NULL for what does not fit.
        match narrow.null_count() == values.null_count() {
            true => Ok(narrow),
            false => Err(self.overflow()),
        }
    }

    fn save(&self, slot: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.sums[slot].to_be_bytes());
        out.extend_from_slice(&self.counts[slot].to_be_bytes());
    }

    fn load(&mut self, slot: usize, input: &mut Reader<'_>) -> Result<u32, DecodeError> {
        let high = i128::from(input.i64()?);
        let low = i128::from(input.i64()?.cast_unsigned());
        self.sums[slot] = (high << 64) | low;
        self.counts[slot] = input.i64()?;
        Ok(0)
    }

    fn memory_bytes(&self, groups: usize) -> usize {
        groups * (size_of::<i128>() + size_of::<i64>())
    }
}

/// Totals of doubles.
pub(super) struct DoubleTotalState {
    kind: TotalKind,
    sums: Vec<f64>,
    counts: Vec<i64>,
    output: DataType,
}

impl DoubleTotalState {
    pub(super) fn new(kind: TotalKind, output: DataType) -> Self {
        Self {
            kind,
            sums: Vec::new(),
            counts: Vec::new(),
            output,
        }
    }
}

impl AggregateState for DoubleTotalState {
    fn resize(&mut self, slots: usize) {
        let slots = slots.max(self.sums.len());
        self.sums.resize(slots, 0.0);
        self.counts.resize(slots, 0);
    }

    fn reset(&mut self, slot: usize) {
        self.sums[slot] = 0.0;
        self.counts[slot] = 0;
    }

    fn update(&mut self, slots: &[u32], input: Input<'_>) -> Result<(), OperatorError> {
        let values = doubles(input.values.expect("sum and avg have an argument"))?;
        let values = values.values();
        let (sums, counts) = (&mut self.sums, &mut self.counts);
        for_each_counted(slots, input.counted, |slot, row| {
            sums[slot] += values[row];
            counts[slot] += 1;
        });
        Ok(())
    }

    fn merge(&mut self, into: usize, from: usize) -> Result<(), OperatorError> {
        self.sums[into] += self.sums[from];
        self.counts[into] += self.counts[from];
        Ok(())
    }

    fn evaluate(&self, slots: &[u32]) -> Result<ArrayRef, OperatorError> {
        let values: Float64Array = slots
            .iter()
            .map(|slot| *slot as usize)
            .map(|slot| match self.counts[slot] {
                0 => None,
                count => Some(self.kind.double(self.sums[slot], count)),
            })
            .collect();
        conform(Arc::new(values), &self.output).map_err(OperatorError::Result)
    }

    fn save(&self, slot: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.sums[slot].to_bits().to_be_bytes());
        out.extend_from_slice(&self.counts[slot].to_be_bytes());
    }

    fn load(&mut self, slot: usize, input: &mut Reader<'_>) -> Result<u32, DecodeError> {
        self.sums[slot] = f64::from_bits(input.i64()?.cast_unsigned());
        self.counts[slot] = input.i64()?;
        Ok(0)
    }

    fn memory_bytes(&self, groups: usize) -> usize {
        groups * (size_of::<f64>() + size_of::<i64>())
    }
}
