//! The server inside a command of another kind: `tidemill demo` runs one on a folder of its own.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::runtime::Runtime;

use super::ConfigSource;
use super::error::CliError;
use super::output::message;
use crate::config::BrokerConfig;
use crate::env::Env;
use crate::telemetry::logging::start_logging;
use crate::{Broker, StartError};

/// A server in this process.
pub(super) struct RunningServer {
    broker: Broker,
    /// Removed at the end; `None` where the user named the folder.
    temporary: Option<PathBuf>,
}

/// The runtime that a server needs.
pub(super) fn runtime() -> Result<Runtime, CliError> {
    let built = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("tidemill")
        .build();
    built.map_err(|error| CliError::failed(format!("the runtime cannot be started: {error}")))
}

impl RunningServer {
    /// Starts on the usual ports, or on free ones where those are taken; in `data_dir`, or in a temporary folder.
    pub(super) async fn start(data_dir: Option<PathBuf>) -> Result<RunningServer, CliError> {
        let (folder, temporary) = match data_dir {
            Some(folder) => (folder, None),
            None => {
                let folder = std::env::temp_dir().join(format!("tidemill-demo-{}", std::process::id()));
                (folder.clone(), Some(folder))
            }
        };
        let source = ConfigSource {
            config: None,
            data_dir: Some(folder),
            settings: vec!["log.level=warn".to_owned()],
        };
        let config = source.load()?.config;
        start_logging(&config.log);
        let broker = start_where_free(config)
            .await
            .map_err(|error| CliError::failed(error.to_string()))?;
        Ok(RunningServer { broker, temporary })
    }

    pub(super) fn kafka_address(&self) -> SocketAddr {
        self.broker.kafka_address()
    }

    pub(super) fn http_address(&self) -> SocketAddr {
        self.broker.http_address()
    }

    pub(super) fn env(&self) -> Arc<Env> {
        Arc::clone(&self.broker.services().env)
    }

    /// Records that each consumer group has yet to read.
    pub(super) async fn group_lags(&self) -> Vec<(String, i64)> {
        let mut lags: Vec<(String, i64)> = Vec::new();
        for lag in self.broker.services().groups.lag().await {
            match lags.iter_mut().find(|(group, _)| *group == *lag.group) {
                Some((_, records)) => *records += lag.records,
                None => lags.push((lag.group.to_string(), lag.records)),
            }
        }
        lags
    }

    /// Stops as `tidemill start` does, and removes the temporary folder.
    pub(super) async fn stop(self) {
        self.broker.stop().await;
        if let Some(folder) = self.temporary
            && let Err(error) = fs::remove_dir_all(&folder)
        {
            message(&format!("cannot remove {}: {error}", folder.display()));
        }
    }
}

/// Starts on the configured ports; where one is taken, on one that the system chooses. A port is tried by listening on
/// it, so that nobody can take it in between.
async fn start_where_free(mut config: BrokerConfig) -> Result<Broker, StartError> {
    loop {
        let setting = match Broker::start(config.clone()).await {
            Err(StartError::Listen { setting, reason, .. }) if reason.kind() == io::ErrorKind::AddrInUse => setting,
            outcome => return outcome,
        };
        match setting {
            "kafka.listen" => config.kafka.listen.port = 0,
            _ => config.http.listen.port = 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::config::HostPort;

    fn config(folder: &tempfile::TempDir, kafka: SocketAddr, http: SocketAddr) -> BrokerConfig {
        let settings = vec![format!("kafka.listen={kafka}"), format!("http.listen={http}")];
        let source = ConfigSource {
            config: None,
            data_dir: Some(folder.path().to_owned()),
            settings,
        };
        source.load().expect("valid settings").config
    }

    #[test]
    fn taken_ports_are_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let taken = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
        let [kafka, http] = taken.each_ref().map(|taken| taken.local_addr().expect("it is bound"));
        runtime().expect("a runtime").block_on(async {
            let broker = start_where_free(config(&folder, kafka, http)).await.expect("it starts");
            assert_ne!(broker.kafka_address(), kafka);
            assert_ne!(broker.http_address(), http);
            broker.stop().await;
        });
    }

    #[test]
    fn an_address_of_somebody_else_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        // RFC 5737: an address that no machine has.
        let elsewhere = SocketAddr::from(([192, 0, 2, 1], 9092));
        let here = SocketAddr::from(([127, 0, 0, 1], 0));
        let outcome = runtime()
            .expect("a runtime")
            .block_on(start_where_free(config(&folder, elsewhere, here)));
        let Err(StartError::Listen { setting, address, .. }) = outcome else {
            panic!("an error of the listener: {outcome:?}");
        };
        let expected = HostPort {
            host: "192.0.2.1".to_owned(),
            port: 9092,
        };
        assert_eq!((setting, address), ("kafka.listen", expected));
    }
}
