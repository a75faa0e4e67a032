//! One test per real client.

use std::path::PathBuf;
use std::process::Command;

use tests::broker::{BOOTSTRAP_VARIABLE, Target};
use tests::client::Connection;
use tests::half_committed::{HalfCommitted, UNDECIDED};
use tests::requests;

use crate::program;

/// A topic with committed and aborted transactions, on a broker of our own. Another broker serves transactions, so that
/// a check makes its topic by itself.
struct Transactions {
    target: Target,
    /// `topic:committed records:all records`.
    topic: Option<String>,
}

impl Transactions {
    fn start() -> Transactions {
        if std::env::var_os(BOOTSTRAP_VARIABLE).is_some() {
            return Transactions {
                target: Target::start_with(&[]),
                topic: None,
            };
        }
        let mut undecided = HalfCommitted::at(UNDECIDED);
        undecided.restart_and_catch_up();
        let HalfCommitted {
            mut bed, output: topic, ..
        } = undecided;
        let committed = bed.rows(&topic.name).len();
        let all = requests::read_values(&mut bed.connection, &topic, 0).len();
        assert!(committed < all, "{committed} of {all}");
        Transactions {
            topic: Some(format!("{}:{committed}:{all}", topic.name)),
            target: Target::Own(Box::new(bed.broker)),
        }
    }

    fn run(&self, mut client: Command) {
        if let Some(topic) = &self.topic {
            client.env("TIDEMILL_TEST_TRANSACTIONS", topic);
        }
        print!("{}", program::run(client));
    }
}

#[test]
fn confluent_kafka_for_python() {
    let on = Transactions::start();
    on.run(program::python("confluent/check.py", &on.target.address()));
}

#[test]
fn kafka_python() {
    let target = Target::start_with(&[]);
    print!(
        "{}",
        program::run(program::python("kafka_python/check.py", &target.address()))
    );
}

#[test]
fn kcat() {
    let target = Target::start_with(&[]);
    let mut connection = Connection::open(&target.address());
    let roomy = [("max.message.bytes", "4194304"), ("segment.bytes", "16777216")];
    let large = requests::create_topic(&mut connection, "kcat-large", 1, &roomy);
    let boundary = requests::create_topic(&mut connection, "kcat-boundary", 1, &roomy[1..]);
    let shared = requests::create_topic(&mut connection, "kcat-shared", 4, &[]);
    let mut kcat = program::program(program::script("kcat/check.sh"), &target.address());
    kcat.env("TIDEMILL_TEST_LARGE_TOPIC", large.name)
        .env("TIDEMILL_TEST_BOUNDARY_TOPIC", boundary.name)
        .env("TIDEMILL_TEST_SHARED_TOPIC", shared.name);
    print!("{}", program::run(kcat));
}

#[test]
fn kafka_command_line_tools() {
    let target = Target::start_with(&[]);
    print!(
        "{}",
        program::run(program::program(
            program::script("kafka_tools/check.sh"),
            &target.address()
        ))
    );
}

#[test]
fn kafka_clients_for_java() {
    let on = Transactions::start();
    let classes = tempfile::tempdir().expect("a folder for the classes");
    compile(classes.path().to_path_buf());
    let mut java = program::java(&[classes.path().to_path_buf()], &on.target.address());
    java.arg("Compat");
    on.run(java);
}

fn compile(into: PathBuf) {
    let mut javac = program::program("javac", "");
    javac
        .arg("-d")
        .arg(into)
        .arg("-cp")
        .arg(format!("{}/java/lib/*", program::cache_dir().display()));
    for source in ["Checks.java", "Clients.java", "Compat.java"] {
        javac.arg(program::script("java").join(source));
    }
    program::run(javac);
}
