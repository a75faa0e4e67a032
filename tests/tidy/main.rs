//! What a reader would otherwise have to watch: the edges between the crates, the sizes of files, the first lines of
//! each, words that do not belong into the repository, and pages that name what there is not.

mod docs;
mod edges;
mod files;
mod handlers;
mod ratchet;
mod words;
