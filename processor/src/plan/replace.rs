//! Parts of expressions that DataFusion lacks, or means otherwise than PostgreSQL, and what stands in their place.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, ObjectName, Value, ValueWithSpan, visit_expressions_mut,
};

use super::names::{or_break, single};
use crate::error::{SqlError, SqlState};
use crate::sql::parser::normalize;

/// Replaces what is to be replaced in an expression and everything inside of it.
pub(super) fn replace_all(expr: &mut Expr) -> Result<(), SqlError> {
    match visit_expressions_mut(expr, |expr| or_break(replace(expr))) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// Replaces the expression itself, where it is to be replaced.
pub(super) fn replace(expr: &mut Expr) -> Result<(), SqlError> {
    let replaced = match expr {
        Expr::Value(literal) => wide_number(literal)?,
        Expr::Function(_) => as_modulo(expr),
        Expr::AtTimeZone { .. } => as_timezone(expr),
        _ => None,
    };
    if let Some(replaced) = replaced {
        *expr = replaced;
    }
    Ok(())
}

/// A number with an exponent that no NUMERIC can hold, as a DOUBLE PRECISION; DataFusion would refuse it.
fn wide_number(literal: &ValueWithSpan) -> Result<Option<Expr>, SqlError> {
    let Value::Number(text, _) = &literal.value else {
        return Ok(None);
    };
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else {
        return Ok(None);
    };
    if fits_numeric(mantissa, exponent) {
        return Ok(None);
    }
    let is_zero = mantissa.chars().all(|c| matches!(c, '0' | '.'));
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && (number != 0.0 || is_zero) => Ok(Some(Expr::Cast {
            kind: CastKind::Cast,
            expr: Box::new(Expr::Value(
                Value::SingleQuotedString(text.clone()).with_span(literal.span),
            )),
            data_type: DataType::DoublePrecision,
            array: false,
            format: None,
        })),
        _ => Err(SqlError::new(
            SqlState::NUMERIC_OUT_OF_RANGE,
            format!("\"{text}\" is out of range for type DOUBLE PRECISION"),
        )),
    }
}

/// True where so many digits before and behind the point are no more than a NUMERIC has.
fn fits_numeric(mantissa: &str, exponent: &str) -> bool {
    const DIGITS_MAX: i64 = 38;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let count = |digits: &str| i64::try_from(digits.len()).unwrap_or(i64::MAX);
    let Ok(exponent) = exponent.parse::<i64>() else {
        return false;
    };
    let before = count(whole).saturating_add(exponent).max(0);
    let behind = count(fraction).saturating_sub(exponent).max(0);
    before.saturating_add(behind) <= DIGITS_MAX
}

/// `timestamp AT TIME ZONE zone` as `timezone(zone, timestamp)`. DataFusion makes a cast of it, which leaves an instant
/// the instant that it was.
fn as_timezone(expr: &Expr) -> Option<Expr> {
    let Expr::AtTimeZone { timestamp, time_zone } = expr else {
        return None;
    };
    let argument = |expr: &Expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr.clone()));
    Some(Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new("timezone")]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: vec![argument(time_zone), argument(timestamp)],
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    }))
}

/// `mod(a, b)` as `a % b`, which DataFusion knows.
fn as_modulo(expr: &Expr) -> Option<Expr> {
    let Expr::Function(function) = expr else {
        return None;
    };
    if single(&function.name).map(normalize).as_deref() != Some("mod") {
        return None;
    }
    let FunctionArguments::List(list) = &function.args else {
        return None;
    };
    let [
        FunctionArg::Unnamed(FunctionArgExpr::Expr(left)),
        FunctionArg::Unnamed(FunctionArgExpr::Expr(right)),
    ] = list.args.as_slice()
    else {
        return None;
    };
    let nested = |e: &Expr| Box::new(Expr::Nested(Box::new(e.clone())));
    let modulo = Expr::BinaryOp {
        left: nested(left),
        op: BinaryOperator::Modulo,
        right: nested(right),
    };
    Some(Expr::Nested(Box::new(modulo)))
}
