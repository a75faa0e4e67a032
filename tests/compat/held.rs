//! Holding tests against Apache Kafka, as tests/README.md says that it is done: what is judged here is the tests.

use std::path::PathBuf;
use std::process::Command;

use tests::pages::{blocks, is_not_typed};
use tests::{broker, paths};

use crate::program;

/// A node of Apache Kafka that ends with the test, also where a command before its own `stop` failed.
struct Kafka {
    dir: tempfile::TempDir,
}

impl Kafka {
    fn data(&self) -> PathBuf {
        self.dir.path().join("kafka")
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        if self.data().join("pid").exists() {
            let stop = Command::new("scripts/kafka.sh")
                .arg("stop")
                .arg(self.data())
                .current_dir(paths::repository())
                .status();
            println!("stopping Kafka: {stop:?}");
        }
    }
}

#[test]
fn the_commands_of_the_page_hold_tests_against_kafka() {
    let kafka = Kafka {
        dir: tempfile::tempdir().expect("a folder"),
    };
    let port = free_port().to_string();
    let page = std::fs::read_to_string(paths::repository().join("tests/README.md")).expect("the page");
    let mut ran = 0;
    for block in blocks(&page).iter().filter(|block| block.language == "sh") {
        for typed in block.commands().iter().filter(|typed| !is_not_typed(typed)) {
            let here = typed
                .replace("/tmp/kafka", &kafka.data().display().to_string())
                .replace("29092", &port)
                .replace("~/.cache/tidemill", &program::cache_dir().display().to_string());
            let mut bash = program::program("bash", "");
            bash.args(["-euo", "pipefail", "-c", &here]);
            bash.current_dir(paths::repository())
                .env_remove(broker::BOOTSTRAP_VARIABLE)
                .env("CARGO_TARGET_DIR", paths::target_dir());
            print!("$ {typed}\n{}", program::run(bash));
            ran += 1;
        }
    }
    assert!(ran > 2, "the page has its commands");
}

/// A port that nobody listens on; Kafka takes the next one too.
fn free_port() -> u16 {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    socket.local_addr().expect("its address").port()
}
