//! `min(x)` and `max(x)`, of every type that can be sorted. NaN sorts above every number, as in PostgreSQL.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array, Float64Array, Int64Array};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use protocol::codec::{DecodeError, Reader};

use super::physical::{ByteForm, decimal_form, decimals, doubles, for_each_counted, integers};
use super::state::{AggregateState, Input};
use crate::operators::OperatorError;
use crate::operators::expression::conform;

/// A value of fixed width that can be compared, saved and turned into a column.
pub(super) trait Fixed: Copy + Default + Send + 'static {
    /// Calls `each` with every row that counts.
    fn read(input: Input<'_>, slots: &[u32], each: impl FnMut(usize, Self)) -> Result<(), ArrowError>;
    /// Total order.
    fn compare(self, other: Self) -> Ordering;
    /// A column of values held for the type `input`.
    fn column(values: Vec<Option<Self>>, input: &DataType) -> Result<ArrayRef, ArrowError>;
    /// Appends the value.
    fn save(self, out: &mut Vec<u8>);
    /// Reads what [`save`](Self::save) wrote.
    fn load(input: &mut Reader<'_>) -> Result<Self, DecodeError>;
}

/// Extremes of types of fixed width.
pub(super) struct ExtremeState<V> {
    wanted: Ordering,
    input: DataType,
    output: DataType,
    values: Vec<V>,
    seen: Vec<bool>,
}

impl<V: Fixed> ExtremeState<V> {
    pub(super) fn new(largest: bool, input: &DataType, output: &DataType) -> Self {
        Self {
            wanted: wanted(largest),
            input: input.clone(),
            output: output.clone(),
            values: Vec::new(),
            seen: Vec::new(),
        }
    }
}

impl<V: Fixed> AggregateState for ExtremeState<V> {
    fn resize(&mut self, slots: usize) {
        let slots = slots.max(self.values.len());
        self.values.resize(slots, V::default());
        self.seen.resize(slots, false);
    }

    fn reset(&mut self, slot: usize) {
        self.seen[slot] = false;
    }

    fn update(&mut self, slots: &[u32], input: Input<'_>) -> Result<(), OperatorError> {
        let (values, seen, wanted) = (&mut self.values, &mut self.seen, self.wanted);
        V::read(input, slots, |slot, value| {
            if !seen[slot] || value.compare(values[slot]) == wanted {
                seen[slot] = true;
                values[slot] = value;
            }
        })?;
        Ok(())
    }

    fn merge(&mut self, into: usize, from: usize) -> Result<(), OperatorError> {
        if !self.seen[from] {
            return Ok(());
        }
        let value = self.values[from];
        if !self.seen[into] || value.compare(self.values[into]) == self.wanted {
            self.seen[into] = true;
            self.values[into] = value;
        }
        Ok(())
    }

    fn evaluate(&self, slots: &[u32]) -> Result<ArrayRef, OperatorError> {
        let values = slots
            .iter()
            .map(|slot| *slot as usize)
            .map(|slot| self.seen[slot].then(|| self.values[slot]))
            .collect();
        let column = V::column(values, &self.input)?;
        conform(column, &self.output).map_err(OperatorError::Result)
    }

    fn save(&self, slot: usize, out: &mut Vec<u8>) {
        out.push(u8::from(self.seen[slot]));
        if self.seen[slot] {
            self.values[slot].save(out);
        }
    }

    fn load(&mut self, slot: usize, input: &mut Reader<'_>) -> Result<u32, DecodeError> {
        self.seen[slot] = input.bool()?;
        if self.seen[slot] {
            self.values[slot] = V::load(input)?;
        }
        Ok(0)
    }

    fn memory_bytes(&self, groups: usize) -> usize {
        groups * (size_of::<V>() + 1)
    }
}

/// Extremes of all other types, held as bytes that sort as the values do.
pub(super) struct ByteExtremeState {
    wanted: Ordering,
    form: ByteForm,
    output: DataType,
    values: Vec<Option<Vec<u8>>>,
    bytes: usize,
}

impl ByteExtremeState {
    pub(super) fn new(largest: bool, input: &DataType, output: &DataType) -> Result<Self, ArrowError> {
        Ok(Self {
            wanted: wanted(largest),
            form: ByteForm::new(input)?,
            output: output.clone(),
            values: Vec::new(),
            bytes: 0,
        })
    }

    fn offer(&mut self, slot: usize, candidate: &[u8]) {
        match &mut self.values[slot] {
            Some(value) if candidate.cmp(value.as_slice()) != self.wanted => {}
            Some(value) => {
                self.bytes = self.bytes + candidate.len() - value.len();
                value.clear();
                value.extend_from_slice(candidate);
            }
            empty => {
                self.bytes += candidate.len();
                *empty = Some(candidate.to_vec());
            }
        }
    }
}

impl AggregateState for ByteExtremeState {
    fn resize(&mut self, slots: usize) {
        self.values.resize(slots.max(self.values.len()), None);
    }

    fn reset(&mut self, slot: usize) {
        self.bytes -= self.values[slot].take().map_or(0, |value| value.len());
    }

    fn update(&mut self, slots: &[u32], input: Input<'_>) -> Result<(), OperatorError> {
        let rows = self.form.rows(input.values.expect("min and max have an argument"))?;
        for_each_counted(slots, input.counted, |slot, row| {
            self.offer(slot, rows.row(row).data());
        });
        Ok(())
    }

    fn merge(&mut self, into: usize, from: usize) -> Result<(), OperatorError> {
        // Taken out for the moment of comparing, which needs both.
        if let Some(value) = self.values[from].take() {
            self.offer(into, &value);
            self.values[from] = Some(value);
        }
        Ok(())
    }

    fn evaluate(&self, slots: &[u32]) -> Result<ArrayRef, OperatorError> {
        let values = slots.iter().map(|slot| self.values[*slot as usize].as_deref());
        conform(self.form.values(values)?, &self.output).map_err(OperatorError::Result)
    }

    fn save(&self, slot: usize, out: &mut Vec<u8>) {
        let value = self.values[slot].as_deref();
        let length = value.map_or(-1, |value| {
            i32::try_from(value.len()).expect("a value is smaller than its batch, which is below 2 GiB")
        });
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(value.unwrap_or_default());
    }

    fn load(&mut self, slot: usize, input: &mut Reader<'_>) -> Result<u32, DecodeError> {
        if let Ok(length) = usize::try_from(input.i32()?) {
            let value = input.take(length)?;
            self.bytes += value.len();
            self.values[slot] = Some(value.to_vec());
        }
        Ok(0)
    }

    fn memory_bytes(&self, groups: usize) -> usize {
        groups * size_of::<Option<Vec<u8>>>() + self.bytes
    }
}

fn wanted(largest: bool) -> Ordering {
    match largest {
        true => Ordering::Greater,
        false => Ordering::Less,
    }
}

impl Fixed for i64 {
    fn read(input: Input<'_>, slots: &[u32], mut each: impl FnMut(usize, Self)) -> Result<(), ArrowError> {
        let values = integers(input.values.expect("min and max have an argument"))?;
        let values = values.values();
        for_each_counted(slots, input.counted, |slot, row| each(slot, values[row]));
        Ok(())
    }

    fn compare(self, other: Self) -> Ordering {
        self.cmp(&other)
    }

    fn column(values: Vec<Option<Self>>, input: &DataType) -> Result<ArrayRef, ArrowError> {
        arrow::compute::cast(&Int64Array::from(values), input)
    }

    fn save(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_be_bytes());
    }

    fn load(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        input.i64()
    }
}

