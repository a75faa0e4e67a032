//! A start that comes to nothing leaves nothing behind in a process that goes on: nobody answers on its HTTP port.

use std::fs::OpenOptions;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use storage::fs::DiskFs;
use storage::{LogManager, StorageConfig};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::config::{BrokerConfig, Overrides, load};
use crate::env::Env;
use crate::wait::until;
use crate::{Broker, StartError};

/// A data folder, and an address for HTTP that nobody else in this machine asks for.
struct Place {
    folder: TempDir,
    http: SocketAddr,
}

impl Place {
    async fn new(last_octet: u8) -> Self {
        let own: IpAddr = [127, 0, 17, last_octet].into();
        let free = TcpListener::bind((own, 0)).await.expect("a free port");
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            http: free.local_addr().expect("an address"),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn config(&self) -> BrokerConfig {
        let overrides = Overrides {
            data_dir: Some(self.folder.path().to_owned()),
            settings: vec![
                "kafka.listen=127.0.0.1:0".to_owned(),
                format!("http.listen={}", self.http),
            ],
            ..Overrides::default()
        };
        load(&overrides).expect("a valid configuration").config
    }

    /// Makes the identity a pipe: reading it holds the start up until somebody opens its other end.
    fn hold_the_start_up(&self) -> Pipe {
        let identity = self.path("meta.properties");
        let mode = Mode::RUSR | Mode::WUSR;
        mknodat(CWD, &identity, FileType::Fifo, mode, 0).expect("a pipe");
        Pipe(identity)
    }

    /// Waits until the start answers.
    async fn is_alive(&self) {
        until("the HTTP port to answer", async || {
            get(self.http, "/livez")
                .await
                .is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
        })
        .await;
    }

    /// Waits until nobody listens any more.
    async fn is_silent(&self) {
        until("the HTTP port to be free", async || {
            TcpListener::bind(self.http).await.is_ok()
        })
        .await;
        assert!(get(self.http, "/livez").await.is_none());
    }
}

/// An identity that is none. Dropping it waits for its reader and lets it go on, so that its thread ends with the test.
struct Pipe(PathBuf);

impl Drop for Pipe {
    fn drop(&mut self) {
        // Opened for both, it waits for nobody: after a failure it is not known whether somebody reads.
        let opened = OpenOptions::new()
            .read(std::thread::panicking())
            .write(true)
            .open(&self.0);
        drop(opened.expect("it is there"));
    }
}

async fn get(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    Some(answer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_fails_ends_http() {
    let place = Place::new(1).await;
    let identity = place.hold_the_start_up();
    let starting = Env::system().spawn("start", Broker::start(place.config()));
    place.is_alive().await;
    drop(identity);
    let failed = starting.await.expect("no panic");
    assert!(matches!(failed, Err(StartError::Identity(_))), "{failed:?}");
    place.is_silent().await;
}

/// As a signal during a long recovery does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_is_dropped_ends_http() {
    let place = Place::new(2).await;
    let _identity = place.hold_the_start_up();
    let starting = Env::system().spawn("start", Broker::start(place.config()));
    place.is_alive().await;
    starting.abort();
    place.is_silent().await;
}

#[tokio::test]
async fn a_start_on_a_folder_in_use_or_with_damaged_metadata_ends_http() {
    let place = Place::new(3).await;
    let clock = Arc::new(Env::system());
    let user =
        LogManager::open(StorageConfig::new(place.folder.path()), Arc::new(DiskFs), clock).expect("an empty folder");
    let failed = Broker::start(place.config()).await;
    assert!(matches!(failed, Err(StartError::Storage(_))), "{failed:?}");
    place.is_silent().await;
    drop(user);

    let started = Broker::start(place.config()).await.expect("the folder is free");
    started.stop().await;
    let metadata = std::fs::read_dir(place.path("metadata")).expect("the metadata log");
    let mut files = metadata.map(|entry| entry.expect("readable").path());
    let log = files
        .find(|path| path.extension().is_some_and(|extension| extension == "log"))
        .expect("a segment");
    let damaged: Vec<u8> = std::fs::read(&log)
        .expect("readable")
        .iter()
        .map(|byte| !byte)
        .collect();
    std::fs::write(&log, damaged).expect("written");
    let failed = Broker::start(place.config()).await;
    assert!(matches!(failed, Err(StartError::Metadata(_))), "{failed:?}");
    place.is_silent().await;
}
