//! Arrow rows into JSON objects: the values and keys that views and sinks write.
//!
//! TIMESTAMPTZ as RFC 3339 in UTC with microseconds, NUMERIC as exact numbers, BYTEA as base64, NaN and infinities as
//! strings.

use std::fmt::Write as _;
use std::io::Write as _;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array,
    Int16Array, Int32Array, Int64Array, ListArray, RecordBatch, StringArray, StructArray, Time64MicrosecondArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Schema, TimeUnit};
use arrow::error::ArrowError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::temporal::{format_date, format_time, format_timestamp};
use super::text::write_string;

/// Encodes rows of one schema; make it once per output.
#[derive(Debug, Clone)]
pub struct JsonEncoder {
    columns: Vec<(usize, Vec<u8>)>,
}

impl JsonEncoder {
    /// Encodes the columns with these indices, in this order: all of them for values, the key columns for keys.
    pub fn new(schema: &Schema, columns: &[usize]) -> Self {
        let columns = columns
            .iter()
            .enumerate()
            .map(|(place, index)| {
                let mut prefix = vec![if place == 0 { b'{' } else { b',' }];
                write_string(schema.field(*index).name(), &mut prefix);
                prefix.push(b':');
                (*index, prefix)
            })
            .collect();
        Self { columns }
    }

    /// Encodes every column.
    pub fn all(schema: &Schema) -> Self {
        Self::new(schema, &(0..schema.fields().len()).collect::<Vec<_>>())
    }

    /// Prepares a batch, whose columns are looked at once. Fails where a column has a type that has no JSON form.
    pub fn bind<'a>(&'a self, batch: &'a RecordBatch) -> Result<JsonRows<'a>, ArrowError> {
        let columns = self
            .columns
            .iter()
            .map(|(index, prefix)| Ok((prefix.as_slice(), Values::new(batch.column(*index))?)))
            .collect::<Result<Vec<_>, ArrowError>>()?;
        Ok(JsonRows { columns })
    }
}

/// A batch whose rows can be written.
pub struct JsonRows<'a> {
    columns: Vec<(&'a [u8], Values<'a>)>,
}

impl JsonRows<'_> {
    /// Appends row `row` as one JSON object. Panics where the batch has no such row.
    pub fn write(&self, row: usize, out: &mut Vec<u8>) {
        if self.columns.is_empty() {
            out.push(b'{');
        }
        for (prefix, values) in &self.columns {
            out.extend_from_slice(prefix);
            values.write(row, out);
        }
        out.push(b'}');
    }

    /// Appends the value of one row in one of the bound columns. Panics where there is no such row or column.
    pub fn write_cell(&self, row: usize, column: usize, out: &mut Vec<u8>) {
        self.columns[column].1.write(row, out);
    }
}

