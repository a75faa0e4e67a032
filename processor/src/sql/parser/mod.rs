//! Text to [`Statement`]. DataFusion's parser (sqlparser) reads expressions, types and queries; the statements around
//! them are ours.
//!
//! The streaming clauses behind a query (`EMIT`, `LATE TO`, `WITH (...)`) are cut off before sqlparser sees the query:
//! it would take `EMIT` for an alias of the table before it and `WITH (` for table hints.

use datafusion::sql::sqlparser::ast::Ident;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use super::dialect::TidemillDialect;
use super::statement::Statement;
use crate::error::{SqlError, SqlState};

mod clauses;
mod create;
mod show;

#[cfg(test)]
mod tests;

/// Operators that one statement may chain (`a OR b OR c ...`). A chain is a tree as deep as it is long, and whoever walks
/// or drops it needs as much stack, and DataFusion more than proportional time; IN and VALUES take lists of any length.
pub(crate) const TERMS_MAX: usize = 250;

/// Tokens that a statement may have.
const TOKENS_MAX: usize = 200_000;

/// Nesting of expressions and subqueries.
const DEPTH_MAX: usize = 60;

/// Expressions that a parse may begin for every token, those that it begins again after a wrong guess included: see
/// [`TidemillDialect`]. A statement without wrong guesses begins fewer than one.
const STEPS_PER_TOKEN: usize = 8;

/// What a short statement may begin on top.
const STEPS_MIN: usize = 20_000;

/// Parses one statement of at most `bytes_max` bytes. A `;` may end it.
pub fn parse(sql: &str, bytes_max: usize) -> Result<Statement, SqlError> {
    if bytes_max < sql.len() {
        return Err(SqlError::new(
            SqlState::PROGRAM_LIMIT,
            format!("the statement has {} bytes; at most {bytes_max} are allowed", sql.len()),
        ));
    }
    let mut tokens = tokenize(sql)?;
    while tokens.last().is_some_and(|t| t.token == Token::SemiColon) {
        tokens.pop();
    }
    if TOKENS_MAX < tokens.len() {
        return Err(SqlError::new(
            SqlState::TOO_COMPLEX,
            format!(
                "the statement has {} words and signs; at most {TOKENS_MAX} are allowed",
                tokens.len()
            ),
        ));
    }
    if tokens.is_empty() {
        return Err(SqlError::syntax("the statement is empty"));
    }
    if TERMS_MAX < tokens.iter().filter(|t| is_operator(&t.token)).count() {
        return Err(SqlError::new(
            SqlState::TOO_COMPLEX,
            format!("the statement has more than {TERMS_MAX} operators"),
        )
        .with_hint("compare with a list by IN (...) or = ANY (...)"));
    }
    if let Some(second) = tokens.iter().find(|t| t.token == Token::SemiColon) {
        return Err(
            SqlError::syntax("only one statement can be given at a time").at(char_position(sql, second.span.start))
        );
    }
    let dialect = TidemillDialect::with_steps(STEPS_MIN + STEPS_PER_TOKEN * tokens.len());
    let source = TokenRun {
        sql,
        tokens: &tokens,
        dialect: &dialect,
    };
    let parsed = source.statement();
    if dialect.is_exhausted() {
        return Err(SqlError::new(
            SqlState::TOO_COMPLEX,
            "the statement has a mistake so deep in nested expressions that its place cannot be told",
        )
        .with_hint("try its innermost expression alone"));
    }
    parsed
}

/// Splits a script into its statements, without their semicolons. Comments and empty statements are left out.
pub fn split(script: &str) -> Result<Vec<String>, SqlError> {
    let tokens = tokenize(script)?;
    let mut statements = Vec::new();
    for run in tokens.split(|t| t.token == Token::SemiColon) {
        if let (Some(first), Some(last)) = (run.first(), run.last()) {
            let from = byte_position(script, first.span.start);
            let to = byte_position(script, last.span.end);
            statements.push(script[from..to].to_owned());
        }
    }
    Ok(statements)
}

/// The tokens of a text without white space and comments.
fn tokenize(sql: &str) -> Result<Vec<TokenWithSpan>, SqlError> {
    let mut tokens = Tokenizer::new(&TidemillDialect::with_steps(0), sql)
        .tokenize_with_location()
        .map_err(|e| SqlError::syntax(decapitalize(&e.message)).at(char_position(sql, e.location)))?;
    tokens.retain(|t| !matches!(t.token, Token::Whitespace(_)));
    Ok(tokens)
}

/// A run of tokens of a statement's text, to be parsed as a whole.
#[derive(Clone, Copy)]
struct TokenRun<'a> {
    sql: &'a str,
    tokens: &'a [TokenWithSpan],
    dialect: &'a TidemillDialect,
}

