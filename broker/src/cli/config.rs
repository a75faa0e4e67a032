//! `tidemill config`: what can be set, what holds, and whether a file is right.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::ConfigSource;
use super::error::CliError;
use super::output::{message, print};
use crate::config::keys::{BROKER_KEYS, Effect};
use crate::config::layers::LoadedConfig;
use crate::config::sections::{Form, KAFKA_DEFAULTS, SETTINGS, setting};

/// Arguments of `tidemill config`.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print a configuration file with every setting at its default, explained.
    Default,
    /// Print what holds with the given file, environment and flags, and where each value comes from.
    Show {
        /// The file; the same as --config.
        file: Option<PathBuf>,
        #[command(flatten)]
        source: ConfigSource,
    },
    /// Check a configuration without starting anything.
    Check {
        /// The file; the same as --config.
        file: Option<PathBuf>,
        #[command(flatten)]
        source: ConfigSource,
    },
}

/// Runs one command.
pub(crate) fn run(args: &ConfigArgs) -> Result<(), CliError> {
    match &args.command {
        ConfigCommand::Default => print(&default_file()),
        ConfigCommand::Show { file, source } => print(&shown(&load(file.as_ref(), source)?)),
        ConfigCommand::Check { file, source } => {
            load(file.as_ref(), source)?;
            message("the configuration is valid");
        }
    }
    Ok(())
}

fn load(file: Option<&PathBuf>, source: &ConfigSource) -> Result<LoadedConfig, CliError> {
    match (file, &source.config) {
        (Some(_), Some(_)) => Err(CliError::usage("the file is given twice")),
        (Some(file), None) => ConfigSource {
            config: Some(file.clone()),
            ..source.clone()
        }
        .load(),
        (None, _) => source.load(),
    }
}

/// A file with all defaults, section by section, and Kafka's keys as comments.
fn default_file() -> String {
    let mut text = String::from("# Configuration of Tidemill. Every setting stands here with its default.\n");
    let mut section = "";
    for setting in SETTINGS {
        let (in_section, key) = setting.path.split_once('.').expect("every setting has a section");
        if in_section != section {
            section = in_section;
            text += &format!("\n[{section}]\n");
        }
        text += &format!(
            "# {}\n{key} = {}\n",
            setting.doc,
            toml_value(setting.form, setting.default)
        );
        if setting.path == "kafka.max_partitions" {
            text += &kafka_keys();
        }
    }
    text
}

fn kafka_keys() -> String {
    let mut text = String::from("# Kafka's own broker keys, under their Kafka names:\n");
    for key in BROKER_KEYS.iter().filter(|key| key.effect == Effect::Acts) {
        let Some(default) = key.default else { continue };
        text += &format!("# defaults.{} = \"{default}\"\n", key.name);
    }
    text
}

/// What holds, as a file that would give the same.
fn shown(loaded: &LoadedConfig) -> String {
    let mut text = String::new();
    for (path, sourced) in &loaded.values {
        let form = setting(path).map_or(Form::Quoted, |setting| setting.form);
        let value = toml_value(form, &sourced.value);
        text += &format!("{path} = {value}  # {}\n", sourced.origin);
    }
    debug_assert!(
        loaded
            .values
            .keys()
            .all(|path| setting(path).is_some() || path.starts_with(KAFKA_DEFAULTS))
    );
    text
}

fn toml_value(form: Form, value: &str) -> String {
    match form {
        Form::Bare => value.to_owned(),
        Form::Quoted => toml::Value::String(value.to_owned()).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file;

    #[test]
    fn the_default_file_says_the_defaults() {
        let values = file::parse(&default_file()).expect("the file is TOML");
        assert_eq!(values.len(), SETTINGS.len());
        for setting in SETTINGS {
            assert_eq!(values[setting.path], setting.default, "{}", setting.path);
        }
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        let loaded = crate::config::load(&crate::config::Overrides::default()).expect("defaults");
        let values = file::parse(&shown(&loaded)).expect("the text is TOML");
        assert_eq!(values["kafka.max_frame_bytes"], "100MiB");
    }
}
