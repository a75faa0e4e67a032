//! One broker under test: the real binary, on free ports, with a data folder of its own.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::{paths, wait};

/// Environment variable that points tests at a broker which somebody else started.
pub const BOOTSTRAP_VARIABLE: &str = "TIDEMILL_TEST_BOOTSTRAP";

/// Segments roll at Kafka's smallest size, so that every test which writes much also rolls.
const SEGMENT_BYTES: &str = "1048576";

/// How much of the server's messages is kept for a failing test.
const STDERR_BYTES_MAX: usize = 64 * 1024;

/// A running `tidemill start`. Stopped cleanly when dropped; its data stays for Kafka's dump tool unless
/// [`TestBroker::discard_data`] was called.
pub struct TestBroker {
    child: Option<Child>,
    kafka: SocketAddr,
    http: SocketAddr,
    data_dir: PathBuf,
    settings: Vec<(String, String)>,
    /// For one start: where the server kills itself.
    stderr: Arc<Mutex<Vec<u8>>>,
    discard_data: bool,
}

impl TestBroker {
    /// Starts with the defaults of the tests.
    #[must_use]
    pub fn start() -> TestBroker {
        TestBroker::start_with(&[])
    }

    /// Starts with settings of `-X section.key=value` added.
    ///
    /// # Panics
    /// When the server does not become ready.
    #[must_use]
    pub fn start_with(settings: &[(&str, &str)]) -> TestBroker {
        TestBroker::start_in(paths::new_data_dir(), settings)
    }

    /// Starts on a data folder that may hold something already.
    ///
    /// # Panics
    /// When the server does not become ready.
    #[must_use]
    pub fn start_in(data_dir: PathBuf, settings: &[(&str, &str)]) -> TestBroker {
        let mut all = vec![("kafka.defaults.log.segment.bytes".to_owned(), SEGMENT_BYTES.to_owned())];
        all.extend(
            settings
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned())),
        );
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut broker = TestBroker {
            child: None,
            kafka: free,
            http: free,
            data_dir,
            settings: all,
            stderr: Arc::default(),
            discard_data: false,
        };
        broker.spawn();
        broker
    }

    /// `host:port` of the Kafka listener.
    #[must_use]
    pub fn kafka_address(&self) -> String {
        self.kafka.to_string()
    }

    /// `http://host:port`.
    #[must_use]
    pub fn http_url(&self) -> String {
        format!("http://{}", self.http)
    }

    /// The folder given as `--data-dir`.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The server's process id.
    ///
    /// # Panics
    /// When the server is not running.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the server is running").id()
    }

    /// What the server wrote to stderr so far, its end only.
    #[must_use]
    pub fn messages(&self) -> String {
        let bytes = self.stderr.lock().expect("the reader thread does not panic");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// True while the process has not exited.
    pub fn is_running(&mut self) -> bool {
        match &mut self.child {
            Some(child) => child.try_wait().expect("a child can be waited for").is_none(),
            None => false,
        }
    }

    /// `kill -9`, and waits until the process is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("a child can be killed");
            child.wait().expect("a killed child ends");
        }
    }

    /// SIGTERM, and waits for the exit.
    ///
    /// # Panics
    /// When the server does not exit before the harness's deadline.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait_for_exit()
    }

    /// Sends a signal to the server.
    ///
    /// # Panics
    /// When the server is not running.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).expect("process ids fit");
        let pid = Pid::from_raw(pid).expect("process ids are not zero");
        rustix::process::kill_process(pid, signal).expect("a running child can be signalled");
    }

    /// Waits for a server that was told to stop, or is expected to stop by itself.
    ///
    /// # Panics
    /// When it does not exit before the harness's deadline.
    pub fn wait_for_exit(&mut self) -> ExitStatus {
        let child = self.child.as_mut().expect("the server was running");
        let status = wait::until_some("the server to exit", || {
            child.try_wait().expect("a child can be waited for")
        });
        self.child = None;
        status
    }

    /// Starts again on the same data folder and the same addresses.
    ///
    /// # Panics
    /// When the server still runs, or does not become ready.
    pub fn restart(&mut self) {
        assert!(self.child.is_none(), "stop or kill the server first");
        self.spawn();
    }

    /// `kill -9` and start again on the same data folder and the same addresses.
    pub fn kill_and_restart(&mut self) {
        self.kill();
        self.restart();
    }

    /// Adds or replaces a setting for the next start.
    pub fn set(&mut self, key: &str, value: &str) {
        self.settings.retain(|(known, _)| known != key);
        self.settings.push((key.to_owned(), value.to_owned()));
    }

    /// Removes the data when dropped: for tests that damage files on purpose.
    pub fn discard_data(&mut self) {
        self.discard_data = true;
    }

    /// The command line of this broker, without anything captured.
    fn command(&self) -> Command {
        let mut command = Command::new(paths::tidemill_binary());
        command.arg("start").arg("--data-dir").arg(&self.data_dir);
        command.arg("-X").arg(format!("kafka.listen={}", self.kafka));
        command.arg("-X").arg(format!("http.listen={}", self.http));
        for (key, value) in &self.settings {
            command.arg("-X").arg(format!("{key}={value}"));
        }
        command
    }

    /// Starts again on the same data folder and the same addresses, and does not wait until the server is ready.
    ///
    /// # Panics
    /// When the server still runs.
    pub fn start_without_waiting(&mut self) {
        assert!(self.child.is_none(), "stop or kill the server first");
        drop(self.launch());
    }

    /// Runs the stopped server in the broker's place, gives it work, and waits until it has killed itself at `point`, one
    /// of `processor::crash`: `between-markers`, or `between-markers:3` for the third time that it passes there. The
    /// work has to wait for the server itself ([`Connection::open_once_up`](crate::client::Connection::open_once_up)).
    ///
    /// # Panics
    /// When it ends in another way, or not before the harness's deadline.
    pub fn run_until_it_dies(&self, point: &str, work: impl FnOnce()) {
        let mut command = self.command();
        command.env("TIDEMILL_CRASH_AT", point);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the binary can be run");
        work();
        let status = wait::until_some(&format!("the server to die at {point}"), || {
            child.try_wait().expect("a child can be waited for")
        });
        let by_kill = Some(Signal::KILL.as_raw());
        assert_eq!(status.signal(), by_kill, "{point}: it ended with {status}");
    }

    fn spawn(&mut self) {
        let stdout = self.launch();
        match read_addresses(stdout) {
            Ok((kafka, http)) => (self.kafka, self.http) = (kafka, http),
            Err(said) => {
                self.kill();
                panic!(
                    "the server did not become ready; stdout:\n{said}\nstderr:\n{}",
                    self.messages()
                );
            }
        }
    }

    fn launch(&mut self) -> ChildStdout {
        let mut child = self
            .command()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary can be run");
        collect(child.stderr.take().expect("stderr is piped"), Arc::clone(&self.stderr));
        let stdout = child.stdout.take().expect("stdout is piped");
        self.child = Some(child);
        stdout
    }
}

