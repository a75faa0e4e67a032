//! Queries with what stands behind them: `EMIT`, `LATE TO`, `WITH (...)`.

use std::time::Duration;

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::{Cursor, TokenRun, upper};
use crate::error::SqlError;
use crate::quantity::parse_duration;
use crate::sql::statement::{EmitClause, SqlOption, Statement, StreamQuery};

/// A query that is kept, and its options.
pub(super) fn stream_query(run: TokenRun<'_>) -> Result<(StreamQuery, Vec<SqlOption>), SqlError> {
    let (query, clauses) = split(run);
    let query = parse_query(query)?;
    let clauses = Clauses::parse(clauses)?;
    let stream = StreamQuery {
        query,
        emit: clauses.emit,
        late_to: clauses.late_to,
    };
    Ok((stream, clauses.options))
}

/// A query that ends.
pub(super) fn bounded_query(run: TokenRun<'_>) -> Result<Statement, SqlError> {
    let (query, clauses) = split(run);
    if !clauses.tokens.is_empty() {
        let mut cursor = clauses.cursor();
        let word = cursor.peek_upper().unwrap_or_default();
        return Err(
            SqlError::unsupported(format!("{word} is not supported in a SELECT that ends"))
                .with_hint("CREATE MATERIALIZED VIEW or CREATE SINK keeps a query running")
                .at(cursor.position()),
        );
    }
    Ok(Statement::Query(parse_query(query)?))
}

/// Options alone, or nothing.
pub(super) fn options(cursor: &mut Cursor<'_>) -> Result<Vec<SqlOption>, SqlError> {
    if !cursor.take("WITH") {
        return Ok(Vec::new());
    }
    option_list(cursor)
}

/// Cuts the run where the first streaming clause begins outside of parentheses.
fn split(run: TokenRun<'_>) -> (TokenRun<'_>, TokenRun<'_>) {
    let mut depth = 0_usize;
    for (at, token) in run.tokens.iter().enumerate() {
        match token.token {
            Token::LParen | Token::LBracket => depth += 1,
            Token::RParen | Token::RBracket => depth = depth.saturating_sub(1),
            _ if depth == 0 && begins_clause(&run.tokens[at..]) => {
                let query = TokenRun {
                    tokens: &run.tokens[..at],
                    ..run
                };
                return (query, run.from(at));
            }
            _ => {}
        }
    }
    (run, run.from(run.tokens.len()))
}

fn begins_clause(tokens: &[TokenWithSpan]) -> bool {
    let second = tokens.get(1);
    let second_word = second.and_then(|t| upper(&t.token));
    match tokens.first().and_then(|t| upper(&t.token)).as_deref() {
        Some("EMIT") => matches!(second_word.as_deref(), Some("ON" | "CHANGES")),
        Some("LATE") => second_word.as_deref() == Some("TO"),
        Some("WITH") => second.is_some_and(|t| t.token == Token::LParen),
        _ => false,
    }
}

fn parse_query(run: TokenRun<'_>) -> Result<Box<datafusion::sql::sqlparser::ast::Query>, SqlError> {
    refuse_session(run)?;
    let mut cursor = run.cursor();
    let query = cursor.lift(|p| p.parse_query())?;
    cursor.expect_end()?;
    Ok(query)
}

/// `SESSION(src PARTITION BY ...)` would fail as a syntax error; it deserves the true reason.
fn refuse_session(run: TokenRun<'_>) -> Result<(), SqlError> {
    for (at, pair) in run.tokens.windows(2).enumerate() {
        if upper(&pair[0].token).as_deref() == Some("SESSION") && pair[1].token == Token::LParen {
            return Err(SqlError::unsupported("session windows are not supported")
                .with_hint("use TUMBLE or HOP")
                .at(run.from(at).cursor().position()));
        }
    }
    Ok(())
}

#[derive(Default)]
struct Clauses {
    emit: Option<EmitClause>,
    late_to: Option<String>,
    options: Vec<SqlOption>,
}

impl Clauses {
    /// The clauses in any order, each at most once.
    fn parse(run: TokenRun<'_>) -> Result<Self, SqlError> {
        let mut clauses = Self::default();
        let mut cursor = run.cursor();
        while !cursor.at_end() {
            let position = cursor.position();
            let repeated = if cursor.take("EMIT") {
                clauses.emit.replace(emit(&mut cursor)?).is_some()
            } else if cursor.take_all(&["LATE", "TO"]) {
                clauses.late_to.replace(cursor.string()?).is_some()
            } else if cursor.take("WITH") {
                let repeated = !clauses.options.is_empty();
                clauses.options.extend(option_list(&mut cursor)?);
                repeated
            } else {
                return Err(cursor.expected("EMIT, LATE TO or WITH"));
            };
            if repeated {
                return Err(SqlError::syntax("the clause is given twice").at(position));
            }
        }
        Ok(clauses)
    }
}