/// sqlparser's parser over a run of tokens, with helpers for words that are no keywords of its own.
struct Cursor<'a> {
    source: TokenRun<'a>,
    parser: Parser<'a>,
    /// Where the run ends: the position of an error at its end.
    end: Location,
}

impl<'a> TokenRun<'a> {
    fn cursor(self) -> Cursor<'a> {
        let end = self.tokens.last().map_or(Location::new(1, 1), |t| t.span.end);
        let parser = Parser::new(self.dialect)
            .with_recursion_limit(DEPTH_MAX)
            .with_tokens_with_locations(self.tokens.to_vec());
        Cursor {
            source: self,
            parser,
            end,
        }
    }

    fn from(self, index: usize) -> Self {
        Self {
            tokens: self.tokens.get(index..).unwrap_or_default(),
            ..self
        }
    }

    /// Parses the whole run as one statement.
    fn statement(self) -> Result<Statement, SqlError> {
        let mut cursor = self.cursor();
        match cursor.peek_upper().as_deref() {
            Some("CREATE") => create::create(cursor),
            Some("DROP") => create::drop_object(cursor),
            Some("SHOW") => show::show(cursor),
            Some("DESCRIBE" | "DESC") => show::describe(cursor),
            Some("EXPLAIN") => show::explain(cursor),
            Some("SET") => show::set(cursor),
            Some("RESET") => show::reset(cursor),
            Some("SELECT" | "WITH" | "VALUES" | "TABLE") | None => clauses::bounded_query(self),
            Some(word) => Err(cursor.refuse_first(word)),
        }
    }
}

impl<'a> Cursor<'a> {
    /// The next word in upper case, unless it is quoted or no word.
    fn peek_upper(&mut self) -> Option<String> {
        upper(&self.parser.peek_token_ref().token)
    }

    fn peek_nth_upper(&mut self, n: usize) -> Option<String> {
        upper(&self.parser.peek_nth_token_ref(n).token)
    }

    /// Takes the next word if it is this one (upper case).
    fn take(&mut self, word: &str) -> bool {
        if self.peek_upper().as_deref() != Some(word) {
            return false;
        }
        self.parser.next_token();
        true
    }

    /// Takes these words if all of them come next.
    fn take_all(&mut self, words: &[&str]) -> bool {
        for (n, word) in words.iter().enumerate() {
            if self.peek_nth_upper(n).as_deref() != Some(*word) {
                return false;
            }
        }
        for _ in words {
            self.parser.next_token();
        }
        true
    }

    fn expect(&mut self, word: &str) -> Result<(), SqlError> {
        if self.take(word) {
            return Ok(());
        }
        Err(self.expected(word))
    }

    fn expect_token(&mut self, token: &Token) -> Result<(), SqlError> {
        if self.parser.consume_token(token) {
            return Ok(());
        }
        Err(self.expected(&token.to_string()))
    }

    fn at_end(&mut self) -> bool {
        self.parser.peek_token_ref().token == Token::EOF
    }

    fn expect_end(&mut self) -> Result<(), SqlError> {
        if self.at_end() {
            return Ok(());
        }
        Err(self.expected("the end of the statement"))
    }

    /// The error for what comes next.
    fn expected(&mut self, what: &str) -> SqlError {
        let found = self.parser.peek_token_ref();
        let text = match found.token {
            Token::EOF => "the end".to_owned(),
            _ => format!("\"{}\"", found.token),
        };
        SqlError::syntax(format!("expected {what}, found {text}")).at(self.position())
    }

    /// Where the next token stands, in characters from 1.
    fn position(&mut self) -> usize {
        let location = match self.parser.peek_token_ref() {
            t if t.token == Token::EOF => self.end,
            t => t.span.start,
        };
        char_position(self.source.sql, location)
    }

    /// A name: one identifier, `public.` before it allowed. Unquoted names are folded to lower case.
    fn name(&mut self) -> Result<String, SqlError> {
        let position = self.position();
        let name = self.lift(|p| p.parse_object_name(false))?;
        let parts: Vec<String> = name
            .0
            .iter()
            .filter_map(|part| part.as_ident())
            .map(normalize)
            .collect();
        match parts.as_slice() {
            [name] => Ok(name.clone()),
            [schema, name] if schema == "public" => Ok(name.clone()),
            _ => Err(SqlError::unsupported(format!("name {name}: schemas are not supported"))
                .with_hint("a name with dots must be quoted as a whole, such as \"my.topic\"")
                .at(position)),
        }
    }

    fn identifier(&mut self) -> Result<String, SqlError> {
        self.lift(Parser::parse_identifier).map(|ident| normalize(&ident))
    }

