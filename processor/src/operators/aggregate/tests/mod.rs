//! Aggregates by themselves. Aggregations in windows are tested with the pipeline, in `runtime`.

mod calls;
