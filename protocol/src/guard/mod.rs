//! Walks an untrusted request body by its schema before the message codec sees it.
//!
//! The codec reserves memory for whatever count it reads, so a frame of ten bytes could ask for gigabytes. The walk
//! allocates nothing. It checks that every length and count fits the bytes that are left, that null stands only where it
//! may, that tagged fields are as long as they say, that the body ends where its schema ends, and that the decoded form
//! (a two-byte topic name becomes a struct of a hundred) stays within [`DecodeLimits`].
//!
//! Text is not checked for being UTF-8: the codec does that.

mod schema;
#[cfg(test)]
mod tests;
mod walk;

pub use self::walk::Footprint;
use self::{
    schema::Schema,
    walk::{Walk, WalkFault},
};
use crate::{api_key::ApiKey, codec::DecodeError, limits::DecodeLimits};

/// Why a request body is refused. There is no answer to such a request: close the connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GuardError {
    /// No schema for this API in this version: it must not be advertised.
    #[error("no schema for {api_key} v{version}")]
    NoSchema {
        /// Which API.
        api_key: ApiKey,
        /// Which version.
        version: i16,
    },
    /// The bytes do not follow the schema.
    #[error("{api_key} v{version}: {field} at byte {position}: {source}")]
    Malformed {
        /// Which API.
        api_key: ApiKey,
        /// Which version.
        version: i16,
        /// The field in which it shows.
        field: &'static str,
        /// Where in the body.
        position: usize,
        /// What is wrong.
        source: DecodeError,
    },
    /// A tagged field whose announced size is not that of its value.
    #[error("{api_key} v{version}: tagged field {field} is {actual} bytes where {announced} were announced")]
    TagSize {
        /// Which API.
        api_key: ApiKey,
        /// Which version.
        version: i16,
        /// The field.
        field: &'static str,
        /// Bytes that the tag buffer says.
        announced: usize,
        /// Bytes that the value takes.
        actual: usize,
    },
    /// A tagged field that the version does not have.
    #[error("{api_key} v{version}: tagged field {field} is not part of this version")]
    TagVersion {
        /// Which API.
        api_key: ApiKey,
        /// Which version.
        version: i16,
        /// The field.
        field: &'static str,
    },
    /// More unknown tagged fields than anybody needs.
    #[error("{api_key} v{version}: more than {max} unknown tagged fields")]
    TooManyTags {
        /// Which API.
        api_key: ApiKey,
        /// Which version.
        version: i16,
        /// The limit.
        max: usize,
    },
    /// The decoded request would take too much memory.
    #[error("{api_key} v{version}: {field} at byte {position} takes the decoded request beyond {max} bytes")]
    TooCostly {
        /// Which API.
        api_key: ApiKey,
        /// Which version.
        version: i16,
        /// The array at which the limit is passed.
        field: &'static str,
        /// Where in the body.
        position: usize,
        /// The limit.
        max: usize,
    },
}

/// Checks a request body under the default limits.
///
/// # Errors
/// [`GuardError`].
pub fn check(api_key: ApiKey, version: i16, body: &[u8]) -> Result<(), GuardError> {
    measure(api_key, version, body, &DecodeLimits::DEFAULT).map(|_| ())
}

/// Checks a request body and says what its decoded form takes.
///
/// # Errors
/// [`GuardError`].
pub fn measure(api_key: ApiKey, version: i16, body: &[u8], limits: &DecodeLimits) -> Result<Footprint, GuardError> {
    let Some(schema) = Schema::find(api_key, version) else {
        return Err(GuardError::NoSchema { api_key, version });
    };
    let mut walk = Walk::new(body, version, api_key.is_flexible(version), limits);
    walk.whole(schema.body).map_err(|fault| fault.at(api_key, version))
}

/// Lowest and highest version that [`check`] has a schema for.
#[must_use]
pub fn versions(api_key: ApiKey) -> Option<(i16, i16)> {
    Schema::of(api_key).map(|schema| schema.versions)
}

impl WalkFault {
    fn at(self, api_key: ApiKey, version: i16) -> GuardError {
        match self {
            Self::Malformed {
                field,
                position,
                source,
            } => GuardError::Malformed {
                api_key,
                version,
                field,
                position,
                source,
            },
            Self::TagSize {
                field,
                announced,
                actual,
            } => GuardError::TagSize {
                api_key,
                version,
                field,
                announced,
                actual,
            },
            Self::TagVersion { field } => GuardError::TagVersion {
                api_key,
                version,
                field,
            },
            Self::TooManyTags { max } => GuardError::TooManyTags { api_key, version, max },
            Self::TooCostly { field, position, max } => GuardError::TooCostly {
                api_key,
                version,
                field,
                position,
                max,
            },
        }
    }
}
