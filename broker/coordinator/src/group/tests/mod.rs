//! Tests of the groups as a whole: dialogues, offsets, and the promise that replay gives the same state.

pub(super) mod dialogue;
mod frames;
mod offsets;
mod property;