impl Fixed for f64 {
    fn read(input: Input<'_>, slots: &[u32], mut each: impl FnMut(usize, Self)) -> Result<(), ArrowError> {
        let values = doubles(input.values.expect("min and max have an argument"))?;
        let values = values.values();
        for_each_counted(slots, input.counted, |slot, row| each(slot, values[row]));
        Ok(())
    }

    fn compare(self, other: Self) -> Ordering {
        self.partial_cmp(&other)
            .unwrap_or_else(|| self.is_nan().cmp(&other.is_nan()))
    }

    fn column(values: Vec<Option<Self>>, input: &DataType) -> Result<ArrayRef, ArrowError> {
        arrow::compute::cast(&Float64Array::from(values), input)
    }

    fn save(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_bits().to_be_bytes());
    }

    fn load(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self::from_bits(input.i64()?.cast_unsigned()))
    }
}

impl Fixed for i128 {
    fn read(input: Input<'_>, slots: &[u32], mut each: impl FnMut(usize, Self)) -> Result<(), ArrowError> {
        let values = decimals(input.values.expect("min and max have an argument"))?;
        let values = values.values();
        for_each_counted(slots, input.counted, |slot, row| each(slot, values[row]));
        Ok(())
    }

    fn compare(self, other: Self) -> Ordering {
        self.cmp(&other)
    }

    fn column(values: Vec<Option<Self>>, input: &DataType) -> Result<ArrayRef, ArrowError> {
        let (precision, scale) = decimal_form(input);
        let values = Decimal128Array::from(values).with_precision_and_scale(precision, scale)?;
        arrow::compute::cast(&(Arc::new(values) as ArrayRef), input)
    }

    fn save(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_be_bytes());
    }

    fn load(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let high = Self::from(input.i64()?);
        let low = Self::from(input.i64()?.cast_unsigned());
        Ok((high << 64) | low)
    }
}
