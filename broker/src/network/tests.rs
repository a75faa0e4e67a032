//! One connection without a broker: order of responses, bounds, and how it ends.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, ConnectionEnd, ConnectionLimits};
use super::dispatch::{Answer, Dispatch, Dispatched};
use super::frames::SMALL_FRAME;
use super::response::{FrameBuilder, ResponseFrame};
use crate::env::Env;
use crate::handlers::{CloseReason, Order};
use crate::memory::{MemoryBudget, Reservation};

/// What a test request asks the fake broker for, by its first byte.
const PARK: u8 = b'p';
const NOW: u8 = b'n';
const ALONE: u8 = b'a';
const SILENT: u8 = b's';
const CLOSE: u8 = b'c';
const PANIC_LIKE: u8 = b'x';

/// A broker that answers with the request's own bytes, at once or when the test says so.
struct Fake {
    env: Env,
    closing: CancellationToken,
    /// First polls in the order in which they happened.
    started: mpsc::Sender<Bytes>,
    /// Ends the parked requests, oldest first.
    parked: Arc<Mutex<Vec<oneshot::Sender<()>>>>,
}

impl Dispatch for Fake {
    fn dispatch(&self, frame: Bytes, reservation: Option<Reservation>) -> Result<Dispatched, CloseReason> {
        let kind = frame[0];
        if kind == CLOSE {
            return Err(CloseReason::UnknownApi(99));
        }
        let started = self.started.clone();
        let (end, ended) = oneshot::channel();
        if kind == PARK || kind == ALONE {
            self.parked.lock().expect("no test panics with it").push(end);
        }
        let answer = async move {
            let _held = reservation;
            started.try_send(frame.clone()).expect("the test's queue has room");
            if kind == PARK || kind == ALONE {
                let _ = ended.await;
            }
            match kind {
                SILENT => Ok(Answer::new(None)),
                PANIC_LIKE => Err(CloseReason::Panicked {
                    api: "Test",
                    reason: "x".to_owned(),
                }),
                _ => Ok(Answer::new(Some(framed(&frame)))),
            }
        };
        let order = if kind == ALONE { Order::Alone } else { Order::Pipelined };
        Ok(Dispatched {
            order,
            answer: answer.boxed(),
        })
    }

    fn monotonic(&self) -> Duration {
        self.env.monotonic()
    }

    fn closing(&self) -> &CancellationToken {
        &self.closing
    }
}

fn framed(body: &[u8]) -> ResponseFrame {
    let mut frame = FrameBuilder::with_capacity(body.len());
    frame.put_shared(Bytes::copy_from_slice(body));
    frame.finish()
}

/// The client's side of a connection to a [`Fake`].
struct Client {
    reader: ReadHalf<DuplexStream>,
    writer: WriteHalf<DuplexStream>,
    started: mpsc::Receiver<Bytes>,
    parked: Arc<Mutex<Vec<oneshot::Sender<()>>>>,
    stopping: CancellationToken,
    memory: MemoryBudget,
    end: JoinHandle<ConnectionEnd>,
}

const LIMITS: ConnectionLimits = ConnectionLimits {
    max_frame_bytes: 8 << 20,
    max_in_flight: 4,
    frame_timeout: Duration::from_secs(600),
    idle_timeout: Duration::from_secs(600),
    drain_timeout: Duration::from_secs(600),
};

impl Client {
    fn connect(limits: ConnectionLimits) -> Self {
        let (client, server) = duplex(1 << 20);
        let (reader, writer) = split(client);
        let (server_reader, server_writer) = split(server);
        let (started, starts) = mpsc::channel(1000);
        let parked = Arc::default();
        let stopping = CancellationToken::new();
        let fake = Fake {
            env: Env::system(),
            closing: stopping.child_token(),
            started,
            parked: Arc::clone(&parked),
        };
        let memory = MemoryBudget::new(8 << 20);
        let connection = Connection::new(
            server_reader,
            server_writer,
            fake,
            limits,
            memory.clone(),
            stopping.clone(),
        );
        let end = Env::system().spawn("test-connection", connection.serve());
        Self {
            reader,
            writer,
            started: starts,
            parked,
            stopping,
            memory,
            end,
        }
    }

    async fn send(&mut self, body: &[u8]) {
        let mut frame = BytesMut::new();
        frame.put_u32(body.len() as u32);
        frame.put_slice(body);
        self.writer.write_all(&frame).await.expect("the connection is open");
    }

