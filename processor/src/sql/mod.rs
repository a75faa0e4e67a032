//! Text to statements, and what belongs to the text: dialect, types, options, session settings.

mod dialect;
mod nearest;
mod options;
pub mod parser;
mod session;
pub mod statement;
pub mod types;

pub use dialect::TidemillDialect;
pub(crate) use nearest::nearest;
pub(crate) use options::{QueryOptions, SinkConnector, SinkOptions, SourceOptions, StartOption, StopOption};
pub use parser::{parse, split};
pub use session::{Parameter, SessionSettings};
pub(crate) use session::{SETTINGS, SettingValues};

pub use crate::plan::error::stream_error;