/// One column under its concrete type.
enum Values<'a> {
    Null,
    Boolean(&'a BooleanArray),
    Int16(&'a Int16Array),
    Int32(&'a Int32Array),
    Int64(&'a Int64Array),
    UInt64(&'a arrow::array::UInt64Array),
    Float32(&'a Float32Array),
    Float64(&'a Float64Array),
    Decimal(&'a Decimal128Array, i8),
    Text(&'a StringArray),
    TextView(&'a arrow::array::StringViewArray),
    Bytes(&'a BinaryArray),
    Date(&'a Date32Array),
    Time(&'a Time64MicrosecondArray),
    Timestamp(&'a TimestampMicrosecondArray, bool),
    List(&'a ListArray),
    Struct(&'a StructArray, Vec<(Vec<u8>, Values<'a>)>),
}

impl<'a> Values<'a> {
    fn new(array: &'a ArrayRef) -> Result<Self, ArrowError> {
        use arrow::datatypes as t;
        Ok(match array.data_type() {
            DataType::Null => Self::Null,
            DataType::Boolean => Self::Boolean(array.as_boolean()),
            DataType::Int16 => Self::Int16(array.as_primitive()),
            DataType::Int32 => Self::Int32(array.as_primitive()),
            DataType::Int64 => Self::Int64(array.as_primitive()),
            DataType::UInt64 => Self::UInt64(array.as_primitive()),
            DataType::Float32 => Self::Float32(array.as_primitive()),
            DataType::Float64 => Self::Float64(array.as_primitive()),
            DataType::Decimal128(_, scale) => Self::Decimal(array.as_primitive(), *scale),
            DataType::Utf8 => Self::Text(array.as_string()),
            DataType::Utf8View => Self::TextView(array.as_string_view()),
            DataType::Binary => Self::Bytes(array.as_binary()),
            DataType::Date32 => Self::Date(array.as_primitive()),
            DataType::Time64(TimeUnit::Microsecond) => Self::Time(array.as_primitive()),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                Self::Timestamp(array.as_primitive::<t::TimestampMicrosecondType>(), zone.is_some())
            }
            DataType::List(_) => {
                let list = array.as_list();
                // The items are bound per row, being a slice of another array; here only their type is checked.
                Self::new(list.values())?;
                Self::List(list)
            }
            DataType::Struct(fields) => {
                let array = array.as_struct();
                let mut columns = Vec::with_capacity(fields.len());
                for (place, field) in fields.iter().enumerate() {
                    let mut prefix = vec![if place == 0 { b'{' } else { b',' }];
                    write_string(field.name(), &mut prefix);
                    prefix.push(b':');
                    columns.push((prefix, Self::new(array.column(place))?));
                }
                Self::Struct(array, columns)
            }
            other => {
                return Err(ArrowError::NotYetImplemented(format!("JSON of type {other}")));
            }
        })
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Null => true,
            Self::Boolean(a) => a.is_null(row),
            Self::Int16(a) => a.is_null(row),
            Self::Int32(a) => a.is_null(row),
            Self::Int64(a) => a.is_null(row),
            Self::UInt64(a) => a.is_null(row),
            Self::Float32(a) => a.is_null(row),
            Self::Float64(a) => a.is_null(row),
            Self::Decimal(a, _) => a.is_null(row),
            Self::Text(a) => a.is_null(row),
            Self::TextView(a) => a.is_null(row),
            Self::Bytes(a) => a.is_null(row),
            Self::Date(a) => a.is_null(row),
            Self::Time(a) => a.is_null(row),
            Self::Timestamp(a, _) => a.is_null(row),
            Self::List(a) => a.is_null(row),
            Self::Struct(a, _) => a.is_null(row),
        }
    }

    fn write(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            return out.extend_from_slice(b"null");
        }
        match self {
            Self::Null => {}
            Self::Boolean(a) => out.extend_from_slice(if a.value(row) { b"true" } else { b"false" }),
            Self::Int16(a) => write_integer(i64::from(a.value(row)), out),
            Self::Int32(a) => write_integer(i64::from(a.value(row)), out),
            Self::Int64(a) => write_integer(a.value(row), out),
            Self::UInt64(a) => write_display(a.value(row), out),
            Self::Float32(a) => write_float(f64::from(a.value(row)), a.value(row), out),
            Self::Float64(a) => write_float(a.value(row), a.value(row), out),
            Self::Decimal(a, scale) => write_decimal(a.value(row), *scale, out),
            Self::Text(a) => write_string(a.value(row), out),
            Self::TextView(a) => write_string(a.value(row), out),
            Self::Bytes(a) => write_string(&STANDARD.encode(a.value(row)), out),
            Self::Date(a) => quoted(out, |out| format_date(a.value(row), out)),
            Self::Time(a) => quoted(out, |out| format_time(a.value(row), out)),
            Self::Timestamp(a, zoned) => quoted(out, |out| format_timestamp(a.value(row), *zoned, out)),
            Self::List(a) => write_list(&a.value(row), out),
            Self::Struct(_, columns) => {
                for (prefix, values) in columns {
                    out.extend_from_slice(prefix);
                    values.write(row, out);
                }
                out.push(b'}');
            }
        }
    }
}

fn quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    write(out);
    out.push(b'"');
}

fn write_list(items: &ArrayRef, out: &mut Vec<u8>) {
    out.push(b'[');
    match Values::new(items) {
        Ok(values) => {
            for row in 0..items.len() {
                if row != 0 {
                    out.push(b',');
                }
                values.write(row, out);
            }
        }
        // Binding the column failed already for item types without JSON form; an empty list may hide one.
        Err(_) => debug_assert!(items.is_empty(), "list items without JSON form"),
    }
    out.push(b']');
}

fn write_integer(value: i64, out: &mut Vec<u8>) {
    let mut buffer = [0_u8; 20];
    let mut at = buffer.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        buffer[at] = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&buffer[at..]);
}

fn write_display(value: impl std::fmt::Display, out: &mut Vec<u8>) {
    write!(out, "{value}").expect("writing to a Vec cannot fail");
}

/// The shortest text that reads back as the same number, in `value`'s own precision.
fn write_float(finite: f64, value: impl std::fmt::Debug, out: &mut Vec<u8>) {
    match finite {
        v if v.is_nan() => out.extend_from_slice(b"\"NaN\""),
        f64::INFINITY => out.extend_from_slice(b"\"Infinity\""),
        f64::NEG_INFINITY => out.extend_from_slice(b"\"-Infinity\""),
        _ => write!(out, "{value:?}").expect("writing to a Vec cannot fail"),
    }
}

fn write_decimal(value: i128, scale: i8, out: &mut Vec<u8>) {
    let Ok(scale) = usize::try_from(scale) else {
        write_display(value, out);
        out.extend(std::iter::repeat_n(b'0', usize::from(scale.unsigned_abs())));
        return;
    };
    if scale == 0 {
        return write_display(value, out);
    }
    let mut digits = String::with_capacity(40);
    write!(digits, "{:0width$}", value.unsigned_abs(), width = scale + 1).expect("writing to a String cannot fail");
    if value < 0 {
        out.push(b'-');
    }
    let point = digits.len() - scale;
    out.extend_from_slice(&digits.as_bytes()[..point]);
    out.push(b'.');
    out.extend_from_slice(&digits.as_bytes()[point..]);
}
