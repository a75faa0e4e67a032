//! Results as tables, JSON or CSV.

use serde_json::value::RawValue;

use super::client::SqlResult;
use crate::cli::output::{Format, csv_cell};

/// The whole result as text.
pub(super) fn render(result: &SqlResult, format: Format) -> String {
    match format {
        Format::Table => table(result),
        Format::Json => format!("[{}]\n", objects(result).join(",\n ")),
        Format::Ndjson => objects(result).iter().map(|object| format!("{object}\n")).collect(),
        Format::Csv => csv(result),
    }
}

/// Numbers to the right, all else to the left, as psql does.
fn table(result: &SqlResult) -> String {
    let cells: Vec<Vec<String>> = result
        .rows
        .iter()
        .map(|row| row.iter().map(|value| cell(value)).collect())
        .collect();
    let widths: Vec<usize> = (0..result.columns.len())
        .map(|column| {
            let longest = cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
            longest.max(result.columns[column].name.chars().count())
        })
        .collect();
    let names: Vec<String> = result.columns.iter().map(|column| column.name.clone()).collect();
    let left = vec![false; names.len()];
    let right: Vec<bool> = result
        .columns
        .iter()
        .map(|column| is_number(&column.sql_type))
        .collect();
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    let mut text = line(&names, &widths, &left) + &rule.join("--") + "\n";
    for row in &cells {
        text += &line(row, &widths, &right);
    }
    let plural = if cells.len() == 1 { "" } else { "s" };
    text + &format!("({} row{plural})\n", cells.len())
}

fn line(cells: &[String], widths: &[usize], right: &[bool]) -> String {
    let padded: Vec<String> = cells
        .iter()
        .zip(widths)
        .zip(right)
        .map(|((cell, width), right)| {
            if *right {
                format!("{cell:>width$}")
            } else {
                format!("{cell:<width$}")
            }
        })
        .collect();
    padded.join("  ").trim_end().to_owned() + "\n"
}

fn is_number(sql_type: &str) -> bool {
    let name = sql_type.to_ascii_uppercase();
    ["SMALLINT", "INT", "BIGINT", "REAL", "DOUBLE", "NUMERIC"]
        .iter()
        .any(|number| name.starts_with(number))
}

/// Text without its quotes; NULL as nothing; everything else as the server wrote it.
fn cell(value: &RawValue) -> String {
    match value.get() {
        "null" => String::new(),
        quoted if quoted.starts_with('"') => serde_json::from_str(quoted).unwrap_or_else(|_| quoted.to_owned()),
        other => other.to_owned(),
    }
}

fn objects(result: &SqlResult) -> Vec<String> {
    let names: Vec<String> = result
        .columns
        .iter()
        .map(|column| serde_json::Value::from(column.name.as_str()).to_string())
        .collect();
    let object = |row: &Vec<Box<RawValue>>| {
        let pairs: Vec<String> = names
            .iter()
            .zip(row)
            .map(|(name, value)| format!("{name}:{}", value.get()))
            .collect();
        format!("{{{}}}", pairs.join(","))
    };
    result.rows.iter().map(object).collect()
}

fn csv(result: &SqlResult) -> String {
    let header: Vec<String> = result.columns.iter().map(|column| csv_cell(&column.name)).collect();
    let mut text = header.join(",") + "\n";
    for row in &result.rows {
        let cells: Vec<String> = row.iter().map(|value| csv_cell(&cell(value))).collect();
        text += &(cells.join(",") + "\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result() -> SqlResult {
        serde_json::from_str(
            r#"{"columns":[{"name":"page","type":"TEXT"},{"name":"n","type":"BIGINT"}],
                "rows":[["a,b",9223372036854775807],[null,1]],"command":"SELECT","row_count":2}"#,
        )
        .expect("valid")
    }

    #[test]
    fn large_integers_are_not_rounded() {
        let expected =
            "page  n\n-------------------------\na,b   9223372036854775807\n                        1\n(2 rows)\n";
        assert_eq!(render(&result(), Format::Table), expected);
        assert!(render(&result(), Format::Ndjson).starts_with("{\"page\":\"a,b\",\"n\":9223372036854775807}\n"));
    }

    #[test]
    fn csv_quotes_and_leaves_null_empty() {
        assert_eq!(
            render(&result(), Format::Csv),
            "page,n\n\"a,b\",9223372036854775807\n,1\n"
        );
    }
}
