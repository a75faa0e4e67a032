//! What a statement answers when it fails: a PostgreSQL SQLSTATE, a message that names the object, where it can be told
//! the position in the text, and a hint where one helps.

use std::fmt;

use crate::ports::PortError;

/// A five-character SQLSTATE of PostgreSQL's table (its appendix A).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SqlState(pub &'static str);

impl SqlState {
    /// feature_not_supported
    pub const FEATURE_NOT_SUPPORTED: Self = Self("0A000");
    /// cardinality_violation
    pub const CARDINALITY_VIOLATION: Self = Self("21000");
    /// numeric_value_out_of_range
    pub const NUMERIC_OUT_OF_RANGE: Self = Self("22003");
    /// division_by_zero
    pub const DIVISION_BY_ZERO: Self = Self("22012");
    /// invalid_parameter_value
    pub const INVALID_PARAMETER_VALUE: Self = Self("22023");
    /// invalid_text_representation
    pub const INVALID_TEXT: Self = Self("22P02");
    /// data_exception
    pub const DATA_EXCEPTION: Self = Self("22000");
    /// dependent_objects_still_exist
    pub const DEPENDENT_OBJECTS: Self = Self("2BP01");
    /// syntax_error
    pub const SYNTAX_ERROR: Self = Self("42601");
    /// undefined_column
    pub const UNDEFINED_COLUMN: Self = Self("42703");
    /// undefined_function
    pub const UNDEFINED_FUNCTION: Self = Self("42883");
    /// undefined_table
    pub const UNDEFINED_TABLE: Self = Self("42P01");
    /// undefined_parameter
    pub const UNDEFINED_PARAMETER: Self = Self("42P02");
    /// undefined_object
    pub const UNDEFINED_OBJECT: Self = Self("42704");
    /// duplicate_column
    pub const DUPLICATE_COLUMN: Self = Self("42701");
    /// ambiguous_column
    pub const AMBIGUOUS_COLUMN: Self = Self("42702");
    /// duplicate_table
    pub const DUPLICATE_TABLE: Self = Self("42P07");
    /// grouping_error
    pub const GROUPING_ERROR: Self = Self("42803");
    /// datatype_mismatch
    pub const DATATYPE_MISMATCH: Self = Self("42804");
    /// wrong_object_type
    pub const WRONG_OBJECT_TYPE: Self = Self("42809");
    /// invalid_table_definition
    pub const INVALID_DEFINITION: Self = Self("42P16");
    /// invalid_object_definition
    pub const INVALID_OBJECT_DEFINITION: Self = Self("42P17");
    /// invalid_name
    pub const INVALID_NAME: Self = Self("42602");
    /// configuration_limit_exceeded
    pub const CONFIGURATION_LIMIT: Self = Self("53400");
    /// out_of_memory
    pub const OUT_OF_MEMORY: Self = Self("53200");
    /// program_limit_exceeded
    pub const PROGRAM_LIMIT: Self = Self("54000");
    /// statement_too_complex
    pub const TOO_COMPLEX: Self = Self("54001");
    /// object_in_use
    pub const OBJECT_IN_USE: Self = Self("55006");
    /// object_not_in_prerequisite_state
    pub const NOT_IN_STATE: Self = Self("55000");
    /// query_canceled
    pub const QUERY_CANCELED: Self = Self("57014");
    /// admin_shutdown
    pub const ADMIN_SHUTDOWN: Self = Self("57P01");
    /// cannot_connect_now
    pub const CANNOT_CONNECT_NOW: Self = Self("57P03");
    /// io_error
    pub const IO_ERROR: Self = Self("58030");
    /// internal_error
    pub const INTERNAL: Self = Self("XX000");
    /// data_corrupted
    pub const DATA_CORRUPTED: Self = Self("XX001");
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Why a statement failed. Nothing of a failed statement stays behind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SqlError {
    /// The SQLSTATE.
    pub code: SqlState,
    /// What is wrong, naming the object.
    pub message: String,
    /// What to do instead.
    pub hint: Option<String>,
    /// Where in the statement, in characters from 1, as PostgreSQL counts.
    pub position: Option<usize>,
}

impl SqlError {
    /// An error of any kind.
    pub fn new(code: SqlState, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
            position: None,
        }
    }

    /// The statement is not SQL as we know it.
    pub fn syntax(message: impl Into<String>) -> Self {
        Self::new(SqlState::SYNTAX_ERROR, message)
    }

    /// The statement is understood, and refused because the thing is not supported.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(SqlState::FEATURE_NOT_SUPPORTED, message)
    }

    /// No relation of that name.
    pub fn undefined_table(name: &str) -> Self {
        Self::new(SqlState::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist"))
    }

    /// The name is taken.
    pub fn duplicate_table(name: &str) -> Self {
        Self::new(SqlState::DUPLICATE_TABLE, format!("relation \"{name}\" already exists"))
    }

    /// An option or parameter has a value that it cannot have.
    pub fn invalid_value(message: impl Into<String>) -> Self {
        Self::new(SqlState::INVALID_PARAMETER_VALUE, message)
    }

    /// A bug of ours.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(SqlState::INTERNAL, message)
    }

    /// Adds what to do instead.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the position, in characters from 1.
    #[must_use]
    pub fn at(mut self, position: usize) -> Self {
        self.position = Some(position);
        self
    }

    /// Adds the position unless one is known already.
    #[must_use]
    pub fn or_at(mut self, position: Option<usize>) -> Self {
        self.position = self.position.or(position);
        self
    }
}

impl From<PortError> for SqlError {
    fn from(error: PortError) -> Self {
        let code = match &error {
            PortError::TopicExists(_) => SqlState::DUPLICATE_TABLE,
            PortError::UnknownTopic(_) => SqlState::UNDEFINED_TABLE,
            PortError::Invalid(_) => SqlState::INVALID_PARAMETER_VALUE,
            PortError::Fenced(_) => SqlState::OBJECT_IN_USE,
            PortError::Storage(_) => SqlState::IO_ERROR,
            PortError::ShuttingDown => SqlState::ADMIN_SHUTDOWN,
        };
        Self::new(code, error.to_string())
    }
}
