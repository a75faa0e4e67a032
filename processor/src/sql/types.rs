//! The SQL types and their Arrow forms. One table for columns of sources and for casts in expressions.

use arrow::datatypes::{DataType, Field, FieldRef, Fields, IntervalUnit, TimeUnit};
use datafusion::common::datatype::DataTypeExt;
use datafusion::common::{DataFusionError, Result as PlanResult};
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast::{DataType as SqlType, ExactNumberInfo, TimezoneInfo};

use crate::error::SqlError;

/// The zone of every TIMESTAMPTZ, as Arrow writes it.
pub const UTC: &str = "+00:00";

/// Digits that a NUMERIC can have.
const NUMERIC_PRECISION_MAX: u64 = 38;

/// Precision and scale of a NUMERIC without them.
const NUMERIC_DEFAULT: (u8, i8) = (38, 10);

/// TIMESTAMPTZ.
pub fn timestamptz() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into()))
}

/// TIMESTAMP.
pub fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, None)
}

/// Fields of one record header: `name TEXT, value BYTEA`.
pub fn header_fields() -> Fields {
    Fields::from(vec![
        Field::new("name", DataType::Utf8, false),
        Field::new("value", DataType::Binary, true),
    ])
}

/// The list of a record's headers.
pub fn headers() -> DataType {
    DataType::List(Field::new("item", DataType::Struct(header_fields()), true).into())
}

/// The Arrow form of a SQL type; `None` where it is none of ours.
pub fn arrow_type(sql: &SqlType) -> Result<Option<DataType>, SqlError> {
    Ok(Some(match sql {
        SqlType::Boolean | SqlType::Bool => DataType::Boolean,
        SqlType::SmallInt(_) | SqlType::Int2(_) => DataType::Int16,
        SqlType::Int(_) | SqlType::Integer(_) | SqlType::Int4(_) => DataType::Int32,
        SqlType::BigInt(_) | SqlType::Int8(_) => DataType::Int64,
        SqlType::Real | SqlType::Float4 => DataType::Float32,
        SqlType::Double(ExactNumberInfo::None) | SqlType::DoublePrecision | SqlType::Float8 => DataType::Float64,
        SqlType::Float(info) => float(info)?,
        SqlType::Numeric(info) | SqlType::Decimal(info) | SqlType::Dec(info) => numeric(info)?,
        SqlType::Text
        | SqlType::Varchar(None)
        | SqlType::CharacterVarying(None)
        | SqlType::CharVarying(None)
        | SqlType::String(None)
        | SqlType::JSON
        | SqlType::JSONB => DataType::Utf8,
        SqlType::Bytea => DataType::Binary,
        SqlType::Date => DataType::Date32,
        SqlType::Time(None, zone) if !zoned(*zone) => DataType::Time64(TimeUnit::Microsecond),
        SqlType::Timestamp(None | Some(6), zone) if zoned(*zone) => timestamptz(),
        SqlType::Timestamp(None | Some(6), _) => timestamp(),
        SqlType::Interval {
            fields: None,
            precision: None,
        } => DataType::Interval(IntervalUnit::MonthDayNano),
        _ => return Ok(None),
    }))
}

/// The type of a column of a source, table or view.
pub fn column_type(column: &str, sql: &SqlType) -> Result<DataType, SqlError> {
    let unsupported = || {
        SqlError::unsupported(format!("column \"{column}\": type {sql} is not supported")).with_hint(
            "use BOOLEAN, SMALLINT, INT, BIGINT, REAL, DOUBLE PRECISION, NUMERIC(p,s), TEXT, BYTEA, DATE, TIME, \
                 TIMESTAMP or TIMESTAMPTZ; nested JSON can be read as TEXT and taken apart with -> and ->>",
        )
    };
    match (sql, arrow_type(sql)?) {
        (SqlType::JSON | SqlType::JSONB | SqlType::Interval { .. }, _) | (_, None) => Err(unsupported()),
        (_, Some(data_type)) => Ok(data_type),
    }
}

/// PostgreSQL's name of a type, as DESCRIBE and result columns show it.
pub fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => "SMALLINT".to_owned(),
        DataType::Int32 | DataType::UInt16 => "INT".to_owned(),
        DataType::Int64 | DataType::UInt32 => "BIGINT".to_owned(),
        DataType::UInt64 => "NUMERIC(20,0)".to_owned(),
        DataType::Float16 | DataType::Float32 => "REAL".to_owned(),
        DataType::Float64 => "DOUBLE PRECISION".to_owned(),
        DataType::Decimal32(p, s)
        | DataType::Decimal64(p, s)
        | DataType::Decimal128(p, s)
        | DataType::Decimal256(p, s) => {
            format!("NUMERIC({p},{s})")
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "TEXT".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            "BYTEA".to_owned()
        }
        DataType::Date32 | DataType::Date64 => "DATE".to_owned(),
        DataType::Time32(_) | DataType::Time64(_) => "TIME".to_owned(),
        DataType::Timestamp(_, Some(_)) => "TIMESTAMPTZ".to_owned(),
        DataType::Timestamp(_, None) => "TIMESTAMP".to_owned(),
        DataType::Interval(_) | DataType::Duration(_) => "INTERVAL".to_owned(),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            format!("{}[]", type_name(item.data_type()))
        }
        DataType::Struct(fields) => {
            let fields: Vec<_> = fields
                .iter()
                .map(|f| format!("{} {}", f.name(), type_name(f.data_type())))
                .collect();
            format!("STRUCT<{}>", fields.join(", "))
        }
        DataType::Null => "TEXT".to_owned(),
        other => other.to_string(),
    }
}

