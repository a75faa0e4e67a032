//! Pipelines against a model, and whole queries over real logs.

mod bench;
mod driver;
mod ledger;
mod queries;
mod reading;
mod recovery;
mod windows;
