//! `tidemill demo`: it shows something, ends by itself or by Ctrl-C, and leaves nothing behind.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};

use super::{ended, stderr, stdout, tidemill};

/// What it may take to stop after Ctrl-C.
const STOP_MAX: Duration = Duration::from_secs(5);

fn demo(temp: &Path, arguments: &[&str]) -> Child {
    let mut command = tidemill(&["demo"]);
    command
        .args(arguments)
        .env("TMPDIR", temp)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().expect("the binary can be run")
}

fn leftovers(temp: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(temp).expect("the folder");
    entries
        .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn it_runs_for_the_time_asked_for_and_shows_rates_and_latency() {
    let temp = tempfile::tempdir().expect("a folder");
    let (output, _) = ended(demo(temp.path(), &["--seconds", "8", "--rate", "500"]));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    for hint in ["kcat", "KafkaConsumer", "tidemill sql", "curl", "/metrics"] {
        assert!(text.contains(hint), "nothing to paste with {hint} in\n{text}");
    }
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("in=") && line.contains("out="))
        .collect();
    assert!(lines.len() >= 5, "{text}");
    let rate = |line: &str, name: &str| -> f64 {
        let behind = line.split_once(name).expect("a figure").1;
        behind
            .split(|c: char| !c.is_ascii_digit())
            .next()
            .and_then(|digits| digits.parse().ok())
            .expect("a number")
    };
    let busiest = lines.iter().map(|line| rate(line, "in=")).fold(0.0, f64::max);
    assert!((250.0..=1_000.0).contains(&busiest), "asked for 500/s: {text}");
    assert!(lines.iter().any(|line| rate(line, "out=") > 0.0), "{text}");
    assert!(
        lines
            .iter()
            .any(|line| line.contains("latency p50=") && line.contains("p99=")),
        "{text}"
    );
    assert!(lines.iter().all(|line| line.contains("lag=")), "{text}");
    let shows = |before: &str, name: &str| {
        lines.iter().any(|line| {
            let behind = line.split_once(before).expect("results on every line").1;
            let mut words = behind.split([' ', ',']);
            let (first, figure) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            first.starts_with(name) && figure.parse::<f64>().is_ok_and(|figure| figure > 0.0)
        })
    };
    assert!(shows("clicks: ", "/"), "a page and its clicks: {text}");
    assert!(shows("review: ", "card-"), "a card and what was spent: {text}");
    assert_eq!(leftovers(temp.path()), [""; 0], "its folder is gone");
}

#[test]
fn ctrl_c_stops_it_soon_and_cleanly() {
    let temp = tempfile::tempdir().expect("a folder");
    let mut child = demo(temp.path(), &[]);
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let running = lines.by_ref().map_while(Result::ok).find(|line| line.contains("in="));
    assert!(running.is_some(), "it said nothing");
    let drained = std::thread::spawn(move || lines.count());
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("process ids fit")).expect("not zero");
    rustix::process::kill_process(pid, Signal::INT).expect("a running child can be signalled");
    let (output, took) = ended(child);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(took < STOP_MAX, "it took {took:?}");
    assert_eq!(leftovers(temp.path()), [""; 0], "its folder is gone");
    drained.join().expect("the pipe ends");
}

#[test]
fn a_folder_that_was_named_is_kept_and_used_again() {
    let temp = tempfile::tempdir().expect("a folder");
    let data = temp.path().join("kept");
    let data = data.to_str().expect("UTF-8");
    for _ in 0..2 {
        let (output, _) = ended(demo(
            temp.path(),
            &["--seconds", "3", "--rate", "200", "--data-dir", data],
        ));
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(Path::new(data).join("clean-shutdown").exists());
    }
}