/// The form in which a type leaves the engine: one per SQL type, so that clients and sinks meet no Arrow variants.
pub fn canonical(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Int8 | DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Float16 => DataType::Float32,
        DataType::Decimal32(p, s) | DataType::Decimal64(p, s) => DataType::Decimal128(*p, *s),
        DataType::Decimal256(p, s) => DataType::Decimal128((*p).min(38), *s),
        DataType::Null | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Date64 => DataType::Date32,
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Microsecond),
        DataType::Timestamp(_, Some(_)) => timestamptz(),
        DataType::Timestamp(_, None) => timestamp(),
        DataType::Interval(_) | DataType::Duration(_) => DataType::Interval(IntervalUnit::MonthDayNano),
        DataType::LargeList(item) | DataType::FixedSizeList(item, _) | DataType::List(item) => {
            DataType::List(canonical_field(item).into())
        }
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(|f| canonical_field(f)).collect()),
        DataType::Dictionary(_, values) => canonical(values),
        other => other.clone(),
    }
}

fn canonical_field(field: &Field) -> Field {
    Field::new(field.name(), canonical(field.data_type()), field.is_nullable())
}

/// Gives DataFusion our types for casts and literals.
#[derive(Debug)]
pub struct Types;

impl TypePlanner for Types {
    fn plan_type_field(&self, sql_type: &SqlType) -> PlanResult<Option<FieldRef>> {
        let planned = arrow_type(sql_type).map_err(|e| DataFusionError::External(Box::new(e)))?;
        Ok(planned.map(DataTypeExt::into_nullable_field_ref))
    }
}

fn zoned(zone: TimezoneInfo) -> bool {
    matches!(zone, TimezoneInfo::Tz | TimezoneInfo::WithTimeZone)
}

/// PostgreSQL's FLOAT(n): up to 24 binary digits are REAL, up to 53 DOUBLE PRECISION.
fn float(info: &ExactNumberInfo) -> Result<DataType, SqlError> {
    match info {
        ExactNumberInfo::None => Ok(DataType::Float64),
        ExactNumberInfo::Precision(1..=24) => Ok(DataType::Float32),
        ExactNumberInfo::Precision(25..=53) => Ok(DataType::Float64),
        _ => Err(SqlError::invalid_value(
            "precision for type FLOAT must be between 1 and 53",
        )),
    }
}

fn numeric(info: &ExactNumberInfo) -> Result<DataType, SqlError> {
    let (precision, scale) = match info {
        ExactNumberInfo::None => return Ok(DataType::Decimal128(NUMERIC_DEFAULT.0, NUMERIC_DEFAULT.1)),
        ExactNumberInfo::Precision(precision) => (*precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, *scale),
    };
    if precision == 0 || NUMERIC_PRECISION_MAX < precision {
        return Err(SqlError::invalid_value(format!(
            "NUMERIC precision {precision} must be between 1 and {NUMERIC_PRECISION_MAX}"
        )));
    }
    let out_of_range = || {
        SqlError::invalid_value(format!(
            "NUMERIC scale {scale} must be between 0 and precision {precision}"
        ))
    };
    let scale_small = u8::try_from(scale).map_err(|_| out_of_range())?;
    if precision < u64::from(scale_small) {
        return Err(out_of_range());
    }
    let narrow = (u8::try_from(precision), i8::try_from(scale_small));
    match narrow {
        (Ok(precision), Ok(scale)) => Ok(DataType::Decimal128(precision, scale)),
        _ => Err(out_of_range()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numeric_bounds() {
        assert_eq!(
            numeric(&ExactNumberInfo::PrecisionAndScale(12, 2)),
            Ok(DataType::Decimal128(12, 2))
        );
        assert!(numeric(&ExactNumberInfo::Precision(39)).is_err());
        assert!(numeric(&ExactNumberInfo::Precision(0)).is_err());
        assert!(numeric(&ExactNumberInfo::PrecisionAndScale(5, 6)).is_err());
        assert!(numeric(&ExactNumberInfo::PrecisionAndScale(5, -1)).is_err());
    }

    #[test]
    fn canonical_types_are_fixed_points() {
        for data_type in [
            DataType::UInt64,
            DataType::Utf8View,
            DataType::Null,
            timestamptz(),
            headers(),
        ] {
            let once = canonical(&data_type);
            assert_eq!(canonical(&once), once);
        }
    }
}
