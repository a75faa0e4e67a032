//! The server inside a command of another kind: `tidemill demo` runs one on a folder of its own.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::runtime::Runtime;

use super::ConfigSource;
use super::error::CliError;
use super::output::message;
use crate::Broker;
use crate::env::Env;
use crate::telemetry::logging::start_logging;

/// The ports that clients expect.
const USUAL: [(&str, &str); 2] = [("kafka.listen", "127.0.0.1:9092"), ("http.listen", "127.0.0.1:8080")];

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
        let mut settings = vec!["log.level=warn".to_owned()];
        settings.extend(
            USUAL
                .iter()
                .map(|(key, address)| format!("{key}={}", free_or_any(address))),
        );
        let source = ConfigSource {
            config: None,
            data_dir: Some(folder),
            settings,
        };
        let config = source.load()?.config;
        start_logging(&config.log);
        let broker = Broker::start(config)
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

/// The address if nobody listens there, else one with a port that the system chooses.
fn free_or_any(address: &str) -> &str {
    match TcpListener::bind(address) {
        Ok(_) => address,
        Err(_) => "127.0.0.1:0",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_left_alone() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = taken.local_addr().expect("bound").to_string();
        assert_eq!(free_or_any(&address), "127.0.0.1:0");
    }
}
