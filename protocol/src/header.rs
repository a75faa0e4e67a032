//! Request and response headers.
//!
//! A request header is API key, version, correlation id and client id, and, for flexible versions, a tag buffer; the
//! client id keeps its old 16-bit length even then. A response header is the correlation id and, for flexible versions,
//! a tag buffer; `ApiVersions` never has one.

use bytes::{Buf, BufMut, Bytes};
use kafka_protocol::protocol::StrBytes;

use crate::{
    api_key::ApiKey,
    codec::{DecodeError, Reader, compact, tagged},
};

/// Who asks for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHeader {
    /// API key as written; it need not be one that exists.
    pub api_key: i16,
    /// Version as written; it need not be one that is served.
    pub api_version: i16,
    /// Number that the response repeats.
    pub correlation_id: i32,
    /// Name that the client gives itself; null and absent are the same.
    pub client_id: Option<StrBytes>,
}

/// A request whose header cannot be read. Close the connection: there is nothing to answer to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The frame is too short for key, version and correlation id, or its client id is malformed.
    #[error("request header: {field}: {source}")]
    Malformed {
        /// Field that could not be read.
        field: &'static str,
        /// Why not.
        source: DecodeError,
    },
}

impl RequestHeader {
    /// Takes the header off the front of a frame and leaves the body. Shares the frame's memory.
    ///
    /// Which header version it is follows from key and version; for keys that do not exist it is the one without tagged
    /// fields, so that the caller learns which key was asked for.
    ///
    /// # Errors
    /// [`HeaderError`]; the frame is then left as it was.
    pub fn decode(frame: &mut Bytes) -> Result<Self, HeaderError> {
        let mut reader = Reader::new(frame);
        let api_key = in_field("api key", reader.i16())?;
        let api_version = in_field("api version", reader.i16())?;
        let correlation_id = in_field("correlation id", reader.i32())?;
        let client_id = in_field("client id", reader.nullable_string(false))?;
        let client_id = client_id.map(|text| frame.slice_ref(text.as_bytes()));
        if ApiKey::from_key(api_key).is_some_and(|key| key.is_flexible(api_version)) {
            in_field("tagged fields", reader.skip_tags())?;
        }
        let length = reader.position();
        frame.advance(length);
        let client_id = client_id.map(|bytes| StrBytes::from_utf8(bytes).expect("the reader checked the text"));
        Ok(Self {
            api_key,
            api_version,
            correlation_id,
            client_id,
        })
    }

    /// Writes the header as a client would.
    ///
    /// # Panics
    /// When the client id is longer than 32,767 bytes.
    pub fn encode(&self, out: &mut impl BufMut) {
        out.put_i16(self.api_key);
        out.put_i16(self.api_version);
        out.put_i32(self.correlation_id);
        compact::put_nullable_string(out, false, self.client_id.as_deref());
        if self.key().is_some_and(|key| key.is_flexible(self.api_version)) {
            tagged::put_no_tags(out);
        }
    }

    /// The API key, if it is one that exists.
    #[must_use]
    pub const fn key(&self) -> Option<ApiKey> {
        ApiKey::from_key(self.api_key)
    }
}

/// Bytes of a response header.
#[must_use]
pub const fn response_header_len(api_key: ApiKey, version: i16) -> usize {
    if api_key.response_header_version(version) == 0 {
        4
    } else {
        5
    }
}

/// Writes a response header.
pub fn put_response_header(out: &mut impl BufMut, api_key: ApiKey, version: i16, correlation_id: i32) {
    out.put_i32(correlation_id);
    if api_key.response_header_version(version) != 0 {
        tagged::put_no_tags(out);
    }
}

/// Takes a response header off the front of a frame and leaves the body; returns the correlation id.
///
/// # Errors
/// [`HeaderError`].
pub fn take_response_header(frame: &mut Bytes, api_key: ApiKey, version: i16) -> Result<i32, HeaderError> {
    let mut reader = Reader::new(frame);
    let correlation_id = in_field("correlation id", reader.i32())?;
    if api_key.response_header_version(version) != 0 {
        in_field("tagged fields", reader.skip_tags())?;
    }
    let length = reader.position();
    frame.advance(length);
    Ok(correlation_id)
}

fn in_field<T>(field: &'static str, result: Result<T, DecodeError>) -> Result<T, HeaderError> {
    result.map_err(|source| HeaderError::Malformed { field, source })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_flexible_header_ends_with_tags() {
        let mut frame = Bytes::from_static(&[0, 3, 0, 12, 0, 0, 0, 9, 0, 2, b'm', b'e', 1, 5, 1, 7, 42]);
        let header = RequestHeader::decode(&mut frame).unwrap();
        assert_eq!(
            (header.key(), header.api_version, header.correlation_id),
            (Some(ApiKey::Metadata), 12, 9)
        );
        assert_eq!(header.client_id.as_deref(), Some("me"));
        assert_eq!(&frame[..], [42]);
    }

    #[test]
    fn an_unknown_key_is_reported_not_refused() {
        let mut frame = Bytes::from_static(&[0x7f, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 1, 2]);
        let header = RequestHeader::decode(&mut frame).unwrap();
        assert_eq!((header.key(), header.api_key), (None, 0x7f00));
        assert_eq!(&frame[..], [1, 2]);
    }

    #[test]
    fn short_frames_are_refused_and_left_alone() {
        let mut frame = Bytes::from_static(&[0, 3, 0, 12, 0, 0, 0]);
        assert!(RequestHeader::decode(&mut frame).is_err());
        assert_eq!(frame.len(), 7);
    }

    #[test]
    fn an_answer_about_versions_has_no_tags() {
        let mut out = Vec::new();
        put_response_header(&mut out, ApiKey::ApiVersions, 3, 7);
        assert_eq!(out, [0, 0, 0, 7]);
        put_response_header(&mut out, ApiKey::Metadata, 9, 8);
        assert_eq!(out, [0, 0, 0, 7, 0, 0, 0, 8, 0]);
        assert_eq!(response_header_len(ApiKey::Metadata, 9), 5);
    }

    proptest! {
        #[test]
        fn headers_round_trip(
            api_key in -1_i16..100,
            api_version in -1_i16..20,
            correlation_id: i32,
            client_id in proptest::option::of(".{0,40}"),
            body: Vec<u8>,
        ) {
            let client_id = client_id.map(StrBytes::from_string);
            let header = RequestHeader { api_key, api_version, correlation_id, client_id };
            let mut out = Vec::new();
            header.encode(&mut out);
            out.extend_from_slice(&body);
            let mut frame = Bytes::from(out);
            prop_assert_eq!(RequestHeader::decode(&mut frame), Ok(header));
            prop_assert_eq!(&frame[..], &body[..]);
        }

        #[test]
        fn garbage_never_panics(bytes: Vec<u8>) {
            let mut frame = Bytes::from(bytes);
            let _ = RequestHeader::decode(&mut frame);
        }
    }
}
