//! The pages: what they point at and what they tell people to type.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tests::pages::{self, NOT_TYPED, TYPED, blocks, code_spans, is_not_typed};
use tests::paths;

/// What a page tells people to type is typed by a test, or stands in the list of what is not, with the reason.
#[test]
fn commands_in_documents_are_typed_by_a_test() {
    let (mut wrong, mut commands) = (Vec::new(), BTreeSet::new());
    for page in pages::all() {
        for block in blocks(&page.text) {
            let typed = TYPED
                .iter()
                .any(|(path, language, _)| *path == page.path && *language == block.language);
            match block.language.as_str() {
                "text" => {}
                "sh" => {
                    for command in block.commands() {
                        if !typed && !is_not_typed(&command) {
                            wrong.push(format!("{}: no test types: {command}", page.path));
                        }
                        commands.insert(command);
                    }
                }
                "sql" if typed => {}
                "sql" => wrong.push(format!("{}: no test runs:\n{}", page.path, block.text)),
                other => wrong.push(format!("{}: a block of sh, sql or text, not of '{other}'", page.path)),
            }
        }
    }
    for (command, reason) in NOT_TYPED {
        if !commands.contains(*command) {
            wrong.push(format!("{command} ({reason}) is on no page: take it off the list"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The tests that the list of typed pages names are there, and read these pages.
#[test]
fn tests_that_type_commands_read_the_pages() {
    let read = |path: &str| fs::read_to_string(paths::repository().join(path)).unwrap_or_else(|_| panic!("no {path}"));
    for (page, language, test) in TYPED {
        assert!(
            blocks(&read(page)).iter().any(|block| block.language == *language),
            "{page} has no {language}: take it off the list"
        );
        assert!(read(test).contains(&format!("{page}\"")), "{test} does not read {page}");
    }
}

/// Words of code spans that look like a path of the repository lead to something: from its root or from the page.
#[test]
fn paths_named_in_documents_exist() {
    let root = paths::repository();
    let mut missing = Vec::new();
    for page in pages::all() {
        let folder = root.join(&page.path).parent().map(Path::to_path_buf).expect("a folder");
        for word in code_spans(&page.text).flat_map(str::split_whitespace) {
            let is_path = word.contains('/')
                && word.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '.')
                && word
                    .chars()
                    .all(|letter| letter.is_ascii_alphanumeric() || "_-./".contains(letter));
            if is_path && !root.join(word).exists() && !folder.join(word).exists() {
                missing.push(format!("{}: {word}", page.path));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// Links in Markdown lead to files that are there.
#[test]
fn links_in_markdown_lead_somewhere() {
    let root = paths::repository();
    let mut broken = Vec::new();
    for file in pages::all() {
        let folder = root
            .join(&file.path)
            .parent()
            .map(Path::to_path_buf)
            .expect("a file lies in a folder");
        for target in link_targets(&file.text) {
            if !exists(&folder, target) {
                broken.push(format!("{}: {target}", file.path));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// What documents tell people to run through make is a target.
#[test]
fn make_targets_named_in_documents_exist() {
    let root = paths::repository();
    let makefile = fs::read_to_string(root.join("Makefile")).expect("a Makefile");
    let mut missing = Vec::new();
    for file in pages::all() {
        for words in file
            .text
            .split("`make ")
            .skip(1)
            .chain(file.text.split("\nmake ").skip(1))
        {
            let target: String = words
                .chars()
                .take_while(|letter| letter.is_ascii_lowercase() || *letter == '-')
                .collect();
            if !target.is_empty() && !makefile.contains(&format!("\n{target}:")) {
                missing.push(format!("{}: make {target}", file.path));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

fn link_targets(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|behind| behind.split(')').next());
    targets
        .filter(|target| !target.contains("://") && !target.starts_with('#') && !target.contains(' '))
        .collect()
}

fn exists(folder: &Path, target: &str) -> bool {
    let path: PathBuf = folder.join(target.split('#').next().unwrap_or(target));
    path.exists()
}
