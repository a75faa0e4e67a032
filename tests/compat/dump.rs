//! Kafka's own dump tool over every segment and index that tests left behind: the log format is Kafka's, and only
//! Kafka can say so.

use std::path::{Path, PathBuf};

use tests::{paths, report};

use crate::program;

/// Files per run of the tool: a command line has a limit, and a JVM takes half a second to start.
const FILES_PER_RUN: usize = 150;

const TOOL: &str = "org.apache.kafka.tools.DumpLogSegments";

/// Complaints of the tool about a file that it could read so far.
const COMPLAINTS: [&str; 6] = [
    "isvalid: false",
    "invalid bytes at the end",
    "Non-consecutive",
    "xception",
    "Could not",
    "unknown",
];

/// Bytes of a snapshot of producers before its first entry, and of each entry.
const SNAPSHOT_HEADER_LEN: u64 = 10;
const SNAPSHOT_ENTRY_LEN: u64 = 46;
/// Bytes of an entry of an index of aborted transactions.
const ABORTED_LEN: u64 = 34;

/// Fails with the tool's output where it finds anything wrong, and where there is nothing of a kind for it to judge.
pub(crate) fn check_everything_left_behind() {
    let figures = [
        check_segments(),
        check_indexes(),
        check_aborted_transactions(),
        check_producers(),
        check_internal_records("__transaction_state-", "--transaction-log-decoder"),
        check_internal_records("__consumer_offsets-", "--offsets-decoder"),
        check_text("leader-epoch-checkpoint", assert_epochs),
        check_text("partition.metadata", assert_topic_id),
    ];
    report::figure(&format!("dump tool: {}", figures.join(", ")));
}

fn check_segments() -> String {
    let logs = files_left_behind(|file| has_extension(file, "log"));
    assert!(logs.len() > 1, "no test left a log behind: run the other tests first");
    assert!(
        logs.iter().any(|path| base_offset(path) > 0),
        "no segment rolled in any test"
    );
    let is_metadata = |path: &PathBuf| path.parent().is_some_and(|dir| dir.ends_with("metadata"));
    assert!(logs.iter().any(is_metadata), "no metadata log was left behind");
    let mut markers = 0;
    for_each_run(&logs, &["--deep-iteration"], |file, said| {
        assert!(said.contains("Log starting offset"), "{}:\n{said}", file.display());
        refuse_complaints(file, said);
        markers += said.matches("endTxnMarker: ").count();
    });
    assert!(markers > 0, "no log has the marker of a transaction");
    format!("{} segments with {markers} markers", logs.len())
}

fn check_indexes() -> String {
    let mut figures = Vec::new();
    for extension in ["index", "timeindex"] {
        let indexes = files_left_behind(|file| has_extension(file, extension));
        let mut checked = 0;
        for_each_run(&indexes, &["--index-sanity-check"], |file, said| {
            let passed = said.contains("passed sanity check");
            checked += usize::from(passed && len(file) > 0);
            // An index has no entry before its log has grown by an interval.
            assert!(passed || said.contains("is empty."), "{}:\n{said}", file.display());
        });
        assert!(checked > 0, "no {extension} has an entry");
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
        figures.push(format!("{checked} of {} {extension}es with entries", indexes.len()));
    }
    figures.join(", ")
}

/// Every entry is read, and what it says can be: it is about the segment that it stands beside.
fn check_aborted_transactions() -> String {
    let files = files_left_behind(|file| has_extension(file, "txnindex"));
    let mut entries = 0;
    for_each_run(&files, &[], |file, said| {
        refuse_complaints(file, said);
        let lines: Vec<&str> = said.lines().filter(|line| line.contains("producerId: ")).collect();
        assert_eq!(
            lines.len() as u64 * ABORTED_LEN,
            len(file),
            "{}:\n{said}",
            file.display()
        );
        for line in &lines {
            let [version, producer, first, last, stable] =
                ["version", "producerId", "firstOffset", "lastOffset", "lastStableOffset"]
                    .map(|name| field(line, name));
            assert!(version == 0 && 0 <= producer, "{}: {line}", file.display());
            assert!(
                0 <= first && first < last && first < stable,
                "{}: {line}",
                file.display()
            );
            assert!(base_offset(file) <= last, "{}: {line}", file.display());
        }
        entries += lines.len();
    });
    assert!(entries > 0, "no transaction was aborted in any test");
    format!("{entries} aborted transactions in {} files", files.len())
}

/// Every entry is read, and none is about what comes behind the offset that the file is named after.
fn check_producers() -> String {
    let files = files_left_behind(|file| has_extension(file, "snapshot"));
    let mut entries = 0;
    for_each_run(&files, &[], |file, said| {
        refuse_complaints(file, said);
        let lines: Vec<&str> = said.lines().filter(|line| line.contains("producerId: ")).collect();
        let due = SNAPSHOT_HEADER_LEN + lines.len() as u64 * SNAPSHOT_ENTRY_LEN;
        assert_eq!(due, len(file), "{}:\n{said}", file.display());
        for line in &lines {
            assert!(0 <= field(line, "producerId"), "{}: {line}", file.display());
            assert!(0 <= field(line, "producerEpoch"), "{}: {line}", file.display());
        }
        // A producer whose epoch a marker has raised has no batch under it until it writes again.
        for line in lines.iter().filter(|line| line.contains("lastOffset: ")) {
            assert!(
                field(line, "lastOffset") < base_offset(file),
                "{}: {line}",
                file.display()
            );
            entries += 1;
        }
    });
    assert!(entries > 0, "no snapshot knows a producer");
    format!("{entries} producers in {} snapshots", files.len())
}

