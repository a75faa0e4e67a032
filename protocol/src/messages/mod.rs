//! Request and response bodies.
//!
//! The types are those of the codec crate, re-exported; this module is the only way in and out, because the crate trusts
//! the counts that it reads: [`decode_request`] sends every body past [`crate::guard`] first. What the crate lacks is
//! added here by hand: the requests of `OffsetCommit` and `OffsetFetch` version 10, which name topics by id, and
//! `ListOffsets` version 11, which has the bytes of version 10.

mod offset_commit;
mod offset_fetch;
#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;

use bytes::{BufMut, Bytes, BytesMut};
pub use kafka_protocol::messages::*;
pub use kafka_protocol::protocol::StrBytes;
use kafka_protocol::protocol::{Decodable, Encodable};

/// Shadows the codec crate's enum, which lacks the withdrawn and the newest keys.
pub use crate::api_key::ApiKey;
/// Shadows the codec crate's struct.
pub use crate::header::RequestHeader;
use crate::{
    guard::{self, GuardError},
    header::{self, HeaderError},
    limits::DecodeLimits,
};

/// Why a request body could not be decoded. There is no answer to such a request: close the connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeRequestError {
    /// The body does not follow its schema, or would cost too much.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The codec refuses what the guard let through, such as text that is not UTF-8.
    #[error("{api_key} v{version}: {reason}")]
    Codec {
        /// Which API.
        api_key: ApiKey,
        /// Which version.
        version: i16,
        /// What the codec says.
        reason: String,
    },
}

/// A message that cannot be written in a version, because it uses what the version cannot say. A mistake of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{api_key} v{version} cannot carry this message: {reason}")]
pub struct EncodeMessageError {
    /// Which API.
    pub api_key: ApiKey,
    /// Which version.
    pub version: i16,
    /// What the codec says.
    pub reason: String,
}

/// Why a response could not be decoded; for clients and tests.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeResponseError {
    /// The header is malformed.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The body is malformed.
    #[error("{api_key} v{version}: {reason}")]
    Codec {
        /// Which API.
        api_key: ApiKey,
        /// Which version.
        version: i16,
        /// What the codec says.
        reason: String,
    },
}

/// A request body of one API. Implemented for the requests that have a schema in [`crate::guard`].
pub trait RequestMessage: Sized {
    /// The API.
    const KEY: ApiKey;
    /// What answers it.
    type Response: ResponseMessage;

    /// Decodes a body that the guard has passed. Use [`decode_request`].
    ///
    /// # Errors
    /// What the codec says.
    fn decode_body(body: &mut Bytes, version: i16) -> Result<Self, String>;

    /// Writes the body, as a client would. Use [`encode_request`].
    ///
    /// # Errors
    /// What the codec says.
    fn encode_body(&self, out: &mut BytesMut, version: i16) -> Result<(), String>;
}

/// A response body of one API.
pub trait ResponseMessage: Sized {
    /// The API.
    const KEY: ApiKey;

    /// Bytes of the body in this version.
    ///
    /// # Errors
    /// What the codec says.
    fn body_len(&self, version: i16) -> Result<usize, String>;

    /// Writes the body. Use [`encode_response`].
    ///
    /// # Errors
    /// What the codec says.
    fn encode_body(&self, out: &mut BytesMut, version: i16) -> Result<(), String>;

    /// Decodes a body, as a client would; trusts its counts. Use [`decode_response`].
    ///
    /// # Errors
    /// What the codec says.
    fn decode_body(body: &mut Bytes, version: i16) -> Result<Self, String>;
}

/// Decodes a request body under the default limits, after the guard has walked it.
///
/// # Errors
/// [`DecodeRequestError`].
pub fn decode_request<T: RequestMessage>(version: i16, body: Bytes) -> Result<T, DecodeRequestError> {
    decode_request_within(version, body, &DecodeLimits::DEFAULT)
}

/// Decodes a request body under the limits given, after the guard has walked it. Strings and records share the body's
/// memory.
///
/// # Errors
/// [`DecodeRequestError`].
pub fn decode_request_within<T: RequestMessage>(
    version: i16,
    mut body: Bytes,
    limits: &DecodeLimits,
) -> Result<T, DecodeRequestError> {
    guard::measure(T::KEY, version, &body, limits)?;
    let codec_error = |reason| DecodeRequestError::Codec {
        api_key: T::KEY,
        version,
        reason,
    };
    T::decode_body(&mut body, version).map_err(codec_error)
}

/// Writes a whole response frame: length, header, body.
///
/// # Errors
/// [`EncodeMessageError`] when the message uses what the version cannot say.
pub fn encode_response<T: ResponseMessage>(
    version: i16,
    correlation_id: i32,
    response: &T,
) -> Result<Bytes, EncodeMessageError> {
    let fail = |reason| EncodeMessageError {
        api_key: T::KEY,
        version,
        reason,
    };
    let length = header::response_header_len(T::KEY, version) + response.body_len(version).map_err(fail)?;
    let mut out = BytesMut::with_capacity(4 + length);
    out.put_i32(i32::try_from(length).map_err(|_| fail(format!("{length} bytes do not fit a frame")))?);
    header::put_response_header(&mut out, T::KEY, version, correlation_id);
    response.encode_body(&mut out, version).map_err(fail)?;
    assert_eq!(out.len(), 4 + length, "a response is as long as its size was computed");
    Ok(out.freeze())
}

