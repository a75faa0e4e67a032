//! The pages: what they point at and what they tell people to type.

use std::fs;
use std::path::{Path, PathBuf};

use tests::paths;

use crate::files::text_files;

/// Links in Markdown lead to files that are there.
#[test]
fn links_in_markdown_lead_somewhere() {
    let root = paths::repository();
    let mut broken = Vec::new();
    for file in text_files().into_iter().filter(|file| file.path.ends_with(".md")) {
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

/// Every command that the README tells people to run through make is a target.
#[test]
fn make_targets_named_in_documents_exist() {
    let root = paths::repository();
    let makefile = fs::read_to_string(root.join("Makefile")).expect("a Makefile");
    let mut missing = Vec::new();
    for file in text_files().into_iter().filter(|file| file.path.ends_with(".md")) {
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
