//! From the raw text of one JSON value to the cell of one column.

use arrow::datatypes::{DataType, TimeUnit};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::number::{
    NumberError, parse_decimal, parse_float, parse_integer, parse_not_finite, parse_scaled, parse_wide_decimal,
};
use super::temporal::{parse_date, parse_time, parse_timestamp};
use super::text::unescape;
use crate::formats::columns::Cell;
use crate::plan::graph::TimestampUnit;
use crate::sql::types::type_name;

/// 2^128 - 2^103: the least number that rounds beyond the largest REAL.
const REAL_END: f64 = 340_282_356_779_733_661_637_539_395_458_142_568_448.0;

/// A JSON value that is not null, as it lies in the record.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawValue<'a> {
    /// The text, trimmed.
    pub(super) text: &'a str,
    /// Where the text begins in the record.
    pub(super) start: usize,
}

/// What a column does with a value.
#[derive(Debug, Clone)]
pub(super) struct Converter {
    data_type: DataType,
    unit: TimestampUnit,
    of_view: bool,
}

impl Converter {
    /// A converter for a column of `data_type`; numbers that stand for timestamps count in `unit`.
    pub(super) fn new(data_type: DataType, unit: TimestampUnit) -> Self {
        Self {
            data_type,
            unit,
            of_view: false,
        }
    }

    /// A converter for a column of a materialized view, which takes everything that the encoder writes.
    pub(super) fn of_view(data_type: DataType) -> Self {
        Self {
            of_view: true,
            ..Self::new(data_type, TimestampUnit::Microsecond)
        }
    }

    /// Converts a value. Text with escapes is unescaped into `scratch`. The error is the reason, without the column.
    pub(super) fn convert(&self, raw: RawValue<'_>, scratch: &mut Vec<u8>) -> Result<Cell, String> {
        match &self.data_type {
            DataType::Utf8 => text_cell(raw, scratch),
            DataType::Int16 => self.integer(raw, i64::from(i16::MIN), i64::from(i16::MAX)),
            DataType::Int32 => self.integer(raw, i64::from(i32::MIN), i64::from(i32::MAX)),
            DataType::Int64 => self.integer(raw, i64::MIN, i64::MAX),
            DataType::Float32 => self.float(raw, REAL_END),
            DataType::Float64 => self.float(raw, f64::INFINITY),
            DataType::Decimal128(precision, scale) => self.decimal(raw, *precision, *scale),
            DataType::Boolean => self.boolean(raw),
            DataType::Timestamp(TimeUnit::Microsecond, _) => self.timestamp(raw),
            DataType::Date32 => self.temporal(raw, |text| parse_date(text).map(i64::from)),
            DataType::Time64(TimeUnit::Microsecond) => self.temporal(raw, parse_time),
            DataType::Binary => self.bytes(raw, scratch),
            _ => Err(self.mismatch(raw)),
        }
    }

    fn integer(&self, raw: RawValue<'_>, least: i64, most: i64) -> Result<Cell, String> {
        let value = parse_integer(raw.unquoted()).map_err(|e| self.number_reason(e, raw))?;
        if !(least..=most).contains(&value) {
            return Err(self.number_reason(NumberError::OutOfRange, raw));
        }
        Ok(Cell::Integer(value))
    }

    /// Numbers below `end` are in range.
    fn float(&self, raw: RawValue<'_>, end: f64) -> Result<Cell, String> {
        if self.of_view
            && let Some(value) = parse_not_finite(raw.unquoted())
        {
            return Ok(Cell::Float(value));
        }
        let value = parse_float(raw.unquoted()).map_err(|e| self.number_reason(e, raw))?;
        if end <= value.abs() {
            return Err(self.number_reason(NumberError::OutOfRange, raw));
        }
        Ok(Cell::Float(value))
    }

    fn decimal(&self, raw: RawValue<'_>, precision: u8, scale: i8) -> Result<Cell, String> {
        let parsed = match self.of_view {
            // An expression may compute one digit more than its type says.
            true => parse_wide_decimal(raw.unquoted(), scale),
            false => parse_decimal(raw.unquoted(), precision, scale),
        };
        parsed.map(Cell::Decimal).map_err(|e| self.number_reason(e, raw))
    }

