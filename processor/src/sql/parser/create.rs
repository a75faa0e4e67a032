//! `CREATE` and `DROP`.

use datafusion::sql::sqlparser::ast::Expr;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::Cursor;
use super::clauses::{add_option, options, stream_query};
use crate::error::SqlError;
use crate::sql::statement::{
    ColumnDefinition, CreateQuery, CreateSink, CreateSource, Drop, ObjectKind, OnError, SinkInput, SqlOption,
    Statement, StreamQuery, Watermark,
};

/// `CREATE ...`
pub(super) fn create(mut cursor: Cursor<'_>) -> Result<Statement, SqlError> {
    cursor.expect("CREATE")?;
    let position = cursor.position();
    if cursor.take_all(&["OR", "REPLACE"]) {
        return Err(SqlError::unsupported("CREATE OR REPLACE is not supported")
            .with_hint("drop the object and create it again")
            .at(position));
    }
    if cursor.take("SOURCE") {
        return create_source(cursor);
    }
    if cursor.take_all(&["MATERIALIZED", "VIEW"]) {
        return create_query(cursor).map(|c| Statement::CreateMaterializedView(Box::new(c)));
    }
    if cursor.take("VIEW") {
        return create_view(cursor);
    }
    if cursor.take("SINK") {
        return create_sink(cursor);
    }
    match cursor.peek_upper().as_deref() {
        Some("TABLE") => Err(SqlError::unsupported("CREATE TABLE is not supported")
            .with_hint(
                "CREATE SOURCE reads a topic as a stream; CREATE MATERIALIZED VIEW keeps the latest values per key",
            )
            .at(position)),
        Some(
            word @ ("TASK" | "SECRET" | "INDEX" | "FUNCTION" | "TYPE" | "SCHEMA" | "DATABASE" | "ROLE" | "USER"
            | "SEQUENCE" | "TRIGGER" | "EXTENSION" | "CONNECTION" | "UNIQUE" | "TEMPORARY" | "TEMP"
            | "EXTERNAL"),
        ) => Err(SqlError::unsupported(format!("CREATE {word} is not supported")).at(position)),
        _ => Err(cursor.expected("SOURCE, MATERIALIZED VIEW, VIEW or SINK")),
    }
}

/// `DROP kind [IF EXISTS] name [CASCADE | RESTRICT]`
pub(super) fn drop_object(mut cursor: Cursor<'_>) -> Result<Statement, SqlError> {
    cursor.expect("DROP")?;
    let position = cursor.position();
    let kind = if cursor.take("SOURCE") {
        ObjectKind::Source
    } else if cursor.take_all(&["MATERIALIZED", "VIEW"]) {
        ObjectKind::MaterializedView
    } else if cursor.take("VIEW") {
        ObjectKind::View
    } else if cursor.take("SINK") {
        ObjectKind::Sink
    } else if let Some(word @ ("TABLE" | "TASK" | "SECRET" | "TOPIC" | "INDEX" | "FUNCTION" | "SCHEMA")) =
        cursor.peek_upper().as_deref()
    {
        return Err(SqlError::unsupported(format!("DROP {word} is not supported")).at(position));
    } else {
        return Err(cursor.expected("SOURCE, MATERIALIZED VIEW, VIEW or SINK"));
    };
    let if_exists = cursor.take_all(&["IF", "EXISTS"]);
    let name = cursor.name()?;
    let cascade = cursor.take("CASCADE");
    if !cascade {
        cursor.take("RESTRICT");
    }
    cursor.expect_end()?;
    Ok(Statement::Drop(Drop {
        kind,
        name,
        if_exists,
        cascade,
    }))
}

fn create_source(mut cursor: Cursor<'_>) -> Result<Statement, SqlError> {
    let if_not_exists = cursor.if_not_exists();
    let name = cursor.name()?;
    let mut source = CreateSource {
        name,
        if_not_exists,
        columns: Vec::new(),
        watermark: None,
        options: Vec::new(),
        on_error: None,
    };
    if cursor.parser.consume_token(&Token::LParen) {
        column_list(&mut cursor, &mut source)?;
    }
    source.options = options(&mut cursor)?;
    if cursor.take_all(&["ON", "ERROR"]) {
        source.on_error = Some(on_error(&mut cursor)?);
    }
    cursor.expect_end()?;
    Ok(Statement::CreateSource(Box::new(source)))
}

