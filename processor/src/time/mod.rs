//! Event time, purely: watermarks of partitions and what they add up to, the arithmetic of windows and panes, and where
//! a batch has to be cut so that batching never changes a result. Nothing here sees a clock; times come as arguments.

pub mod split;
pub mod watermark;
pub mod window;

/// Event time: microseconds since the Unix epoch, as TIMESTAMPTZ holds it.
pub type EventTime = i64;

/// The watermark of a stream of which nothing is known yet.
pub const START_OF_TIME: EventTime = EventTime::MIN;

/// The watermark of a stream that has ended: every window closes.
pub const END_OF_TIME: EventTime = EventTime::MAX;
