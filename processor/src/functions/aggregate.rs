//! `sum` and `avg` without wrapping and without rounding on the way, by one rule for streams and for SELECT:
//!
//! | argument | sum | avg |
//! |---|---|---|
//! | SMALLINT, INT | BIGINT | NUMERIC(38,6) |
//! | BIGINT | NUMERIC(38,0) | NUMERIC(38,6) |
//! | NUMERIC(p,s) | NUMERIC(38,s) | NUMERIC(38,s+4) |
//! | REAL, DOUBLE PRECISION | DOUBLE PRECISION | DOUBLE PRECISION |
//!
//! Averages are rounded half away from zero, as PostgreSQL does; a result that does not fit is an error.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float64Array, Int64Array, PrimitiveArray,
};
use arrow::compute::cast;
use arrow::datatypes::{ArrowPrimitiveType, DataType, Decimal128Type, Field, FieldRef, Float64Type, Int64Type};
use arrow::error::ArrowError;
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
};

/// Digits behind the point of an average of integers.
pub(crate) const INTEGER_AVERAGE_SCALE: i8 = 6;
/// Further digits behind the point of an average of NUMERIC.
const NUMERIC_AVERAGE_DIGITS: i8 = 4;
const PRECISION: u8 = 38;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Function {
    Sum,
    Average,
}

/// `sum` or `avg`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ExactAggregate {
    function: Function,
    signature: Signature,
}

impl ExactAggregate {
    pub(crate) fn sum() -> Self {
        Self::new(Function::Sum)
    }

    pub(crate) fn avg() -> Self {
        Self::new(Function::Average)
    }

    fn new(function: Function) -> Self {
        Self { function, signature: Signature::user_defined(Volatility::Immutable) }
    }

    fn groups(&self, args: &AccumulatorArgs<'_>) -> Result<Groups> {
        if args.is_distinct {
            return plan_err!("{}(DISTINCT) together with other aggregates is not supported", self.name());
        }
        let output = args.return_field.data_type().clone();
        let (input, input_scale) = match args.expr_fields[0].data_type() {
            DataType::Decimal128(_, scale) => (Input::Decimal, *scale),
            DataType::Float32 | DataType::Float64 => (Input::Float, 0),
            _ => (Input::Integer, 0),
        };
        Ok(Groups {
            function: self.function,
            input,
            input_scale,
            output,
            exact: Vec::new(),
            float: Vec::new(),
            counts: Vec::new(),
        })
    }
}

impl AggregateUDFImpl for ExactAggregate {
    fn name(&self) -> &str {
        match self.function {
            Function::Sum => "sum",
            Function::Average => "avg",
        }
    }

    fn aliases(&self) -> &[String] {
        &[]
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let [argument] = arg_types else {
            return plan_err!("{} takes one argument", self.name());
        };
        Ok(vec![match argument {
            DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::Float32 | DataType::Float64 => argument.clone(),
            DataType::Decimal128(..) => argument.clone(),
            DataType::Int8 | DataType::UInt8 => DataType::Int16,
            DataType::UInt16 => DataType::Int32,
            DataType::UInt32 => DataType::Int64,
            DataType::UInt64 => DataType::Decimal128(20, 0),
            DataType::Decimal32(p, s) | DataType::Decimal64(p, s) => DataType::Decimal128(*p, *s),
            DataType::Null => DataType::Int64,
            other => {
                return plan_err!("function {}({}) does not exist", self.name(), crate::sql::types::type_name(other));
            }
        }])
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        let argument = arg_types.first().unwrap_or(&DataType::Null);
        Ok(match (self.function, argument) {
            (_, DataType::Float32 | DataType::Float64) => DataType::Float64,
            (Function::Sum, DataType::Int16 | DataType::Int32) => DataType::Int64,
            (Function::Sum, DataType::Decimal128(_, scale)) => DataType::Decimal128(PRECISION, *scale),
            (Function::Sum, _) => DataType::Decimal128(PRECISION, 0),
            (Function::Average, DataType::Decimal128(_, scale)) => {
                let scale = scale.saturating_add(NUMERIC_AVERAGE_DIGITS).min(PRECISION as i8);
                DataType::Decimal128(PRECISION, scale)
            }
            (Function::Average, _) => DataType::Decimal128(PRECISION, INTEGER_AVERAGE_SCALE),
        })
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Single { groups: self.groups(&args)? }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let sum = match args.input_fields.first().map(|f| f.data_type()) {
            Some(DataType::Float32 | DataType::Float64) => DataType::Float64,
            _ => DataType::Decimal128(PRECISION, 0),
        };
        Ok(vec![
            Arc::new(Field::new(format!("{}[sum]", args.name), sum, true)),
            Arc::new(Field::new(format!("{}[count]", args.name), DataType::Int64, true)),
        ])
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(self.groups(&args)?))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Input {
    Integer,
    Decimal,
    Float,
}

/// Sums and counts per group. Sums of integers and NUMERIC are 128 bits wide whatever the result.
#[derive(Debug)]
struct Groups {
    function: Function,
    input: Input,
    input_scale: i8,
    output: DataType,
    exact: Vec<i128>,
    float: Vec<f64>,
    counts: Vec<i64>,
}

impl Groups {
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
            let sum = self.exact[group].checked_add(value * i128::from(sign)).ok_or_else(overflow)?;
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
                (0..counts.len()).map(|at| present(at).then(|| self.float_result(float[at], counts[at]))).collect::<Float64Array>(),
            ),
            DataType::Int64 => Arc::new(
                (0..counts.len())
                    .map(|at| present(at).then(|| i64::try_from(exact[at]).map_err(|_| overflow())).transpose())
                    .collect::<Result<Int64Array, _>>()?,
            ),
            DataType::Decimal128(precision, scale) => {
                let values = (0..counts.len())
                    .map(|at| present(at).then(|| self.exact_result(exact[at], counts[at], *scale)).transpose())
                    .collect::<Result<Decimal128Array, _>>()?;
                Arc::new(values.with_precision_and_scale(*precision, *scale)?)
            }
            other => return plan_err!("{other} is no type of a sum"),
        })
    }

    #[expect(clippy::cast_precision_loss, reason = "an average of doubles is a double")]
    fn float_result(&self, sum: f64, count: i64) -> f64 {
        match self.function {
            Function::Sum => sum,
            Function::Average => sum / count as f64,
        }
    }

    fn exact_result(&self, sum: i128, count: i64, scale: i8) -> Result<i128, ArrowError> {
        let result = match self.function {
            Function::Sum => Some(sum),
            Function::Average => average(sum, count, scale - self.input_scale),
        };
        result.filter(|value| value.unsigned_abs() < 10_u128.pow(u32::from(PRECISION))).ok_or_else(overflow)
    }
}

