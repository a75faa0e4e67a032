//! A plain Kafka client for tests: one blocking connection, requests and responses encoded by the codec crate, and
//! below that whole frames and single bytes for what no real client would send.

use std::fmt::Debug;
use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpStream};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};

use crate::wait;

/// A test gives up on an answer after this long.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// The client id on every request.
pub const CLIENT_ID: &str = "wire-test";

/// One connection. Not thread safe: a test that wants two things at once opens two.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    next_correlation_id: i32,
}

impl Connection {
    /// Connects to `host:port`.
    ///
    /// # Panics
    /// When nobody listens there.
    #[must_use]
    pub fn open(address: &str) -> Connection {
        Connection::over(TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}")))
    }

    /// Connects to `host:port` as soon as somebody listens there.
    #[must_use]
    pub fn open_once_up(address: &str) -> Connection {
        let stream = wait::until_some("the server to listen", || TcpStream::connect(address).ok());
        Connection::over(stream)
    }

    /// Connects to `host:port` from one of this machine's other addresses.
    ///
    /// # Panics
    /// When nobody listens there, or the machine has no such address.
    #[must_use]
    pub fn open_from(own: IpAddr, address: &str) -> Connection {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .expect("a runtime");
        let stream = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4()?;
            socket.bind((own, 0).into())?;
            let address = address.parse().map_err(io::Error::other)?;
            socket.connect(address).await?.into_std()
        });
        let stream = stream.unwrap_or_else(|error| panic!("{own} to {address}: {error}"));
        stream.set_nonblocking(false).expect("a socket can block");
        Connection::over(stream)
    }

    fn over(stream: TcpStream) -> Connection {
        stream
            .set_read_timeout(Some(READ_TIMEOUT))
            .expect("a socket takes a timeout");
        stream.set_nodelay(true).expect("a socket takes TCP_NODELAY");
        Connection {
            stream,
            next_correlation_id: 1,
        }
    }

    /// Sends a request and reads its answer.
    ///
    /// # Panics
    /// When the connection ends first, the answer belongs to another request, or bytes are left over in it.
    pub fn call<R: Request + Debug>(&mut self, version: i16, request: &R) -> R::Response {
        let correlation_id = self.send(version, request);
        self.receive::<R>(version, correlation_id)
    }

    /// As [`Connection::call`] for a version that the codec lacks and that is laid out like an older one.
    ///
    /// # Panics
    /// As [`Connection::call`].
    pub fn call_as<R: Request + Debug>(&mut self, version: i16, layout: i16, request: &R) -> R::Response {
        let mut body = BytesMut::new();
        request
            .encode(&mut body, layout)
            .unwrap_or_else(|error| panic!("version {layout} of {request:?}: {error}"));
        let correlation_id = self.send_body(R::KEY, version, R::header_version(layout), &body);
        self.receive::<R>(layout, correlation_id)
    }

    /// Sends a request and gives its correlation id.
    ///
    /// # Panics
    /// When the request does not exist in that version, or the connection is gone.
    pub fn send<R: Request + Debug>(&mut self, version: i16, request: &R) -> i32 {
        let mut body = BytesMut::new();
        request
            .encode(&mut body, version)
            .unwrap_or_else(|error| panic!("version {version} of {request:?}: {error}"));
        self.send_body(R::KEY, version, R::header_version(version), &body)
    }

    /// Sends a header and any bytes at all as the body, and gives the correlation id.
    ///
    /// # Panics
    /// When the connection is gone.
    pub fn send_body(&mut self, api_key: i16, version: i16, header_version: i16, body: &[u8]) -> i32 {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id += 1;
        let header = RequestHeader::default()
            .with_request_api_key(api_key)
            .with_request_api_version(version)
            .with_correlation_id(correlation_id)
            .with_client_id(Some(StrBytes::from_static_str(CLIENT_ID)));
        let mut frame = BytesMut::new();
        header
            .encode(&mut frame, header_version)
            .expect("request headers encode");
        frame.extend_from_slice(body);
        self.send_frame(&frame);
        correlation_id
    }

    /// Reads the answer to a request sent before.
    ///
    /// # Panics
    /// As [`Connection::call`].
    pub fn receive<R: Request>(&mut self, version: i16, correlation_id: i32) -> R::Response {
        let mut frame = self.receive_body(R::Response::header_version(version), correlation_id);
        let response = R::Response::decode(&mut frame, version)
            .unwrap_or_else(|error| panic!("answer to key {} version {version}: {error}", R::KEY));
        assert!(frame.is_empty(), "key {}: {} bytes left over", R::KEY, frame.len());
        response
    }

    /// Reads a frame, checks its header, and gives the body.
    ///
    /// # Panics
    /// When the connection ends first, or the answer belongs to another request.
    pub fn receive_body(&mut self, header_version: i16, correlation_id: i32) -> Bytes {
        let frame = self.receive_frame().expect("an answer comes");
        let mut frame = frame.unwrap_or_else(|| panic!("the broker closed the connection instead of answering"));
        let header = ResponseHeader::decode(&mut frame, header_version).expect("response headers decode");
        assert_eq!(
            header.correlation_id, correlation_id,
            "answers come in the order of the requests"
        );
        frame
    }

    /// Sends a length and these bytes.
    ///
    /// # Panics
    /// When the connection is gone.
    pub fn send_frame(&mut self, frame: &[u8]) {
        let length = i32::try_from(frame.len()).expect("frames are below 2 GiB");
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.extend_from_slice(frame);
        self.send_bytes(&bytes);
    }

    /// Sends these bytes and nothing else.
    ///
    /// # Panics
    /// When the connection is gone.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the broker reads");
    }

    /// Reads one frame; `None` when the broker closed the connection before it.
    ///
    /// # Errors
    /// When the broker stays silent or ends in the middle of a frame.
    pub fn receive_frame(&mut self) -> io::Result<Option<Bytes>> {
        let mut length = [0; 4];
        match self.stream.read_exact(&mut length) {
            Err(error) if is_close(&error) => return Ok(None),
            other => other?,
        }
        let length = (&length[..]).get_i32();
        let mut frame = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        self.stream.read_exact(&mut frame)?;
        Ok(Some(frame.into()))
    }

    /// True when the broker ends the connection without another byte.
    ///
    /// # Panics
    /// When it does neither.
    pub fn is_closed_by_peer(&mut self) -> bool {
        match self.stream.read(&mut [0]) {
            Ok(count) => count == 0,
            Err(error) if is_close(&error) => true,
            Err(error) => panic!("neither an answer nor a close: {error}"),
        }
    }

    /// Says that nothing more will be sent; answers can still be read.
    pub fn finish_sending(&self) {
        self.stream
            .shutdown(std::net::Shutdown::Write)
            .expect("an open socket can be shut down");
    }
}

fn is_close(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | BrokenPipe)
}
