//! Compatibility: real clients against the built binary. Every client is a script or program of its own, which runs
//! alone too; here each gets a broker and fails with all that it printed.
//!
//! With `TIDEMILL_TEST_BOOTSTRAP=host:port` the same scripts run against that broker, so that a failure can be held
//! against what Apache Kafka does (`scripts/kafka.sh` starts one).

mod clients;
mod dump;
mod flights;
mod held;
mod librdkafka;
mod program;

/// The name puts it last among the tests of this binary, which `make test` runs one at a time and after the others.
#[test]
fn what_was_left_behind_passes_kafkas_dump_tool() {
    dump::check_everything_left_behind();
}
