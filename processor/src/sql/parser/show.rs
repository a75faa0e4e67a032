//! `SHOW`, `DESCRIBE`, `EXPLAIN`, `SET`, `RESET`.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::Cursor;
use super::clauses::{option_name, option_value};
use crate::error::SqlError;
use crate::sql::statement::{ShowList, Statement};

/// `SHOW ...`
pub(super) fn show(mut cursor: Cursor<'_>) -> Result<Statement, SqlError> {
    cursor.expect("SHOW")?;
    let position = cursor.position();
    if cursor.take("CREATE") {
        skip_kind(&mut cursor);
        let name = cursor.name()?;
        cursor.expect_end()?;
        return Ok(Statement::ShowCreate(name));
    }
    cursor.take("MATERIALIZED");
    let list = match cursor.peek_upper().as_deref() {
        Some("SOURCES") => ShowList::Sources,
        Some("TABLES") => ShowList::Tables,
        Some("VIEWS") => ShowList::Views,
        Some("SINKS") => ShowList::Sinks,
        Some("QUERIES") => ShowList::Queries,
        Some("TOPICS") => ShowList::Topics,
        Some(word @ ("TASKS" | "SECRETS" | "FUNCTIONS" | "COLUMNS" | "DATABASES" | "SCHEMAS" | "INDEXES")) => {
            return Err(SqlError::unsupported(format!("SHOW {word} is not supported"))
                .with_hint("SOURCES, TABLES, VIEWS, SINKS, QUERIES and TOPICS can be shown")
                .at(position));
        }
        _ => {
            let name = option_name(&mut cursor)?;
            cursor.expect_end()?;
            return Ok(Statement::ShowSetting(name));
        }
    };
    cursor.parser.next_token();
    cursor.expect_end()?;
    Ok(Statement::Show(list))
}

/// `DESCRIBE [kind] name`
pub(super) fn describe(mut cursor: Cursor<'_>) -> Result<Statement, SqlError> {
    cursor.parser.next_token();
    skip_kind(&mut cursor);
    let name = cursor.name()?;
    cursor.expect_end()?;
    Ok(Statement::Describe(name))
}

/// `EXPLAIN [VERBOSE] statement`
pub(super) fn explain(mut cursor: Cursor<'_>) -> Result<Statement, SqlError> {
    cursor.expect("EXPLAIN")?;
    let position = cursor.position();
    if cursor.take("ANALYZE") {
        return Err(SqlError::unsupported("EXPLAIN ANALYZE is not supported")
            .with_hint("SHOW QUERIES shows the counters of running queries")
            .at(position));
    }
    let verbose = cursor.take("VERBOSE");
    if cursor.peek_upper().as_deref() == Some("EXPLAIN") {
        return Err(cursor.expected("a statement to explain"));
    }
    let statement = cursor.rest().statement()?;
    Ok(Statement::Explain {
        verbose,
        statement: Box::new(statement),
    })
}

/// `SET name = value`, `SET name TO value`; `DEFAULT` takes the value back.
pub(super) fn set(mut cursor: Cursor<'_>) -> Result<Statement, SqlError> {
    cursor.expect("SET")?;
    cursor.take("SESSION");
    let name = option_name(&mut cursor)?;
    if !cursor.parser.consume_token(&Token::Eq) && !cursor.take("TO") {
        return Err(cursor.expected("= or TO"));
    }
    let value = match cursor.take("DEFAULT") {
        true => None,
        false => Some(option_value(&mut cursor)?),
    };
    cursor.expect_end()?;
    Ok(Statement::Set { name, value })
}

/// `RESET name`
pub(super) fn reset(mut cursor: Cursor<'_>) -> Result<Statement, SqlError> {
    cursor.expect("RESET")?;
    let name = option_name(&mut cursor)?;
    cursor.expect_end()?;
    Ok(Statement::Set { name, value: None })
}

/// The kind of an object may stand before its name where the name alone says enough. It is a kind only when a name
/// follows: an object may be called `view`.
fn skip_kind(cursor: &mut Cursor<'_>) {
    let more = cursor.parser.peek_nth_token_ref(1).token != Token::EOF;
    if !more {
        return;
    }
    let _ = cursor.take_all(&["MATERIALIZED", "VIEW"])
        || cursor.take("SOURCE")
        || cursor.take("VIEW")
        || cursor.take("SINK")
        || cursor.take("TABLE");
}
