//! `tidemill demo` as somebody sees it who sits in front of it: the page that is drawn again and again, the ports when the
//! usual ones are taken, and the lines to paste into a second terminal, which are pasted.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

use rustix::process::{Pid, Signal};
use serde_json::Value;
use tests::paths;

use super::{ended, stderr, stdout, tidemill};

/// What a terminal gets in front of every picture.
const CLEAR: &str = "\u{1b}[2J";
const CTRL_C: &[u8] = b"\x03";
/// The pictures, one a second, in which everything has to appear that takes its time.
const PICTURES_MAX: usize = 120;

/// util-linux' `script` gives the demo a terminal of its own, and passes on what it says and is told. It starts the demo
/// through a shell, which has to make room for it: a shell that stays takes Ctrl-C for itself too, and answers with 130.
fn on_a_terminal(temp: &std::path::Path) -> (Child, ChildStdin, ChildStdout) {
    let demo = format!("exec '{}' demo --rate 500", paths::tidemill_binary().display());
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &demo, "/dev/null"]);
    script.env("TMPDIR", temp).env("TERM", "xterm");
    script
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = script.spawn().expect("script is part of util-linux");
    let (keys, screen) = (child.stdin.take(), child.stdout.take());
    (child, keys.expect("a pipe"), screen.expect("a pipe"))
}

/// Reads pictures until one satisfies the condition, and gives it.
fn picture(screen: &mut ChildStdout, mut is_it: impl FnMut(&str) -> bool) -> String {
    let (mut text, mut chunk) = (String::new(), [0; 4096]);
    loop {
        let count = screen.read(&mut chunk).expect("the terminal can be read");
        assert!(count > 0, "the demo ended: {text}");
        text.push_str(&String::from_utf8_lossy(&chunk[..count]));
        // A picture is whole when the next one begins.
        let pictures: Vec<&str> = text.split(CLEAR).collect();
        let whole = &pictures[..pictures.len() - 1];
        if let Some(found) = whole.iter().skip(1).find(|picture| is_it(picture)) {
            return (*found).to_owned();
        }
        let last = whole.last().copied().unwrap_or_default();
        assert!(pictures.len() < PICTURES_MAX, "something never appeared: {last}");
    }
}

/// Lines of a picture that begin with `name` and hold a number above 0 in their second column.
fn has_row(picture: &str, name: &str) -> bool {
    picture.lines().any(|line| {
        let mut words = line.split_whitespace();
        words.next().is_some_and(|word| word.starts_with(name))
            && words.next().and_then(|word| word.parse::<f64>().ok()) > Some(0.0)
    })
}

/// Whether the picture has the lag of a group.
fn has_lag(picture: &str, group: &str) -> bool {
    let name = format!("lag {group} ");
    let lag = picture.lines().find(|line| line.starts_with(&name));
    lag.is_some_and(|lag| lag.trim_end().ends_with(" records"))
}

#[test]
fn the_page_shows_results_lag_latency_and_what_to_paste() {
    let temp = tempfile::tempdir().expect("a folder");
    let (child, mut keys, mut screen) = on_a_terminal(temp.path());
    let groups = ["tidemill.query.clicks_per_minute", "tidemill.query.card_activity"];
    // A group's lag is looked up before the results: its first commit may show one picture later than they do.
    let page = picture(&mut screen, |page| {
        has_row(page, "/")
            && has_row(page, "card-")
            && page.contains("event to result   p50 ")
            && groups.iter().all(|group| has_lag(page, group))
    });
    assert!(page.contains("clicks in the minute of 20"), "{page}");
    assert!(page.contains("cards to review"), "{page}");
    for paste in [
        "kcat -b ",
        "KafkaConsumer",
        " sql --server http://",
        "/v1/sql",
        "/metrics",
    ] {
        assert!(page.contains(paste), "nothing to paste with {paste} in {page}");
    }
    keys.write_all(CTRL_C).expect("the terminal takes a key");
    // The rest of what it draws has to go somewhere.
    let drained = std::thread::spawn(move || screen.read_to_end(&mut Vec::new()));
    let (output, _) = ended(child);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    drained.join().expect("no panic").expect("the terminal ends");
    drop(keys);
    let left = std::fs::read_dir(temp.path()).expect("the folder").count();
    assert_eq!(left, 0, "its folder is gone");
}

