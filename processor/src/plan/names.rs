//! What is done to a parsed query before DataFusion plans it: parameters get their values, result columns the names that
//! PostgreSQL gives them (made unique), `*` leaves out the metadata columns of declared sources.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, ExcludeSelectItem, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentList, FunctionArguments, Ident, ObjectName, ObjectNamePart, OrderBy, OrderByKind, Query, Select,
    SelectItem, SelectItemQualifiedWildcardKind, SetExpr, TableAlias, TableFactor, Value, ValueWithSpan, VisitMut,
    VisitorMut, WildcardAdditionalOptions, visit_expressions_mut,
};

use super::ignored::{refuse_in_query, refuse_in_relation, refuse_in_select};
use crate::catalog::{Body, Catalog, METADATA_COLUMNS, is_metadata};
use crate::error::{SqlError, SqlState};
use crate::sql::Parameter;
use crate::sql::parser::normalize;

/// Prepares a query. True when it mentions a metadata column, which must then be planned.
///
/// # Errors
/// Where a parameter is missing, or where a clause of the query would be dropped without a word.
pub(crate) fn prepare(query: &mut Query, catalog: &Catalog, parameters: &[Parameter]) -> Result<bool, SqlError> {
    let mut survey = Survey {
        parameters,
        mentions_metadata: false,
        cte_names: HashSet::new(),
    };
    if let ControlFlow::Break(error) = query.visit(&mut survey) {
        return Err(error);
    }
    let mut names = Names {
        catalog,
        survey: &survey,
    };
    if let ControlFlow::Break(error) = query.visit(&mut names) {
        return Err(error);
    }
    Ok(survey.mentions_metadata)
}

/// First walk: parameters, clauses that are refused, and what the second walk has to know.
struct Survey<'a> {
    parameters: &'a [Parameter],
    mentions_metadata: bool,
    cte_names: HashSet<String>,
}

impl VisitorMut for Survey<'_> {
    type Break = SqlError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<SqlError> {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.cte_names.insert(normalize(&cte.alias.name));
        }
        or_break(refuse_in_query(query))
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<SqlError> {
        or_break(refuse_in_select(select))
    }

    fn pre_visit_table_factor(&mut self, relation: &mut TableFactor) -> ControlFlow<SqlError> {
        or_break(refuse_in_relation(relation))
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        let last = match expr {
            Expr::Identifier(ident) => Some(&*ident),
            Expr::CompoundIdentifier(parts) => parts.last(),
            _ => None,
        };
        self.mentions_metadata |= last.is_some_and(|ident| is_metadata(&normalize(ident)));
        ControlFlow::Continue(())
    }

    fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> ControlFlow<SqlError> {
        let Value::Placeholder(name) = &value.value else {
            return ControlFlow::Continue(());
        };
        match parameter(name, self.parameters) {
            Ok(literal) => {
                value.value = literal;
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        }
    }
}

fn or_break(checked: Result<(), SqlError>) -> ControlFlow<SqlError> {
    match checked {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    }
}

/// The value of `$1`, `$2`, ... as a literal.
fn parameter(name: &str, parameters: &[Parameter]) -> Result<Value, SqlError> {
    let number = name.strip_prefix('$').and_then(|n| n.parse::<usize>().ok());
    let value = number.and_then(|n| n.checked_sub(1)).and_then(|at| parameters.get(at));
    let Some(value) = value else {
        return Err(
            SqlError::new(SqlState::UNDEFINED_PARAMETER, format!("there is no parameter {name}"))
                .with_hint(format!("{} parameters were given", parameters.len())),
        );
    };
    value.to_scalar()?;
    Ok(match value {
        Parameter::Null => Value::Null,
        Parameter::Boolean(value) => Value::Boolean(*value),
        Parameter::Number(text) => Value::Number(text.clone(), false),
        Parameter::Text(text) => Value::SingleQuotedString(text.clone()),
    })
}

/// Second walk: names and stars.
struct Names<'a> {
    catalog: &'a Catalog,
    survey: &'a Survey<'a>,
}

