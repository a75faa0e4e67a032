//! `timezone(zone, timestamp)`, which is what PostgreSQL makes of `timestamp AT TIME ZONE zone`: the local time of an
//! instant (TIMESTAMPTZ to TIMESTAMP), or the instant of a local time (TIMESTAMP to TIMESTAMPTZ).

use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{Array, AsArray, PrimitiveBuilder};
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone};
use datafusion::common::utils::take_function_args;
use datafusion::common::{DataFusionError, Result, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use crate::error::{SqlError, SqlState};
use crate::sql::types::{timestamp, timestamptz, type_name};

const US_PER_SECOND: i64 = 1_000_000;

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Timezone {
    signature: Signature,
}

impl Timezone {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for Timezone {
    fn name(&self) -> &str {
        "timezone"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let [zone, value] = arg_types else {
            return plan_err!("timezone takes the name of a zone and a timestamp");
        };
        let is_name = matches!(
            zone,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null
        );
        let value = match value {
            DataType::Timestamp(_, None) => timestamp(),
            DataType::Timestamp(..) | DataType::Date32 | DataType::Utf8 | DataType::Utf8View | DataType::Null => {
                timestamptz()
            }
            _ => return Err(unknown(zone, value)),
        };
        match is_name {
            true => Ok(vec![DataType::Utf8, value]),
            false => Err(unknown(zone, &value)),
        }
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        match arg_types {
            [_, DataType::Timestamp(_, None)] => Ok(timestamptz()),
            _ => Ok(timestamp()),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let convert = match args.return_type() {
            DataType::Timestamp(_, None) => local_time,
            _ => instant,
        };
        let returned = args.return_type().clone();
        let [zones, times] = take_function_args(self.name(), args.args)?;
        let (zones, times) = (zones.into_array(args.number_rows)?, times.into_array(args.number_rows)?);
        let (zones, times) = (
            zones.as_string::<i32>(),
            times.as_primitive::<TimestampMicrosecondType>(),
        );
        let mut out = PrimitiveBuilder::<TimestampMicrosecondType>::with_capacity(times.len()).with_data_type(returned);
        let mut last: Option<(&str, Tz)> = None;
        for row in 0..times.len() {
            if zones.is_null(row) || times.is_null(row) {
                out.append_null();
                continue;
            }
            let name = zones.value(row);
            let zone = match last {
                Some((known, zone)) if known == name => zone,
                _ => parse_zone(name)?,
            };
            last = Some((name, zone));
            out.append_value(convert(times.value(row), zone).ok_or_else(out_of_range)?);
        }
        Ok(ColumnarValue::Array(Arc::new(out.finish())))
    }
}

/// A zone by its name, such as `Europe/Paris`. Offsets are refused: PostgreSQL reads `+02` as two hours west, everyone
/// else as two hours east.
fn parse_zone(name: &str) -> Result<Tz> {
    let name = if name.eq_ignore_ascii_case("utc") { "UTC" } else { name };
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic());
    match name.parse::<Tz>() {
        Ok(zone) if is_name => Ok(zone),
        _ => Err(external(
            SqlError::invalid_value(format!("time zone \"{name}\" is not recognized"))
                .with_hint("write the name of a zone, such as 'Europe/Paris' or 'UTC'"),
        )),
    }
}

/// What clocks show at an instant; both in microseconds.
fn local_time(instant: i64, zone: Tz) -> Option<i64> {
    let offset = zone.offset_from_utc_datetime(&date_time(instant)?).fix();
    instant.checked_add(i64::from(offset.local_minus_utc()) * US_PER_SECOND)
}

/// When clocks show a time; both in microseconds. A time that they show twice is the later instant, and one that they
/// leave out is taken by the offset that held before, as in PostgreSQL.
fn instant(local: i64, zone: Tz) -> Option<i64> {
    let shown = date_time(local)?;
    let offset = match zone.offset_from_local_datetime(&shown) {
        MappedLocalTime::Single(offset) | MappedLocalTime::Ambiguous(_, offset) => offset,
        MappedLocalTime::None => {
            let before = shown.checked_sub_signed(TimeDelta::days(1))?;
            zone.offset_from_local_datetime(&before).latest()?
        }
    };
    local.checked_sub(i64::from(offset.fix().local_minus_utc()) * US_PER_SECOND)
}

fn date_time(us: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp_micros(us).map(|time| time.naive_utc())
}

fn unknown(zone: &DataType, value: &DataType) -> DataFusionError {
    let (zone, value) = (type_name(zone), type_name(value));
    DataFusionError::Plan(format!("function timezone({zone}, {value}) does not exist"))
}

fn out_of_range() -> DataFusionError {
    external(SqlError::new(SqlState::NUMERIC_OUT_OF_RANGE, "timestamp out of range"))
}

fn external(error: SqlError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
