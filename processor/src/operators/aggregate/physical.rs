//! The few forms in which aggregates hold values, whatever the SQL type: 64-bit integers (also dates, times and
//! timestamps), doubles, 128-bit decimals, and row bytes that sort as the values do for everything else.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Float64Array, Int64Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};

/// How values of a type are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// As `i64`.
    Integer,
    /// As `f64`.
    Double,
    /// As `i128`, scaled.
    Decimal,
    /// As row bytes.
    Bytes,
}

impl Family {
    /// The family of a type.
    pub(super) fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::UInt8
            | DataType::UInt16
            | DataType::UInt32
            | DataType::Date32
            | DataType::Date64
            | DataType::Time64(_)
            | DataType::Timestamp(_, _)
            | DataType::Duration(_) => Self::Integer,
            DataType::Float16 | DataType::Float32 | DataType::Float64 => Self::Double,
            DataType::UInt64 | DataType::Decimal32(_, _) | DataType::Decimal64(_, _) | DataType::Decimal128(_, _) => {
                Self::Decimal
            }
            _ => Self::Bytes,
        }
    }
}

/// Values of the integer family.
pub(super) fn integers(values: &ArrayRef) -> Result<Int64Array, ArrowError> {
    Ok(cast(values, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

/// Values of the double family.
pub(super) fn doubles(values: &ArrayRef) -> Result<Float64Array, ArrowError> {
    Ok(cast(values, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
}

/// The decimal type in which values of the decimal family are held.
pub(super) fn decimal_form(data_type: &DataType) -> (u8, i8) {
    match data_type {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale) => (*precision, *scale),
        _ => (20, 0),
    }
}

/// Values of the decimal family.
pub(super) fn decimals(values: &ArrayRef) -> Result<Decimal128Array, ArrowError> {
    let (precision, scale) = decimal_form(values.data_type());
    Ok(cast(values, &DataType::Decimal128(precision, scale))?
        .as_primitive::<Decimal128Type>()
        .clone())
}

/// Values as bytes that sort as the values do, NULL first.
#[derive(Debug)]
pub(super) struct ByteForm {
    converter: RowConverter,
    data_type: DataType,
}

impl ByteForm {
    /// The byte form of a type.
    pub(super) fn new(data_type: &DataType) -> Result<Self, ArrowError> {
        Ok(Self {
            converter: RowConverter::new(vec![SortField::new(data_type.clone())])?,
            data_type: data_type.clone(),
        })
    }

    /// All values of a column.
    pub(super) fn rows(&self, values: &ArrayRef) -> Result<Rows, ArrowError> {
        self.converter.convert_columns(&[Arc::clone(values)])
    }

    /// The values that bytes stand for; `None` gives NULL.
    pub(super) fn values<'a>(&self, bytes: impl Iterator<Item = Option<&'a [u8]>>) -> Result<ArrayRef, ArrowError> {
        let null = self
            .converter
            .convert_columns(&[arrow::array::new_null_array(&self.data_type, 1)])?;
        let parser = self.converter.parser();
        let rows = bytes.map(|bytes| parser.parse(bytes.unwrap_or_else(|| null.row(0).data())));
        let mut columns = self.converter.convert_rows(rows)?;
        Ok(columns.remove(0))
    }
}

/// The rows that count: those whose value is not NULL and for which the filter is true. `None` when all do.
pub(super) fn counted(values: Option<&ArrayRef>, filter: Option<&BooleanBuffer>) -> Option<BooleanBuffer> {
    let nulls = values.and_then(|values| values.logical_nulls());
    let valid = nulls
        .filter(|nulls| 0 < nulls.null_count())
        .map(|nulls| nulls.inner().clone());
    match (valid, filter) {
        (Some(valid), Some(filter)) => Some(&valid & filter),
        (Some(valid), None) => Some(valid),
        (None, Some(filter)) => Some(filter.clone()),
        (None, None) => None,
    }
}

/// Calls `each` with the slot and the index of every row that counts.
#[inline]
pub(super) fn for_each_counted(slots: &[u32], counted: Option<&BooleanBuffer>, mut each: impl FnMut(usize, usize)) {
    match counted {
        None => {
            for (row, slot) in slots.iter().enumerate() {
                each(*slot as usize, row);
            }
        }
        Some(counted) => {
            for row in counted.set_indices() {
                each(slots[row] as usize, row);
            }
        }
    }
}

/// Columns of a batch whose floating-point columns have one zero and one NaN, so that equal values group together.
pub(super) fn canonical_floats(values: ArrayRef) -> Result<ArrayRef, ArrowError> {
    use arrow::datatypes::Float32Type;
    fn canonical<F: PartialEq + Default + Copy>(value: F, nan: F) -> F {
        #[expect(clippy::eq_op, reason = "NaN is the one value that differs from itself")]
        if value != value {
            return nan;
        }
        if value == F::default() {
            return F::default();
        }
        value
    }
    Ok(match values.data_type() {
        DataType::Float64 => Arc::new(
            values
                .as_primitive::<Float64Type>()
                .unary::<_, Float64Type>(|value| canonical(value, f64::NAN)),
        ),
        DataType::Float32 => Arc::new(
            values
                .as_primitive::<Float32Type>()
                .unary::<_, Float32Type>(|value| canonical(value, f32::NAN)),
        ),
        _ => values,
    })
}