impl VisitorMut for Names<'_> {
    type Break = SqlError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<SqlError> {
        let SetExpr::Select(select) = query.body.as_mut() else {
            return ControlFlow::Continue(());
        };
        let named = name_columns(&mut select.projection);
        // ORDER BY of a DISTINCT must be by result columns: what was an expression has a name now.
        if select.distinct.is_some()
            && let Some(OrderBy {
                kind: OrderByKind::Expressions(order),
                ..
            }) = &mut query.order_by
        {
            for item in order {
                if let Some((_, name)) = named.iter().find(|(expr, _)| *expr == item.expr) {
                    item.expr = Expr::Identifier(name.clone());
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<SqlError> {
        if self.survey.mentions_metadata
            && let Err(error) = self.hide_metadata(select)
        {
            return ControlFlow::Break(error);
        }
        name_columns(&mut select.projection);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        or_break(replace(expr))
    }
}

/// Replaces inside of an expression what DataFusion lacks, or means otherwise than PostgreSQL, by functions.
pub(super) fn replace_all(expr: &mut Expr) -> Result<(), SqlError> {
    match visit_expressions_mut(expr, |expr| or_break(replace(expr))) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

fn replace(expr: &mut Expr) -> Result<(), SqlError> {
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

impl Names<'_> {
    /// Metadata columns are planned because the query mentions one: take them out of its stars.
    fn hide_metadata(&self, select: &mut Select) -> Result<(), SqlError> {
        let relations: Vec<Named> = select
            .from
            .iter()
            .flat_map(|from| std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)))
            .map(|factor| self.named(factor))
            .collect();
        if !relations.iter().any(|r| r.hides) {
            return Ok(());
        }
        let mut items = Vec::with_capacity(select.projection.len());
        for item in std::mem::take(&mut select.projection) {
            match item {
                SelectItem::Wildcard(options) if relations.len() == 1 => {
                    items.push(SelectItem::Wildcard(exclude(options)))
                }
                SelectItem::Wildcard(_) => items.extend(expand(&relations)?),
                SelectItem::QualifiedWildcard(kind, options) => {
                    let hides = relations.iter().any(|r| r.hides && r.is(&kind));
                    items.push(SelectItem::QualifiedWildcard(
                        kind,
                        if hides { exclude(options) } else { options },
                    ));
                }
                other => items.push(other),
            }
        }
        select.projection = items;
        Ok(())
    }

    fn named(&self, factor: &TableFactor) -> Named {
        let (base, alias) = match factor {
            TableFactor::Table { name, alias, args, .. } => match args {
                None => (single(name).cloned(), alias),
                Some(args) => (args.args.first().and_then(window_input), alias),
            },
            TableFactor::TableFunction {
                expr: Expr::Function(function),
                alias,
            } => (first_argument(function), alias),
            TableFactor::Derived { alias, .. } | TableFactor::NestedJoin { alias, .. } => (None, alias),
            _ => (None, &None),
        };
        let name = base.as_ref().map(normalize);
        let hides = name.as_deref().is_some_and(|name| self.hides(name));
        let qualifier = match alias {
            Some(TableAlias { name, .. }) => Some(name.clone()),
            None => base,
        };
        Named { qualifier, hides }
    }

    /// True for relations whose metadata columns are not in `*`.
    fn hides(&self, name: &str) -> bool {
        if self.survey.cte_names.contains(name) {
            return false;
        }
        match self.catalog.find(name).map(|object| &object.body) {
            Some(Body::Source(_)) => true,
            Some(Body::MaterializedView(view)) => view.append_only && view.plan.output.key.is_empty(),
            _ => false,
        }
    }
}

/// A relation of a FROM clause.
struct Named {
    qualifier: Option<Ident>,
    hides: bool,
}

impl Named {
    fn is(&self, kind: &SelectItemQualifiedWildcardKind) -> bool {
        let SelectItemQualifiedWildcardKind::ObjectName(name) = kind else {
            return false;
        };
        match (&self.qualifier, single(name)) {
            (Some(own), Some(wanted)) => normalize(own) == normalize(wanted),
            _ => false,
        }
    }
}

/// `*` over several relations as `a.*, b.*`.
fn expand(relations: &[Named]) -> Result<Vec<SelectItem>, SqlError> {
    relations
        .iter()
        .map(|relation| {
            let Some(qualifier) = relation.qualifier.clone() else {
                return Err(SqlError::unsupported(
                    "SELECT * over a join of sources and a subquery without a name is not supported where metadata \
                     columns are used",
                )
                .with_hint("give the subquery a name with AS"));
            };
            let name = ObjectName(vec![ObjectNamePart::Identifier(qualifier)]);
            let options = WildcardAdditionalOptions::default();
            Ok(SelectItem::QualifiedWildcard(
                SelectItemQualifiedWildcardKind::ObjectName(name),
                if relation.hides { exclude(options) } else { options },
            ))
        })
        .collect()
}

fn exclude(mut options: WildcardAdditionalOptions) -> WildcardAdditionalOptions {
    let names = METADATA_COLUMNS
        .iter()
        .map(|name| ObjectName::from(vec![Ident::new(*name)]))
        .collect();
    options.opt_exclude = Some(ExcludeSelectItem::Multiple(names));
    options
}

fn single(name: &ObjectName) -> Option<&Ident> {
    match name.0.as_slice() {
        [part] => part.as_ident(),
        _ => None,
    }
}

/// The relation inside of `TUMBLE(src, ...)`.
fn window_input(argument: &FunctionArg) -> Option<Ident> {
    let expr = match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => expr,
        FunctionArg::Named {
            arg: FunctionArgExpr::Expr(expr),
            ..
        } => expr,
        FunctionArg::ExprNamed {
            arg: FunctionArgExpr::Expr(expr),
            ..
        } => expr,
        _ => return None,
    };
    match expr {
        Expr::Identifier(ident) => Some(ident.clone()),
        _ => None,
    }
}

fn first_argument(function: &Function) -> Option<Ident> {
    match &function.args {
        FunctionArguments::List(list) => list.args.first().and_then(window_input),
        _ => None,
    }
}

/// Gives every expression the column name that PostgreSQL gives it, made unique by a number. Answers with the
/// expressions that got a name.
fn name_columns(items: &mut [SelectItem]) -> Vec<(Expr, Ident)> {
    let mut named = Vec::new();
    let mut taken = HashSet::new();
    for item in items.iter() {
        match item {
            SelectItem::ExprWithAlias { alias, .. } => taken.insert(normalize(alias)),
            SelectItem::UnnamedExpr(Expr::Identifier(name)) => taken.insert(normalize(name)),
            _ => false,
        };
    }
    let mut seen = HashSet::new();
    for item in items.iter_mut() {
        let SelectItem::UnnamedExpr(expr) = item else {
            continue;
        };
        let name = column_name(expr).unwrap_or_else(|| "?column?".to_owned());
        let is_column = matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
        let unique = match is_column {
            true if seen.insert(name.clone()) => continue,
            true => numbered(&name, &taken),
            false if taken.contains(&name) => numbered(&name, &taken),
            false => name,
        };
        taken.insert(unique.clone());
        seen.insert(unique.clone());
        let alias = Ident::with_quote('"', unique);
        named.push((expr.clone(), alias.clone()));
        *item = SelectItem::ExprWithAlias {
            expr: expr.clone(),
            alias,
        };
    }
    named
}

fn numbered(name: &str, taken: &HashSet<String>) -> String {
    (1..)
        .map(|n| format!("{name}_{n}"))
        .find(|candidate| !taken.contains(candidate))
        .expect("there are more numbers than columns")
}

fn column_name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(ident) => Some(normalize(ident)),
        Expr::CompoundIdentifier(parts) => parts.last().map(normalize),
        Expr::Function(function) => function.name.0.last().and_then(|part| part.as_ident()).map(normalize),
        Expr::Cast { expr, data_type, .. } => column_name(expr).or_else(|| Some(type_column(data_type))),
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => column_name(inner),
        Expr::AtTimeZone { .. } => Some("timezone".to_owned()),
        Expr::Case { else_result, .. } => {
            let otherwise = else_result.as_deref().and_then(|otherwise| match otherwise {
                Expr::Identifier(_) | Expr::CompoundIdentifier(_) => column_name(otherwise),
                _ => None,
            });
            Some(otherwise.unwrap_or_else(|| "case".to_owned()))
        }
        Expr::Exists { .. } => Some("exists".to_owned()),
        Expr::Extract { .. } => Some("extract".to_owned()),
        Expr::Substring { .. } => Some("substring".to_owned()),
        Expr::Trim { .. } => Some("btrim".to_owned()),
        Expr::Position { .. } => Some("position".to_owned()),
        Expr::Ceil { .. } => Some("ceil".to_owned()),
        Expr::Floor { .. } => Some("floor".to_owned()),
        Expr::Overlay { .. } => Some("overlay".to_owned()),
        Expr::Array(_) => Some("array".to_owned()),
        Expr::Interval(_) => Some("interval".to_owned()),
        Expr::TypedString(typed) => Some(type_column(&typed.data_type)),
        _ => None,
    }
}

/// A column that is named by its type alone has PostgreSQL's own name of the type, however the type was spelled.
fn type_column(data_type: &DataType) -> String {
    let spelled = data_type.to_string().to_lowercase();
    let name = match spelled.split('(').next().unwrap_or_default().trim_end() {
        "smallint" => "int2",
        "int" | "integer" => "int4",
        "bigint" => "int8",
        "real" => "float4",
        "double precision" | "double" | "float" => "float8",
        "boolean" => "bool",
        "decimal" => "numeric",
        "character varying" => "varchar",
        "timestamp without time zone" => "timestamp",
        "timestamp with time zone" => "timestamptz",
        other => other,
    };
    name.to_owned()
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
