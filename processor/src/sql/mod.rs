//! Text to statements, and what belongs to the text: dialect, types, options, durations, session settings.

mod bind;
mod dialect;
pub mod parser;
mod session;
pub mod statement;
pub mod types;

pub(crate) use bind::{QueryOptions, SinkConnector, SinkOptions, SourceOptions, StartOption, StopOption, nearest};
pub use dialect::TidemillDialect;
pub use parser::{parse, split};
pub use session::{Parameter, SessionSettings};
pub(crate) use session::{SETTINGS, SettingValues};

pub use crate::plan::error::stream_error;
