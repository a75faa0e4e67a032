//! Log lines: to stderr, as text for people or as JSON for machines.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogFormat, LogSettings};

/// Sends log lines to stderr from now on. The first call in a process wins; a second one (a test that starts two
/// brokers) changes nothing.
pub fn start_logging(settings: &LogSettings) {
    let filter = settings
        .level
        .parse::<EnvFilter>()
        .unwrap_or_else(|_| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let _ = match settings.format {
        LogFormat::Json => registry.with(layer.json()).try_init(),
        LogFormat::Text => registry.with(layer.with_ansi(colours_wanted())).try_init(),
    };
}

/// Colours only for people: on a terminal, and unless `NO_COLOR` is set.
fn colours_wanted() -> bool {
    let forbidden = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !forbidden && std::io::stderr().is_terminal()
}