fn column_list(cursor: &mut Cursor<'_>, source: &mut CreateSource) -> Result<(), SqlError> {
    loop {
        let position = cursor.position();
        if cursor.take_all(&["WATERMARK", "FOR"]) {
            if source.watermark.replace(watermark(cursor)?).is_some() {
                return Err(SqlError::syntax("WATERMARK FOR is given twice").at(position));
            }
        } else if cursor.take_all(&["PRIMARY", "KEY"]) {
            return Err(primary_key(position));
        } else {
            let column = column(cursor)?;
            if source.columns.iter().any(|c| c.name == column.name) {
                return Err(SqlError::new(
                    crate::error::SqlState::DUPLICATE_COLUMN,
                    format!("column \"{}\" is given twice", column.name),
                )
                .at(position));
            }
            source.columns.push(column);
        }
        if cursor.parser.consume_token(&Token::RParen) {
            return Ok(());
        }
        cursor.expect_token(&Token::Comma)?;
    }
}

fn watermark(cursor: &mut Cursor<'_>) -> Result<Watermark, SqlError> {
    let column = cursor.identifier()?;
    let expression: Option<Expr> = match cursor.take("AS") {
        true => Some(cursor.lift(Parser::parse_expr)?),
        false => None,
    };
    Ok(Watermark { column, expression })
}

fn column(cursor: &mut Cursor<'_>) -> Result<ColumnDefinition, SqlError> {
    let name = cursor.identifier()?;
    let data_type = cursor.lift(Parser::parse_data_type)?;
    let mut not_null = false;
    loop {
        let position = cursor.position();
        if cursor.take_all(&["NOT", "NULL"]) {
            not_null = true;
        } else if cursor.take("NULL") {
            not_null = false;
        } else if cursor.take_all(&["PRIMARY", "KEY"]) {
            return Err(primary_key(position));
        } else {
            break;
        }
    }
    if let Some(word) = cursor.peek_upper() {
        return Err(SqlError::unsupported(format!("column \"{name}\": {word} is not supported")).at(cursor.position()));
    }
    Ok(ColumnDefinition {
        name,
        data_type,
        not_null,
    })
}

fn primary_key(position: usize) -> SqlError {
    SqlError::unsupported("a source has no primary key")
        .with_hint("every record of a source is a row of its own; aggregate by the key in a materialized view")
        .at(position)
}

fn on_error(cursor: &mut Cursor<'_>) -> Result<OnError, SqlError> {
    if cursor.take("FAIL") {
        return Ok(OnError::Fail);
    }
    if cursor.take("SKIP") {
        return Ok(OnError::Skip);
    }
    if cursor.take("NULL") {
        return Ok(OnError::Null);
    }
    if cursor.take("DLQ") {
        return cursor.string().map(OnError::DeadLetter);
    }
    Err(cursor.expected("FAIL, SKIP, NULL or DLQ"))
}

fn create_query(mut cursor: Cursor<'_>) -> Result<CreateQuery, SqlError> {
    let if_not_exists = cursor.if_not_exists();
    let name = cursor.name()?;
    let columns = name_list(&mut cursor)?;
    let (query, options) = query_with_options(&mut cursor)?;
    Ok(CreateQuery {
        name,
        if_not_exists,
        columns,
        query,
        options,
    })
}

/// `[WITH (...)] AS query [WITH (...)]`: options may stand in both places, each of them in one.
fn query_with_options(cursor: &mut Cursor<'_>) -> Result<(StreamQuery, Vec<SqlOption>), SqlError> {
    let mut given = options(cursor)?;
    cursor.expect("AS")?;
    let (query, behind) = stream_query(cursor.rest())?;
    for option in behind {
        add_option(&mut given, option)?;
    }
    Ok((query, given))
}

fn create_view(cursor: Cursor<'_>) -> Result<Statement, SqlError> {
    let view = create_query(cursor)?;
    if view.query.emit.is_some() || view.query.late_to.is_some() || !view.options.is_empty() {
        return Err(
            SqlError::syntax("a view has no EMIT, LATE TO or WITH clause").with_hint(
                "it is a named query without state; give the clause to the materialized view or sink that uses it",
            ),
        );
    }
    Ok(Statement::CreateView(Box::new(view)))
}

fn name_list(cursor: &mut Cursor<'_>) -> Result<Vec<String>, SqlError> {
    let mut names = Vec::new();
    if !cursor.parser.consume_token(&Token::LParen) {
        return Ok(names);
    }
    loop {
        names.push(cursor.identifier()?);
        if cursor.parser.consume_token(&Token::RParen) {
            return Ok(names);
        }
        cursor.expect_token(&Token::Comma)?;
    }
}

fn create_sink(mut cursor: Cursor<'_>) -> Result<Statement, SqlError> {
    let if_not_exists = cursor.if_not_exists();
    let name = cursor.name()?;
    let (input, options) = if cursor.take("FROM") {
        let from = cursor.name()?;
        let options = options(&mut cursor)?;
        cursor.expect_end()?;
        (SinkInput::From(from), options)
    } else {
        let (query, options) = query_with_options(&mut cursor)?;
        (SinkInput::Query(query), options)
    };
    Ok(Statement::CreateSink(Box::new(CreateSink {
        name,
        if_not_exists,
        input,
        options,
    })))
}
