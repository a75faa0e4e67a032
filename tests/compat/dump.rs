//! Kafka's own dump tool over every segment and index that tests left behind: the log format is Kafka's, and only
//! Kafka can say so.

use std::path::{Path, PathBuf};

use tests::{paths, report};

use crate::program;

/// Files per run of the tool: a command line has a limit, and a JVM takes half a second to start.
const FILES_PER_RUN: usize = 150;

const TOOL: &str = "org.apache.kafka.tools.DumpLogSegments";

/// Fails with the tool's output where it finds anything wrong.
pub(crate) fn check_everything_left_behind() {
    let logs = files_left_behind("log");
    let indexes = [files_left_behind("index"), files_left_behind("timeindex")].concat();
    let others = [files_left_behind("txnindex"), files_left_behind("snapshot")].concat();
    assert!(logs.len() > 1, "no test left a log behind: run the other tests first");
    assert!(
        logs.iter().any(|path| !is_first_segment(path)),
        "no segment rolled in any test"
    );

    let is_metadata = |path: &PathBuf| path.parent().is_some_and(|dir| dir.ends_with("metadata"));
    assert!(logs.iter().any(is_metadata), "no metadata log was left behind");

    for_each_run(&logs, &["--deep-iteration"], |file, said| {
        assert!(said.contains("Log starting offset"), "{file}:\n{said}");
        for complaint in [
            "isvalid: false",
            "invalid bytes at the end",
            "Non-consecutive",
            "xception",
        ] {
            assert!(!said.contains(complaint), "{file}: {complaint}\n{said}");
        }
    });
    for_each_run(&indexes, &["--index-sanity-check"], |file, said| {
        // An index has no entry before its log has grown by an interval.
        let passed = said.contains("passed sanity check") || said.contains("is empty.");
        assert!(passed, "{file}:\n{said}");
    });
    // Complaints about single entries stand at the end of the output, under the name of their file.
    for files in indexes.chunks(FILES_PER_RUN) {
        let said = program::run(dump(files, &["--verify-index-only"]));
        for complaint in [
            "Mismatches in",
            "not found in",
            "timestamp mismatch",
            "out of order timestamp",
        ] {
            assert!(!said.contains(complaint), "{complaint}\n{said}");
        }
    }
    for_each_run(&others, &[], |file, said| {
        assert!(!said.contains("xception"), "{file}:\n{said}")
    });
    report::figure(&format!(
        "dump tool: {} segments, {} indexes, {} others",
        logs.len(),
        indexes.len(),
        others.len()
    ));
}

/// Runs the tool over the files and hands each file's part of the output to `check`.
fn for_each_run(files: &[PathBuf], options: &[&str], check: impl Fn(&str, &str)) {
    for files in files.chunks(FILES_PER_RUN) {
        let said = program::run(dump(files, options));
        let parts: Vec<(&str, &str)> = said
            .split("Dumping ")
            .skip(1)
            .filter_map(|part| part.split_once('\n'))
            .collect();
        assert_eq!(parts.len(), files.len(), "the tool stopped before the end:\n{said}");
        for (file, said) in parts {
            check(file, said);
        }
    }
}

fn dump(files: &[PathBuf], options: &[&str]) -> std::process::Command {
    let names: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
    let mut command = program::java(&[], "");
    command.arg(TOOL).args(options).arg("--files").arg(names.join(","));
    command
}

/// Every file with this extension in a log folder of any broker that a test started.
fn files_left_behind(extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for data_dir in children(&paths::left_behind_dir()) {
        let mut logs = children(&data_dir.join("topics"));
        // The metadata log is a log like any other; only its records are ours.
        logs.push(data_dir.join("metadata"));
        for file in logs.iter().flat_map(|dir| children(dir)) {
            if file.extension().is_some_and(|found| found == extension) {
                found.push(file);
            }
        }
    }
    found.sort();
    found
}

fn children(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    entries
        .map(|entry| entry.expect("folders can be read").path())
        .collect()
}

fn is_first_segment(path: &Path) -> bool {
    path.file_stem()
        .is_some_and(|stem| stem.to_string_lossy().bytes().all(|digit| digit == b'0'))
}
