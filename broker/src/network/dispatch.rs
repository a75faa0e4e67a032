//! From a frame to the future that answers it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use protocol::ApiKey;
use protocol::messages::RequestHeader;
use tokio_util::sync::CancellationToken;

use super::response::ResponseFrame;
use crate::config::HostPort;
use crate::env::panic_text;
use crate::handlers::{self, CloseReason, Order, Reply, RequestContext, Route};
use crate::memory::Reservation;
use crate::partitions::ConnectionBudget;
use crate::services::Services;

/// What every request of one connection shares.
#[derive(Clone)]
pub struct Surroundings {
    /// Services of the broker.
    pub services: Arc<Services>,
    /// What clients of this listener are told as our address.
    pub advertised: Arc<HostPort>,
    /// Remote end.
    pub peer: std::net::SocketAddr,
    /// Memory for records in its responses.
    pub fetch_budget: ConnectionBudget,
    /// Fires when the connection ends.
    pub closing: CancellationToken,
}

/// What a connection needs of the broker. Implemented by [`Surroundings`], and by tests of the connection alone.
pub trait Dispatch {
    /// Reads the header of a frame and starts nothing yet. `reservation` is the memory of a large frame; it is
    /// returned when the request is answered. An error closes the connection.
    fn dispatch(&self, frame: Bytes, reservation: Option<Reservation>) -> Result<Dispatched, CloseReason>;
    /// Time since an arbitrary fixed point; never goes back.
    fn monotonic(&self) -> Duration;
    /// Fired by the connection when it ends, and by the broker when it stops.
    fn closing(&self) -> &CancellationToken;
}

/// A request on its way.
pub struct Dispatched {
    /// How it stands to the requests behind it.
    pub order: Order,
    /// Its answer. The first poll is the part that happens in order of arrival.
    pub answer: BoxFuture<'static, Result<Answer, CloseReason>>,
}

/// The end of a request that does not close its connection.
#[derive(Debug)]
pub struct Answer {
    /// What goes out, if anything.
    pub frame: Option<ResponseFrame>,
    /// Bytes of the frame where it was ready and had to wait for the answer of a request before it.
    pub queued_bytes: usize,
}

impl Answer {
    /// An answer that goes out as soon as it may.
    pub fn new(frame: Option<ResponseFrame>) -> Self {
        Self { frame, queued_bytes: 0 }
    }

    /// The answer, put behind others.
    #[must_use]
    pub fn queued(mut self) -> Self {
        self.queued_bytes = self.frame.as_ref().map_or(0, ResponseFrame::len);
        self
    }
}

/// The first fields of a request, which have the same form in every header version. Only they may be read before the
/// version is known to be served.
struct Opening {
    api_key: i16,
    api_version: i16,
    correlation_id: i32,
}

impl Opening {
    fn of(frame: &[u8]) -> Option<Self> {
        let (api_key, rest) = frame.split_first_chunk()?;
        let (api_version, rest) = rest.split_first_chunk()?;
        let correlation_id = rest.first_chunk()?;
        Some(Self {
            api_key: i16::from_be_bytes(*api_key),
            api_version: i16::from_be_bytes(*api_version),
            correlation_id: i32::from_be_bytes(*correlation_id),
        })
    }
}

impl Dispatch for Surroundings {
    fn dispatch(&self, mut frame: Bytes, reservation: Option<Reservation>) -> Result<Dispatched, CloseReason> {
        let received = self.services.env.monotonic();
        let unreadable = |api: Option<ApiKey>, reason: CloseReason| {
            self.services.metrics.request_unanswered(api);
            reason
        };
        let opening = Opening::of(&frame);
        let opening = opening.ok_or_else(|| unreadable(None, CloseReason::Header("it ends early".to_owned())))?;
        let route = handlers::route(opening.api_key);
        let route = route.ok_or_else(|| unreadable(None, CloseReason::UnknownApi(opening.api_key)))?;
        if !route.serves(opening.api_version) {
            return self
                .unsupported(route, &opening, received)
                .map_err(|reason| unreadable(Some(route.api), reason));
        }
        let frame_bytes = frame.len();
        let header = RequestHeader::decode(&mut frame)
            .map_err(|error| unreadable(Some(route.api), CloseReason::Header(error.to_string())))?;
        let call = (route.call)(self.context(&header, frame_bytes), frame);
        Ok(Dispatched {
            order: route.order,
            answer: self.answered(route, call, received, reservation),
        })
    }

    fn monotonic(&self) -> Duration {
        self.services.env.monotonic()
    }

    fn closing(&self) -> &CancellationToken {
        &self.closing
    }
}

impl Surroundings {
    /// ApiVersions in a version we do not know is answered in version 0 (KIP-511); any other API has no encoding to
    /// answer in.
    fn unsupported(
        &self,
        route: &'static Route,
        opening: &Opening,
        received: Duration,
    ) -> Result<Dispatched, CloseReason> {
        if route.api != ApiKey::ApiVersions {
            return Err(CloseReason::UnsupportedVersion {
                api: route.api.name(),
                version: opening.api_version,
            });
        }
        let reply = handlers::unsupported_api_versions(opening.correlation_id);
        let call = async move { reply }.boxed();
        Ok(Dispatched {
            order: Order::Pipelined,
            answer: self.answered(route, call, received, None),
        })
    }

    fn context(&self, header: &RequestHeader, frame_bytes: usize) -> RequestContext {
        RequestContext {
            services: Arc::clone(&self.services),
            api_version: header.api_version,
            correlation_id: header.correlation_id,
            client_id: Arc::from(header.client_id.as_deref().unwrap_or_default()),
            advertised: Arc::clone(&self.advertised),
            peer: self.peer,
            frame_bytes,
            fetch_budget: self.fetch_budget.clone(),
            closing: self.closing.clone(),
        }
    }

    /// Wraps a call: a panic becomes the reason to close this one connection, and the request is counted.
    fn answered(
        &self,
        route: &'static Route,
        call: BoxFuture<'static, Result<Reply, CloseReason>>,
        received: Duration,
        reservation: Option<Reservation>,
    ) -> BoxFuture<'static, Result<Answer, CloseReason>> {
        let services = Arc::clone(&self.services);
        AssertUnwindSafe(call)
            .catch_unwind()
            .map(move |outcome| {
                drop(reservation);
                let reply = outcome.unwrap_or_else(|panic| {
                    let reason = panic_text(panic.as_ref()).to_owned();
                    Err(CloseReason::Panicked {
                        api: route.api.name(),
                        reason,
                    })
                });
                let took = services.env.monotonic().saturating_sub(received);
                match reply {
                    Ok(Reply::Frame { frame, code }) => {
                        services.metrics.request_answered(route.api, code, took);
                        Ok(Answer::new(Some(frame)))
                    }
                    Ok(Reply::None) => {
                        services
                            .metrics
                            .request_answered(route.api, protocol::ErrorCode::None, took);
                        Ok(Answer::new(None))
                    }
                    Err(reason) => {
                        services.metrics.request_unanswered(Some(route.api));
                        Err(reason)
                    }
                }
            })
            .boxed()
    }
}
