//! What the broker tells about itself: log lines and metrics.

pub mod families;
pub mod flush;
pub mod labels;
pub mod limit;
pub mod logging;
pub mod metrics;
pub mod samples;
pub mod scrape;

pub use flush::FlushMetrics;
pub use limit::LineLimit;
pub use metrics::Metrics;
pub use samples::HistogramFigures;
pub use scrape::{QueryFigures, QuerySource, SelectFigures, scrape};