#[test]
fn taken_ports_are_left_alone_and_every_line_to_paste_works() {
    // Held here, or by somebody else: taken either way.
    let _held = ["127.0.0.1:9092", "127.0.0.1:8080"].map(TcpListener::bind);
    let temp = tempfile::tempdir().expect("a folder");
    let mut child = tidemill(&["demo", "--rate", "500"])
        .env("TMPDIR", temp.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary can be run");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe"))
        .lines()
        .map_while(Result::ok);
    let pasted: Vec<String> = lines
        .by_ref()
        .skip_while(|line| line != "In a second terminal:")
        .skip(1)
        .map_while(|line| line.strip_prefix("  ").map(str::to_owned))
        .collect();
    assert_eq!(pasted.len(), 5, "{pasted:?}");
    for line in &pasted {
        assert!(
            !line.contains("127.0.0.1:9092") && !line.contains("127.0.0.1:8080"),
            "{line}"
        );
    }
    // A card to look at has come, so every line has something to show.
    let found = lines.by_ref().find(|line| line.contains("review: card-"));
    assert!(found.is_some(), "it ended");
    let drained = std::thread::spawn(move || lines.count());

    let kcat = stdout(&paste(&pasted, "kcat "));
    let rows: Vec<Value> = kcat
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert!(
        rows.len() == 5 && rows.iter().all(|row| row["clicks"].is_i64()),
        "{kcat}"
    );
    first_line_of(&pasted, "KafkaConsumer");
    let table = stdout(&paste(&pasted, " sql --server "));
    assert!(table.contains("card-0013") && table.contains("review"), "{table}");
    let queries: Value = serde_json::from_str(&stdout(&paste(&pasted, "/v1/sql"))).expect("JSON");
    assert_eq!(queries["row_count"], 2, "{queries}");
    let metrics = stdout(&paste(&pasted, "/metrics"));
    assert!(
        metrics.contains("tidemill_query_rows_in_total{query=\"clicks_per_minute\"}"),
        "{metrics}"
    );

    let pid = Pid::from_raw(i32::try_from(child.id()).expect("process ids fit")).expect("not zero");
    rustix::process::kill_process(pid, Signal::INT).expect("a running child can be signalled");
    let (output, _) = ended(child);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    drained.join().expect("the pipe ends");
}

/// The one line with `mark`, for a shell on whose PATH there is no tidemill.
fn shell(pasted: &[String], mark: &str) -> Command {
    let mut with_mark = pasted.iter().filter(|line| line.contains(mark));
    let line = with_mark
        .next()
        .unwrap_or_else(|| panic!("no line with {mark}: {pasted:?}"));
    assert!(with_mark.next().is_none(), "two lines with {mark}: {pasted:?}");
    // The Python environment of the compatibility tests stands for a user's own.
    let cache = std::env::var("TIDEMILL_CACHE")
        .unwrap_or_else(|_| format!("{}/.cache/tidemill", std::env::var("HOME").expect("HOME is set")));
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", line]).stdin(Stdio::null());
    shell.env("PATH", format!("{cache}/python/bin:/usr/local/bin:/usr/bin:/bin"));
    shell.env("PYTHONUNBUFFERED", "1");
    shell
}

#[track_caller]
fn paste(pasted: &[String], mark: &str) -> Output {
    let output = shell(pasted, mark).output().expect("bash runs");
    assert!(
        output.status.success(),
        "{mark}: {}\n{}",
        stdout(&output),
        stderr(&output)
    );
    output
}

/// For a line that goes on for ever: its first word is enough.
fn first_line_of(pasted: &[String], mark: &str) {
    let mut child = shell(pasted, mark).stdout(Stdio::piped()).spawn().expect("bash runs");
    let mut said = String::new();
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    out.read_line(&mut said).expect("text");
    child.kill().expect("a child can be killed");
    child.wait().expect("a killed child ends");
    assert!(said.contains("card-"), "{mark}: {said}");
}