impl Drop for TestBroker {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.kill();
            eprintln!(
                "--- the server's last messages ({}):\n{}---",
                self.data_dir.display(),
                self.messages()
            );
        } else if self.is_running() {
            // Every test ends with a clean stop, which is one more thing that has to work.
            let status = self.terminate();
            assert!(status.success(), "the server ended with {status}:\n{}", self.messages());
        }
        if self.discard_data {
            std::fs::remove_dir_all(&self.data_dir).expect("a stopped server's data can be removed");
        }
    }
}

/// Where a test that can run against any broker runs: our own binary, or the address in the environment.
pub enum Target {
    /// Started for this test.
    Own(Box<TestBroker>),
    /// Started by somebody else.
    Foreign(String),
}

impl Target {
    /// The address in `TIDEMILL_TEST_BOOTSTRAP`, or else a broker of our own with the settings given.
    #[must_use]
    pub fn start_with(settings: &[(&str, &str)]) -> Target {
        match std::env::var(BOOTSTRAP_VARIABLE) {
            Ok(address) => Target::Foreign(address),
            Err(_) => Target::Own(Box::new(TestBroker::start_with(settings))),
        }
    }

    /// `host:port` of the Kafka listener.
    #[must_use]
    pub fn address(&self) -> String {
        match self {
            Target::Own(broker) => broker.kafka_address(),
            Target::Foreign(address) => address.clone(),
        }
    }

    /// The broker, when it is ours.
    #[must_use]
    pub fn own(&self) -> Option<&TestBroker> {
        match self {
            Target::Own(broker) => Some(broker),
            Target::Foreign(_) => None,
        }
    }
}

/// Reads `kafka=`, `http=` and `ready` from the server's stdout, or gives back what came instead.
fn read_addresses(stdout: impl Read + Send + 'static) -> Result<(SocketAddr, SocketAddr), String> {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // Nobody listens any more once the server is ready; the pipe is still drained.
            let _ = sender.send(line);
        }
    });
    let (mut kafka, mut http, mut said) = (None, None, String::new());
    let start = Instant::now();
    while let Some(left) = wait::DEADLINE.checked_sub(start.elapsed()) {
        let Ok(line) = receiver.recv_timeout(left.max(Duration::from_millis(1))) else {
            break;
        };
        said.push_str(&line);
        said.push('\n');
        match line.split_once('=') {
            Some(("kafka", address)) => kafka = address.parse().ok(),
            Some(("http", address)) => http = address.parse().ok(),
            _ if line == "ready" => return kafka.zip(http).ok_or(said),
            _ => {}
        }
    }
    Err(said)
}

/// Keeps the end of what the server says, so that a failing test can show it.
fn collect(mut stderr: impl Read + Send + 'static, into: Arc<Mutex<Vec<u8>>>) {
    std::thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(count) = stderr.read(&mut chunk) {
            if count == 0 {
                return;
            }
            let mut kept = into.lock().expect("nobody panics while holding this");
            kept.extend_from_slice(&chunk[..count]);
            let excess = kept.len().saturating_sub(STDERR_BYTES_MAX);
            kept.drain(..excess);
        }
    });
}