/// Writes a whole request frame as a client would: length, header, body.
///
/// # Errors
/// [`EncodeMessageError`] when the message uses what the version cannot say.
pub fn encode_request<T: RequestMessage>(
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
    request: &T,
) -> Result<Bytes, EncodeMessageError> {
    let fail = |reason| EncodeMessageError {
        api_key: T::KEY,
        version,
        reason,
    };
    let client_id = client_id.map(|text| StrBytes::from_string(text.to_owned()));
    let header = RequestHeader {
        api_key: T::KEY.key(),
        api_version: version,
        correlation_id,
        client_id,
    };
    let mut out = BytesMut::new();
    out.put_i32(0);
    header.encode(&mut out);
    request.encode_body(&mut out, version).map_err(fail)?;
    let length = out.len() - 4;
    let length = i32::try_from(length).map_err(|_| fail(format!("{length} bytes do not fit a frame")))?;
    out.get_mut(..4)
        .expect("the length field was written first")
        .copy_from_slice(&length.to_be_bytes());
    Ok(out.freeze())
}

/// Decodes a response frame (without its length field) as a client would: correlation id and body. It trusts the counts
/// it reads, so it is for answers of servers that one trusts.
///
/// # Errors
/// [`DecodeResponseError`].
pub fn decode_response<T: ResponseMessage>(version: i16, mut frame: Bytes) -> Result<(i32, T), DecodeResponseError> {
    let correlation_id = header::take_response_header(&mut frame, T::KEY, version)?;
    let codec_error = |reason| DecodeResponseError::Codec {
        api_key: T::KEY,
        version,
        reason,
    };
    let response = T::decode_body(&mut frame, version).map_err(codec_error)?;
    if !frame.is_empty() {
        return Err(codec_error(format!("{} bytes left behind the body", frame.len())));
    }
    Ok((correlation_id, response))
}

/// The version whose bytes the codec crate knows: the same, but for one API that it lacks the last version of.
const fn codec_version(api_key: ApiKey, version: i16) -> i16 {
    match (api_key, version) {
        // Version 11 (KIP-1023) only adds a special timestamp.
        (ApiKey::ListOffsets, 11) => 10,
        (_, version) => version,
    }
}

fn decode_by_crate<T: Decodable>(body: &mut Bytes, api_key: ApiKey, version: i16) -> Result<T, String> {
    T::decode(body, codec_version(api_key, version)).map_err(|error| error.to_string())
}

fn encode_by_crate<T: Encodable>(message: &T, out: &mut BytesMut, api_key: ApiKey, version: i16) -> Result<(), String> {
    message
        .encode(out, codec_version(api_key, version))
        .map_err(|error| error.to_string())
}

/// Text that a reader found in `body`, sharing its memory.
fn text(body: &Bytes, text: &str) -> StrBytes {
    StrBytes::from_utf8(body.slice_ref(text.as_bytes())).expect("the reader checked the text")
}

macro_rules! messages {
    ($($key:ident: $request:ident => $response:ident $(, by hand from $by_hand:literal in $module:ident)?;)*) => {$(
        impl RequestMessage for $request {
            const KEY: ApiKey = ApiKey::$key;
            type Response = $response;

            fn decode_body(body: &mut Bytes, version: i16) -> Result<Self, String> {
                $(if $by_hand <= version {
                    return $module::decode(body, version);
                })?
                decode_by_crate(body, Self::KEY, version)
            }

            fn encode_body(&self, out: &mut BytesMut, version: i16) -> Result<(), String> {
                $(if $by_hand <= version {
                    return $module::encode(self, out, version);
                })?
                encode_by_crate(self, out, Self::KEY, version)
            }
        }

        impl ResponseMessage for $response {
            const KEY: ApiKey = ApiKey::$key;

            fn body_len(&self, version: i16) -> Result<usize, String> {
                self.compute_size(codec_version(Self::KEY, version)).map_err(|error| error.to_string())
            }

            fn encode_body(&self, out: &mut BytesMut, version: i16) -> Result<(), String> {
                encode_by_crate(self, out, Self::KEY, version)
            }

            fn decode_body(body: &mut Bytes, version: i16) -> Result<Self, String> {
                decode_by_crate(body, Self::KEY, version)
            }
        }
    )*};
}

messages! {
    Produce: ProduceRequest => ProduceResponse;
    Fetch: FetchRequest => FetchResponse;
    ListOffsets: ListOffsetsRequest => ListOffsetsResponse;
    Metadata: MetadataRequest => MetadataResponse;
    OffsetCommit: OffsetCommitRequest => OffsetCommitResponse, by hand from 10 in offset_commit;
    OffsetFetch: OffsetFetchRequest => OffsetFetchResponse, by hand from 10 in offset_fetch;
    FindCoordinator: FindCoordinatorRequest => FindCoordinatorResponse;
    JoinGroup: JoinGroupRequest => JoinGroupResponse;
    Heartbeat: HeartbeatRequest => HeartbeatResponse;
    LeaveGroup: LeaveGroupRequest => LeaveGroupResponse;
    SyncGroup: SyncGroupRequest => SyncGroupResponse;
    DescribeGroups: DescribeGroupsRequest => DescribeGroupsResponse;
    ListGroups: ListGroupsRequest => ListGroupsResponse;
    ApiVersions: ApiVersionsRequest => ApiVersionsResponse;
    CreateTopics: CreateTopicsRequest => CreateTopicsResponse;
    DeleteTopics: DeleteTopicsRequest => DeleteTopicsResponse;
    InitProducerId: InitProducerIdRequest => InitProducerIdResponse;
    DescribeConfigs: DescribeConfigsRequest => DescribeConfigsResponse;
    CreatePartitions: CreatePartitionsRequest => CreatePartitionsResponse;
    DeleteGroups: DeleteGroupsRequest => DeleteGroupsResponse;
    IncrementalAlterConfigs: IncrementalAlterConfigsRequest => IncrementalAlterConfigsResponse;
    DescribeCluster: DescribeClusterRequest => DescribeClusterResponse;
}
