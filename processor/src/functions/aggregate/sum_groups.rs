//! Sums and counts of many groups, and of one.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float64Array, Int64Array, PrimitiveArray};
use arrow::compute::cast;
use arrow::datatypes::{ArrowPrimitiveType, DataType, Decimal128Type, Float64Type, Int64Type};
use arrow::error::ArrowError;
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

use super::{PRECISION, TotalKind};

/// What is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    /// SMALLINT, INT, BIGINT.
    Integer,
    /// NUMERIC.
    Decimal,
    /// REAL, DOUBLE PRECISION.
    Float,
}

/// Sums and counts per group. Sums of integers and NUMERIC are 128 bits wide whatever the result.
#[derive(Debug)]
pub(super) struct SumGroups {
    kind: TotalKind,
    input: Input,
    input_scale: i8,
    output: DataType,
    exact: Vec<i128>,
    float: Vec<f64>,
    counts: Vec<i64>,
}

impl SumGroups {
    /// No groups yet; `input_scale` is the scale of NUMERIC values.
    pub(super) fn new(kind: TotalKind, input: Input, input_scale: i8, output: DataType) -> Self {
        Self {
            kind,
            input,
            input_scale,
            output,
            exact: Vec::new(),
            float: Vec::new(),
            counts: Vec::new(),
        }
    }

    fn resize(&mut self, total: usize) {
        if self.counts.len() < total {
            self.counts.resize(total, 0);
            match self.input {
                Input::Float => self.float.resize(total, 0.0),
                _ => self.exact.resize(total, 0),
            }
        }
    }

    /// Adds the rows of `values`; `group` tells the group of a row, or nothing where it is filtered out.
    fn add(&mut self, values: &ArrayRef, sign: i8, group: impl Fn(usize) -> Option<usize>) -> Result<()> {
        match self.input {
            Input::Integer => {
                let values = cast(values, &DataType::Int64)?;
                self.add_exact(values.as_primitive::<Int64Type>(), sign, group)
            }
            Input::Decimal => self.add_exact(values.as_primitive::<Decimal128Type>(), sign, group),
            Input::Float => {
                let values = cast(values, &DataType::Float64)?;
                for_each(values.as_primitive::<Float64Type>(), group, |group, value| {
                    self.float[group] += value * f64::from(sign);
                    self.counts[group] += i64::from(sign);
                    Ok(())
                })
            }
        }
    }

    fn add_exact<T: ArrowPrimitiveType>(
        &mut self,
        values: &PrimitiveArray<T>,
        sign: i8,
        group: impl Fn(usize) -> Option<usize>,
    ) -> Result<()>
    where
        T::Native: Into<i128>,
    {
        for_each(values, group, |group, value| {
            let value: i128 = value.into();
            let sum = self.exact[group]
                .checked_add(value * i128::from(sign))
                .ok_or_else(overflow)?;
            self.exact[group] = sum;
            self.counts[group] += i64::from(sign);
            Ok(())
        })
    }

    fn merge(&mut self, states: &[ArrayRef], group: impl Fn(usize) -> Option<usize> + Copy) -> Result<()> {
        let counts = states[1].as_primitive::<Int64Type>();
        match self.input {
            Input::Float => for_each(states[0].as_primitive::<Float64Type>(), group, |group, value| {
                self.float[group] += value;
                Ok(())
            })?,
            _ => for_each(states[0].as_primitive::<Decimal128Type>(), group, |group, value| {
                self.exact[group] = self.exact[group].checked_add(value).ok_or_else(overflow)?;
                Ok(())
            })?,
        }
        for_each(counts, group, |group, value| {
            self.counts[group] += value;
            Ok(())
        })
    }

