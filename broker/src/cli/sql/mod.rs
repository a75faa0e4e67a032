//! `tidemill sql`: statements over HTTP, from the command line, a file, a pipe, or a prompt.

pub(super) mod client;
mod render;
mod shell;

use std::io::{IsTerminal, stdin};
use std::path::{Path, PathBuf};

use clap::Args;
use processor::sql::split;

use super::error::CliError;
use super::output::{Format, message, print};
use client::SqlClient;

/// Arguments of `tidemill sql`.
#[derive(Debug, Args)]
pub(crate) struct SqlArgs {
    /// Run these statements and leave.
    #[arg(short, long, value_name = "STATEMENT", conflicts_with = "file")]
    command: Option<String>,
    /// Run the statements of this file and leave; `-` reads stdin.
    #[arg(short, long)]
    file: Option<PathBuf>,
    /// Address of the server's HTTP port.
    #[arg(short, long, env = "TIDEMILL_SERVER", default_value = "http://127.0.0.1:8080")]
    server: String,
    /// Form of results.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

/// Runs statements; the first that fails ends a script.
pub(crate) fn run(args: SqlArgs) -> Result<(), CliError> {
    let mut client = SqlClient::new(&args.server);
    let text = match (&args.command, &args.file) {
        (Some(command), _) => command.clone(),
        (None, Some(path)) => read(path)?,
        (None, None) if stdin().is_terminal() => return shell::run(&mut client, args.output),
        (None, None) => read(Path::new("-"))?,
    };
    for statement in split(&text).map_err(|error| CliError::failed(error.to_string()))? {
        execute(&mut client, &statement, args.output)?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, CliError> {
    if path.as_os_str() == "-" {
        return Ok(std::io::read_to_string(stdin())?);
    }
    std::fs::read_to_string(path).map_err(|error| CliError::not_found(format!("{}: {error}", path.display())))
}

/// Runs one statement and prints what it answered.
fn execute(client: &mut SqlClient, statement: &str, format: Format) -> Result<(), CliError> {
    let result = client.execute(statement)?;
    if result.columns.is_empty() {
        message(&result.command);
        return Ok(());
    }
    print(&render::render(&result, format));
    if 0 < result.skipped_rows {
        let plural = if result.skipped_rows == 1 { "" } else { "s" };
        message(&format!("{} bad record{plural} left out", result.skipped_rows));
    }
    Ok(())
}
