//! `to_char(timestamp | date, pattern)` with PostgreSQL's patterns. DataFusion's own takes strftime patterns and prints
//! PostgreSQL's as they are.

use std::sync::Arc;

use arrow::array::{Array, AsArray, StringBuilder};
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use chrono::{DateTime, Datelike, Timelike, Utc};
use datafusion::common::{DataFusionError, Result, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use crate::error::{SqlError, SqlState};
use crate::sql::types::{timestamp, timestamptz};

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ToChar {
    signature: Signature,
}

impl ToChar {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for ToChar {
    fn name(&self) -> &str {
        "to_char"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let [value, _] = arg_types else {
            return plan_err!("to_char takes a timestamp and a pattern");
        };
        let value = match value {
            DataType::Timestamp(_, Some(_)) | DataType::Null => timestamptz(),
            DataType::Timestamp(_, None) | DataType::Date32 | DataType::Date64 => timestamp(),
            other => {
                let error = SqlError::unsupported(format!("to_char of {other} is not supported"))
                    .with_hint("it formats timestamps and dates");
                return Err(DataFusionError::External(Box::new(error)));
            }
        };
        Ok(vec![value, DataType::Utf8])
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [value, pattern] = datafusion::common::utils::take_function_args(self.name(), args.args)?;
        let values = value.into_array(args.number_rows)?;
        let patterns = pattern.into_array(args.number_rows)?;
        let (values, patterns) = (
            values.as_primitive::<TimestampMicrosecondType>(),
            patterns.as_string::<i32>(),
        );
        let mut out = StringBuilder::new();
        let mut text = String::new();
        let mut last: Option<(&str, Vec<Piece<'_>>)> = None;
        for row in 0..values.len() {
            let time = DateTime::from_timestamp_micros(if values.is_null(row) { 0 } else { values.value(row) });
            let (false, false, Some(time)) = (values.is_null(row), patterns.is_null(row), time) else {
                out.append_null();
                continue;
            };
            let pattern = patterns.value(row);
            if last.as_ref().is_none_or(|(known, _)| *known != pattern) {
                last = Some((pattern, compile(pattern)));
            }
            text.clear();
            for piece in last.iter().flat_map(|(_, pieces)| pieces) {
                piece.write(&time, &mut text)?;
            }
            out.append_value(&text);
        }
        Ok(ColumnarValue::Array(Arc::new(out.finish())))
    }
}

/// A piece of a compiled pattern.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    /// Characters that stand for themselves.
    Text(&'a str),
    /// A field of the time. `fill` is false after `FM`: no padding.
    Field {
        name: &'static str,
        written: &'a str,
        fill: bool,
    },
}

/// Fields, longest first where one is the beginning of another.
const FIELDS: &[&str] = &[
    "IYYY", "YYYY", "MONTH", "HH24", "HH12", "SSSS", "YYY", "DDD", "DAY", "MON", "IYY", "IDDD", "IW", "ID", "YY", "MM",
    "DD", "DY", "HH", "MI", "SS", "MS", "US", "AM", "PM", "WW", "CC", "TZ", "OF", "Y", "D", "Q", "W", "J",
];

fn compile(pattern: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = pattern;
    let mut fill = true;
    while let Some(first) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let end = quoted.find('"').unwrap_or(quoted.len());
            pieces.push(Piece::Text(&quoted[..end]));
            rest = quoted.get(end + 1..).unwrap_or_default();
            continue;
        }
        if starts_with(rest, "FM") {
            fill = false;
            rest = &rest[2..];
            continue;
        }
        match FIELDS.iter().find(|name| starts_with(rest, name)) {
            Some(name) => {
                pieces.push(Piece::Field {
                    name,
                    written: &rest[..name.len()],
                    fill,
                });
                rest = &rest[name.len()..];
                fill = true;
            }
            None => {
                pieces.push(Piece::Text(&rest[..first.len_utf8()]));
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    pieces
}

fn starts_with(text: &str, name: &str) -> bool {
    text.get(..name.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(name))
}

impl Piece<'_> {
    fn write(&self, time: &DateTime<Utc>, out: &mut String) -> Result<()> {
        let (name, written, fill) = match self {
            Self::Text(text) => {
                out.push_str(text);
                return Ok(());
            }
            Self::Field { name, written, fill } => (*name, *written, *fill),
        };
        if let Some(word) = word(name, time) {
            write_word(word, written, if fill { width(name) } else { 0 }, out);
            return Ok(());
        }
        let (value, digits) = number(name, time)?;
        let digits = if fill { digits } else { 0 };
        out.push_str(&format!("{value:0digits$}"));
        Ok(())
    }
}

/// Fields that are words.
fn word(name: &str, time: &DateTime<Utc>) -> Option<&'static str> {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    const DAYS: [&str; 7] = [
        "Sunday",
        "Monday",
        "Tuesday",
        "Wednesday",
        "Thursday",
        "Friday",
        "Saturday",
    ];
    let month = MONTHS[time.month0() as usize % 12];
    let day = DAYS[time.weekday().num_days_from_sunday() as usize % 7];
    Some(match name {
        "MONTH" => month,
        "MON" => &month[..3],
        "DAY" => day,
        "DY" => &day[..3],
        "AM" | "PM" if time.hour() < 12 => "Am",
        "AM" | "PM" => "Pm",
        "TZ" => "Utc",
        "OF" => "+00",
        _ => return None,
    })
}

/// PostgreSQL pads long names with blanks to nine characters.
fn width(name: &str) -> usize {
    if matches!(name, "MONTH" | "DAY") { 9 } else { 0 }
}

/// Writes a word in the case of the pattern: `MONTH`, `Month`, `month`.
fn write_word(word: &str, written: &str, width: usize, out: &mut String) {
    let mut letters = written.chars();
    let first_upper = letters.next().is_some_and(char::is_uppercase);
    let second_upper = letters.next().is_some_and(char::is_uppercase);
    let cased = match (first_upper, second_upper) {
        (true, true) => word.to_uppercase(),
        (true, false) => word.to_owned(),
        _ => word.to_lowercase(),
    };
    out.push_str(&format!("{cased:<width$}"));
}

/// Fields that are numbers, with their width.
fn number(name: &str, time: &DateTime<Utc>) -> Result<(i64, usize)> {
    let iso = time.iso_week();
    let hour12 = i64::from(time.hour12().1);
    let year = i64::from(time.year());
    Ok(match name {
        "YYYY" => (year, 4),
        "YYY" => (year.rem_euclid(1000), 3),
        "YY" => (year.rem_euclid(100), 2),
        "Y" => (year.rem_euclid(10), 1),
        "IYYY" => (i64::from(iso.year()), 4),
        "IYY" => (i64::from(iso.year()).rem_euclid(1000), 3),
        "CC" => ((year - 1).div_euclid(100) + 1, 2),
        "Q" => (i64::from(time.month0() / 3 + 1), 1),
        "MM" => (i64::from(time.month()), 2),
        "WW" => (i64::from(time.ordinal0() / 7 + 1), 2),
        "W" => (i64::from(time.day0() / 7 + 1), 1),
        "IW" => (i64::from(iso.week()), 2),
        "DDD" => (i64::from(time.ordinal()), 3),
        "DD" => (i64::from(time.day()), 2),
        "D" => (i64::from(time.weekday().number_from_sunday()), 1),
        "ID" => (i64::from(time.weekday().number_from_monday()), 1),
        "J" => (i64::from(time.num_days_from_ce()) + 1_721_425, 1),
        "HH24" => (i64::from(time.hour()), 2),
        "HH12" | "HH" => (hour12, 2),
        "MI" => (i64::from(time.minute()), 2),
        "SS" => (i64::from(time.second()), 2),
        "SSSS" => (i64::from(time.num_seconds_from_midnight()), 1),
        "MS" => (i64::from(time.timestamp_subsec_millis()), 3),
        "US" => (i64::from(time.timestamp_subsec_micros()), 6),
        other => {
            let error = SqlError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("to_char: the field {other} is not supported"),
            );
            return Err(DataFusionError::External(Box::new(error)));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formatted(pattern: &str) -> String {
        // 2026-01-02T03:04:05.678901Z, a Friday.
        let time = DateTime::from_timestamp_micros(1_767_323_045_678_901).expect("in range");
        let mut out = String::new();
        for piece in compile(pattern) {
            piece.write(&time, &mut out).expect("supported");
        }
        out
    }

    #[test]
    fn patterns_as_postgres_writes_them() {
        assert_eq!(formatted("YYYY-MM-DD HH24:MI:SS.MS"), "2026-01-02 03:04:05.678");
        assert_eq!(
            formatted("YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\""),
            "2026-01-02T03:04:05.678901Z"
        );
        assert_eq!(formatted("FMDD Mon YY, FMHH12 AM"), "2 Jan 26, 3 AM");
        assert_eq!(formatted("Day|FMDay|DY|dy"), "Friday   |Friday|FRI|fri");
        assert_eq!(formatted("MONTH|month|FMMonth"), "JANUARY  |january  |January");
        assert_eq!(formatted("Q IYYY-IW DDD D ID J CC"), "1 2026-01 002 6 5 2461043 21");
        assert_eq!(formatted("TZ OF"), "UTC +00");
        assert_eq!(formatted("é plain"), "é plain");
    }
}
