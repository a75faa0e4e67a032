//! Files that are larger than they should be, with their lines. Nothing is added here; entries shrink and go.

/// Path and number of lines.
pub(crate) const LARGE_FILES: &[(&str, usize)] = &[];