    fn boolean(&self, raw: RawValue<'_>) -> Result<Cell, String> {
        match raw.unquoted() {
            "true" => Ok(Cell::Boolean(true)),
            "false" => Ok(Cell::Boolean(false)),
            _ => Err(self.mismatch(raw)),
        }
    }

    fn timestamp(&self, raw: RawValue<'_>) -> Result<Cell, String> {
        if raw.is_string() {
            return self.temporal(raw, parse_timestamp);
        }
        let scale = match self.unit {
            TimestampUnit::Second => 6,
            TimestampUnit::Millisecond => 3,
            TimestampUnit::Microsecond => 0,
            TimestampUnit::Nanosecond => -3,
        };
        parse_scaled(raw.text, scale)
            .map(Cell::Integer)
            .map_err(|e| self.number_reason(e, raw))
    }

    fn temporal(&self, raw: RawValue<'_>, parse: impl Fn(&str) -> Option<i64>) -> Result<Cell, String> {
        if !raw.is_string() {
            return Err(self.mismatch(raw));
        }
        parse(raw.unquoted())
            .map(Cell::Integer)
            .ok_or_else(|| self.mismatch(raw))
    }

    fn bytes(&self, raw: RawValue<'_>, scratch: &mut Vec<u8>) -> Result<Cell, String> {
        if !raw.is_string() {
            return Err(self.mismatch(raw));
        }
        let start = scratch.len();
        // `\/` is the one escape that base64 text may need.
        let decoded = match raw.unquoted() {
            plain if !plain.contains('\\') => STANDARD.decode_vec(plain, scratch),
            escaped => STANDARD.decode_vec(escaped.replace("\\/", "/"), scratch),
        };
        if decoded.is_err() {
            scratch.truncate(start);
            return Err("is not base64, as BYTEA needs".to_owned());
        }
        Ok(Cell::Scratch(start, scratch.len()))
    }

    fn number_reason(&self, error: NumberError, raw: RawValue<'_>) -> String {
        match error {
            NumberError::Malformed => self.mismatch(raw),
            NumberError::OutOfRange => format!("{} is out of range for {}", raw.excerpt(), type_name(&self.data_type)),
            NumberError::Fraction => format!(
                "{} is not a whole number, as {} needs",
                raw.excerpt(),
                type_name(&self.data_type)
            ),
        }
    }

    fn mismatch(&self, raw: RawValue<'_>) -> String {
        format!("{} is not a {}", raw.excerpt(), type_name(&self.data_type))
    }
}

impl<'a> RawValue<'a> {
    fn is_string(self) -> bool {
        self.text.starts_with('"')
    }

    /// The text of a string without its quotes (escapes untouched), or the text as it is.
    fn unquoted(self) -> &'a str {
        self.text
            .strip_prefix('"')
            .and_then(|t| t.strip_suffix('"'))
            .unwrap_or(self.text)
    }

    /// Enough of the value to recognise it.
    fn excerpt(self) -> String {
        const SHOWN: usize = 40;
        if self.text.len() <= SHOWN {
            return self.text.to_owned();
        }
        let end = (0..=SHOWN)
            .rev()
            .find(|at| self.text.is_char_boundary(*at))
            .unwrap_or(0);
        format!("{}...", &self.text[..end])
    }
}

/// TEXT takes any value: strings without their quotes, everything else as its JSON text.
fn text_cell(raw: RawValue<'_>, scratch: &mut Vec<u8>) -> Result<Cell, String> {
    if !raw.is_string() {
        return Ok(Cell::Borrowed(raw.start, raw.start + raw.text.len()));
    }
    let body = raw.unquoted();
    if !body.as_bytes().contains(&b'\\') {
        return Ok(Cell::Borrowed(raw.start + 1, raw.start + 1 + body.len()));
    }
    let start = scratch.len();
    if !unescape(body, scratch) {
        scratch.truncate(start);
        return Err("has a wrong escape sequence".to_owned());
    }
    Ok(Cell::Scratch(start, scratch.len()))
}
