//! Which crate may see which. Edges go down only: protocol is the ground, broker the roof; tests and benches stand beside
//! the house and may see every floor.

use std::collections::BTreeSet;
use std::fs;

use tests::paths;

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
    ("benches", "protocol"),
    ("benches", "storage"),
    ("benches", "processor"),
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
    assert!(found.len() >= 8, "the manifests were read: {found:?}");
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