    fn string(&mut self) -> Result<String, SqlError> {
        self.lift(Parser::parse_literal_string)
    }

    fn if_not_exists(&mut self) -> bool {
        self.take_all(&["IF", "NOT", "EXISTS"])
    }

    /// Runs a parser of sqlparser's.
    fn lift<T>(&mut self, parse: impl FnOnce(&mut Parser<'a>) -> Result<T, ParserError>) -> Result<T, SqlError> {
        parse(&mut self.parser).map_err(|e| syntax_error(e, self.source.sql, self.end))
    }

    /// What is left of the run.
    fn rest(&self) -> TokenRun<'a> {
        self.source.from(self.parser.index())
    }

    fn refuse_first(&mut self, word: &str) -> SqlError {
        const KNOWN: &[&str] = &[
            "ALTER",
            "PAUSE",
            "RESUME",
            "SUBSCRIBE",
            "INSERT",
            "UPDATE",
            "DELETE",
            "MERGE",
            "TRUNCATE",
            "COPY",
            "BEGIN",
            "START",
            "COMMIT",
            "ROLLBACK",
            "END",
            "PREPARE",
            "EXECUTE",
            "DEALLOCATE",
            "DECLARE",
            "FETCH",
            "CLOSE",
            "GRANT",
            "REVOKE",
            "ANALYZE",
            "VACUUM",
            "CALL",
            "COMMENT",
            "LISTEN",
            "NOTIFY",
            "LOCK",
            "REFRESH",
            "EXPORT",
            "USE",
        ];
        if KNOWN.contains(&word) {
            let error = SqlError::unsupported(format!("{word} is not supported")).at(self.position());
            return match word {
                "INSERT" => error.with_hint("a query that writes to a topic is CREATE SINK ... AS SELECT ... WITH (connector = 'topic', topic = '...')"),
                "ALTER" => error.with_hint("drop the object and create it again"),
                _ => error,
            };
        }
        self.expected("a statement")
    }
}

/// Signs and words that chain expressions or queries. A minus before a number of a list counts too, which is no loss.
fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(word) => {
            matches!(
                word.keyword,
                Keyword::AND
                    | Keyword::OR
                    | Keyword::NOT
                    | Keyword::UNION
                    | Keyword::EXCEPT
                    | Keyword::INTERSECT
                    | Keyword::JOIN
            ) && word.quote_style.is_none()
        }
        Token::Plus | Token::Minus | Token::Mul | Token::Div | Token::Mod | Token::StringConcat | Token::Caret => true,
        Token::Arrow | Token::LongArrow | Token::DoubleColon | Token::LBracket => true,
        _ => false,
    }
}

fn upper(token: &Token) -> Option<String> {
    match token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_ascii_uppercase()),
        _ => None,
    }
}

/// The name that an identifier means.
pub(crate) fn normalize(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    }
}

/// sqlparser's error as ours; it writes the location behind the message.
fn syntax_error(error: ParserError, sql: &str, end: Location) -> SqlError {
    let message = match error {
        ParserError::RecursionLimitExceeded => {
            return SqlError::new(
                SqlState::TOO_COMPLEX,
                format!("the statement nests deeper than {DEPTH_MAX} levels"),
            );
        }
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message,
    };
    let (text, location) = match message.rsplit_once(" at Line: ") {
        Some((text, place)) => (text.to_owned(), parse_location(place)),
        None => (message, None),
    };
    let text = decapitalize(&text)
        .replacen("expected: ", "expected ", 1)
        .replacen("found: EOF", "found: the end", 1);
    SqlError::syntax(text).at(char_position(sql, location.unwrap_or(end)))
}

/// `12, Column: 3`
fn parse_location(place: &str) -> Option<Location> {
    let (line, column) = place.split_once(", Column: ")?;
    Some(Location::new(line.parse().ok()?, column.parse().ok()?))
}

fn decapitalize(message: &str) -> String {
    let mut characters = message.chars();
    match characters.next() {
        Some(first) => first.to_lowercase().chain(characters).collect(),
        None => String::new(),
    }
}

/// A location as PostgreSQL counts: characters from 1.
pub(crate) fn char_position(sql: &str, location: Location) -> usize {
    sql[..byte_position(sql, location)].chars().count() + 1
}

/// A location (line and column from 1, columns in characters) as a byte of the text.
fn byte_position(sql: &str, location: Location) -> usize {
    let (mut line, mut column) = (1, 1);
    for (at, character) in sql.char_indices() {
        if (location.line, location.column) <= (line, column) {
            return at;
        }
        if character == '\n' {
            line += 1;
            column = 1;
        } else {
            column += 1;
        }
    }
    sql.len()
}
