//! Data on stdout: tables for people, JSON and CSV for programs.

use std::io::{self, Write};

use clap::ValueEnum;
use serde_json::{Map, Value};

/// Form of a command's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns with a header.
    Table,
    /// One JSON array.
    Json,
    /// One JSON object per line.
    Ndjson,
    /// Comma-separated values with a header.
    Csv,
}

/// Prints rows of text under a header.
pub(crate) fn print_table(format: Format, header: &[&str], rows: &[Vec<String>]) {
    let text = match format {
        Format::Table => aligned(header, rows),
        Format::Json => Value::Array(rows.iter().map(|row| object(header, row)).collect()).to_string() + "\n",
        Format::Ndjson => rows.iter().map(|row| object(header, row).to_string() + "\n").collect(),
        Format::Csv => csv(header, rows),
    };
    print(&text);
}

/// Writes to stdout; a reader that went away (`| head`) is no failure.
pub(crate) fn print(text: &str) {
    print_if_read(text);
}

/// Writes to stdout and tells whether somebody may still read there, for what would go on for ever.
pub(crate) fn print_if_read(text: &str) -> bool {
    io::stdout().lock().write_all(text.as_bytes()).is_ok()
}

/// Writes a message to stderr.
pub(crate) fn message(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

fn aligned(header: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells
            .map(|cell| cell.chars().count())
            .chain([header[column].len()])
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}", width = *width))
            .collect();
        padded.join("  ").trim_end().to_owned() + "\n"
    };
    let mut text = line(&mut header.iter().copied());
    for row in rows {
        text += &line(&mut row.iter().map(String::as_str));
    }
    text
}

fn object(header: &[&str], row: &[String]) -> Value {
    let pairs = header
        .iter()
        .zip(row)
        .map(|(name, cell)| (name.to_lowercase(), Value::String(cell.clone())));
    Value::Object(pairs.collect::<Map<_, _>>())
}

fn csv(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = header
        .iter()
        .map(|name| name.to_lowercase())
        .collect::<Vec<_>>()
        .join(",")
        + "\n";
    for row in rows {
        text += &row.iter().map(|cell| csv_cell(cell)).collect::<Vec<_>>().join(",");
        text.push('\n');
    }
    text
}

/// RFC 4180: quotes where the cell holds a separator, a quote or a line break.
pub(crate) fn csv_cell(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![
            vec!["a".to_owned(), "1".to_owned()],
            vec!["longer".to_owned(), "22".to_owned()],
        ];
        assert_eq!(aligned(&["NAME", "N"], &rows), "NAME    N\na       1\nlonger  22\n");
    }

    #[test]
    fn csv_quotes_what_it_must() {
        let rows = vec![
            vec!["a,b".to_owned()],
            vec!["say \"x\"".to_owned()],
            vec!["plain".to_owned()],
        ];
        assert_eq!(csv(&["NAME"], &rows), "name\n\"a,b\"\n\"say \"\"x\"\"\"\nplain\n");
    }
}
