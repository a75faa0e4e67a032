//! Functions that DataFusion lacks or that PostgreSQL defines otherwise: checked arithmetic, exact sums and averages,
//! JSON operators, `to_char` with PostgreSQL's patterns, `timezone`, the arithmetic of windows, and bounds for functions
//! that make much of little.

use std::sync::Arc;

use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

pub(crate) mod aggregate;
pub(crate) mod arithmetic;
pub(crate) mod bounded;
mod json;
mod timezone;
mod to_char;
pub(crate) mod window;

pub(crate) use json::JsonOperators;

/// Scalar functions, to be registered beside DataFusion's and before them.
pub(crate) fn scalars() -> Vec<Arc<ScalarUDF>> {
    vec![
        Arc::new(ScalarUDF::from(timezone::Timezone::new())),
        Arc::new(ScalarUDF::from(to_char::ToChar::new())),
        json::get_udf(false),
        json::get_udf(true),
    ]
}

/// Aggregates, to be registered in place of DataFusion's.
pub(crate) fn aggregates() -> Vec<Arc<AggregateUDF>> {
    vec![
        Arc::new(AggregateUDF::from(aggregate::ExactAggregate::sum())),
        Arc::new(AggregateUDF::from(aggregate::ExactAggregate::avg())),
    ]
}
