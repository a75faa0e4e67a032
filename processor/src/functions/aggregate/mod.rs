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

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DataFusionError, Result, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, GroupsAccumulator, Signature, Volatility};

use sum_groups::{Input, Single, SumGroups};

use crate::error::SqlError;

mod sum_groups;
mod total;

pub(crate) use total::TotalKind;

/// Digits behind the point of an average of integers.
pub(crate) const INTEGER_AVERAGE_SCALE: i8 = 6;
/// Further digits behind the point of an average of NUMERIC.
const NUMERIC_AVERAGE_DIGITS: i8 = 4;
/// Digits of the results.
const PRECISION: u8 = 38;

/// `sum` or `avg`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ExactAggregate {
    kind: TotalKind,
    signature: Signature,
}

impl ExactAggregate {
    pub(crate) fn sum() -> Self {
        Self::new(TotalKind::Sum)
    }

    pub(crate) fn avg() -> Self {
        Self::new(TotalKind::Average)
    }

    fn new(kind: TotalKind) -> Self {
        Self {
            kind,
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }

    fn groups(&self, args: &AccumulatorArgs<'_>) -> Result<SumGroups> {
        if args.is_distinct {
            let name = self.name();
            let error = SqlError::unsupported(format!(
                "{name}(DISTINCT) together with other aggregates is not supported"
            ))
            .with_hint(format!("let {name}(DISTINCT) be the one aggregate of a subquery"));
            return Err(DataFusionError::External(Box::new(error)));
        }
        let output = args.return_field.data_type().clone();
        let (input, input_scale) = match args.expr_fields[0].data_type() {
            DataType::Decimal128(_, scale) => (Input::Decimal, *scale),
            DataType::Float32 | DataType::Float64 => (Input::Float, 0),
            _ => (Input::Integer, 0),
        };
        Ok(SumGroups::new(self.kind, input, input_scale, output))
    }
}

impl AggregateUDFImpl for ExactAggregate {
    fn name(&self) -> &str {
        self.kind.name()
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
            DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::Float32 | DataType::Float64 => {
                argument.clone()
            }
            DataType::Decimal128(..) => argument.clone(),
            DataType::Int8 | DataType::UInt8 => DataType::Int16,
            DataType::UInt16 => DataType::Int32,
            DataType::UInt32 => DataType::Int64,
            DataType::UInt64 => DataType::Decimal128(20, 0),
            DataType::Decimal32(p, s) | DataType::Decimal64(p, s) => DataType::Decimal128(*p, *s),
            DataType::Null => DataType::Int64,
            other => {
                return plan_err!(
                    "function {}({}) does not exist",
                    self.name(),
                    crate::sql::types::type_name(other)
                );
            }
        }])
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        let argument = arg_types.first().unwrap_or(&DataType::Null);
        Ok(match (self.kind, argument) {
            (_, DataType::Float32 | DataType::Float64) => DataType::Float64,
            (TotalKind::Sum, DataType::Int16 | DataType::Int32) => DataType::Int64,
            (TotalKind::Sum, DataType::Decimal128(_, scale)) => DataType::Decimal128(PRECISION, *scale),
            (TotalKind::Sum, _) => DataType::Decimal128(PRECISION, 0),
            (TotalKind::Average, DataType::Decimal128(_, scale)) => {
                let scale = scale.saturating_add(NUMERIC_AVERAGE_DIGITS).min(PRECISION as i8);
                DataType::Decimal128(PRECISION, scale)
            }
            (TotalKind::Average, _) => DataType::Decimal128(PRECISION, INTEGER_AVERAGE_SCALE),
        })
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Single::new(self.groups(&args)?)))
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
