//! How large a function's result will be, told from its arguments: never less than it is.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::Result;
use datafusion::logical_expr::ColumnarValue;

use super::array_bytes;
use super::series::series_length;

/// Bytes that an element of a list takes besides its own.
const ELEMENT_BYTES: u64 = 16;
/// Most bytes of a number, time or truth value as text.
const TEXT_OF_ELEMENT: u64 = 64;
/// Most bytes of a character.
const CHARACTER_BYTES: u64 = 4;

/// How a function's result grows with its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Growth {
    /// A text, so many times.
    Repeat,
    /// A text, filled up to so many characters.
    Pad,
    /// A text, what is found in it, and what takes its place.
    Replace,
    /// The same, with a pattern that is looked for, whose matches the replacement may repeat.
    RegexpReplace,
    /// Texts, one after the other.
    Concat,
    /// The same, the first one between the others.
    ConcatWithSeparator,
    /// The elements of a list with a text in between, and perhaps one in place of NULL.
    ArrayToString,
    /// From, to, and perhaps the step.
    Series,
    /// An element, so many times.
    ArrayRepeat,
    /// A list, filled up to so many elements, perhaps with a given one.
    ArrayResize,
    /// A list, what is found in it, and what takes its place.
    ArrayReplace,
}

impl Growth {
    /// Bytes that the result has at most.
    pub(super) fn bytes(self, arguments: &Arguments, row: usize) -> u64 {
        let bytes = |index: usize| arguments.bytes(index, row);
        match self {
            Self::Repeat => bytes(0).saturating_mul(arguments.count(1, row)),
            Self::Pad => {
                let fill = arguments
                    .count(1, row)
                    .saturating_mul(arguments.character_bytes(2, row));
                fill.saturating_add(bytes(0))
            }
            Self::Replace => {
                let found = match bytes(1) {
                    0 => bytes(0) + 1,
                    length => bytes(0) / length,
                };
                found.saturating_mul(bytes(2)).saturating_add(bytes(0))
            }
            Self::RegexpReplace => {
                let is_global = arguments.text(3, row).is_some_and(|flags| flags.contains('g'));
                // The empty match has no bytes: there may be one more than there are bytes.
                let found = if is_global { bytes(0) + 1 } else { 1 };
                let repeated = references(arguments, row).saturating_add(1).saturating_mul(bytes(0));
                found.saturating_mul(bytes(2)).saturating_add(repeated)
            }
            Self::Concat => arguments.all_bytes(row),
            Self::ConcatWithSeparator => {
                let others = arguments.width() as u64;
                arguments.all_bytes(row).saturating_add(others.saturating_mul(bytes(0)))
            }
            Self::ArrayToString => {
                let between = bytes(1).max(bytes(2)).saturating_add(TEXT_OF_ELEMENT);
                let elements = arguments.elements(0, row).saturating_mul(between.saturating_mul(2));
                elements.saturating_add(bytes(0))
            }
            Self::Series => series_length(arguments, row).saturating_mul(size_of::<i64>() as u64),
            Self::ArrayRepeat => (bytes(0) + ELEMENT_BYTES).saturating_mul(arguments.count(1, row)),
            Self::ArrayResize => {
                let added = (bytes(2) + ELEMENT_BYTES).saturating_mul(arguments.count(1, row));
                added.saturating_add(bytes(0))
            }
            Self::ArrayReplace => {
                let added = match arguments.is_fixed(2) {
                    true => 0,
                    false => arguments.elements(0, row).saturating_mul(bytes(2)),
                };
                added.saturating_add(bytes(0))
            }
        }
    }

    /// The same for a row of which [`Growth::bytes`] says much, more dearly and more exactly.
    pub(super) fn exact_bytes(self, arguments: &Arguments, row: usize) -> u64 {
        let (Self::Replace, Some(text), Some(wanted)) = (self, arguments.text(0, row), arguments.text(1, row)) else {
            return self.bytes(arguments, row);
        };
        let found = text.matches(wanted).count() as u64;
        found
            .saturating_mul(arguments.bytes(2, row))
            .saturating_add(text.len() as u64)
    }
}

/// How often a replacement may take up a part of what was found: `\1`, `${name}`.
fn references(arguments: &Arguments, row: usize) -> u64 {
    let marks = |text: &str| text.bytes().filter(|byte| matches!(byte, b'\\' | b'$')).count() as u64;
    arguments.text(2, row).map_or(0, marks)
}

