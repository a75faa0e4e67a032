//! `->` and `->>` on JSON text: a field by name, or an element by number (from 0; negative from the end). NULL where
//! the field is missing, the value is JSON null (`->>`), or the text is no JSON: an error would stop a query for one
//! record that someone else wrote.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{DFSchema, Result, exec_err, plan_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;
use sonic_rs::{to_array_iter, to_object_iter};

use crate::formats::json::{is_too_deep, unescape_text};

/// Plans the operators.
#[derive(Debug)]
pub(crate) struct JsonOperators;

impl ExprPlanner for JsonOperators {
    fn plan_binary_op(&self, expr: RawBinaryExpr, _schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let as_text = match expr.op {
            BinaryOperator::Arrow => false,
            BinaryOperator::LongArrow => true,
            _ => return Ok(PlannerResult::Original(expr)),
        };
        let function = ScalarFunction::new_udf(get_udf(as_text), vec![expr.left, expr.right]);
        Ok(PlannerResult::Planned(Expr::ScalarFunction(function)))
    }
}

/// `json_get` is `->`, `json_get_text` is `->>`.
pub(super) fn get_udf(as_text: bool) -> Arc<ScalarUDF> {
    let signature = Signature::user_defined(Volatility::Immutable);
    Arc::new(ScalarUDF::from(JsonGet { as_text, signature }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct JsonGet {
    as_text: bool,
    signature: Signature,
}

impl ScalarUDFImpl for JsonGet {
    fn name(&self) -> &str {
        if self.as_text { "json_get_text" } else { "json_get" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let [json, path] = arg_types else {
            return plan_err!("{} takes a JSON text and a key", self.name());
        };
        let json = match json {
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => DataType::Binary,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => DataType::Utf8,
            other => return plan_err!("operator does not exist: {other} {} key", self.operator()),
        };
        let path = if path.is_integer() {
            DataType::Int64
        } else {
            DataType::Utf8
        };
        Ok(vec![json, path])
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [json, path] = datafusion::common::utils::take_function_args(self.name(), args.args)?;
        let json = json.into_array(args.number_rows)?;
        let path = path.into_array(args.number_rows)?;
        let mut out = StringBuilder::with_capacity(json.len(), json.len() * 16);
        let mut scratch = Vec::new();
        for row in 0..json.len() {
            let found = match (text_at(&json, row)?, path.is_null(row)) {
                (Some(text), false) if !is_too_deep(text) => get(text, &path, row)?,
                _ => None,
            };
            self.append(found, &mut scratch, &mut out);
        }
        Ok(ColumnarValue::Array(Arc::new(out.finish())))
    }
}

impl JsonGet {
    fn operator(&self) -> &'static str {
        if self.as_text { "->>" } else { "->" }
    }

    fn append(&self, found: Option<&str>, scratch: &mut Vec<u8>, out: &mut StringBuilder) {
        let Some(raw) = found else {
            return out.append_null();
        };
        if !self.as_text {
            return out.append_value(raw);
        }
        if raw == "null" {
            return out.append_null();
        }
        let Some(body) = raw.strip_prefix('"').and_then(|r| r.strip_suffix('"')) else {
            return out.append_value(raw);
        };
        scratch.clear();
        match unescape_text(body, scratch) {
            Some(text) => out.append_value(text),
            None => out.append_null(),
        }
    }
}

/// The text of a row; nothing where it is NULL or no UTF-8.
fn text_at(array: &ArrayRef, row: usize) -> Result<Option<&str>> {
    if array.is_null(row) {
        return Ok(None);
    }
    match array.data_type() {
        DataType::Utf8 => Ok(Some(array.as_string::<i32>().value(row))),
        DataType::Binary => Ok(std::str::from_utf8(array.as_binary::<i32>().value(row)).ok()),
        other => exec_err!("JSON text of type {other}"),
    }
}

fn get<'a>(json: &'a str, path: &ArrayRef, row: usize) -> Result<Option<&'a str>> {
    match path.data_type() {
        DataType::Utf8 => Ok(field(json, path.as_string::<i32>().value(row))),
        DataType::Int64 => Ok(element(json, path.as_primitive::<Int64Type>().value(row))),
        other => exec_err!("a JSON key of type {other}"),
    }
}

/// The last field of that name, as raw JSON.
fn field<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    let mut found = None;
    for entry in to_object_iter(json) {
        let (key, value) = entry.ok()?;
        if key == name {
            found = Some(slice_of(json, value.as_raw_str()));
        }
    }
    found
}

fn element(json: &str, index: i64) -> Option<&str> {
    let mut elements = Vec::new();
    for element in to_array_iter(json) {
        elements.push(slice_of(json, element.ok()?.as_raw_str()));
    }
    let length = i64::try_from(elements.len()).ok()?;
    let at = if index < 0 { length.checked_add(index)? } else { index };
    elements.get(usize::try_from(at).ok()?).copied()
}

/// `part`, which lies in `whole`, with the lifetime of `whole`.
fn slice_of<'a>(whole: &'a str, part: &str) -> &'a str {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    &whole[start..start + part.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_elements() {
        let json = r#"{"a":1,"b":{"c":[10,20]},"a":2}"#;
        assert_eq!(field(json, "a"), Some("2"));
        assert_eq!(field(json, "b"), Some(r#"{"c":[10,20]}"#));
        assert_eq!(field(json, "x"), None);
        assert_eq!(field("not json", "a"), None);
        assert_eq!(field("[1]", "a"), None);
        assert_eq!(element("[1, \"x\"]", 1), Some("\"x\""));
        assert_eq!(element("[1,2]", -1), Some("2"));
        assert_eq!(element("[1,2]", 2), None);
        assert_eq!(element("{}", 0), None);
    }
}