/// `sum / count` with `digits` further decimal digits, rounded half away from zero.
pub(crate) fn average(sum: i128, count: i64, digits: i8) -> Option<i128> {
    let count = i128::from(count);
    let power = 10_i128.checked_pow(u32::try_from(digits).ok()?)?;
    // Whole part and rest apart, so that nothing overflows that would fit the result.
    let whole = (sum / count).checked_mul(power)?;
    let rest = (sum % count).checked_mul(power)?;
    let (quotient, remainder) = (rest / count, rest % count);
    let round_up = count.unsigned_abs() <= remainder.unsigned_abs().checked_mul(2)?;
    let rounded = quotient + if round_up { remainder.signum() } else { 0 };
    whole.checked_add(rounded)
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

impl GroupsAccumulator for Groups {
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
        let (counts, exact, float) =
            (take(&mut self.counts, emit_to), take(&mut self.exact, emit_to), take(&mut self.float, emit_to));
        self.results(&counts, &exact, &float)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let counts = take(&mut self.counts, emit_to);
        let sums: ArrayRef = match self.input {
            Input::Float => Arc::new(Float64Array::from(take(&mut self.float, emit_to))),
            _ => Arc::new(Decimal128Array::from(take(&mut self.exact, emit_to)).with_precision_and_scale(PRECISION, 0)?),
        };
        Ok(vec![sums, Arc::new(Int64Array::from(counts))])
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.resize(total_num_groups);
        self.merge(values, |row| Some(group_indices[row]))
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let rows = values[0].len();
        let mut each = Self {
            function: self.function,
            input: self.input,
            input_scale: self.input_scale,
            output: self.output.clone(),
            exact: Vec::new(),
            float: Vec::new(),
            counts: Vec::new(),
        };
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
struct Single {
    groups: Groups,
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
        let result = self.groups.results(&self.groups.counts, &self.groups.exact, &self.groups.float)?;
        ScalarValue::try_from_array(&result, 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.groups.resize(1);
        let states = self.groups.state(EmitTo::All)?;
        states.iter().map(|state| ScalarValue::try_from_array(state, 0)).collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.groups.resize(1);
        self.groups.merge(states, |_| Some(0))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.groups.size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_round_half_away_from_zero() {
        assert_eq!(average(1, 3, 6), Some(333_333));
        assert_eq!(average(2, 3, 6), Some(666_667));
        assert_eq!(average(-2, 3, 6), Some(-666_667));
        assert_eq!(average(1, 2, 0), Some(1));
        assert_eq!(average(-1, 2, 0), Some(-1));
        assert_eq!(average(5, 1, 0), Some(5));
        assert_eq!(average(i128::MAX, 1, 4), None);
    }
}
