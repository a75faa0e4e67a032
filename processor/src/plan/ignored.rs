//! Clauses that the parser reads and DataFusion drops. A query that has one is refused: nothing is accepted and then
//! ignored.

use datafusion::sql::sqlparser::ast::{Query, Select, TableFactor};

use crate::error::SqlError;

/// Fails where a query ends in a clause that would be dropped.
pub(super) fn refuse_in_query(query: &Query) -> Result<(), SqlError> {
    if let Some(lock) = query.locks.first() {
        let clause = format!("FOR {}", lock.lock_type);
        return Err(refused(&clause).with_hint("a SELECT reads what was committed when it began, and locks nothing"));
    }
    match () {
        () if query.for_clause.is_some() => Err(refused("FOR XML, JSON or BROWSE")),
        () if query.settings.is_some() => Err(refused("SETTINGS").with_hint("use SET name = value")),
        () if query.format_clause.is_some() => Err(refused("FORMAT")),
        () => Ok(()),
    }
}

/// Fails where a SELECT has a clause that would be dropped.
pub(super) fn refuse_in_select(select: &Select) -> Result<(), SqlError> {
    match () {
        () if select.prewhere.is_some() => Err(refused("PREWHERE").with_hint("use WHERE")),
        () if !select.connect_by.is_empty() => Err(refused("CONNECT BY").with_hint("use WITH RECURSIVE")),
        () if !select.distribute_by.is_empty() => Err(refused("DISTRIBUTE BY")),
        () if select.value_table_mode.is_some() => Err(refused("SELECT AS STRUCT or VALUE")),
        () if select.select_modifiers.is_some() => Err(refused("a modifier of SELECT")),
        () => Ok(()),
    }
}

/// Fails where a relation in FROM has a clause that would be dropped.
pub(super) fn refuse_in_relation(relation: &TableFactor) -> Result<(), SqlError> {
    match relation {
        TableFactor::Table { sample: Some(_), .. } | TableFactor::Derived { sample: Some(_), .. } => {
            Err(refused("TABLESAMPLE").with_hint("use WHERE with a condition on _offset, or random() in a SELECT"))
        }
        TableFactor::Table {
            with_ordinality: true, ..
        }
        | TableFactor::Function {
            with_ordinality: true, ..
        }
        | TableFactor::UNNEST {
            with_ordinality: true, ..
        } => Err(refused("WITH ORDINALITY").with_hint("use row_number() OVER () in a SELECT")),
        TableFactor::Table { with_hints, .. } if !with_hints.is_empty() => Err(refused("WITH (...) behind a relation")),
        TableFactor::Table { partitions, .. } if !partitions.is_empty() => {
            Err(refused("PARTITION (...) behind a relation").with_hint("use WHERE _partition = ..."))
        }
        TableFactor::Table { index_hints, .. } if !index_hints.is_empty() => Err(refused("an index hint")),
        TableFactor::Table { json_path: Some(_), .. } => Err(refused("a path behind a relation")),
        _ => Ok(()),
    }
}

fn refused(clause: &str) -> SqlError {
    SqlError::unsupported(format!("{clause} is not supported"))
}
