//! The configuration file: TOML, flattened to dotted paths.

use std::collections::BTreeMap;

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// No TOML.
    #[error("{0}")]
    Syntax(String),
    /// A kind of value that no setting has.
    #[error("{0} holds a value of a kind that no setting takes")]
    Kind(String),
}

/// Reads TOML into values by dotted path: `[kafka] listen = "..."` becomes `kafka.listen`. Tables nest, so that
/// `defaults.num.partitions = 4` and `defaults."num.partitions" = 4` mean the same.
pub fn parse(text: &str) -> Result<BTreeMap<String, String>, FileError> {
    let table: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| FileError::Syntax(error.to_string()))?;
    let mut values = BTreeMap::new();
    flatten("", &table, &mut values)?;
    Ok(values)
}

fn flatten(prefix: &str, table: &toml::Table, values: &mut BTreeMap<String, String>) -> Result<(), FileError> {
    for (key, value) in table {
        let path = match prefix {
            "" => key.clone(),
            prefix => format!("{prefix}.{key}"),
        };
        match value {
            toml::Value::Table(inner) => flatten(&path, inner, values)?,
            value => {
                let text = scalar(value).ok_or_else(|| FileError::Kind(path.clone()))?;
                values.insert(path, text);
            }
        }
    }
    Ok(())
}

fn scalar(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(flag) => Some(flag.to_string()),
        toml::Value::Array(items) => {
            let items: Option<Vec<String>> = items.iter().map(scalar).collect();
            Some(items?.join(","))
        }
        toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}
