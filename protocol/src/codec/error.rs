//! What can be wrong with bytes that should be a primitive of the protocol.

/// Why a primitive could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The input ends inside the value.
    #[error("needs {needed} bytes where {remaining} remain")]
    Truncated {
        /// Bytes that the value takes.
        needed: usize,
        /// Bytes that are left.
        remaining: usize,
    },
    /// A variable-length integer that is longer, or larger, than its type.
    #[error("variable-length integer does not fit {bits} bits")]
    VarintOverflow {
        /// Width of the type.
        bits: u8,
    },
    /// A length below -1, which stands for nothing.
    #[error("length {length} is negative")]
    NegativeLength {
        /// The length as written.
        length: i64,
    },
    /// Null where the schema allows none.
    #[error("null where a value is required")]
    UnexpectedNull,
    /// A count of elements that cannot fit the bytes left, at one byte each.
    #[error("{count} elements cannot fit {remaining} bytes")]
    CountTooLarge {
        /// Elements announced.
        count: u64,
        /// Bytes that are left.
        remaining: usize,
    },
    /// Text that is not UTF-8.
    #[error("text is not UTF-8")]
    InvalidUtf8,
    /// Bytes behind the end of the value.
    #[error("{count} bytes behind the end")]
    TrailingBytes {
        /// How many.
        count: usize,
    },
}
