//! Every command that README.md and docs/operations.md tell people to type is typed here, in the order of the page, in an
//! empty folder, with the page's addresses replaced by free ones. So is the cheap one of the benchmarks.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tests::pages::{self, blocks, code_spans, is_not_typed};
use tests::paths;

use super::{stderr, stdout, tidemill};

/// A folder, a PATH with the binary under test on it, and at most one server.
struct Terminal {
    dir: tempfile::TempDir,
    path: String,
    server: Option<Server>,
}

struct Server {
    child: Child,
    addresses: BTreeMap<String, String>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a killed child ends");
    }
}

impl Terminal {
    fn new() -> Terminal {
        let binary: PathBuf = paths::tidemill_binary();
        let folder = binary
            .parent()
            .and_then(Path::to_str)
            .expect("a UTF-8 folder")
            .to_owned();
        let path = format!("{folder}:{}", std::env::var("PATH").expect("a PATH"));
        Terminal {
            dir: tempfile::tempdir().expect("a folder"),
            path,
            server: None,
        }
    }

    /// The command as it is typed here: free ports for a server that starts, the real ones for who talks to it.
    fn adapted(&self, command: &str) -> String {
        let command = command.replace("0.0.0.0:9092", "127.0.0.1:0");
        let Some(server) = &self.server else { return command };
        command
            .replace("127.0.0.1:9092", &server.addresses["kafka"])
            .replace("127.0.0.1:8080", &server.addresses["http"])
    }

    fn shell(&self, command: &str) -> Command {
        let mut shell = Command::new("bash");
        shell.arg("-euo").arg("pipefail").arg("-c").arg(self.adapted(command));
        shell.current_dir(self.dir.path()).env("PATH", &self.path);
        shell
            .env("TIDEMILL__HTTP__LISTEN", "127.0.0.1:0")
            .env("TIDEMILL__NODE__DATA_DIR", self.dir.path().join("data"));
        if !command.contains("kafka.listen") && !command.contains("KAFKA__LISTEN") {
            shell.env("TIDEMILL__KAFKA__LISTEN", "127.0.0.1:0");
        }
        if let Some(server) = &self.server {
            shell.env("TIDEMILL_BROKERS", &server.addresses["kafka"]);
            shell.env("TIDEMILL_SERVER", format!("http://{}", server.addresses["http"]));
        }
        shell.stdin(Stdio::null());
        shell
    }

    fn run(&mut self, command: &str) {
        if command.contains("tidemill start") {
            // One at a time: they share a folder, as they would on somebody's machine.
            self.server = None;
            self.server = Some(self.start(command));
            return;
        }
        let output = self.shell(command).output().expect("bash runs");
        let (stdout, stderr) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(
            output.status.success(),
            "{command}\n{}\n{stdout}\n{stderr}",
            output.status
        );
        println!("$ {command}\n{stdout}");
    }

    fn start(&self, command: &str) -> Server {
        // exec, so that the child is the server and not the shell around it.
        let (variables, rest) = command.split_once("tidemill start").expect("a start");
        let mut shell = self.shell(&format!("{}exec tidemill start{rest}", exported(variables)));
        let mut child = shell.stdout(Stdio::piped()).spawn().expect("bash runs");
        let mut addresses = BTreeMap::new();
        let lines = BufReader::new(child.stdout.take().expect("a pipe"))
            .lines()
            .map_while(Result::ok);
        for line in lines {
            if line == "ready" {
                return Server { child, addresses };
            }
            let (name, address) = line.split_once('=').unwrap_or_else(|| panic!("{command}: {line}"));
            addresses.insert(name.to_owned(), address.to_owned());
        }
        panic!("{command}: it did not become ready: {:?}", child.wait());
    }
}

/// `NAME=value ` in front of a command, as exports.
fn exported(variables: &str) -> String {
    variables
        .split_whitespace()
        .map(|variable| format!("export {variable}; "))
        .collect()
}

fn run_page(page: &str, terminal: &mut Terminal) {
    let (mut run, mut left_out) = (0, Vec::new());
    let text = std::fs::read_to_string(paths::repository().join(page)).expect("the page is in the repository");
    for block in blocks(&text) {
        match block.language.as_str() {
            "sh" => {
                for command in block.commands() {
                    if is_not_typed(&command) {
                        left_out.push(command);
                        continue;
                    }
                    terminal.run(&command);
                    run += 1;
                }
            }
            "sql" => {
                let path = terminal.dir.path().join("page.sql");
                std::fs::write(&path, &block.text).expect("written");
                terminal.run("tidemill sql -f page.sql");
                run += 1;
            }
            _ => {}
        }
    }
    assert!(run > 0, "{page} has nothing to run");
    println!("{page}: {run} commands run, not run: {left_out:?}");
}

#[test]
fn the_readme_is_true() {
    let mut terminal = Terminal::new();
    run_page("README.md", &mut terminal);
    terminal.run("tidemill sql -o csv -c 'SHOW QUERIES'");
}

#[test]
fn the_operations_page_is_true() {
    let mut terminal = Terminal::new();
    // The page shows starting before it shows where the file comes from.
    terminal.run("tidemill config default > tidemill.toml");
    run_page("docs/operations.md", &mut terminal);
}

/// What a page says of `tidemill` in passing: the sub-commands are there.
#[test]
fn sub_commands_named_in_documents_exist() {
    let mut named = BTreeSet::new();
    for page in pages::all() {
        for arguments in code_spans(&page.text).filter_map(|span| span.strip_prefix("tidemill ")) {
            let is_name = |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase());
            let words: Vec<String> = arguments
                .split_whitespace()
                .take_while(is_name)
                .map(str::to_owned)
                .collect();
            named.insert(words);
        }
    }
    assert!(named.len() > 3, "the pages were read: {named:?}");
    for words in named {
        let arguments: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
        let output = tidemill(&arguments).output().expect("the binary can be run");
        assert!(output.status.success(), "tidemill {arguments:?}: {}", stderr(&output));
    }
}

/// What benches/README.md says of the streaming benchmark, with few events and the binaries of this build.
#[test]
fn the_streaming_benchmark_runs() {
    let (repository, target) = (paths::repository(), paths::target_dir());
    let built = Command::new("cargo")
        .args(["build", "--workspace", "--bin", "bids"])
        .current_dir(&repository)
        .env("CARGO_TARGET_DIR", &target)
        .output()
        .expect("cargo runs");
    assert!(built.status.success(), "{}", stderr(&built));
    let optimised = tempfile::tempdir().expect("a folder");
    let folder = optimised.path().join("bench");
    std::fs::create_dir(&folder).expect("a folder");
    std::os::unix::fs::symlink(target.join("debug/bids"), folder.join("bids")).expect("a link");
    let run = Command::new("benches/stream.sh")
        .arg("2000")
        .current_dir(&repository)
        .env("CARGO_TARGET_DIR", optimised.path())
        .env("TIDEMILL_BIN", paths::tidemill_binary())
        .output()
        .expect("the script can be run");
    assert!(run.status.success(), "{}", stderr(&run));
    // A title, a rule, and what was measured of three queries.
    assert_eq!(stdout(&run).lines().filter(|line| line.starts_with("| ")).count(), 4);
}
