//! Arithmetic that fails instead of wrapping. DataFusion's `+`, `-`, `*` and unary minus on integers wrap, and its
//! division of floating-point numbers by zero is infinity; PostgreSQL raises 22003 and 22012.
//!
//! An analyzer rule replaces these operators by functions over Arrow's checked kernels, after types are coerced and
//! before constants are folded, in streaming and bounded plans alike.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, Datum};
use arrow::compute::kernels::numeric;
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use arrow::error::ArrowError;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::physical_expr_common::datum::apply;

/// The operators that are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Checked {
    Add,
    Subtract,
    Multiply,
    Divide,
}

/// The function in place of an operator.
#[derive(Debug, PartialEq, Eq, Hash)]
struct CheckedFunction {
    operator: Checked,
    signature: Signature,
}

static FUNCTIONS: LazyLock<[Arc<ScalarUDF>; 4]> = LazyLock::new(|| {
    [Checked::Add, Checked::Subtract, Checked::Multiply, Checked::Divide].map(|operator| {
        let signature = Signature::any(2, Volatility::Immutable);
        Arc::new(ScalarUDF::from(CheckedFunction { operator, signature }))
    })
});

/// Replaces wrapping operators by checked functions. To be run after type coercion.
#[derive(Debug)]
pub(crate) struct CheckArithmetic;

impl AnalyzerRule for CheckArithmetic {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| {
            let schema = input_schema(&plan);
            let names = NamePreserver::new(&plan);
            plan.map_expressions(|expr| {
                let name = names.save(&expr);
                let checked = check(expr, &schema)?;
                Ok(checked.update_data(|expr| name.restore(expr)))
            })?
            .map_data(LogicalPlan::recompute_schema)
        })
        .map(|plan| plan.data)
    }

    fn name(&self) -> &str {
        "check_arithmetic"
    }
}

/// Replaces the operators inside of one expression.
pub(crate) fn check(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    expr.transform_up(|expr| match expr {
        Expr::BinaryExpr(binary) => check_binary(binary, schema),
        Expr::Negative(inner) => {
            let data_type = inner.get_type(schema)?;
            match (&*inner, data_type.is_signed_integer()) {
                // The smallest BIGINT is written as the negative of a number that is too large for one.
                (Expr::Literal(..), _) | (_, false) => Ok(Transformed::no(Expr::Negative(inner))),
                (_, true) => {
                    let zero = Expr::Literal(ScalarValue::new_zero(&data_type)?, None);
                    Ok(Transformed::yes(call(Checked::Subtract, zero, *inner)))
                }
            }
        }
        other => Ok(Transformed::no(other)),
    })
}

fn check_binary(binary: BinaryExpr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let operator = match binary.op {
        Operator::Plus => Checked::Add,
        Operator::Minus => Checked::Subtract,
        Operator::Multiply => Checked::Multiply,
        Operator::Divide => Checked::Divide,
        _ => return Ok(Transformed::no(Expr::BinaryExpr(binary))),
    };
    let (left, right) = (binary.left.get_type(schema)?, binary.right.get_type(schema)?);
    let replaced = left == right
        && match operator {
            Checked::Divide => left.is_floating(),
            _ => left.is_integer(),
        };
    if !replaced {
        return Ok(Transformed::no(Expr::BinaryExpr(binary)));
    }
    Ok(Transformed::yes(call(operator, *binary.left, *binary.right)))
}

fn call(operator: Checked, left: Expr, right: Expr) -> Expr {
    let function = FUNCTIONS[operator as usize].clone();
    Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![left, right]))
}

/// Everything that expressions of the node can refer to.
fn input_schema(plan: &LogicalPlan) -> DFSchema {
    let inputs = plan.inputs();
    match plan {
        LogicalPlan::TableScan(scan) => scan.projected_schema.as_ref().clone(),
        _ if inputs.is_empty() => plan.schema().as_ref().clone(),
        _ => merge_schema(&inputs),
    }
}

impl Checked {
    fn name(self) -> &'static str {
        match self {
            Self::Add => "checked_add",
            Self::Subtract => "checked_subtract",
            Self::Multiply => "checked_multiply",
            Self::Divide => "checked_divide",
        }
    }

    fn kernel(self) -> fn(&dyn Datum, &dyn Datum) -> Result<ArrayRef, ArrowError> {
        match self {
            Self::Add => numeric::add,
            Self::Subtract => numeric::sub,
            Self::Multiply => numeric::mul,
            Self::Divide => divide,
        }
    }
}

/// Division of floating-point numbers; a zero divisor is an error unless the dividend is NULL or NaN.
fn divide(left: &dyn Datum, right: &dyn Datum) -> Result<ArrayRef, ArrowError> {
    let quotient = numeric::div(left, right)?;
    let suspicious = match quotient.data_type() {
        DataType::Float64 => quotient
            .as_primitive::<Float64Type>()
            .iter()
            .flatten()
            .any(|v| !v.is_finite()),
        DataType::Float32 => quotient
            .as_primitive::<Float32Type>()
            .iter()
            .flatten()
            .any(|v| !v.is_finite()),
        _ => false,
    };
    if suspicious && divides_by_zero(left, right) {
        return Err(ArrowError::DivideByZero);
    }
    Ok(quotient)
}

fn divides_by_zero(left: &dyn Datum, right: &dyn Datum) -> bool {
    let ((dividends, left_one), (divisors, right_one)) = (left.get(), right.get());
    let rows = if left_one { divisors.len() } else { dividends.len() };
    (0..rows).any(|row| {
        let (l, r) = (if left_one { 0 } else { row }, if right_one { 0 } else { row });
        !dividends.is_null(l) && !divisors.is_null(r) && is_zero(divisors, r) && !is_nan(dividends, l)
    })
}

fn is_zero(array: &dyn Array, row: usize) -> bool {
    match array.data_type() {
        DataType::Float64 => array.as_primitive::<Float64Type>().value(row) == 0.0,
        DataType::Float32 => array.as_primitive::<Float32Type>().value(row) == 0.0,
        _ => false,
    }
}

fn is_nan(array: &dyn Array, row: usize) -> bool {
    match array.data_type() {
        DataType::Float64 => array.as_primitive::<Float64Type>().value(row).is_nan(),
        DataType::Float32 => array.as_primitive::<Float32Type>().value(row).is_nan(),
        _ => false,
    }
}

impl ScalarUDFImpl for CheckedFunction {
    fn name(&self) -> &str {
        self.operator.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        Ok(arg_types.first().cloned().unwrap_or(DataType::Null))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = datafusion::common::utils::take_function_args(self.name(), args.args)?;
        apply(&left, &right, self.operator.kernel())
    }
}
