//! The repository's files, and rules about each on its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use tests::paths;

use crate::ratchet::LARGE_FILES;

/// A production file beyond this wants to be several.
const LINES_MAX: usize = 600;

/// One text file of the repository.
pub(crate) struct TextFile {
    /// Relative to the root, with forward slashes.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Every text file that git tracks or would track: what is ignored is nobody's business here.
pub(crate) fn text_files() -> Vec<TextFile> {
    let root = paths::repository();
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(&root)
        .output()
        .expect("git runs");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let names = String::from_utf8(listed.stdout).expect("file names are UTF-8");
    let read = |name: &str| {
        let text = std::fs::read_to_string(root.join(name)).ok()?;
        Some(TextFile {
            path: name.to_owned(),
            text,
        })
    };
    names
        .split('\0')
        .filter(|name| !name.is_empty())
        .filter_map(read)
        .collect()
}

/// The Rust sources among them.
pub(crate) fn rust_files() -> Vec<TextFile> {
    let is_rust = |file: &TextFile| {
        Path::new(&file.path)
            .extension()
            .is_some_and(|extension| extension == "rs")
    };
    text_files().into_iter().filter(is_rust).collect()
}

fn is_test(path: &str) -> bool {
    let path = PathBuf::from(path);
    let in_tests = path.components().any(|part| part.as_os_str() == "tests");
    in_tests || path.file_name().is_some_and(|name| name == "tests.rs")
}

#[test]
fn every_source_file_says_what_it_is() {
    let silent: Vec<String> = rust_files()
        .into_iter()
        .filter(|file| !file.text.starts_with("//! ") || file.text.lines().next().is_none_or(|line| line.len() < 12))
        .map(|file| file.path)
        .collect();
    assert!(
        silent.is_empty(),
        "the first line is a //! sentence:\n{}",
        silent.join("\n")
    );
}

#[test]
fn production_files_stay_below_the_light() {
    let mut large = Vec::new();
    for file in rust_files().into_iter().filter(|file| !is_test(&file.path)) {
        let lines = file.text.lines().count();
        let allowed = LARGE_FILES
            .iter()
            .find(|(path, _)| *path == file.path)
            .map_or(LINES_MAX, |(_, lines)| *lines);
        if lines > allowed {
            large.push(format!("{}: {lines} lines, {allowed} allowed", file.path));
        }
    }
    assert!(large.is_empty(), "make several files of these:\n{}", large.join("\n"));
}

/// The ratchet only turns one way: an entry that is no longer needed, or is too generous, has to shrink.
#[test]
fn the_list_of_large_files_only_shrinks() {
    let files = rust_files();
    for (path, allowed) in LARGE_FILES {
        let file = files.iter().find(|file| file.path == *path);
        let lines = file
            .unwrap_or_else(|| panic!("{path} is gone: take it off the list"))
            .text
            .lines()
            .count();
        assert!(lines > LINES_MAX, "{path} has {lines} lines: take it off the list");
        assert!(
            lines == *allowed,
            "{path} has {lines} lines: say so in the list instead of {allowed}"
        );
    }
}

#[test]
fn text_is_clean() {
    let mut wrong = Vec::new();
    for file in text_files().into_iter().filter(|file| !is_data(&file.path)) {
        for (number, line) in (1..).zip(file.text.lines()) {
            if line.ends_with([' ', '\t']) && !file.path.ends_with(".md") && !is_license(&file.path) {
                wrong.push(format!("{}:{number}: space at the end of the line", file.path));
            }
            if file.path.ends_with(".rs") && line.contains('\t') {
                wrong.push(format!("{}:{number}: tab", file.path));
            }
        }
        if !file.text.is_empty() && !file.text.ends_with('\n') {
            wrong.push(format!("{}: no newline at the end", file.path));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Input and golden files, as somebody else wrote them.
fn is_data(path: &str) -> bool {
    path.starts_with("tests/data/") || path.contains("/fixtures/") && !path.ends_with(".md")
}

pub(crate) fn is_license(path: &str) -> bool {
    path == "LICENSE"
}

/// A folder is one module: its `mod.rs` lies inside it.
#[test]
fn folders_use_mod_rs() {
    let files = rust_files();
    for file in &files {
        let Some(stem) = file.path.strip_suffix(".rs") else {
            continue;
        };
        let inside = format!("{stem}/");
        let is_root = stem.ends_with("/lib") || stem.ends_with("/main");
        let twin = files.iter().find(|other| other.path.starts_with(&inside));
        assert!(
            is_root || twin.is_none(),
            "{} and {inside}: move it to {inside}mod.rs",
            file.path
        );
    }
}
