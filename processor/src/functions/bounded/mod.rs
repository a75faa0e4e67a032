//! Functions whose result may be far larger than their arguments, such as `repeat` and `lpad`: DataFusion's own behind a
//! bound on what they may make. No memory limit sees what a function allocates, and an allocation that fails ends the
//! whole process, so what a call will make is told from its arguments before it is made.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::concat;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

use self::growth::{Arguments, Growth};
use crate::error::{SqlError, SqlState};

mod growth;
mod series;

/// Most bytes of one value that a function makes.
pub(crate) const VALUE_BYTES_MAX: u64 = 16 << 20;
/// Most bytes that one expression makes for the rows of one batch.
pub(crate) const RESULT_BYTES_MAX: u64 = 128 << 20;

/// Functions that are bounded, and how each of them grows.
const BOUNDED: &[(&str, Growth)] = &[
    ("repeat", Growth::Repeat),
    ("lpad", Growth::Pad),
    ("rpad", Growth::Pad),
    ("replace", Growth::Replace),
    ("regexp_replace", Growth::RegexpReplace),
    ("concat", Growth::Concat),
    ("concat_ws", Growth::ConcatWithSeparator),
    ("array_to_string", Growth::ArrayToString),
    ("range", Growth::Series),
    ("generate_series", Growth::Series),
    ("array_repeat", Growth::ArrayRepeat),
    ("array_resize", Growth::ArrayResize),
    ("array_replace", Growth::ArrayReplace),
    ("array_replace_n", Growth::ArrayReplace),
    ("array_replace_all", Growth::ArrayReplace),
];

/// The bounded forms of functions that are registered, to be registered in place of them.
pub(crate) fn bounded(registered: &dyn FunctionRegistry) -> Result<Vec<Arc<ScalarUDF>>> {
    let wrap = |(name, growth): &(&str, Growth)| {
        let inner = registered.udf(name)?;
        Ok(Arc::new(ScalarUDF::from(Bounded { inner, growth: *growth })))
    };
    BOUNDED.iter().map(wrap).collect()
}

/// A value of one row would be larger than [`VALUE_BYTES_MAX`].
fn value_too_large(name: &str, bytes: u64) -> DataFusionError {
    let message = format!("{name} would make a value of {bytes} bytes, above the {VALUE_BYTES_MAX} that one may have");
    DataFusionError::External(Box::new(SqlError::new(SqlState::PROGRAM_LIMIT, message)))
}

/// The values of a batch would be larger than [`RESULT_BYTES_MAX`]. In smaller batches they may fit.
pub(crate) fn result_too_large(what: &str) -> DataFusionError {
    let message = format!("{what} makes more than {RESULT_BYTES_MAX} bytes for the rows of one batch");
    let error = SqlError::new(SqlState::OUT_OF_MEMORY, message).with_hint("make shorter values");
    DataFusionError::External(Box::new(error))
}

/// Bytes that a constant takes for each row that it is laid out for, besides those of a number.
pub(crate) fn constant_bytes(value: &ScalarValue) -> u64 {
    (value.size() - size_of::<ScalarValue>()) as u64
}

/// Bytes of an array's values. A size that cannot be told is taken for one that is too large.
pub(crate) fn array_bytes(values: &ArrayRef) -> u64 {
    let inner = |inner: &ArrayRef, offsets: &[i32]| {
        let (first, last) = (offsets[0] as usize, offsets[offsets.len() - 1] as usize);
        let offsets = size_of_val(offsets) as u64;
        array_bytes(&inner.slice(first, last - first)).saturating_add(offsets)
    };
    match values.data_type() {
        DataType::List(_) => inner(
            values.as_list::<i32>().values(),
            values.as_list::<i32>().value_offsets(),
        ),
        DataType::Map(..) => {
            let map = values.as_map();
            let entries: ArrayRef = Arc::new(map.entries().clone());
            inner(&entries, map.value_offsets())
        }
        _ => values
            .to_data()
            .get_slice_memory_size()
            .map_or(u64::MAX, |bytes| bytes as u64),
    }
}

/// A function that looks at its arguments before it makes something of them. It simplifies nothing: a function that
/// rewrites its calls would put the one without a bound in its own place.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded {
    inner: Arc<ScalarUDF>,
    growth: Growth,
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(arg_types)
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arg_types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let sizes = self.sizes(&args)?;
        if sizes.iter().sum::<u64>() <= RESULT_BYTES_MAX {
            return self.inner.invoke_with_args(args);
        }
        self.invoke_in_parts(&args, &sizes).map(ColumnarValue::Array)
    }
}

impl Bounded {
    /// Bytes that each row's value has at most; fails where one is too large.
    fn sizes(&self, args: &ScalarFunctionArgs) -> Result<Vec<u64>> {
        let arguments = Arguments::new(&args.args, args.number_rows)?;
        let mut sizes = Vec::with_capacity(arguments.rows());
        for row in 0..arguments.rows() {
            let made = self.growth.bytes(&arguments, row);
            let bytes = match made <= VALUE_BYTES_MAX {
                true => made,
                false => self.growth.exact_bytes(&arguments, row),
            };
            if VALUE_BYTES_MAX < bytes {
                return Err(value_too_large(self.name(), bytes));
            }
            // Functions lay constants out for every row.
            sizes.push(bytes + arguments.constant_bytes());
        }
        Ok(sizes)
    }

    /// What a row may come to is often far above what it does: goes on for as long as what was made fits.
    fn invoke_in_parts(&self, args: &ScalarFunctionArgs, sizes: &[u64]) -> Result<ArrayRef> {
        let mut parts = Vec::new();
        let mut made = 0;
        for rows in parts_of(sizes) {
            let part = self
                .inner
                .invoke_with_args(slice(args, &rows))?
                .into_array(rows.len())?;
            made += array_bytes(&part);
            if RESULT_BYTES_MAX < made {
                return Err(result_too_large(self.name()));
            }
            parts.push(part);
        }
        let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
        Ok(concat(&parts)?)
    }
}

/// Runs of rows that come to no more than a fair part of the bound, or are one row.
fn parts_of(sizes: &[u64]) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (row, size) in sizes.iter().enumerate() {
        if start < row && VALUE_BYTES_MAX < bytes + size {
            parts.push(start..row);
            (start, bytes) = (row, 0);
        }
        bytes += size;
    }
    parts.push(start..sizes.len());
    parts
}

fn slice(args: &ScalarFunctionArgs, rows: &Range<usize>) -> ScalarFunctionArgs {
    let values = args.args.iter().map(|arg| match arg {
        ColumnarValue::Array(array) => ColumnarValue::Array(array.slice(rows.start, rows.len())),
        ColumnarValue::Scalar(scalar) => ColumnarValue::Scalar(scalar.clone()),
    });
    ScalarFunctionArgs {
        args: values.collect(),
        arg_fields: args.arg_fields.clone(),
        number_rows: rows.len(),
        return_field: Arc::clone(&args.return_field),
        config_options: Arc::clone(&args.config_options),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_parted_by_what_they_may_come_to() {
        let large = VALUE_BYTES_MAX;
        assert_eq!(parts_of(&[1, 2, large]), [0..2, 2..3]);
        assert_eq!(parts_of(&[large, large, 1]), [0..1, 1..2, 2..3]);
        assert_eq!(parts_of(&[large / 2, large / 2, large / 2]), [0..2, 2..3]);
    }
}
