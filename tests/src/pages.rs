//! The pages for people: their fenced blocks, and which test types what they tell people to type.

use std::process::Command;

use crate::paths;

/// Pages with blocks of a language that a test runs, and the test's file.
pub const TYPED: &[(&str, &str, &str)] = &[
    ("README.md", "sh", "tests/it/demo/pages.rs"),
    ("README.md", "sql", "tests/it/demo/pages.rs"),
    ("docs/operations.md", "sh", "tests/it/demo/pages.rs"),
    ("docs/sql.md", "sql", "processor/src/engine/tests/docs.rs"),
    ("tests/README.md", "sh", "tests/compat/held.rs"),
];

/// Commands that no test types, and why. A command that is no longer on a page has to leave this list.
pub const NOT_TYPED: &[(&str, &str)] = &[
    (
        "make demo",
        "it builds first; tests/it/demo runs `tidemill demo` itself",
    ),
    ("make test", "it is what runs the tests"),
];

/// A Markdown file of the repository.
#[derive(Debug)]
pub struct Page {
    /// Relative to the root, with forward slashes.
    pub path: String,
    /// All of it.
    pub text: String,
}

/// Every page that git tracks or would track.
///
/// # Panics
/// When git does not run.
#[must_use]
pub fn all() -> Vec<Page> {
    let root = paths::repository();
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "*.md"])
        .current_dir(&root)
        .output()
        .expect("git runs");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let names = String::from_utf8(listed.stdout).expect("file names are UTF-8");
    let page = |path: &str| {
        let text = std::fs::read_to_string(root.join(path)).ok()?;
        let path = path.to_owned();
        Some(Page { path, text })
    };
    names.lines().filter_map(page).collect()
}

/// A fenced block of a page: its language and its lines.
#[derive(Debug)]
pub struct Block {
    /// What stands behind the fence: `sh`, `sql` or `text`.
    pub language: String,
    /// What stands between the fences.
    pub text: String,
}

impl Block {
    /// Commands of a shell block: lines without comments, with continued lines joined.
    #[must_use]
    pub fn commands(&self) -> Vec<String> {
        let joined = self.text.replace("\\\n", " ");
        let without_comment = |line: &str| line.split(" #").next().unwrap_or_default().trim().to_owned();
        joined
            .lines()
            .map(without_comment)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .collect()
    }
}

/// The fenced blocks of a page's text.
///
/// # Panics
/// When a block does not end.
#[must_use]
pub fn blocks(text: &str) -> Vec<Block> {
    let (mut blocks, mut open): (Vec<Block>, Option<Block>) = (Vec::new(), None);
    for line in text.lines() {
        match (&mut open, line.trim_start().strip_prefix("```")) {
            (None, Some(language)) => {
                open = Some(Block {
                    language: language.to_owned(),
                    text: String::new(),
                })
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => block.text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block does not end: {open:?}");
    blocks
}

/// What stands between single backticks, outside of the fenced blocks.
pub fn code_spans(text: &str) -> impl Iterator<Item = &str> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|part| part.split('`').skip(1).step_by(2))
}

/// Whether a command is on the list of those that no test types.
#[must_use]
pub fn is_not_typed(command: &str) -> bool {
    NOT_TYPED.iter().any(|(known, _)| *known == command)
}
