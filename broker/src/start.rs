//! The wiring diagram: what a broker is made of, in which order it starts and stops.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use processor::engine::{Engine, EngineError};
use storage::fs::{DiskFs, Fs};
use storage::{LogManager, MonotonicClock, OpenError};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::cluster::identity::{Identity, IdentityError};
use crate::cluster::store::{MetadataStore, StoreError};
use crate::cluster::{Controller, Image, ImageApplier};
use crate::config::{BrokerConfig, HostPort};
use crate::env::Env;
use crate::groups::Groups;
use crate::http::{self, Limited, Recovered, Served};
use crate::network::Listener;
use crate::network::listener::RunningListener;
use crate::partitions::Partitions;
use crate::producer_ids::ProducerIds;
use crate::services::Services;
use crate::streams;
use crate::telemetry::{FlushMetrics, Metrics};
use crate::transactions::Transactions;

/// Partitions of `__transaction_state`, as in Kafka.
const TRANSACTION_PARTITIONS: i32 = 50;
/// Time of the running queries to end at a stop; what they have not committed by then is done again after the start.
const ENGINE_STOP_TIMEOUT: Duration = Duration::from_secs(2);
/// Time of HTTP requests to end at a stop.
const HTTP_STOP_TIMEOUT: Duration = Duration::from_millis(500);

/// A running broker.
pub struct Broker {
    services: Arc<Services>,
    manager: Arc<LogManager>,
    engine: Arc<Engine>,
    listener: RunningListener,
    kafka_address: SocketAddr,
    http_address: SocketAddr,
    http: JoinHandle<()>,
    stopping: CancellationToken,
    background: CancellationToken,
}

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address} ({setting}): {reason}")]
    Listen {
        /// The setting that names it.
        setting: &'static str,
        /// The address.
        address: HostPort,
        /// What the system says.
        reason: std::io::Error,
    },
    /// The data folder cannot be opened.
    #[error(transparent)]
    Storage(#[from] OpenError),
    /// The data folder is somebody else's.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The metadata log.
    #[error("the metadata log cannot be read: {0}")]
    Metadata(#[from] StoreError),
    /// Transactions that the last run left open.
    #[error("open transactions cannot be ended: {0}")]
    Transactions(String),
    /// The stream processor.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A start that was broken off.
    #[error("the start was broken off")]
    Aborted,
}

/// What the data folder gives.
struct Opened {
    manager: Arc<LogManager>,
    store: MetadataStore,
    image: Image,
    partitions: Arc<Partitions>,
}

impl Broker {
    /// Starts everything; returns when clients are served.
    pub async fn start(config: BrokerConfig) -> Result<Self, StartError> {
        let config = Arc::new(config);
        let env = Arc::new(Env::system());
        let metrics = Arc::new(Metrics::new(config.metrics.max_labels));
        // Addresses first: a port that is taken must not leave a trace in the data folder.
        let kafka = Listener::bind(&config.kafka.listen)
            .await
            .map_err(|reason| listen_error("kafka.listen", &config.kafka.listen, reason))?;
        let http_listen = (config.http.listen.host.as_str(), config.http.listen.port);
        let http = tokio::net::TcpListener::bind(http_listen)
            .await
            .map_err(|reason| listen_error("http.listen", &config.http.listen, reason))?;
        let http_address = http
            .local_addr()
            .map_err(|reason| listen_error("http.listen", &config.http.listen, reason))?;
        let (background, stopping) = (CancellationToken::new(), CancellationToken::new());
        let stop_unless_started = stopping.clone().drop_guard();
        let recovered = Recovered::default();
        let http = Limited::new(http, &config.http, Arc::clone(&metrics));
        let http = http::serve(
            http,
            config.http.clone(),
            Arc::clone(&recovered),
            Arc::clone(&env),
            stopping.clone(),
        );
        let http = env.spawn("http", http);

        let opened = open_data(&config, &env, &metrics).await?;
        let manager = Arc::clone(&opened.manager);
        let services = services(config, env, metrics, opened, &background);
        services.groups.start();
        let interval = services.config.kafka.defaults.retention_check_interval;
        let transactions = transactions(&services);
        transactions
            .recover()
            .await
            .map_err(|error| StartError::Transactions(error.to_string()))?;
        let ports = streams::ports(&services, transactions);
        let engine = Engine::start(services.config.engine_config(), ports).await?;
        // Queries have put their pins on what they still need; only now may anything be deleted.
        services.partitions.start_upkeep(interval, background.clone());

        let kafka_address = kafka.address();
        let broker = Self {
            http,
            listener: kafka.serve(Arc::clone(&services), stopping.clone()),
            services: Arc::clone(&services),
            manager,
            engine: Arc::clone(&engine),
            kafka_address,
            http_address,
            stopping,
            background,
        };
        stop_unless_started.disarm();
        // Set here and nowhere else, so it is empty.
        let _ = recovered.set(Served { services, engine });
        info!(kafka = %broker.kafka_address, http = %broker.http_address, "the broker serves");
        Ok(broker)
    }

    /// The address of the Kafka listener.
    pub fn kafka_address(&self) -> SocketAddr {
        self.kafka_address
    }

    /// The address of the HTTP listener.
    pub fn http_address(&self) -> SocketAddr {
        self.http_address
    }

    /// The services, for what runs in the same process.
    pub fn services(&self) -> &Arc<Services> {
        &self.services
    }

    /// Stops: nothing new is accepted, what was accepted is answered, everything is flushed, and the data folder is
    /// marked as cleanly left. Takes a few seconds at most, long polls included.
    pub async fn stop(self) {
        info!("the broker stops");
        self.stopping.cancel();
        let engine = tokio::time::timeout(ENGINE_STOP_TIMEOUT, self.engine.shutdown());
        let http = tokio::time::timeout(HTTP_STOP_TIMEOUT, self.http);
        let ((), engine, _http) = tokio::join!(self.listener.stop(), engine, http);
        if engine.is_err() {
            warn!("queries did not end in time; their last epoch is done again at the next start");
        }
        self.background.cancel();
        let (manager, now) = (self.manager, self.services.env.now_ms());
        let flushed = self.services.env.spawn_blocking(move || manager.shutdown(now)).await;
        match flushed {
            Ok(Ok(())) => info!("everything is flushed"),
            Ok(Err(error)) => warn!(%error, "not everything could be flushed; the next start recovers"),
            Err(error) => warn!(%error, "the flush was broken off; the next start recovers"),
        }
    }
}

impl Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker")
            .field("kafka", &self.kafka_address)
            .field("http", &self.http_address)
            .finish()
    }
}

