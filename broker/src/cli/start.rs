//! `tidemill start`: the server, until a signal stops it.

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::ConfigSource;
use super::error::CliError;
use super::output::{message, print};
use super::server::runtime;
use crate::Broker;
use crate::config::BrokerConfig;
use crate::telemetry::logging::start_logging;

/// Arguments of `tidemill start`.
#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    #[command(flatten)]
    source: ConfigSource,
}

/// Serves until SIGTERM or SIGINT. A second signal ends the process at once.
pub(crate) fn run(args: &StartArgs) -> Result<(), CliError> {
    let config = args.source.load()?.config;
    start_logging(&config.log);
    let runtime = runtime()?;
    let outcome = runtime.block_on(serve(config));
    // Blocking work that is still under way (a read of a long log) must not hold up the exit.
    runtime.shutdown_background();
    outcome
}

async fn serve(config: BrokerConfig) -> Result<(), CliError> {
    let mut signals = Signals::listen()?;
    let broker = tokio::select! {
        broker = Broker::start(config) => broker.map_err(|error| CliError::failed(error.to_string()))?,
        () = signals.next() => return Err(CliError::failed("stopped before the start was finished")),
    };
    print(&format!(
        "kafka={}\nhttp={}\nready\n",
        broker.kafka_address(),
        broker.http_address()
    ));
    signals.next().await;
    tokio::select! {
        () = broker.stop() => Ok(()),
        () = signals.next() => {
            message("tidemill: second signal, leaving at once");
            Err(CliError::failed("stopped without flushing; the next start recovers"))
        }
    }
}

/// The two signals that stop a server.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens from now on.
    pub(super) fn listen() -> Result<Self, CliError> {
        let listen = |kind| signal(kind).map_err(|error| CliError::failed(format!("signals cannot be heard: {error}")));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Returns when one arrives.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
