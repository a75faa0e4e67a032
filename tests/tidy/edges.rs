//! Which crate may see which. Edges go down only: protocol is the ground, broker the roof; tests and benches stand beside
//! the house and may see every floor.

use std::collections::BTreeSet;
use std::fs;

use tests::paths;

use crate::files::{TextFile, rust_files};

/// Every allowed edge between our own crates, as (from, to).
const EDGES: &[(&str, &str)] = &[
    ("storage", "protocol"),
    ("processor", "protocol"),
    ("processor", "storage"),
    ("coordinator", "protocol"),
    ("broker", "protocol"),
    ("broker", "coordinator"),
    ("broker", "storage"),
    ("broker", "processor"),
    ("tests", "protocol"),
    ("tests", "storage"),
];

/// Crates with the folder that each lies in.
const CRATES: &[(&str, &str)] = &[
    ("protocol", "protocol"),
    ("storage", "storage"),
    ("processor", "processor"),
    ("coordinator", "broker/coordinator"),
    ("broker", "broker"),
    ("tests", "tests"),
    ("benches", "benches"),
];

/// What a crate must never depend on, because then it would know a world that it has to be ignorant of.
const FORBIDDEN: &[(&str, &[&str])] = &[
    (
        "protocol",
        &[
            "tokio",
            "rustix",
            "rdkafka",
            "datafusion",
            "rocksdb",
            "memmap2",
            "tempfile",
        ],
    ),
    (
        "coordinator",
        &[
            "tokio",
            "rustix",
            "rdkafka",
            "datafusion",
            "rocksdb",
            "memmap2",
            "rand",
            "chrono",
        ],
    ),
    (
        "storage",
        &["axum", "rdkafka", "datafusion", "arrow", "kafka-protocol", "rocksdb"],
    ),
    ("processor", &["axum", "rdkafka", "kafka-protocol", "socket2"]),
];

fn manifest(folder: &str) -> Vec<(String, String)> {
    let path = paths::repository().join(folder).join("Cargo.toml");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut section = String::new();
    let mut entries = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
        } else if let Some(name) = line.split(['.', '=', ' ']).next().filter(|_| line.contains('=')) {
            entries.push((section.clone(), name.to_owned()));
        }
    }
    entries
}

fn dependencies(folder: &str, sections: &[&str]) -> BTreeSet<String> {
    let entries = manifest(folder).into_iter();
    entries
        .filter(|(section, _)| sections.contains(&section.as_str()))
        .map(|(_, name)| name)
        .collect()
}

#[test]
fn crates_depend_downwards_only() {
    let mut found = BTreeSet::new();
    for (name, folder) in CRATES {
        for dependency in dependencies(folder, &["dependencies", "dev-dependencies", "build-dependencies"]) {
            if CRATES.iter().any(|(ours, _)| *ours == dependency) {
                found.insert((*name, dependency));
            }
        }
    }
    for (from, to) in &found {
        assert!(EDGES.contains(&(*from, to.as_str())), "{from} must not depend on {to}");
    }
    for (from, to) in EDGES {
        assert!(
            found.contains(&(*from, (*to).to_owned())),
            "{from} does not depend on {to}: take it off the list"
        );
    }
}

#[test]
fn crates_do_not_know_the_world_above_them() {
    for (name, forbidden) in FORBIDDEN {
        let (_, folder) = CRATES.iter().find(|(known, _)| known == name).expect("a known crate");
        let found = dependencies(folder, &["dependencies"]);
        for dependency in *forbidden {
            assert!(!found.contains(*dependency), "{name} must not depend on {dependency}");
        }
    }
}

#[test]
fn every_crate_is_listed() {
    let root = fs::read_to_string(paths::repository().join("Cargo.toml")).expect("the workspace's manifest");
    let members = root
        .lines()
        .find_map(|line| line.strip_prefix("members = "))
        .expect("members");
    for (_, folder) in CRATES {
        assert!(members.contains(&format!("\"{folder}\"")), "{folder} in {members}");
    }
    assert_eq!(members.matches('"').count() / 2, CRATES.len(), "{members}");
}

/// What a crate depends on, its sources name.
#[test]
fn dependencies_are_used() {
    let files = rust_files();
    let mut unused = Vec::new();
    for (name, folder) in CRATES {
        let is_inside = |path: &str, folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        // A crate may lie in another one's folder.
        let inner: Vec<&str> = CRATES
            .iter()
            .map(|(_, other)| *other)
            .filter(|other| is_inside(other, folder))
            .collect();
        let sources: Vec<&TextFile> = files
            .iter()
            .filter(|file| is_inside(&file.path, folder) && !inner.iter().any(|inner| is_inside(&file.path, inner)))
            .collect();
        for dependency in dependencies(folder, &["dependencies", "dev-dependencies", "build-dependencies"]) {
            let path = format!("{}::", dependency.replace('-', "_"));
            if !sources.iter().any(|file| file.text.contains(&path)) {
                unused.push(format!("{name}: {dependency}"));
            }
        }
    }
    assert!(unused.is_empty(), "no source names these:\n{}", unused.join("\n"));
}

/// What the workspace offers, a member takes.
#[test]
fn dependencies_of_the_workspace_are_taken() {
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    let taken: BTreeSet<String> = CRATES
        .iter()
        .flat_map(|(_, folder)| dependencies(folder, &kinds))
        .collect();
    let offered = dependencies(".", &["workspace.dependencies"]);
    let left: Vec<&String> = offered.difference(&taken).collect();
    assert!(left.is_empty() && 20 < offered.len(), "nobody takes {left:?}");
}

/// Versions and features stand in one place.
#[test]
fn members_take_every_dependency_from_the_workspace() {
    for (_, folder) in CRATES {
        let path = paths::repository().join(folder).join("Cargo.toml");
        let text = fs::read_to_string(path).expect("a manifest");
        let mut in_dependencies = false;
        for line in text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            if line.starts_with('[') {
                in_dependencies = line.ends_with("dependencies]");
            } else if in_dependencies {
                assert!(line.contains("workspace = true"), "{folder}: {line}");
            }
        }
    }
}
