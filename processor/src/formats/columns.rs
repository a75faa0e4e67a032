//! Typed Arrow builders of a source's columns, and the cells that wait for them. A row is first converted into cells
//! and appended only when every cell is good, so that a bad record never leaves half a row.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder, Float64Builder,
    Int16Builder, Int32Builder, Int64Builder, ListBuilder, StringBuilder, StructBuilder, Time64MicrosecondBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use arrow::error::ArrowError;
use protocol::records::Headers;

use crate::sql::types::header_fields;

/// One converted value. Text and bytes are ranges of the record or of a scratch buffer, so that cells live across
/// records without borrowing from them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cell {
    /// SQL NULL.
    Null,
    /// BOOLEAN.
    Boolean(bool),
    /// SMALLINT, INT, BIGINT, DATE (days), TIME and timestamps (microseconds).
    Integer(i64),
    /// REAL and DOUBLE PRECISION.
    Float(f64),
    /// NUMERIC, scaled as its column says.
    Decimal(i128),
    /// Bytes `start..end` of the record's value.
    Borrowed(usize, usize),
    /// Bytes `start..end` of the scratch buffer.
    Scratch(usize, usize),
}

/// The builder of one column.
pub(super) enum ColumnBuilder {
    Boolean(BooleanBuilder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Decimal(Decimal128Builder),
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    Headers(ListBuilder<StructBuilder>),
}

impl ColumnBuilder {
    /// An empty builder for a column of `data_type`, with room for `rows`.
    pub(super) fn new(data_type: &DataType, rows: usize) -> Result<Self, ArrowError> {
        Ok(match data_type {
            DataType::Boolean => Self::Boolean(BooleanBuilder::with_capacity(rows)),
            DataType::Int16 => Self::Int16(Int16Builder::with_capacity(rows)),
            DataType::Int32 => Self::Int32(Int32Builder::with_capacity(rows)),
            DataType::Int64 => Self::Int64(Int64Builder::with_capacity(rows)),
            DataType::Float32 => Self::Float32(Float32Builder::with_capacity(rows)),
            DataType::Float64 => Self::Float64(Float64Builder::with_capacity(rows)),
            DataType::Decimal128(precision, scale) => {
                Self::Decimal(Decimal128Builder::with_capacity(rows).with_precision_and_scale(*precision, *scale)?)
            }
            DataType::Utf8 => Self::Text(StringBuilder::with_capacity(rows, rows * 16)),
            DataType::Binary => Self::Bytes(BinaryBuilder::with_capacity(rows, rows * 16)),
            DataType::Date32 => Self::Date(Date32Builder::with_capacity(rows)),
            DataType::Time64(TimeUnit::Microsecond) => Self::Time(Time64MicrosecondBuilder::with_capacity(rows)),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                Self::Timestamp(TimestampMicrosecondBuilder::with_capacity(rows).with_timezone_opt(zone.clone()))
            }
            DataType::List(item) => Self::Headers(headers_builder(item)),
            other => {
                return Err(ArrowError::NotYetImplemented(format!(
                    "a source column of type {other}"
                )));
            }
        })
    }