    fn results(&self, counts: &[i64], exact: &[i128], float: &[f64]) -> Result<ArrayRef> {
        let present = |at: usize| counts[at] != 0;
        Ok(match &self.output {
            DataType::Float64 => Arc::new(
                (0..counts.len())
                    .map(|at| present(at).then(|| self.kind.double(float[at], counts[at])))
                    .collect::<Float64Array>(),
            ),
            DataType::Int64 => Arc::new(
                (0..counts.len())
                    .map(|at| {
                        present(at)
                            .then(|| {
                                self.kind
                                    .integer(exact[at], counts[at], -self.input_scale)
                                    .ok_or_else(overflow)
                            })
                            .transpose()
                    })
                    .collect::<Result<Int64Array, _>>()?,
            ),
            DataType::Decimal128(precision, scale) => {
                let digits = *scale - self.input_scale;
                let result = |at: usize| self.kind.decimal(exact[at], counts[at], digits, *precision);
                let values = (0..counts.len())
                    .map(|at| present(at).then(|| result(at).ok_or_else(overflow)).transpose())
                    .collect::<Result<Decimal128Array, _>>()?;
                Arc::new(values.with_precision_and_scale(*precision, *scale)?)
            }
            other => return plan_err!("{other} is no type of a sum"),
        })
    }
}

fn overflow() -> ArrowError {
    ArrowError::ArithmeticOverflow("the result of an aggregate is out of range".to_owned())
}

fn for_each<T: ArrowPrimitiveType>(
    values: &PrimitiveArray<T>,
    group: impl Fn(usize) -> Option<usize>,
    mut add: impl FnMut(usize, T::Native) -> Result<(), ArrowError>,
) -> Result<()> {
    for (row, value) in values.values().iter().enumerate() {
        if values.is_null(row) {
            continue;
        }
        if let Some(group) = group(row) {
            add(group, *value)?;
        }
    }
    Ok(())
}

fn take<T: Clone>(values: &mut Vec<T>, emit_to: EmitTo) -> Vec<T> {
    match emit_to {
        EmitTo::All => std::mem::take(values),
        EmitTo::First(n) => values.drain(..n.min(values.len())).collect(),
    }
}

fn kept(filter: Option<&BooleanArray>, row: usize) -> bool {
    filter.is_none_or(|f| f.is_valid(row) && f.value(row))
}

impl GroupsAccumulator for SumGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.resize(total_num_groups);
        self.add(&values[0], 1, |row| kept(opt_filter, row).then(|| group_indices[row]))
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let (counts, exact, float) = (
            take(&mut self.counts, emit_to),
            take(&mut self.exact, emit_to),
            take(&mut self.float, emit_to),
        );
        self.results(&counts, &exact, &float)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let counts = take(&mut self.counts, emit_to);
        let sums: ArrayRef = match self.input {
            Input::Float => Arc::new(Float64Array::from(take(&mut self.float, emit_to))),
            _ => {
                Arc::new(Decimal128Array::from(take(&mut self.exact, emit_to)).with_precision_and_scale(PRECISION, 0)?)
            }
        };
        Ok(vec![sums, Arc::new(Int64Array::from(counts))])
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.resize(total_num_groups);
        self.merge(values, |row| Some(group_indices[row]))
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let rows = values[0].len();
        let mut each = Self::new(self.kind, self.input, self.input_scale, self.output.clone());
        each.resize(rows);
        each.add(&values[0], 1, |row| kept(opt_filter, row).then_some(row))?;
        each.state(EmitTo::All)
    }

    fn size(&self) -> usize {
        self.counts.capacity() * size_of::<i64>()
            + self.exact.capacity() * size_of::<i128>()
            + self.float.capacity() * size_of::<f64>()
    }
}

/// The same for one group.
#[derive(Debug)]
pub(super) struct Single {
    groups: SumGroups,
}

impl Single {
    /// One group of these.
    pub(super) fn new(groups: SumGroups) -> Self {
        Self { groups }
    }
}

impl Accumulator for Single {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.groups.resize(1);
        self.groups.add(&values[0], 1, |_| Some(0))
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.groups.resize(1);
        self.groups.add(&values[0], -1, |_| Some(0))
    }

    fn supports_retract_batch(&self) -> bool {
        self.groups.input != Input::Float
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.groups.resize(1);
        let result = self
            .groups
            .results(&self.groups.counts, &self.groups.exact, &self.groups.float)?;
        ScalarValue::try_from_array(&result, 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.groups.resize(1);
        let states = self.groups.state(EmitTo::All)?;
        states
            .iter()
            .map(|state| ScalarValue::try_from_array(state, 0))
            .collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.groups.resize(1);
        self.groups.merge(states, |_| Some(0))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.groups.size()
    }
}
