//! Where values come from: default, file, environment, flag, the later one winning.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::BrokerConfig;
use super::file::{self, FileError};
use super::keys::{self, BROKER_KEYS, KeyError};
use super::sections::{KAFKA_DEFAULTS, PLANNED_SECTIONS, SETTINGS, setting};
use super::validate::validate;

/// Prefix of the environment variables that are settings.
pub const ENVIRONMENT_PREFIX: &str = "TIDEMILL__";

/// What a command line and its surroundings say about the configuration.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// The configuration file.
    pub file: Option<PathBuf>,
    /// Environment variables; those without [`ENVIRONMENT_PREFIX`] are passed over.
    pub environment: Vec<(String, String)>,
    /// `-X section.key=value`, in order.
    pub settings: Vec<String>,
    /// `--data-dir`, stronger than everything.
    pub data_dir: Option<PathBuf>,
}

/// Where one value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// This environment variable.
    Environment(String),
    /// The command line.
    Flag,
}

/// A value as it was written, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sourced {
    /// The text.
    pub value: String,
    /// Its origin.
    pub origin: Origin,
}

/// A configuration and where each of its values comes from.
#[derive(Clone, Debug)]
pub struct LoadedConfig {
    /// The validated form.
    pub config: BrokerConfig,
    /// Every setting by path, and every Kafka key that was set.
    pub values: BTreeMap<String, Sourced>,
}

/// Why there is no configuration. The text names the place.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {reason}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// The file is no configuration file.
    #[error("{path}: {reason}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: FileError,
    },
    /// A `-X` that is no assignment.
    #[error("'{0}' is not section.key=value")]
    Form(String),
    /// A key that does not exist.
    #[error("unknown key {key} ({origin}){hint}")]
    Unknown {
        /// What was written.
        key: String,
        /// Where.
        origin: Origin,
        /// What may have been meant, as an addition to the sentence.
        hint: String,
    },
    /// A value that its key cannot have.
    #[error("{key} = '{value}' ({origin}): {reason}")]
    Invalid {
        /// The key.
        key: String,
        /// What was written.
        value: String,
        /// Where.
        origin: Origin,
        /// What is wrong with it.
        reason: String,
    },
}

/// Reads all layers and validates the result.
pub fn load(overrides: &Overrides) -> Result<LoadedConfig, ConfigError> {
    let mut values = defaults();
    if let Some(path) = &overrides.file {
        merge(&mut values, read_file(path)?)?;
    }
    merge(&mut values, from_environment(&overrides.environment))?;
    merge(&mut values, from_flags(overrides)?)?;
    let config = validate(&values)?;
    Ok(LoadedConfig { config, values })
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag => f.write_str("command line"),
        }
    }
}

fn defaults() -> BTreeMap<String, Sourced> {
    SETTINGS
        .iter()
        .map(|setting| {
            (
                setting.path.to_owned(),
                Sourced {
                    value: setting.default.to_owned(),
                    origin: Origin::Default,
                },
            )
        })
        .collect()
}

fn read_file(path: &PathBuf) -> Result<Vec<(String, Sourced)>, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|reason| ConfigError::Read {
        path: path.clone(),
        reason,
    })?;
    let parsed = file::parse(&text).map_err(|reason| ConfigError::File {
        path: path.clone(),
        reason,
    })?;
    let origin = Origin::File(path.clone());
    Ok(parsed
        .into_iter()
        .map(|(key, value)| {
            (
                key,
                Sourced {
                    value,
                    origin: origin.clone(),
                },
            )
        })
        .collect())
}

fn from_environment(environment: &[(String, String)]) -> Vec<(String, Sourced)> {
    environment
        .iter()
        .filter_map(|(name, value)| {
            let path = environment_path(name.strip_prefix(ENVIRONMENT_PREFIX)?);
            let origin = Origin::Environment(name.clone());
            Some((
                path,
                Sourced {
                    value: value.clone(),
                    origin,
                },
            ))
        })
        .collect()
}

/// `KAFKA__MAX_CONNECTIONS` is `kafka.max_connections`; below `kafka.defaults`, whose keys have dots and no
/// underscores, `KAFKA__DEFAULTS__NUM_PARTITIONS` is `kafka.defaults.num.partitions`.
fn environment_path(name: &str) -> String {
    let path = name.to_ascii_lowercase().replace("__", ".");
    match path.strip_prefix(KAFKA_DEFAULTS) {
        Some(key) => format!("{KAFKA_DEFAULTS}{}", key.replace('_', ".")),
        None => path,
    }
}

fn from_flags(overrides: &Overrides) -> Result<Vec<(String, Sourced)>, ConfigError> {
    let mut flags = Vec::new();
    for text in &overrides.settings {
        let (key, value) = text.split_once('=').ok_or_else(|| ConfigError::Form(text.clone()))?;
        flags.push((
            key.trim().to_owned(),
            Sourced {
                value: value.to_owned(),
                origin: Origin::Flag,
            },
        ));
    }
    if let Some(folder) = &overrides.data_dir {
        let value = folder.to_string_lossy().into_owned();
        flags.push((
            "node.data_dir".to_owned(),
            Sourced {
                value,
                origin: Origin::Flag,
            },
        ));
    }
    Ok(flags)
}

fn merge(values: &mut BTreeMap<String, Sourced>, layer: Vec<(String, Sourced)>) -> Result<(), ConfigError> {
    for (key, sourced) in layer {
        check_known(&key, &sourced)?;
        values.insert(key, sourced);
    }
    Ok(())
}

fn check_known(path: &str, sourced: &Sourced) -> Result<(), ConfigError> {
    if let Some(key) = path.strip_prefix(KAFKA_DEFAULTS) {
        return check_known_kafka_key(path, key, sourced);
    }
    if setting(path).is_some() {
        return Ok(());
    }
    let section = path.split('.').next().unwrap_or_default();
    let hint = match keys::nearest(path, SETTINGS.iter().map(|setting| setting.path)) {
        _ if PLANNED_SECTIONS.contains(&section) => format!(": section {section} is not served by this version yet"),
        Some(nearest) => format!(": did you mean {nearest}?"),
        None if BROKER_KEYS.iter().any(|key| key.name == path) => {
            format!(": Kafka's broker keys stand under {KAFKA_DEFAULTS}")
        }
        None => String::new(),
    };
    Err(ConfigError::Unknown {
        key: path.to_owned(),
        origin: sourced.origin.clone(),
        hint,
    })
}

fn check_known_kafka_key(path: &str, key: &str, sourced: &Sourced) -> Result<(), ConfigError> {
    let origin = sourced.origin.clone();
    match super::brokers::settable(key) {
        Ok(_) => Ok(()),
        Err(KeyError::Unknown { nearest, .. }) => {
            let hint = nearest
                .map(|name| format!(": did you mean {KAFKA_DEFAULTS}{name}?"))
                .unwrap_or_default();
            Err(ConfigError::Unknown {
                key: path.to_owned(),
                origin,
                hint,
            })
        }
        Err(error) => {
            let reason = format!("{error}; the broker states it by itself");
            Err(ConfigError::Invalid {
                key: path.to_owned(),
                value: sourced.value.clone(),
                origin,
                reason,
            })
        }
    }
}

#[cfg(test)]
mod tests;
