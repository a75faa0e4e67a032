//! One connection: frames in, responses out, in order.
//!
//! One task does all of it, so that nothing needs a lock. A request's future is polled once when its frame is taken,
//! in order of arrival; after that all requests of the connection make progress together, and their responses leave in
//! the order of the requests ([`FuturesOrdered`]). Reading stops while as many requests wait as the connection may
//! have, while a large frame waits for memory, and while a request runs that the next one must not overtake; the
//! client then feels the back-pressure of its own socket.

use std::future::pending;
use std::pin::Pin;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use futures::{FutureExt, StreamExt};
use protocol::frame::FrameError;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::dispatch::{Answer, Dispatch};
use super::frames::{FrameReader, SMALL_FRAME};
use super::outbox::Outbox;
use crate::handlers::{CloseReason, Order};
use crate::memory::{MemoryBudget, Reservation};

/// While the outbox holds this much, no response is added to it and no request is started: the client does not read.
/// No request is started either while answers of this much wait for the answer of a request before them.
const OUTBOX_BYTES: usize = 256 * 1024;
/// A frame may take one second longer for each of these bytes.
const BYTES_PER_SECOND: usize = 1024 * 1024;

/// Bounds of one connection.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Largest frame.
    pub max_frame_bytes: usize,
    /// Requests that wait at one time.
    pub max_in_flight: usize,
    /// Time for a frame to arrive, to which its size adds.
    pub frame_timeout: Duration,
    /// Time without traffic.
    pub idle_timeout: Duration,
    /// Time to answer what was accepted once the broker stops.
    pub drain_timeout: Duration,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionEnd {
    /// The client hung up.
    #[error("closed by the client")]
    ByClient,
    /// The broker is stopping and everything accepted was answered, or had its time.
    #[error("the broker is stopping")]
    Stopping,
    /// Nothing happened for too long.
    #[error("idle for {0:?}")]
    Idle(Duration),
    /// A frame took too long to arrive.
    #[error("a frame of {bytes} bytes did not arrive in time")]
    SlowFrame {
        /// Announced size.
        bytes: usize,
    },
    /// The socket failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A length that no frame may have.
    #[error("{0}")]
    Frame(#[from] FrameError),
    /// A request that cannot be answered.
    #[error("{0}")]
    Request(#[from] CloseReason),
}

impl ConnectionEnd {
    /// Whether the other side did something that no client of ours should do.
    pub fn is_violation(&self) -> bool {
        matches!(self, Self::Frame(_) | Self::Request(_) | Self::SlowFrame { .. })
    }
}

/// One connection over any pair of byte streams.
pub struct Connection<R, W, D> {
    reader: R,
    writer: W,
    requests: D,
    limits: ConnectionLimits,
    memory: MemoryBudget,
    stopping: Pin<Box<WaitForCancellationFutureOwned>>,
    frames: FrameReader,
    waiting: FuturesOrdered<BoxFuture<'static, Result<Answer, CloseReason>>>,
    outbox: Outbox,
    /// Bytes of answers that were ready at once and wait for one before them.
    queued_bytes: usize,
    /// The last request dispatched lets nothing pass until it is answered.
    alone: bool,
    /// No further frame is taken; the connection ends once everything before is answered.
    ending: Option<Ending>,
    reserving: Option<BoxFuture<'static, Reservation>>,
    reserved: Option<Reservation>,
    last_activity: Duration,
    frame_began: Option<Duration>,
    timer: Pin<Box<Sleep>>,
}

/// An end that waits for what was accepted to be answered.
struct Ending {
    reason: ConnectionEnd,
    /// When the connection ends in any case.
    drained_by: Duration,
}

/// What woke the connection.
enum Event {
    Answered(Result<Answer, CloseReason>),
    Written(std::io::Result<()>),
    Read(std::io::Result<usize>),
    Reserved(Reservation),
    Timer,
    Stopping,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin, D: Dispatch> Connection<R, W, D> {
    /// A connection that has not begun. `stopping` fires when the broker stops; [`Dispatch::closing`] should be
    /// a child of it.
    pub fn new(
        reader: R,
        writer: W,
        requests: D,
        limits: ConnectionLimits,
        memory: MemoryBudget,
        stopping: CancellationToken,
    ) -> Self {
        let now = requests.monotonic();
        Self {
            reader,
            writer,
            requests,
            limits,
            memory,
            stopping: Box::pin(stopping.cancelled_owned()),
            frames: FrameReader::new(limits.max_frame_bytes),
            waiting: FuturesOrdered::new(),
            outbox: Outbox::default(),
            queued_bytes: 0,
            alone: false,
            ending: None,
            reserving: None,
            reserved: None,
            last_activity: now,
            frame_began: None,
            timer: Box::pin(tokio::time::sleep(limits.idle_timeout)),
        }
    }

    /// Serves the connection until it ends and says why. Requests still waiting then are dropped.
    pub async fn serve(mut self) -> ConnectionEnd {
        let end = loop {
            if let Err(end) = self.take_frames().await {
                self.end_after_answers(end);
            }
            let is_drained = self.waiting.is_empty() && self.outbox.is_empty();
            if is_drained && let Some(ending) = self.ending.take() {
                break ending.reason;
            }
            let event = self.next_event().await;
            if let Err(end) = self.handle(event) {
                break end;
            }
        };
        self.requests.closing().cancel();
        end
    }

    /// Starts what has arrived, as far as it may run. Answers that are ready and wait for one before them count as much
    /// as those that wait for the socket.
    async fn take_frames(&mut self) -> Result<(), ConnectionEnd> {
        while self.may_start() {
            let Some(frame) = self.frames.next_frame()? else { break };
            self.frame_began = None;
            let dispatched = self.requests.dispatch(frame, self.reserved.take())?;
            let mut answer = dispatched.answer;
            self.alone = dispatched.order == Order::Alone;
            // The one poll that happens in order of arrival, before the next frame is looked at.
            match futures::poll!(&mut answer) {
                std::task::Poll::Ready(answer) if self.waiting.is_empty() => {
                    self.alone = false;
                    self.accept(answer)?;
                }
                std::task::Poll::Ready(answer) => {
                    let answer = answer.map(Answer::queued);
                    self.queued_bytes += answer.as_ref().map_or(0, |answer| answer.queued_bytes);
                    self.waiting.push_back(async move { answer }.boxed());
                }
                std::task::Poll::Pending => self.waiting.push_back(answer),
            }
        }
        self.watch_partial_frame();
        Ok(())
    }

    fn may_start(&self) -> bool {
        self.ending.is_none()
            && !self.alone
            && self.waiting.len() < self.limits.max_in_flight
            && self.outbox.len() + self.queued_bytes < OUTBOX_BYTES
    }

    fn may_read(&self) -> bool {
        self.may_start() && self.reserving.is_none()
    }

    /// Keeps the deadline of a begun frame, and asks for memory where it is a large one.
    fn watch_partial_frame(&mut self) {
        // What the broker itself holds up does not count against the client.
        if !self.frames.is_partial() || !self.may_read() {
            self.frame_began = None;
            return;
        }
        if self.frame_began.is_none() {
            let now = self.requests.monotonic();
            self.frame_began = Some(now);
            self.arm_timer(now);
        }
        let needs_memory = SMALL_FRAME < self.frames.frame_bytes() && SMALL_FRAME <= self.frames.buffered();
        if needs_memory && self.reserved.is_none() {
            let (memory, bytes) = (self.memory.clone(), self.frames.frame_bytes());
            self.reserving = Some(async move { memory.reserve(bytes).await }.boxed());
        }
    }

    async fn next_event(&mut self) -> Event {
        let may_read = self.may_read();
        let is_ending = self.ending.is_some();
        tokio::select! {
            biased;
            Some(answer) = self.waiting.next(), if self.outbox.len() < OUTBOX_BYTES => Event::Answered(answer),
            written = self.outbox.write(&mut self.writer), if !self.outbox.is_empty() => Event::Written(written),
            reserved = reserved(&mut self.reserving) => Event::Reserved(reserved),
            () = &mut self.stopping, if !is_ending => Event::Stopping,
            read = self.frames.fill(&mut self.reader), if may_read => Event::Read(read),
            () = &mut self.timer => Event::Timer,
        }
    }

    fn handle(&mut self, event: Event) -> Result<(), ConnectionEnd> {
        match event {
            Event::Answered(answer) => self.answered(answer),
            Event::Written(written) => self.written(written),
            Event::Read(read) => self.read(read),
            Event::Reserved(reservation) => {
                self.reserving = None;
                self.reserved = Some(reservation);
                Ok(())
            }
            Event::Timer => self.check_deadlines(),
            Event::Stopping => {
                self.end_after_answers(ConnectionEnd::Stopping);
                Ok(())
            }
        }
    }

    fn answered(&mut self, answer: Result<Answer, CloseReason>) -> Result<(), ConnectionEnd> {
        if self.waiting.is_empty() {
            self.alone = false;
        }
        match self.accept(answer) {
            Ok(()) => Ok(()),
            Err(end) => {
                // What was asked for behind a request that ends the connection is never answered.
                self.waiting.clear();
                self.end_after_answers(end);
                Ok(())
            }
        }
    }

    fn accept(&mut self, answer: Result<Answer, CloseReason>) -> Result<(), ConnectionEnd> {
        self.last_activity = self.requests.monotonic();
        let answer = answer?;
        self.queued_bytes -= answer.queued_bytes;
        if let Some(frame) = answer.frame {
            self.outbox.push(frame);
        }
        Ok(())
    }

    fn written(&mut self, written: std::io::Result<()>) -> Result<(), ConnectionEnd> {
        written?;
        self.last_activity = self.requests.monotonic();
        Ok(())
    }

    fn read(&mut self, read: std::io::Result<usize>) -> Result<(), ConnectionEnd> {
        match read? {
            0 => Err(ConnectionEnd::ByClient),
            _ => {
                self.last_activity = self.requests.monotonic();
                Ok(())
            }
        }
    }

    /// Takes no further frame and ends once everything before is answered, or after the drain time.
    fn end_after_answers(&mut self, reason: ConnectionEnd) {
        if self.ending.is_some() {
            return;
        }
        let now = self.requests.monotonic();
        self.ending = Some(Ending {
            reason,
            drained_by: now + self.limits.drain_timeout,
        });
        self.reserving = None;
        self.requests.closing().cancel();
        self.arm_timer(now);
    }

    fn check_deadlines(&mut self) -> Result<(), ConnectionEnd> {
        let now = self.requests.monotonic();
        if let Some(ending) = self.ending.take_if(|ending| ending.drained_by <= now) {
            return Err(ending.reason);
        }
        if let Some(deadline) = self.frame_deadline()
            && deadline <= now
        {
            return Err(ConnectionEnd::SlowFrame {
                bytes: self.frames.frame_bytes(),
            });
        }
        let is_quiet = self.waiting.is_empty() || !self.outbox.is_empty();
        if is_quiet && self.last_activity + self.limits.idle_timeout <= now {
            return Err(ConnectionEnd::Idle(self.limits.idle_timeout));
        }
        if is_quiet && self.outbox.is_empty() {
            self.frames.shrink();
        }
        self.arm_timer(now);
        Ok(())
    }

    fn frame_deadline(&self) -> Option<Duration> {
        let extra = Duration::from_secs((self.frames.frame_bytes() / BYTES_PER_SECOND) as u64);
        self.frame_began.map(|began| began + self.limits.frame_timeout + extra)
    }

    /// Wakes the connection at its next deadline. Later activity moves a deadline without touching the timer: it then
    /// fires early, finds nothing due, and is set again.
    fn arm_timer(&mut self, now: Duration) {
        let idle_at = self.last_activity + self.limits.idle_timeout;
        let drained_by = self.ending.as_ref().map(|ending| ending.drained_by);
        let others = drained_by.into_iter().chain(self.frame_deadline());
        let deadline = others.fold(idle_at, Duration::min);
        let wait = deadline.saturating_sub(now).max(Duration::from_millis(1));
        self.timer.set(tokio::time::sleep(wait));
    }
}

async fn reserved(reserving: &mut Option<BoxFuture<'static, Reservation>>) -> Reservation {
    match reserving {
        Some(future) => future.await,
        None => pending().await,
    }
}
