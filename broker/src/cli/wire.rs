//! One request over the Kafka protocol, for the few calls that librdkafka's Rust binding does not offer.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

use super::error::CliError;
use super::kafka::REQUEST_TIMEOUT;

/// The most that an answer may hold.
const RESPONSE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Sends `request` to the first broker of the list and decodes the answer.
pub(super) fn call<Q: Encodable, R: Decodable>(
    brokers: &str,
    key: ApiKey,
    version: i16,
    request: &Q,
) -> Result<R, CliError> {
    let frame = encode(key, version, request)?;
    let mut stream = connect(brokers)?;
    stream.write_all(&frame)?;
    let mut body = receive(&mut stream)?;
    ResponseHeader::decode(&mut body, key.response_header_version(version)).map_err(malformed)?;
    R::decode(&mut body, version).map_err(malformed)
}

fn encode<Q: Encodable>(key: ApiKey, version: i16, request: &Q) -> Result<Bytes, CliError> {
    let header = RequestHeader::default()
        .with_request_api_key(key as i16)
        .with_request_api_version(version)
        .with_client_id(Some(StrBytes::from_static_str("tidemill-cli")));
    let mut body = BytesMut::new();
    header
        .encode(&mut body, key.request_header_version(version))
        .map_err(malformed)?;
    request.encode(&mut body, version).map_err(malformed)?;
    let mut frame = BytesMut::with_capacity(body.len() + 4);
    frame.put_u32(body.len() as u32);
    frame.extend_from_slice(&body);
    Ok(frame.freeze())
}

fn connect(brokers: &str) -> Result<TcpStream, CliError> {
    let first = brokers.split(',').next().unwrap_or(brokers);
    let address = first.to_socket_addrs()?.next();
    let address = address.ok_or_else(|| CliError::usage(format!("{first} is no address")))?;
    let stream = TcpStream::connect_timeout(&address, REQUEST_TIMEOUT)
        .map_err(|error| CliError::timed_out(format!("cannot reach {first}: {error}")))?;
    stream.set_read_timeout(Some(REQUEST_TIMEOUT))?;
    Ok(stream)
}

fn receive(stream: &mut TcpStream) -> Result<Bytes, CliError> {
    let mut size = [0; 4];
    stream.read_exact(&mut size)?;
    let size = (&size[..]).get_u32() as usize;
    if RESPONSE_BYTES_MAX < size {
        return Err(CliError::failed(format!(
            "the broker announced an answer of {size} bytes"
        )));
    }
    let mut body = vec![0; size];
    stream.read_exact(&mut body)?;
    Ok(Bytes::from(body))
}

fn malformed(error: impl std::fmt::Display) -> CliError {
    CliError::failed(format!("malformed message: {error}"))
}