/// The arguments of a call, by row. A constant is held once.
pub(super) struct Arguments {
    columns: Vec<Argument>,
    rows: usize,
}

struct Argument {
    values: ArrayRef,
    is_constant: bool,
}

impl Arguments {
    pub(super) fn new(values: &[ColumnarValue], rows: usize) -> Result<Self> {
        let column = |value: &ColumnarValue| {
            Ok(match value {
                ColumnarValue::Array(values) => Argument {
                    values: ArrayRef::clone(values),
                    is_constant: false,
                },
                ColumnarValue::Scalar(scalar) => Argument {
                    values: scalar.to_array()?,
                    is_constant: true,
                },
            })
        };
        let columns = values.iter().map(column).collect::<Result<Vec<_>>>()?;
        let all_constant = columns.iter().all(|column| column.is_constant);
        Ok(Self {
            columns,
            rows: if all_constant { 1 } else { rows },
        })
    }

    /// Rows of the call; one where all arguments are constants.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Number of arguments.
    pub(super) fn width(&self) -> usize {
        self.columns.len()
    }

    /// Bytes of the constants.
    pub(super) fn constant_bytes(&self) -> u64 {
        let constants = self.columns.iter().filter(|column| column.is_constant);
        constants.map(|column| bytes_of(&column.values, 0)).sum()
    }

    /// Bytes of a value, 0 where it is NULL or was not given.
    pub(super) fn bytes(&self, index: usize, row: usize) -> u64 {
        self.at(index, row).map_or(0, |(values, row)| bytes_of(values, row))
    }

    /// A BIGINT, 0 where it is NULL, negative or none.
    pub(super) fn count(&self, index: usize, row: usize) -> u64 {
        u64::try_from(self.integer(index, row).unwrap_or(0)).unwrap_or(0)
    }

    /// A BIGINT.
    pub(super) fn integer(&self, index: usize, row: usize) -> Option<i64> {
        let (values, row) = self.at(index, row)?;
        Some(values.as_primitive_opt::<Int64Type>()?.value(row))
    }

    /// A value that is there and not NULL: its column and its row in it.
    pub(super) fn at(&self, index: usize, row: usize) -> Option<(&ArrayRef, usize)> {
        let column = self.columns.get(index)?;
        let row = if column.is_constant { 0 } else { row };
        (!column.values.is_null(row)).then_some((&column.values, row))
    }

    fn text(&self, index: usize, row: usize) -> Option<&str> {
        let (values, row) = self.at(index, row)?;
        match values.data_type() {
            DataType::Utf8 => Some(values.as_string::<i32>().value(row)),
            DataType::LargeUtf8 => Some(values.as_string::<i64>().value(row)),
            DataType::Utf8View => Some(values.as_string_view().value(row)),
            _ => None,
        }
    }

    /// Number of elements of a list.
    fn elements(&self, index: usize, row: usize) -> u64 {
        let Some((values, row)) = self.at(index, row) else {
            return 0;
        };
        match values.data_type() {
            DataType::List(_) => values.as_list::<i32>().value(row).len() as u64,
            DataType::LargeList(_) => values.as_list::<i64>().value(row).len() as u64,
            DataType::FixedSizeList(..) => values.as_fixed_size_list().value(row).len() as u64,
            _ => 0,
        }
    }

    /// True where all values have the same size.
    fn is_fixed(&self, index: usize) -> bool {
        let column = self.columns.get(index);
        column.is_some_and(|column| column.values.data_type().is_primitive())
    }

    /// Most bytes of a character of a text that may not be given, which is then a blank.
    fn character_bytes(&self, index: usize, row: usize) -> u64 {
        match self.text(index, row) {
            Some(text) if !text.is_ascii() => CHARACTER_BYTES,
            _ => 1,
        }
    }

    fn all_bytes(&self, row: usize) -> u64 {
        (0..self.width()).map(|index| self.bytes(index, row)).sum()
    }
}

/// Bytes of one value that is not NULL.
fn bytes_of(values: &ArrayRef, row: usize) -> u64 {
    if values.is_null(row) {
        return 0;
    }
    match values.data_type() {
        DataType::Utf8 => values.as_string::<i32>().value_length(row) as u64,
        DataType::Binary => values.as_binary::<i32>().value_length(row) as u64,
        DataType::Utf8View => values.as_string_view().value(row).len() as u64,
        other => match other.primitive_width() {
            Some(width) => width as u64,
            None => array_bytes(&values.slice(row, 1)),
        },
    }
}