/// The records of a coordinator's topic, as Kafka's own coordinator would read them.
fn check_internal_records(topic: &str, decoder: &str) -> String {
    let of_topic = |file: &Path| {
        let log = file.parent().and_then(Path::file_name).unwrap_or_default();
        has_extension(file, "log") && log.to_string_lossy().starts_with(topic) && len(file) > 0
    };
    let mut records = 0;
    for_each_run(&files_left_behind(of_topic), &[decoder], |file, said| {
        refuse_complaints(file, said);
        for line in said
            .lines()
            .filter(|line| line.starts_with("| offset: ") && !line.contains("endTxnMarker"))
        {
            let is_decoded = line.contains(" key: {\"type\":") && line.contains(" payload: ");
            assert!(is_decoded, "{}: {line}", file.display());
            records += 1;
        }
    });
    assert!(records > 0, "{topic}: no test left a record behind");
    format!("{records} records of {topic}*")
}

/// Files for which Kafka has no tool: a line by line comparison with what its documentation says of them.
fn check_text(name: &str, check: impl Fn(&Path, &str)) -> String {
    let files = files_left_behind(|file| file.file_name().is_some_and(|found| found == name));
    assert!(!files.is_empty(), "no {name} was left behind");
    for file in &files {
        check(file, &std::fs::read_to_string(file).expect("a text"));
    }
    format!("{} {name}", files.len())
}

/// The version, the number of entries, and an epoch with its start offset in each line; both rise.
fn assert_epochs(file: &Path, text: &str) {
    let lines: Vec<Vec<i64>> = text
        .lines()
        .map(|line| {
            line.split(' ')
                .map(|number| number.parse().expect("a number"))
                .collect()
        })
        .collect();
    let shown = format!("{}:\n{text}", file.display());
    let [version, count, entries @ ..] = lines.as_slice() else {
        panic!("{shown}");
    };
    assert_eq!(
        (version.as_slice(), count.as_slice()),
        (&[0][..], &[entries.len() as i64][..]),
        "{shown}"
    );
    assert!(
        entries
            .iter()
            .all(|entry| entry.len() == 2 && 0 <= entry[0] && 0 <= entry[1]),
        "{shown}"
    );
    let rise = entries
        .windows(2)
        .all(|pair| pair[0][0] < pair[1][0] && pair[0][1] < pair[1][1]);
    assert!(rise, "{shown}");
}

/// The version, and an id of sixteen bytes in URL-safe base64 without padding, which is none of Kafka's reserved ones.
fn assert_topic_id(file: &Path, text: &str) {
    let shown = format!("{}:\n{text}", file.display());
    let Some(("version: 0", id)) = text.split_once('\n') else {
        panic!("{shown}");
    };
    let id = id
        .trim_end()
        .strip_prefix("topic_id: ")
        .unwrap_or_else(|| panic!("{shown}"));
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    assert!(id.len() == 22 && id.bytes().all(is_base64), "{shown}");
    assert_ne!(id, "AAAAAAAAAAAAAAAAAAAAAA", "{shown}");
}

fn refuse_complaints(file: &Path, said: &str) {
    for complaint in COMPLAINTS {
        assert!(!said.contains(complaint), "{}: {complaint}\n{said}", file.display());
    }
}

/// The number behind a name in a line of the tool.
fn field(line: &str, name: &str) -> i64 {
    let label = format!("{name}: ");
    // The names end in each other: lastOffset is no firstLastOffset.
    let found = line.split_whitespace().zip(line.split_whitespace().skip(1));
    let value = found
        .into_iter()
        .find(|(word, _)| *word == label.trim_end())
        .map(|(_, value)| value);
    let value = value.unwrap_or_else(|| panic!("no {name} in {line}"));
    value.parse().unwrap_or_else(|error| panic!("{name}: {error}: {line}"))
}

/// Runs the tool over the files and hands each file's part of the output to `check`.
fn for_each_run(files: &[PathBuf], options: &[&str], mut check: impl FnMut(&Path, &str)) {
    for files in files.chunks(FILES_PER_RUN) {
        let said = program::run(dump(files, options));
        let parts: Vec<(&str, &str)> = said
            .split("Dumping ")
            .skip(1)
            .filter_map(|part| part.split_once('\n'))
            .collect();
        assert_eq!(parts.len(), files.len(), "the tool stopped before the end:\n{said}");
        for (file, said) in parts {
            check(Path::new(file), said);
        }
    }
}

fn dump(files: &[PathBuf], options: &[&str]) -> std::process::Command {
    let names: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
    let mut command = program::java(&[], "");
    command.arg(TOOL).args(options).arg("--files").arg(names.join(","));
    command
}

/// Every file of a kind in a log folder of any broker that a test started.
fn files_left_behind(is_wanted: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for data_dir in children(&paths::left_behind_dir()) {
        let mut logs = children(&data_dir.join("topics"));
        // The metadata log is a log like any other; only its records are ours.
        logs.push(data_dir.join("metadata"));
        found.extend(logs.iter().flat_map(|dir| children(dir)).filter(|file| is_wanted(file)));
    }
    found.sort();
    found
}

fn has_extension(file: &Path, extension: &str) -> bool {
    file.extension().is_some_and(|found| found == extension)
}

fn len(file: &Path) -> u64 {
    file.metadata().expect("a file that was found").len()
}

fn children(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    entries
        .map(|entry| entry.expect("folders can be read").path())
        .collect()
}

/// The offset that a file is named after.
fn base_offset(file: &Path) -> i64 {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    stem.parse()
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
