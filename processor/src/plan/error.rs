//! DataFusion's errors as SQL errors. DataFusion knows kinds of errors and texts, not SQLSTATEs; the table of texts is
//! here and nowhere else.

use arrow::error::ArrowError;
use datafusion::common::{DataFusionError, SchemaError};
use datafusion::sql::sqlparser::tokenizer::Location;

use crate::error::{SqlError, SqlState};
use crate::sql::parser::char_position;

/// An error of planning or running the statement `sql`, with its position where DataFusion knows it.
pub(crate) fn plan_error(error: &DataFusionError, sql: &str) -> SqlError {
    let span = error.diagnostic().and_then(|d| d.span);
    let position = span.map(|s| char_position(sql, Location::new(s.start.line, s.start.column)));
    translate(error).or_at(position)
}

/// An error that a result stream yields.
pub fn stream_error(error: &DataFusionError) -> SqlError {
    translate(error)
}

fn translate(error: &DataFusionError) -> SqlError {
    match error {
        DataFusionError::External(inner) => match inner.downcast_ref::<SqlError>() {
            Some(ours) => ours.clone(),
            None => match inner.downcast_ref::<ArrowError>() {
                Some(arrow) => translate_arrow(arrow),
                None => SqlError::internal(inner.to_string()),
            },
        },
        DataFusionError::ArrowError(arrow, _) => translate_arrow(arrow),
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => translate(inner),
        DataFusionError::Shared(inner) => translate(inner),
        DataFusionError::Collection(errors) => match errors.first() {
            Some(first) => translate(first),
            None => SqlError::internal("an empty list of errors"),
        },
        DataFusionError::SchemaError(schema, _) => translate_schema(schema),
        DataFusionError::Plan(text) => by_text(text, SqlState::SYNTAX_ERROR),
        DataFusionError::SQL(inner, _) => SqlError::syntax(inner.to_string()),
        DataFusionError::NotImplemented(text) => not_implemented(text),
        DataFusionError::ResourcesExhausted(text) => SqlError::new(SqlState::OUT_OF_MEMORY, first_line(text))
            .with_hint("the query holds more than its memory limit; read less, or aggregate by fewer groups"),
        DataFusionError::Execution(text) => by_text(text, SqlState::DATA_EXCEPTION),
        DataFusionError::IoError(io) => SqlError::new(SqlState::IO_ERROR, io.to_string()),
        other => SqlError::internal(first_line(&other.strip_backtrace())),
    }
}

fn translate_arrow(error: &ArrowError) -> SqlError {
    match error {
        ArrowError::DivideByZero => SqlError::new(SqlState::DIVISION_BY_ZERO, "division by zero"),
        ArrowError::ArithmeticOverflow(text) => SqlError::new(
            SqlState::NUMERIC_OUT_OF_RANGE,
            format!("value out of range: {}", lower_first(text)),
        ),
        ArrowError::CastError(text) => by_text(text, SqlState::INVALID_TEXT),
        ArrowError::ParseError(text) => SqlError::new(SqlState::INVALID_TEXT, lower_first(text)),
        ArrowError::NotYetImplemented(text) => SqlError::unsupported(lower_first(text)),
        ArrowError::ExternalError(inner) => match inner.downcast_ref::<DataFusionError>() {
            Some(inner) => translate(inner),
            None => match inner.downcast_ref::<SqlError>() {
                Some(ours) => ours.clone(),
                None => SqlError::internal(inner.to_string()),
            },
        },
        ArrowError::InvalidArgumentError(text) | ArrowError::ComputeError(text) => {
            by_text(text, SqlState::DATA_EXCEPTION)
        }
        other => SqlError::internal(other.to_string()),
    }
}

fn translate_schema(error: &SchemaError) -> SqlError {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let error = SqlError::new(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{}\" does not exist", field.flat_name()),
            );
            let names = valid_fields.iter().map(|c| c.name.as_str());
            match crate::sql::nearest(&field.name, names) {
                Some(near) => error.with_hint(format!("did you mean \"{near}\"?")),
                None => error,
            }
        }
        SchemaError::AmbiguousReference { field } => SqlError::new(
            SqlState::AMBIGUOUS_COLUMN,
            format!("column reference \"{}\" is ambiguous", field.name),
        ),
        SchemaError::DuplicateQualifiedField { name, .. } | SchemaError::DuplicateUnqualifiedField { name } => {
            SqlError::new(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{name}\" specified more than once"),
            )
            .with_hint("give one of them another name with AS")
        }
    }
}

