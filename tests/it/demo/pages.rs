//! Every command that README.md and docs/operations.md tell people to type is typed here, in the order of the page, in an
//! empty folder, with the page's addresses replaced by free ones.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tests::paths;

/// Commands that are not run, and why. A command that is no longer on a page has to leave this list.
const NOT_RUN: [(&str, &str); 2] = [
    (
        "make demo",
        "it builds first; `tidemill demo` itself is tested beside this file",
    ),
    ("make test", "it is what runs these tests"),
];

/// A fenced block of a page: its language and its lines.
struct Block {
    language: String,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let text = std::fs::read_to_string(paths::repository().join(page)).expect("the page is in the repository");
    let (mut blocks, mut open): (Vec<Block>, Option<Block>) = (Vec::new(), None);
    for line in text.lines() {
        match (&mut open, line.trim_start().strip_prefix("```")) {
            (None, Some(language)) => {
                open = Some(Block {
                    language: language.to_owned(),
                    text: String::new(),
                })
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => block.text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{page}: a block does not end");
    blocks
}

/// Commands of a block: lines without comments, with continued lines joined.
fn commands(block: &Block) -> Vec<String> {
    let joined = block.text.replace("\\\n", " ");
    let without_comment = |line: &str| line.split(" #").next().unwrap_or_default().trim().to_owned();
    joined
        .lines()
        .map(without_comment)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

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
    for block in blocks(page) {
        match block.language.as_str() {
            "sh" => {
                for command in commands(&block) {
                    if NOT_RUN.iter().any(|(known, _)| *known == command) {
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
    let all: Vec<String> = blocks("README.md")
        .iter()
        .filter(|block| block.language == "sh")
        .flat_map(commands)
        .collect();
    for (command, reason) in NOT_RUN {
        assert!(
            all.iter().any(|known| known == command),
            "{command} ({reason}) is no longer on the page"
        );
    }
}

#[test]
fn the_operations_page_is_true() {
    let mut terminal = Terminal::new();
    // The page shows starting before it shows where the file comes from.
    terminal.run("tidemill config default > tidemill.toml");
    run_page("docs/operations.md", &mut terminal);
}
