//! Accepting connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::admission::{Admission, Admitted};
use super::connection::{Connection, ConnectionEnd, ConnectionLimits};
use super::dispatch::Surroundings;
use crate::config::{HostPort, KafkaConfig};
use crate::memory::MemoryBudget;
use crate::services::Services;
use crate::telemetry::LineLimit;

/// Pause after a failed accept: the reasons (no file descriptors, no memory) do not go away by hurrying.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Time of a connection to answer what it accepted once the broker stops.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(1500);
/// Quiet time after which the system asks whether the other side still lives.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// A bound listener that nobody is served on yet.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

/// A listener at work.
#[derive(Debug)]
pub struct RunningListener {
    stopping: CancellationToken,
    /// Yields nothing until the last connection, which holds the other end, is gone.
    connections: mpsc::Receiver<()>,
}

/// What the accept loop hands to every connection.
struct Acceptor {
    services: Arc<Services>,
    advertised: Option<Arc<HostPort>>,
    limits: ConnectionLimits,
    memory: MemoryBudget,
    admission: Arc<Admission>,
    stopping: CancellationToken,
    alive: mpsc::Sender<()>,
    refusals: LineLimit,
    violations: Arc<LineLimit>,
}

impl Listener {
    /// Binds; port 0 picks a free one.
    pub async fn bind(address: &HostPort) -> io::Result<Self> {
        let socket = TcpListener::bind((address.host.as_str(), address.port)).await?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    /// The address that is really listened on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What clients are told: the configured address or, unless this listens on all addresses, the one listened on.
    /// `None` means that each client is told the address that it reached.
    pub fn advertised(&self, config: &KafkaConfig) -> Option<HostPort> {
        match &config.advertised {
            Some(advertised) if advertised.port == 0 => Some(HostPort {
                host: advertised.host.clone(),
                port: self.address.port(),
            }),
            Some(advertised) => Some(advertised.clone()),
            None if self.address.ip().is_unspecified() => None,
            None => Some(host_port(self.address)),
        }
    }

    /// Begins to accept connections.
    pub fn serve(self, services: Arc<Services>, stopping: CancellationToken) -> RunningListener {
        let (alive, connections) = mpsc::channel(1);
        let config = &services.config.kafka;
        let acceptor = Acceptor {
            advertised: self.advertised(config).map(Arc::new),
            limits: ConnectionLimits {
                max_frame_bytes: config.max_frame_bytes,
                max_in_flight: config.max_in_flight,
                frame_timeout: config.frame_timeout,
                idle_timeout: config.idle_timeout,
                drain_timeout: DRAIN_TIMEOUT,
            },
            memory: MemoryBudget::new(config.request_memory_bytes),
            admission: Admission::new(config.max_connections, config.max_connections_per_ip),
            stopping: stopping.clone(),
            alive,
            refusals: LineLimit::new(Arc::clone(&services.env)),
            violations: Arc::new(LineLimit::new(Arc::clone(&services.env))),
            services: Arc::clone(&services),
        };
        services.env.spawn("kafka-listener", acceptor.accept_all(self.socket));
        RunningListener { stopping, connections }
    }
}

impl RunningListener {
    /// Stops accepting and waits until every connection has answered what it accepted, which takes no longer than the
    /// drain time.
    pub async fn stop(mut self) {
        self.stopping.cancel();
        let _ = tokio::time::timeout(2 * DRAIN_TIMEOUT, self.connections.recv()).await;
    }
}

impl Acceptor {
    async fn accept_all(self, socket: TcpListener) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.stopping.cancelled() => return,
                accepted = socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.accept(stream, peer),
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn accept(&self, stream: TcpStream, peer: SocketAddr) {
        let admitted = match self.admission.admit(peer.ip()) {
            Ok(admitted) => admitted,
            Err(rejection) => {
                self.services.metrics.connection_rejected(&rejection.to_string());
                if self.refusals.allows() {
                    warn!(%peer, reason = %rejection, "a connection is refused");
                }
                return;
            }
        };
        if let Err(error) = tune(&stream) {
            debug!(%peer, %error, "the socket options of a connection cannot be set");
        }
        let advertised = match (&self.advertised, stream.local_addr()) {
            (Some(advertised), _) => Arc::clone(advertised),
            (None, Ok(local)) => Arc::new(host_port(local)),
            (None, Err(_)) => return,
        };
        let surroundings = Surroundings {
            services: Arc::clone(&self.services),
            advertised,
            peer,
            fetch_budget: self.services.partitions.fetch_budget().connection(),
            closing: self.stopping.child_token(),
        };
        let serving = serve(Serving {
            stream,
            surroundings,
            limits: self.limits,
            memory: self.memory.clone(),
            stopping: self.stopping.clone(),
            violations: Arc::clone(&self.violations),
            _admitted: admitted,
            _alive: self.alive.clone(),
        });
        self.services.env.spawn("kafka-connection", serving);
    }
}

/// One accepted connection with what it holds while it lives.
struct Serving {
    stream: TcpStream,
    surroundings: Surroundings,
    limits: ConnectionLimits,
    memory: MemoryBudget,
    stopping: CancellationToken,
    violations: Arc<LineLimit>,
    _admitted: Admitted,
    _alive: mpsc::Sender<()>,
}

async fn serve(mut serving: Serving) {
    let services = Arc::clone(&serving.surroundings.services);
    let peer = serving.surroundings.peer;
    services.metrics.connection_opened();
    let (reader, writer) = serving.stream.split();
    let connection = Connection::new(
        reader,
        writer,
        serving.surroundings,
        serving.limits,
        serving.memory,
        serving.stopping,
    );
    let end = connection.serve().await;
    services.metrics.connection_closed();
    match &end {
        ConnectionEnd::Request(crate::handlers::CloseReason::Panicked { .. }) => {
            tracing::error!(%peer, reason = %end, "a connection is closed");
        }
        end if end.is_violation() => {
            if serving.violations.allows() {
                let reason: String = end.to_string().chars().take(512).flat_map(char::escape_debug).collect();
                info!(%peer, reason, "a connection is closed");
            }
        }
        end => debug!(%peer, reason = %end, "a connection ended"),
    }
}

fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))
}

fn host_port(address: SocketAddr) -> HostPort {
    HostPort {
        host: address.ip().to_string(),
        port: address.port(),
    }
}