    /// Sends several requests in one write, as a pipelining client does.
    async fn send_all(&mut self, bodies: &[&str]) {
        let mut frames = BytesMut::new();
        for body in bodies {
            frames.put_u32(body.len() as u32);
            frames.put_slice(body.as_bytes());
        }
        self.writer.write_all(&frames).await.expect("the connection is open");
    }

    async fn receive(&mut self) -> Vec<u8> {
        let length = self.reader.read_u32().await.expect("a response");
        let mut body = vec![0; length as usize];
        self.reader.read_exact(&mut body).await.expect("a whole response");
        body
    }

    async fn started(&mut self) -> Bytes {
        self.started.recv().await.expect("the connection lives")
    }

    fn end_parked(&self, index: usize) {
        let _ = self
            .parked
            .lock()
            .expect("no test panics with it")
            .remove(index)
            .send(());
    }

    /// Everything the connection still sends, and why it ended.
    async fn rest(mut self) -> (Vec<u8>, ConnectionEnd) {
        let mut rest = Vec::new();
        self.reader.read_to_end(&mut rest).await.expect("the stream ends");
        (rest, self.end.await.expect("the connection did not panic"))
    }
}

#[tokio::test]
async fn responses_leave_in_request_order() {
    let mut client = Client::connect(LIMITS);
    client.send_all(&["p1", "n2", "p3", "n4"]).await;
    for expected in ["p1", "n2", "p3", "n4"] {
        assert_eq!(client.started().await, expected, "requests begin in order of arrival");
    }
    client.end_parked(1);
    client.end_parked(0);
    for expected in ["p1", "n2", "p3", "n4"] {
        assert_eq!(client.receive().await, expected.as_bytes());
    }
}

#[tokio::test]
async fn silence_takes_no_place_in_the_order() {
    let mut client = Client::connect(LIMITS);
    client.send_all(&["s1", "n2", "p3", "s4"]).await;
    assert_eq!(client.receive().await, b"n2");
    for _ in 0..4 {
        client.started().await;
    }
    client.end_parked(0);
    client.send(b"n5").await;
    assert_eq!(client.receive().await, b"p3");
    assert_eq!(client.receive().await, b"n5");
}

#[tokio::test]
async fn no_more_requests_wait_than_allowed() {
    let mut client = Client::connect(LIMITS);
    client.send_all(&["p1", "p2", "p3", "p4", "n5"]).await;
    for _ in 0..4 {
        client.started().await;
    }
    assert!(
        client.started.try_recv().is_err(),
        "the fifth request stays in the socket"
    );
    client.end_parked(0);
    assert_eq!(client.receive().await, b"p1");
    assert_eq!(client.started().await, "n5");
}

#[tokio::test]
async fn answers_that_wait_hold_back_what_is_behind_them() {
    let mut client = Client::connect(LIMITS);
    let large = format!("n{}", "x".repeat(200 * 1024));
    client.send_all(&["p1", &large, &large, "n4"]).await;
    assert_eq!(client.started().await, "p1");
    for _ in 0..2 {
        assert_eq!(client.started().await.len(), large.len());
    }
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert!(client.started.try_recv().is_err(), "400 KiB of answers wait already");
    client.end_parked(0);
    assert_eq!(client.receive().await, b"p1");
    for _ in 0..2 {
        assert_eq!(client.receive().await.len(), large.len());
    }
    assert_eq!(client.started().await, "n4");
    assert_eq!(client.receive().await, b"n4");
}

#[tokio::test]
async fn nothing_passes_a_request_that_runs_alone() {
    let mut client = Client::connect(LIMITS);
    client.send_all(&["a1", "n2"]).await;
    assert_eq!(client.started().await, "a1");
    assert!(
        client.started.try_recv().is_err(),
        "the second request waits for the first one's answer"
    );
    client.end_parked(0);
    assert_eq!(client.started().await, "n2");
    assert_eq!(client.receive().await, b"a1");
    assert_eq!(client.receive().await, b"n2");
}

#[tokio::test]
async fn what_was_accepted_before_garbage_is_answered() {
    let mut client = Client::connect(LIMITS);
    client.send_all(&["p1", "c2", "n3"]).await;
    assert_eq!(client.started().await, "p1");
    client.end_parked(0);
    assert_eq!(client.receive().await, b"p1");
    let (rest, end) = client.rest().await;
    assert!(
        rest.is_empty() && matches!(end, ConnectionEnd::Request(CloseReason::UnknownApi(99))),
        "{end}"
    );
}

