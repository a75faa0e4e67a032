//! What a query with `LATE TO` carries beside its columns, from the source to the aggregate that finds rows late: the
//! records that the rows came from.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;

use crate::plan::graph::{RecordColumns, SourceColumn, SourcePlan};
use crate::sql::types::headers;

impl SourcePlan {
    /// Delivers every record as it came, behind the other columns. Answers with where.
    pub(crate) fn carry_records(&mut self) -> RecordColumns {
        let first = self.schema.fields().len();
        let mut fields: Vec<Field> = self.schema.fields().iter().map(|f| f.as_ref().clone()).collect();
        for (name, data_type, source) in [
            ("_key", DataType::Binary, SourceColumn::Key),
            ("_value", DataType::Binary, SourceColumn::Value),
            ("_headers", headers(), SourceColumn::Headers),
        ] {
            fields.push(Field::new(name, data_type, true));
            self.columns.push(source);
        }
        self.schema = Arc::new(Schema::new(fields));
        RecordColumns::starting_at(first)
    }
}

impl RecordColumns {
    /// Key, value and headers, one behind the other.
    fn starting_at(first: usize) -> Self {
        Self {
            key: first,
            value: first + 1,
            headers: first + 2,
        }
    }

    /// Passes the columns on behind those of a projection, and moves to where they are then.
    pub(super) fn pass_on(&mut self, below: &Schema, exprs: &mut Vec<Arc<dyn PhysicalExpr>>, fields: &mut Vec<Field>) {
        let moved = Self::starting_at(exprs.len());
        for index in [self.key, self.value, self.headers] {
            let field = below.field(index);
            exprs.push(Arc::new(Column::new(field.name(), index)));
            fields.push(field.clone());
        }
        *self = moved;
    }
}
