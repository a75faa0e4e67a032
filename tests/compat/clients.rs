//! One test per real client.

use std::path::PathBuf;

use tests::broker::Target;
use tests::client::Connection;
use tests::requests;

use crate::program;

#[test]
fn confluent_kafka_for_python() {
    let target = Target::start_with(&[]);
    print!(
        "{}",
        program::run(program::python("confluent/check.py", &target.address()))
    );
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
    let mut kcat = program::program(program::script("kcat/check.sh"), &target.address());
    kcat.env("TIDEMILL_TEST_LARGE_TOPIC", large.name);
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
    let target = Target::start_with(&[]);
    let classes = tempfile::tempdir().expect("a folder for the classes");
    compile(classes.path().to_path_buf());
    let mut java = program::java(&[classes.path().to_path_buf()], &target.address());
    java.arg("Compat");
    print!("{}", program::run(java));
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
