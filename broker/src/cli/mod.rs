//! The command line. Data goes to stdout, messages to stderr; exit codes: 0 done, 1 failed, 2 usage, 3 not found,
//! 4 timed out.

mod bench;
mod config;
mod demo;
mod error;
mod group;
mod kafka;
pub(crate) mod output;
mod server;
mod sql;
mod start;
mod topic;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use self::error::CliError;
use crate::config::{LoadedConfig, Overrides, load};

/// Kafka-compatible event log and streaming SQL in one binary.
#[derive(Debug, Parser)]
#[command(name = "tidemill", version, propagate_version = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Start(start::StartArgs),
    /// Run the server with sample events and queries, and watch them.
    Demo(demo::DemoArgs),
    /// Run SQL, or open a shell for it.
    Sql(sql::SqlArgs),
    /// Work with topics.
    Topic(topic::TopicArgs),
    /// Work with consumer groups.
    Group(group::GroupArgs),
    /// Show or check the configuration.
    Config(config::ConfigArgs),
    /// Measure a broker.
    Bench(bench::BenchArgs),
}

/// Where the configuration comes from, for every command that needs one.
#[derive(Debug, Default, Clone, Args)]
pub(crate) struct ConfigSource {
    /// Configuration file (TOML); no file is needed.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Folder of all data (node.data_dir).
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// One setting, stronger than file and environment; may be repeated.
    #[arg(short = 'X', value_name = "SECTION.KEY=VALUE")]
    pub(crate) settings: Vec<String>,
}

/// Runs the program and says how it went.
pub fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Start(args) => start::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Sql(args) => sql::run(args),
        Command::Topic(args) => topic::run(args),
        Command::Group(args) => group::run(args),
        Command::Config(args) => config::run(&args),
        Command::Bench(args) => bench::run(args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::message(&format!("tidemill: {error}"));
            error.exit_code()
        }
    }
}

impl ConfigSource {
    /// Reads all layers.
    pub(crate) fn load(&self) -> Result<LoadedConfig, CliError> {
        let overrides = Overrides {
            file: self.config.clone(),
            environment: environment(),
            settings: self.settings.clone(),
            data_dir: self.data_dir.clone(),
        };
        load(&overrides).map_err(|error| CliError::usage(error.to_string()))
    }
}

/// Environment variables that are text; the others cannot be ours.
fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
