//! Tests of transactions: golden bytes, the rules call by call, and recovery from every state.

mod machine;
mod record;
mod recovery;
