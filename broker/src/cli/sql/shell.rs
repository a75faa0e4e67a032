//! The prompt: history, statements over several lines, `\q` and `\?`.

use processor::sql::split;
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

use super::client::SqlClient;
use super::execute;
use crate::cli::error::CliError;
use crate::cli::output::{Format, message};

const HELP: &str = "Statements end with a semicolon. \\d shows topics and objects, \\q leaves.\n\
    Try: SHOW TOPICS; SHOW QUERIES; SELECT * FROM \"my-topic\" LIMIT 10;";

/// Reads and runs statements until the end of input.
pub(super) fn run(client: &mut SqlClient, format: Format) -> Result<(), CliError> {
    let mut editor = DefaultEditor::new().map_err(|error| CliError::failed(error.to_string()))?;
    message("Tidemill SQL. \\? for help, \\q or Ctrl-D to leave.");
    let mut pending = String::new();
    loop {
        let prompt = if pending.is_empty() { "tidemill> " } else { "      -> " };
        match editor.readline(prompt) {
            Ok(line) => pending = take_line(client, format, &mut editor, pending, &line)?,
            Err(ReadlineError::Interrupted) => pending.clear(),
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(CliError::failed(error.to_string())),
        }
        if pending == "\\q" {
            return Ok(());
        }
    }
}

/// Adds a line to the pending text and runs what is complete; returns what is still pending.
fn take_line(
    client: &mut SqlClient,
    format: Format,
    editor: &mut DefaultEditor,
    mut pending: String,
    line: &str,
) -> Result<String, CliError> {
    match line.trim() {
        "\\q" | "exit" | "quit" if pending.is_empty() => return Ok("\\q".to_owned()),
        "\\?" => message(HELP),
        "\\d" => run_all(client, format, "SHOW TOPICS; SHOW SOURCES; SHOW VIEWS; SHOW SINKS"),
        _ => {
            pending.push_str(line);
            pending.push('\n');
        }
    }
    if !is_complete(&pending) {
        return Ok(pending);
    }
    // History that cannot be kept does not stop the shell.
    let _ = editor.add_history_entry(pending.trim());
    run_all(client, format, &pending);
    Ok(String::new())
}

/// Whether the text ends behind a semicolon, outside of quotes and comments.
fn is_complete(text: &str) -> bool {
    // What follows a complete text is a statement of its own.
    let followed = split(&format!("{text}\nnext"));
    followed.is_ok_and(|statements| statements.last().is_some_and(|last| last == "next"))
}

/// A failure is shown; the prompt goes on.
fn run_all(client: &mut SqlClient, format: Format, text: &str) {
    let outcome = split(text)
        .map_err(|error| CliError::failed(error.to_string()))
        .and_then(|statements| {
            statements
                .iter()
                .try_for_each(|statement| execute(client, statement, format))
        });
    if let Err(error) = outcome {
        message(&error.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_complete_at_its_semicolon() {
        assert!(is_complete("SELECT 1;\n"));
        assert!(is_complete("SELECT ';'; -- done"));
        assert!(!is_complete("SELECT 1"));
        assert!(!is_complete("SELECT ';"));
        assert!(!is_complete("SELECT 1 -- ;"));
    }
}
