//! Our SQL dialect: PostgreSQL's, with Flink's `TABLE name` as an argument and `FOR SYSTEM_TIME AS OF` recognised (so
//! that it is refused by name instead of dropped).
//!
//! The parser asks for the concrete dialect in almost a hundred places, so the wrapper answers with PostgreSQL's type id
//! and passes on every method that PostgreSQL's dialect overrides.

use std::any::TypeId;
use std::cell::Cell;

use datafusion::sql::sqlparser::ast::{Expr, Ident};
use datafusion::sql::sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

const BASE: PostgreSqlDialect = PostgreSqlDialect {};

/// The dialect, and how many steps the parser may still take in it.
///
/// The parser reads a special word such as `CASE` or `CAST` once more as a name when what follows it is wrong: every level
/// of nesting doubles the time until a mistake at the bottom is reported. It asks the dialect first at every expression,
/// and that is where a parse that has gone on for too long ends.
#[derive(Debug)]
pub struct TidemillDialect {
    steps_left: Cell<usize>,
}

impl TidemillDialect {
    /// A dialect for a parse that may begin this many expressions, those that it begins again included.
    #[must_use]
    pub fn with_steps(steps: usize) -> Self {
        Self {
            steps_left: Cell::new(steps),
        }
    }

    /// True when the parse needed all of its steps: it was ended, and its error tells nothing else.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.steps_left.get() == 0
    }

    /// Takes a step; false when none is left.
    fn step(&self) -> bool {
        let left = self.steps_left.get();
        self.steps_left.set(left.saturating_sub(1));
        left > 1
    }
}

macro_rules! as_postgres {
    ($($method:ident),* $(,)?) => {
        $(fn $method(&self) -> bool { BASE.$method() })*
    };
}

impl Dialect for TidemillDialect {
    fn dialect(&self) -> TypeId {
        TypeId::of::<PostgreSqlDialect>()
    }

    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        BASE.identifier_quote_style(identifier)
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        BASE.is_delimited_identifier_start(ch)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        BASE.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        BASE.is_identifier_part(ch)
    }

    fn is_reserved_for_identifier(&self, kw: Keyword) -> bool {
        BASE.is_reserved_for_identifier(kw)
    }

    fn is_custom_operator_part(&self, ch: char) -> bool {
        BASE.is_custom_operator_part(ch)
    }

    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        BASE.get_next_precedence(parser)
    }

    fn prec_value(&self, prec: Precedence) -> u8 {
        BASE.prec_value(prec)
    }

    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        if !self.step() {
            // The one error that the parser passes on instead of trying something else.
            return Some(Err(ParserError::RecursionLimitExceeded));
        }
        parse_table_argument(parser)
    }

    fn supports_table_versioning(&self) -> bool {
        true
    }

    as_postgres!(
        supports_unicode_string_literal,
        supports_filter_during_aggregation,
        supports_group_by_expr,
        allow_extract_custom,
        allow_extract_single_quotes,
        supports_create_index_with_clause,
        supports_explain_with_utility_options,
        supports_listen_notify,
        supports_factorial_operator,
        supports_bitwise_shift_operators,
        supports_comment_on,
        supports_load_extension,
        supports_named_fn_args_with_colon_operator,
        supports_named_fn_args_with_expr_name,
        supports_empty_projections,
        supports_nested_comments,
        supports_string_escape_constant,
        supports_numeric_literal_underscores,
        supports_array_typedef_with_brackets,
        supports_geometric_types,
        supports_set_names,
        supports_alter_column_type_using,
        supports_notnull_operator,
        supports_interval_options,
        supports_insert_table_alias,
        supports_create_table_like_parenthesized,
        supports_select_wildcard_with_alias,
        supports_comma_separated_trim,
        supports_xml_expressions,
        supports_comment_optimizer_hint,
    );
}

/// `TABLE name` in an expression stands for the name: `TUMBLE(TABLE bid, ...)`.
fn parse_table_argument(parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
    let next = parser.peek_nth_token(1).token;
    let is_table = matches!(parser.peek_token().token, Token::Word(word) if word.keyword == Keyword::TABLE);
    if !is_table || !matches!(next, Token::Word(_)) {
        return None;
    }
    parser.next_token();
    Some(parser.parse_object_name(false).map(|name| {
        let mut parts: Vec<Ident> = name.0.iter().filter_map(|part| part.as_ident().cloned()).collect();
        match parts.len() {
            1 => Expr::Identifier(parts.remove(0)),
            _ => Expr::CompoundIdentifier(parts),
        }
    }))
}
