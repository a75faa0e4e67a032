//! `tidemill bench latency`: acknowledgement latency at a fixed rate, from the intended send time (so that a server
//! that stalls is charged for every record that should have been sent meanwhile).

use super::report::Report;
use super::{CliError, ProduceArgs, produce};

/// Records per second where none was asked for.
const DEFAULT_RATE: u64 = 1000;
/// Seconds of load where the number of records was left at the default.
const DEFAULT_SECONDS: u64 = 20;
const DEFAULT_RECORDS: u64 = 1_000_000;

/// Runs the producer at a rate.
pub(super) fn run(args: &ProduceArgs) -> Result<Report, CliError> {
    let mut args = args.clone();
    if args.rate == 0 {
        args.rate = DEFAULT_RATE;
    }
    if args.records == DEFAULT_RECORDS {
        args.records = args.rate * DEFAULT_SECONDS;
    }
    let report = produce::run(&args)?;
    Ok(Report {
        name: "latency",
        ..report
    })
}