    /// Appends a cell that was made for this column. `value` and `scratch` are what its ranges refer to.
    pub(super) fn append(&mut self, cell: Cell, value: &[u8], scratch: &[u8]) {
        if cell == Cell::Null {
            return self.append_null();
        }
        match (self, cell) {
            (Self::Boolean(b), Cell::Boolean(v)) => b.append_value(v),
            (Self::Int16(b), Cell::Integer(v)) => b.append_option(i16::try_from(v).ok()),
            (Self::Int32(b), Cell::Integer(v)) => b.append_option(i32::try_from(v).ok()),
            (Self::Int64(b), Cell::Integer(v)) => b.append_value(v),
            (Self::Date(b), Cell::Integer(v)) => b.append_option(i32::try_from(v).ok()),
            (Self::Time(b), Cell::Integer(v)) => b.append_value(v),
            (Self::Timestamp(b), Cell::Integer(v)) => b.append_value(v),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the conversion to REAL rounds, and was checked for overflow"
            )]
            (Self::Float32(b), Cell::Float(v)) => b.append_value(v as f32),
            (Self::Float64(b), Cell::Float(v)) => b.append_value(v),
            (Self::Decimal(b), Cell::Decimal(v)) => b.append_value(v),
            (builder, Cell::Borrowed(start, end)) => builder.append_bytes(&value[start..end]),
            (builder, Cell::Scratch(start, end)) => builder.append_bytes(&scratch[start..end]),
            (builder, _) => builder.append_null(),
        }
    }

    /// Appends text or bytes. Text was validated by whoever made the range.
    pub(super) fn append_bytes(&mut self, bytes: &[u8]) {
        match self {
            Self::Text(b) => match std::str::from_utf8(bytes) {
                Ok(text) => b.append_value(text),
                Err(_) => b.append_value(hex_text(bytes)),
            },
            Self::Bytes(b) => b.append_value(bytes),
            other => other.append_null(),
        }
    }

    /// Appends the headers of a record, in order.
    pub(super) fn append_headers(&mut self, headers: &Headers<'_>) {
        let Self::Headers(list) = self else {
            return self.append_null();
        };
        // The caller has walked them once: none is an error.
        for header in headers.iter().flatten() {
            let entry = list.values();
            if let Some(names) = entry.field_builder::<StringBuilder>(0) {
                names.append_value(header.key);
            }
            if let Some(values) = entry.field_builder::<BinaryBuilder>(1) {
                values.append_option(header.value);
            }
            entry.append(true);
        }
        list.append(true);
    }

    /// Appends NULL.
    pub(super) fn append_null(&mut self) {
        match self {
            Self::Boolean(b) => b.append_null(),
            Self::Int16(b) => b.append_null(),
            Self::Int32(b) => b.append_null(),
            Self::Int64(b) => b.append_null(),
            Self::Float32(b) => b.append_null(),
            Self::Float64(b) => b.append_null(),
            Self::Decimal(b) => b.append_null(),
            Self::Text(b) => b.append_null(),
            Self::Bytes(b) => b.append_null(),
            Self::Date(b) => b.append_null(),
            Self::Time(b) => b.append_null(),
            Self::Timestamp(b) => b.append_null(),
            Self::Headers(b) => b.append_null(),
        }
    }

    /// Takes the column.
    pub(super) fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Boolean(b) => Arc::new(b.finish()),
            Self::Int16(b) => Arc::new(b.finish()),
            Self::Int32(b) => Arc::new(b.finish()),
            Self::Int64(b) => Arc::new(b.finish()),
            Self::Float32(b) => Arc::new(b.finish()),
            Self::Float64(b) => Arc::new(b.finish()),
            Self::Decimal(b) => Arc::new(b.finish()),
            Self::Text(b) => Arc::new(b.finish()),
            Self::Bytes(b) => Arc::new(b.finish()),
            Self::Date(b) => Arc::new(b.finish()),
            Self::Time(b) => Arc::new(b.finish()),
            Self::Timestamp(b) => Arc::new(b.finish()),
            Self::Headers(b) => Arc::new(b.finish()),
        }
    }
}

/// Bytes that are no UTF-8 as PostgreSQL shows BYTEA: `\x` and hexadecimal digits.
fn hex_text(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(2 + bytes.len() * 2);
    text.push_str("\\x");
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
    }
    text
}

fn headers_builder(item: &FieldRef) -> ListBuilder<StructBuilder> {
    let fields = match item.data_type() {
        DataType::Struct(fields) => fields.clone(),
        _ => header_fields(),
    };
    let builders: Vec<Box<dyn arrow::array::ArrayBuilder>> =
        vec![Box::new(StringBuilder::new()), Box::new(BinaryBuilder::new())];
    ListBuilder::new(StructBuilder::new(fields.clone(), builders)).with_field(Field::new(
        item.name(),
        DataType::Struct(fields),
        item.is_nullable(),
    ))
}