fn listen_error(setting: &'static str, address: &HostPort, reason: std::io::Error) -> StartError {
    StartError::Listen {
        setting,
        address: address.clone(),
        reason,
    }
}

/// Opens the data folder: lock, identity, metadata, and the logs that the metadata names.
async fn open_data(config: &Arc<BrokerConfig>, env: &Arc<Env>, metrics: &Arc<Metrics>) -> Result<Opened, StartError> {
    let (config, env, metrics) = (Arc::clone(config), Arc::clone(env), Arc::clone(metrics));
    let opening = Arc::clone(&env);
    let open = move || {
        let fs: Arc<dyn Fs> = Arc::new(DiskFs);
        let observer = Arc::new(FlushMetrics::new(metrics, Arc::clone(&env)));
        let clock = Arc::clone(&env) as Arc<dyn MonotonicClock>;
        let manager = LogManager::open(config.storage_config(), Arc::clone(&fs), clock)?;
        manager.observe_flushes(observer);
        let data_dir = &config.node.data_dir;
        let identity = Identity::open(fs.as_ref(), data_dir, config.node.id, env.uuid())?;
        let (store, image) = MetadataStore::open(&manager, data_dir, &identity, env.now_ms())?;
        let partitions = Arc::new(Partitions::new(
            Arc::clone(&manager),
            Arc::clone(&config),
            Arc::clone(&env),
        ));
        if let Err(reason) = partitions.apply(&Arc::new(image.clone())) {
            // One damaged log takes its own partition offline and nothing else.
            warn!(reason, "a partition is offline");
        }
        Ok(Opened {
            manager,
            store,
            image,
            partitions,
        })
    };
    opening.spawn_blocking(open).await.unwrap_or(Err(StartError::Aborted))
}

fn services(
    config: Arc<BrokerConfig>,
    env: Arc<Env>,
    metrics: Arc<Metrics>,
    opened: Opened,
    background: &CancellationToken,
) -> Arc<Services> {
    let partitions = opened.partitions;
    let applier = Arc::clone(&partitions) as Arc<dyn ImageApplier>;
    let rules = config.change_rules();
    let controller = Arc::new(Controller::new(
        opened.store,
        opened.image,
        rules,
        applier,
        Arc::clone(&env),
    ));
    let groups = Arc::new(Groups::new(
        &config,
        Arc::clone(&env),
        Arc::clone(&controller),
        Arc::clone(&partitions),
        background.clone(),
    ));
    let producer_ids = Arc::new(ProducerIds::new(Arc::clone(&controller)));
    Arc::new(Services {
        config,
        env,
        controller,
        partitions,
        groups,
        producer_ids,
        metrics,
    })
}

fn transactions(services: &Services) -> Arc<Transactions> {
    Arc::new(Transactions::new(
        Arc::clone(&services.env),
        Arc::clone(&services.controller),
        Arc::clone(&services.partitions),
        Arc::clone(&services.groups),
        Arc::clone(&services.producer_ids),
        TRANSACTION_PARTITIONS,
    ))
}
