//! How a command fails: a message for stderr and an exit code that scripts can tell apart.

use std::fmt;
use std::process::ExitCode;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) struct CliError {
    kind: Kind,
    message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Failed = 1,
    Usage = 2,
    NotFound = 3,
    TimedOut = 4,
}

impl CliError {
    /// Exit code 1: it was tried and went wrong.
    pub(crate) fn failed(message: impl Into<String>) -> CliError {
        CliError {
            kind: Kind::Failed,
            message: message.into(),
        }
    }

    /// Exit code 2: the command line or a file makes no sense.
    pub(crate) fn usage(message: impl Into<String>) -> CliError {
        CliError {
            kind: Kind::Usage,
            message: message.into(),
        }
    }

    /// Exit code 3: what was named does not exist.
    pub(crate) fn not_found(message: impl Into<String>) -> CliError {
        CliError {
            kind: Kind::NotFound,
            message: message.into(),
        }
    }

    /// Exit code 4: no answer in time.
    pub(crate) fn timed_out(message: impl Into<String>) -> CliError {
        CliError {
            kind: Kind::TimedOut,
            message: message.into(),
        }
    }

    /// The process's exit code.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.kind as u8)
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CliError {}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> CliError {
        CliError::failed(error.to_string())
    }
}

impl From<KafkaError> for CliError {
    fn from(error: KafkaError) -> CliError {
        let code = match error {
            // The crate gives no code for what the admin client says.
            KafkaError::AdminOp(code) => Some(code),
            _ => error.rdkafka_error_code(),
        };
        match code {
            Some(code) => CliError::from_code(code, error.to_string()),
            None => CliError::failed(error.to_string()),
        }
    }
}

impl CliError {
    /// A broker's or librdkafka's error code, with the message to show.
    pub(crate) fn from_code(code: RDKafkaErrorCode, message: String) -> CliError {
        match code {
            RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownPartition
            | RDKafkaErrorCode::GroupIdNotFound => CliError::not_found(message),
            RDKafkaErrorCode::OperationTimedOut
            | RDKafkaErrorCode::MessageTimedOut
            | RDKafkaErrorCode::RequestTimedOut
            | RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::AllBrokersDown => CliError::timed_out(message),
            _ => CliError::failed(message),
        }
    }
}
