//! Connections of the HTTP port, a bounded number of them, and none for ever: a client that does not read what it asked
//! for holds a connection, and a SELECT that is under way with it, until `http.write_timeout` is over.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutStream;
use tracing::debug;

use crate::config::HttpConfig;
use crate::telemetry::metrics::Metrics;

/// A listener that closes connections beyond its limit as soon as they are accepted.
pub struct Limited {
    listener: TcpListener,
    free: Arc<Semaphore>,
    write_timeout: Duration,
    metrics: Arc<Metrics>,
}

/// A connection that was admitted, until it is dropped.
pub struct Admitted {
    stream: Pin<Box<TimeoutStream<TcpStream>>>,
    _permit: OwnedSemaphorePermit,
}

impl Limited {
    /// Bounds what comes in on `listener`, as the configuration says.
    pub fn new(listener: TcpListener, config: &HttpConfig, metrics: Arc<Metrics>) -> Self {
        Self {
            listener,
            free: Arc::new(Semaphore::new(config.max_connections.min(Semaphore::MAX_PERMITS))),
            write_timeout: config.write_timeout,
            metrics,
        }
    }

    fn admit(&self, stream: TcpStream) -> Option<Admitted> {
        let permit = Arc::clone(&self.free).try_acquire_owned().ok()?;
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.write_timeout));
        Some(Admitted {
            stream: Box::pin(stream),
            _permit: permit,
        })
    }

    /// The next connection that is admitted; those before it are closed. Errors of the listener are waited out.
    pub async fn accept(&mut self) -> Admitted {
        loop {
            let (stream, peer) = Listener::accept(&mut self.listener).await;
            if let Some(admitted) = self.admit(stream) {
                return admitted;
            }
            self.metrics.connection_rejected("http_max_connections");
            debug!(%peer, "an HTTP connection is refused: there are http.max_connections");
        }
    }
}

impl AsyncRead for Admitted {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_read(context, into)
    }
}

impl AsyncWrite for Admitted {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream.as_mut().poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream.as_mut().poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
