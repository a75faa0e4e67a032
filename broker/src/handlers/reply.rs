//! From bytes to a request and from a response to bytes.

use bytes::Bytes;
use protocol::ErrorCode;
use protocol::messages::{
    FetchResponse, ProduceResponse, RequestMessage, ResponseMessage, decode_request, encode_response,
};

use super::context::RequestContext;
use super::first_error::FirstError;
use crate::network::fetch_response::encode_fetch;
use crate::network::response::ResponseFrame;

/// How a request that was understood ends.
#[derive(Debug)]
pub enum Reply {
    /// With a response.
    Frame {
        /// The response.
        frame: ResponseFrame,
        /// The first error it tells of, for the metrics.
        code: ErrorCode,
    },
    /// With silence: Produce with acks=0.
    None,
}

/// Why a connection is closed without an answer. Logged, never sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// The frame does not start with a request header.
    #[error("malformed request header: {0}")]
    Header(String),
    /// A handler panicked.
    #[error("the handler of {api} panicked: {reason}")]
    Panicked {
        /// Name of the API.
        api: &'static str,
        /// What it said.
        reason: String,
    },
    /// No such API here.
    #[error("unknown api key {0}")]
    UnknownApi(i16),
    /// A known API in a version that is not served; there is no encoding to say so in.
    #[error("{api} version {version} is not served")]
    UnsupportedVersion {
        /// Name of the API.
        api: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// The body does not decode.
    #[error("malformed {api} request: {reason}")]
    Malformed {
        /// Name of the API.
        api: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The response cannot be expressed in the version asked for: a defect of the handler.
    #[error("a response could not be encoded: {0}")]
    Encode(String),
    /// Produce with acks=0 failed; closing makes the client refresh its metadata.
    #[error("produce without acknowledgement failed")]
    SilentProduceFailed,
}

/// Checks the counts and lengths of a body against its size, then decodes it. Texts and records share its memory.
pub fn decode<T: RequestMessage>(version: i16, body: Bytes) -> Result<T, CloseReason> {
    decode_request(version, body).map_err(|error| CloseReason::Malformed {
        api: T::KEY.name(),
        reason: error.to_string(),
    })
}

/// An ordinary response.
pub fn body<T: ResponseMessage + FirstError>(context: &RequestContext, response: T) -> Result<Reply, CloseReason> {
    let frame = encode(context.correlation_id, context.api_version, &response)?;
    Ok(Reply::Frame {
        frame,
        code: response.first_error(),
    })
}

/// A Fetch response, whose records go out from where they lie.
pub fn fetch(context: &RequestContext, response: FetchResponse) -> Result<Reply, CloseReason> {
    let code = response.first_error();
    let frame = encode_fetch(context.correlation_id, context.api_version, response)
        .map_err(|error| CloseReason::Encode(error.to_string()))?;
    Ok(Reply::Frame { frame, code })
}

/// A Produce response, or nothing for acks=0.
pub fn unless_silent(
    context: &RequestContext,
    response: Result<Option<ProduceResponse>, CloseReason>,
) -> Result<Reply, CloseReason> {
    match response? {
        Some(response) => body(context, response),
        None => Ok(Reply::None),
    }
}

/// Length, header and body of a response in one piece.
pub fn encode<T: ResponseMessage>(
    correlation_id: i32,
    version: i16,
    response: &T,
) -> Result<ResponseFrame, CloseReason> {
    let bytes =
        encode_response(version, correlation_id, response).map_err(|error| CloseReason::Encode(error.to_string()))?;
    Ok(ResponseFrame { parts: vec![bytes] })
}