/// Texts of DataFusion and the SQLSTATE that they mean, in order.
const TEXTS: &[(&str, SqlState)] = &[
    ("Invalid function", SqlState::UNDEFINED_FUNCTION),
    ("No function matches", SqlState::UNDEFINED_FUNCTION),
    ("does not exist", SqlState::UNDEFINED_FUNCTION),
    (
        "Projections require unique expression names",
        SqlState::DUPLICATE_COLUMN,
    ),
    ("must appear in the GROUP BY clause", SqlState::GROUPING_ERROR),
    ("must be in GROUP BY", SqlState::GROUPING_ERROR),
    ("could not be resolved from available columns", SqlState::GROUPING_ERROR),
    ("Cannot infer common", SqlState::DATATYPE_MISMATCH),
    ("Cannot coerce", SqlState::DATATYPE_MISMATCH),
    ("cannot be converted to", SqlState::DATATYPE_MISMATCH),
    ("Failed to coerce", SqlState::UNDEFINED_FUNCTION),
    ("coercion", SqlState::DATATYPE_MISMATCH),
    ("non-boolean predicate", SqlState::DATATYPE_MISMATCH),
    ("is not supported", SqlState::FEATURE_NOT_SUPPORTED),
    ("not supported", SqlState::FEATURE_NOT_SUPPORTED),
    ("unsupported", SqlState::FEATURE_NOT_SUPPORTED),
    ("Unsupported", SqlState::FEATURE_NOT_SUPPORTED),
    ("returned more than one row", SqlState::CARDINALITY_VIOLATION),
    ("out of range", SqlState::NUMERIC_OUT_OF_RANGE),
    ("too large to store", SqlState::NUMERIC_OUT_OF_RANGE),
    ("overflow", SqlState::NUMERIC_OUT_OF_RANGE),
    ("Overflow", SqlState::NUMERIC_OUT_OF_RANGE),
    ("Can't cast value", SqlState::NUMERIC_OUT_OF_RANGE),
    ("Cannot cast string", SqlState::INVALID_TEXT),
    ("Divide by zero", SqlState::DIVISION_BY_ZERO),
    ("divide by zero", SqlState::DIVISION_BY_ZERO),
    ("Placeholder", SqlState::UNDEFINED_PARAMETER),
];

/// Expressions that DataFusion has no physical form for are named by it in the way in which it prints them.
fn not_implemented(text: &str) -> SqlError {
    match text.contains("OuterReferenceColumn") {
        true => SqlError::unsupported("a subquery that refers to the query around it is not supported in this place")
            .with_hint("write it as a join"),
        false => SqlError::unsupported(first_line(text)),
    }
}

fn by_text(text: &str, otherwise: SqlState) -> SqlError {
    let code = TEXTS
        .iter()
        .find(|(part, _)| text.contains(part))
        .map_or(otherwise, |(_, code)| *code);
    SqlError::new(code, first_line(text))
}

/// Backtraces and lists of candidates follow in further lines.
fn first_line(text: &str) -> String {
    lower_first(text.lines().next().unwrap_or_default().trim_end_matches('.'))
}

fn lower_first(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next();
    let second_is_lower = text.chars().nth(1).is_some_and(char::is_lowercase);
    match first {
        Some(first) if second_is_lower => first.to_lowercase().chain(characters).collect(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_errors_have_their_sqlstate() {
        let state = |error: DataFusionError| stream_error(&error).code.0;
        assert_eq!(state(DataFusionError::from(ArrowError::DivideByZero)), "22012");
        assert_eq!(
            state(DataFusionError::from(ArrowError::ArithmeticOverflow("x".into()))),
            "22003"
        );
        assert_eq!(
            state(DataFusionError::External(Box::new(SqlError::undefined_table("x")))),
            "42P01"
        );
        assert_eq!(state(DataFusionError::ResourcesExhausted("x".into())), "53200");
        assert_eq!(
            state(DataFusionError::Shared(std::sync::Arc::new(
                DataFusionError::NotImplemented("x".into())
            ))),
            "0A000"
        );
        assert_eq!(
            state(DataFusionError::Plan(
                "Invalid function 'foo'.\nDid you mean 'bar'?".into()
            )),
            "42883"
        );
    }
}