#[tokio::test]
async fn a_failed_request_closes_its_connection_and_drops_what_is_behind() {
    let mut client = Client::connect(LIMITS);
    client.send_all(&["n0", "p1", "x2", "n3"]).await;
    assert_eq!(client.receive().await, b"n0");
    for _ in 0..4 {
        client.started().await;
    }
    client.end_parked(0);
    assert_eq!(client.receive().await, b"p1");
    let (rest, end) = client.rest().await;
    assert!(
        rest.is_empty() && matches!(end, ConnectionEnd::Request(CloseReason::Panicked { .. })),
        "{end}"
    );
}

#[tokio::test]
async fn lengths_out_of_bounds_close_the_connection() {
    for length in [u32::MAX, 0x7fff_ffff, (8 << 20) + 1, u32::from_be_bytes(*b"GET ")] {
        let mut client = Client::connect(LIMITS);
        client.writer.write_u32(length).await.expect("open");
        let (rest, end) = client.rest().await;
        assert!(rest.is_empty() && matches!(end, ConnectionEnd::Frame(_)), "{end}");
    }
}

#[tokio::test]
async fn a_large_frame_holds_memory_until_it_is_answered() {
    let mut client = Client::connect(LIMITS);
    let free = client.memory.free_bytes();
    let body = [&[PARK], &vec![7; 4 << 20][..]].concat();
    client.send(&body).await;
    assert_eq!(client.started().await, body);
    assert!(client.memory.free_bytes() + (4 << 20) <= free);
    client.end_parked(0);
    assert_eq!(client.receive().await, body);
    assert_eq!(client.memory.free_bytes(), free);
}

#[tokio::test]
async fn a_large_frame_waits_for_memory() {
    let mut client = Client::connect(LIMITS);
    let all = client.memory.reserve(8 << 20).await;
    let body = [&[NOW], &vec![7; 2 * SMALL_FRAME][..]].concat();
    client.send(&body).await;
    assert!(client.started.try_recv().is_err());
    drop(all);
    assert_eq!(client.receive().await, body);
}

#[tokio::test]
async fn a_quiet_connection_is_closed() {
    let limits = ConnectionLimits {
        idle_timeout: Duration::from_millis(1),
        ..LIMITS
    };
    let client = Client::connect(limits);
    let (_, end) = client.rest().await;
    assert!(matches!(end, ConnectionEnd::Idle(_)), "{end}");
}

#[tokio::test]
async fn a_frame_that_never_ends_is_given_up() {
    let limits = ConnectionLimits {
        frame_timeout: Duration::from_millis(1),
        ..LIMITS
    };
    let mut client = Client::connect(limits);
    client.writer.write_all(&[0, 0, 1]).await.expect("open");
    let (_, end) = client.rest().await;
    assert!(matches!(end, ConnectionEnd::SlowFrame { .. }), "{end}");
}

#[tokio::test]
async fn a_stop_answers_what_was_accepted() {
    let mut client = Client::connect(LIMITS);
    client.send_all(&["p1", "p2"]).await;
    client.started().await;
    client.started().await;
    client.stopping.cancel();
    client.end_parked(0);
    assert_eq!(client.receive().await, b"p1");
    client.end_parked(0);
    assert_eq!(client.receive().await, b"p2");
    let (_, end) = client.rest().await;
    assert!(matches!(end, ConnectionEnd::Stopping), "{end}");
}

#[tokio::test]
async fn a_stop_waits_no_longer_than_the_drain_time() {
    let limits = ConnectionLimits {
        drain_timeout: Duration::from_millis(1),
        ..LIMITS
    };
    let mut client = Client::connect(limits);
    client.send(b"p1").await;
    client.started().await;
    client.stopping.cancel();
    let (rest, end) = client.rest().await;
    assert!(rest.is_empty() && matches!(end, ConnectionEnd::Stopping), "{end}");
}

#[test]
fn a_frame_of_pieces_says_its_whole_length() {
    let large = Bytes::from(vec![1; FrameBuilder::SHARE_AT_LEAST]);
    let mut frame = FrameBuilder::with_capacity(8);
    frame.buffer().put_u16(7);
    frame.put_shared(large.clone());
    frame.put_shared(Bytes::from_static(b"small"));
    frame.put_shared(large.clone());
    let frame = frame.finish();
    let bytes = frame.parts.concat();
    assert_eq!(bytes.len(), frame.len());
    assert_eq!(bytes[..4], ((bytes.len() - 4) as u32).to_be_bytes());
    assert_eq!(frame.parts[1].as_ptr(), large.as_ptr());
}