/// Behind `EMIT`.
fn emit(cursor: &mut Cursor<'_>) -> Result<EmitClause, SqlError> {
    if cursor.peek_upper().as_deref() == Some("CHANGES") {
        return Err(SqlError::unsupported("EMIT CHANGES is not supported")
            .with_hint("follow the topic of a materialized view with any Kafka client")
            .at(cursor.position()));
    }
    let mut clause = EmitClause {
        on_close: false,
        on_update: None,
    };
    loop {
        let position = cursor.position();
        cursor.expect("ON")?;
        let repeated = if cursor.take("WINDOW") {
            cursor.expect("CLOSE")?;
            std::mem::replace(&mut clause.on_close, true)
        } else if cursor.take("UPDATE") {
            clause.on_update.replace(every(cursor)?).is_some()
        } else {
            return Err(cursor.expected("WINDOW CLOSE or UPDATE"));
        };
        if repeated {
            return Err(SqlError::syntax("the emission is given twice").at(position));
        }
        if !cursor.take("AND") {
            return Ok(clause);
        }
    }
}

/// `EVERY '100 ms'` or `EVERY INTERVAL '100 ms'`.
fn every(cursor: &mut Cursor<'_>) -> Result<Option<Duration>, SqlError> {
    if !cursor.take("EVERY") {
        return Ok(None);
    }
    cursor.take("INTERVAL");
    let position = cursor.position();
    let mut text = cursor.string()?;
    if let Some(unit) = cursor.peek_upper()
        && text.trim().bytes().all(|b| b.is_ascii_digit())
        && unit != "AND"
    {
        cursor.parser.next_token();
        text = format!("{text} {unit}");
    }
    parse_duration(&text)
        .ok()
        .filter(|every| !every.is_zero())
        .map(Some)
        .ok_or_else(|| SqlError::invalid_value(format!("\"{text}\" is not an interval such as '100 ms'")).at(position))
}

/// `(name = value, ...)`.
fn option_list(cursor: &mut Cursor<'_>) -> Result<Vec<SqlOption>, SqlError> {
    cursor.expect_token(&Token::LParen)?;
    let mut options: Vec<SqlOption> = Vec::new();
    loop {
        let position = cursor.position();
        let name = option_name(cursor)?;
        cursor.expect_token(&Token::Eq)?;
        let value = option_value(cursor)?;
        let option = SqlOption {
            name,
            value,
            position: Some(position),
        };
        add_option(&mut options, option)?;
        if cursor.parser.consume_token(&Token::RParen) {
            return Ok(options);
        }
        cursor.expect_token(&Token::Comma)?;
    }
}

/// Adds an option to those of its statement: each may be given once.
pub(super) fn add_option(options: &mut Vec<SqlOption>, option: SqlOption) -> Result<(), SqlError> {
    if options.iter().any(|o| o.name == option.name) {
        let error = SqlError::syntax(format!("option \"{}\" is given twice", option.name));
        return Err(error.with_hint("leave one of them out").or_at(option.position));
    }
    options.push(option);
    Ok(())
}

/// `a`, `a.b`, `"a.b"` or `'a.b'`.
pub(super) fn option_name(cursor: &mut Cursor<'_>) -> Result<String, SqlError> {
    if let Token::SingleQuotedString(_) = cursor.parser.peek_token_ref().token {
        return cursor.string().map(|name| name.to_lowercase());
    }
    let mut name = cursor.identifier()?;
    while cursor.parser.consume_token(&Token::Period) {
        name.push('.');
        name.push_str(&cursor.identifier()?);
    }
    Ok(name.to_lowercase())
}

/// A string, a number, or a word such as `true`.
pub(super) fn option_value(cursor: &mut Cursor<'_>) -> Result<String, SqlError> {
    if cursor.peek_upper().as_deref() == Some("SECRET") {
        return Err(SqlError::unsupported("secrets are not supported").at(cursor.position()));
    }
    let negative = cursor.parser.consume_token(&Token::Minus);
    let token = cursor.parser.peek_token_ref().token.clone();
    let value = match token {
        Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) if !negative => text,
        Token::DollarQuotedString(text) if !negative => text.value,
        Token::Number(number, _) if negative => format!("-{number}"),
        Token::Number(number, _) => number,
        Token::Word(word) if !negative => word.value,
        _ => return Err(cursor.expected("a value")),
    };
    cursor.parser.next_token();
    Ok(value)
}
