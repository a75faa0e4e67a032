//! Running somebody else's program: with a deadline, and with its whole output where it fails.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tests::broker::BOOTSTRAP_VARIABLE;
use tests::paths;

/// Seconds after which `timeout` ends a program that hangs.
const DEADLINE: &str = "400";

/// What `scripts/setup.sh test` installs: the Python environment and Kafka's jars.
pub(crate) fn cache_dir() -> PathBuf {
    if let Some(dir) = std::env::var_os("TIDEMILL_CACHE") {
        return PathBuf::from(dir);
    }
    PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache/tidemill")
}

/// A file under `tests/compat`.
pub(crate) fn script(path: &str) -> PathBuf {
    paths::repository().join("tests/compat").join(path)
}

/// `program` with a deadline around it and the broker's address in its environment.
pub(crate) fn program(program: impl AsRef<OsStr>, bootstrap: &str) -> Command {
    let mut command = Command::new("timeout");
    command.arg("--kill-after=10").arg(DEADLINE).arg(program);
    command.env(BOOTSTRAP_VARIABLE, bootstrap).stdin(Stdio::null());
    command
}

/// The Python of the test environment, running a script under `tests/compat`.
pub(crate) fn python(path: &str, bootstrap: &str) -> Command {
    let mut command = program(cache_dir().join("python/bin/python"), bootstrap);
    command.arg(script(path));
    command
}

/// `java` with Kafka's jars and whatever folders come before them on the class path.
pub(crate) fn java(classes: &[PathBuf], bootstrap: &str) -> Command {
    let mut class_path: Vec<String> = classes.iter().map(|dir| dir.display().to_string()).collect();
    class_path.push(format!("{}/java/lib/*", cache_dir().display()));
    let mut command = program("java", bootstrap);
    command
        .arg("-XX:TieredStopAtLevel=1")
        .arg("-XX:+UseSerialGC")
        .arg("-cp")
        .arg(class_path.join(":"));
    command
}

/// Runs a program that has to succeed and gives its stdout.
#[track_caller]
pub(crate) fn run(mut command: Command) -> String {
    let shown = format!("{command:?}");
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{shown}: {error}; run scripts/setup.sh test"));
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "{shown}: {}\n{stdout}\n{stderr}",
        output.status
    );
    stdout.into_owned()
}
