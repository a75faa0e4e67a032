//! What is done to a parsed query before DataFusion plans it: parameters get their values, result columns the names that
//! PostgreSQL gives them (made unique), `*` leaves out the metadata columns of declared sources.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    DataType, ExcludeSelectItem, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName,
    ObjectNamePart, OrderBy, OrderByKind, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr,
    TableAlias, TableFactor, Value, ValueWithSpan, VisitMut, VisitorMut, WildcardAdditionalOptions,
};

use super::ignored::{refuse_in_query, refuse_in_relation, refuse_in_select};
use super::replace::replace;
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

pub(super) fn or_break(checked: Result<(), SqlError>) -> ControlFlow<SqlError> {
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

pub(super) fn single(name: &ObjectName) -> Option<&Ident> {
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
