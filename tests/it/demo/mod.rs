//! The program as a person uses it: the demo, the commands against a running server, and every command that the pages for
//! people tell them to type.

mod bench;
mod commands;
mod pages;
mod settings;
mod show;
mod terminal;

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tests::{paths, wait};

/// `tidemill` with its arguments, away from any configuration of whoever runs the tests.
fn tidemill(arguments: &[&str]) -> Command {
    let mut command = Command::new(paths::tidemill_binary());
    command
        .args(arguments)
        .env_remove("TIDEMILL_BROKERS")
        .env_remove("TIDEMILL_SERVER")
        .stdin(Stdio::null());
    command
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Waits for a child's end and gives its output and how long that took.
fn ended(mut child: std::process::Child) -> (Output, Duration) {
    let start = Instant::now();
    wait::until("a child to end", || {
        child.try_wait().expect("a child can be waited for").is_some()
    });
    let took = start.elapsed();
    (child.wait_with_output().expect("its output"), took)
}
