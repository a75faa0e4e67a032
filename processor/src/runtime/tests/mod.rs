//! Pipelines against a model, and whole queries over real logs.

mod driver;
mod ledger;
mod queries;
mod speed;
mod windows;
