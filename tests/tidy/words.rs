//! Words that do not belong into the repository, each with what to do instead.

use crate::files::{TextFile, rust_files, text_files};

/// Anywhere in our own sources, beyond what clippy watches: the word and what to do instead. Each is written in two halves, so that
/// this file passes its own test.
const IN_SOURCES: &[(&str, &str, &str)] = &[
    ("to", "do!(", "write it or leave it out"),
    ("unimple", "mented!(", "answer with the right error"),
    ("db", "g!(", "use tracing"),
    ("#[ign", "ore", "make the test fast, or take it out"),
    ("#[al", "low(", "#[expect(lint, reason = \"...\")]"),
    ("TO", "DO", "write an issue or an ADR"),
    ("FIX", "ME", "fix it"),
    ("XX", "X ", "say what is wrong"),
    ("SQL con", "tract", "name docs/sql.md"),
];

/// Anywhere in the repository.
const ANYWHERE: &[(&str, &str, &str)] = &[
    ("/wo", "rk/", "paths of one machine mean nothing elsewhere"),
    ("crates", ".io/", "name the crate"),
    ("static.crates", ".io", "name the crate"),
    ("py", "pi.org", "name the package"),
    ("files.python", "hosted", "name the package"),
    ("repo.maven", ".apache", "name the artifact"),
    ("repo1.", "maven", "name the artifact"),
    ("registry.npm", "js", "name the package"),
];

/// Files that have to spell out what they are about.
const EXEMPT: &[&str] = &["Cargo.lock", "LICENSE"];

fn find(files: &[TextFile], words: &[(&str, &str, &str)]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| !EXEMPT.contains(&file.path.as_str())) {
        for (first, second, instead) in words {
            let word = format!("{first}{second}");
            for (number, line) in (1..).zip(file.text.lines()) {
                if line.contains(&word) {
                    found.push(format!("{}:{number}: {word}: {instead}", file.path));
                }
            }
        }
    }
    found
}

#[test]
fn sources_hold_no_stubs_and_no_leftovers() {
    let files = rust_files();
    assert!(files.len() > 20, "the sources were read");
    let found = find(&files, IN_SOURCES);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Whether `line` cites a numbered rule, an R and two digits, of a list that the repository does not hold.
fn cites_a_rule(line: &str) -> bool {
    line.split(|c: char| !c.is_ascii_alphanumeric())
        .filter_map(|word| word.strip_prefix('R'))
        .any(|number| number.len() == 2 && number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[test]
fn sources_cite_what_a_reader_can_find() {
    assert!(cites_a_rule(concat!("as it must be (R", "42).")) && !cites_a_rule("(KIP-211), R2, UR42, R123"));
    let mut found = Vec::new();
    for file in rust_files() {
        for (number, line) in (1..).zip(file.text.lines()).filter(|(_, line)| cites_a_rule(line)) {
            found.push(format!("{}:{number}: {}", file.path, line.trim()));
        }
    }
    assert!(found.is_empty(), "name the KIP, RFC or class:\n{}", found.join("\n"));
}

#[test]
fn nothing_names_a_machine_or_a_registry() {
    let found = find(&text_files(), ANYWHERE);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

fn is_test(path: &str) -> bool {
    ["/tests", "/testing/"].iter().any(|part| path.contains(part))
}

/// One file may hold unsafe code: the one that maps sealed segments.
#[test]
fn unsafe_code_stands_in_one_file() {
    let keyword = ["uns", "afe "].concat();
    let mut found = Vec::new();
    for file in rust_files() {
        let code = file.text.lines().filter(|line| !line.trim_start().starts_with("//"));
        if code.into_iter().any(|line| line.contains(&keyword)) && file.path != "storage/src/segment/map.rs" {
            found.push(file.path);
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Reading SQL decompresses a batch once, as its counters say; a batch that is opened past them would not be seen.
#[test]
fn batches_are_opened_where_they_are_counted() {
    let mut found = Vec::new();
    for file in rust_files() {
        if !file.path.starts_with("processor/src/") || is_test(&file.path) {
            continue;
        }
        let code = file.text.split("#[cfg(test)]").next().unwrap_or_default();
        for word in [
            "Records::open(",
            ".records(",
            "decompress(",
            "decompress_into(",
            "offset_for_timestamp(",
        ] {
            found.extend(code.matches(word).map(|word| format!("{} {word}", file.path)));
        }
    }
    found.sort();
    let expected = [
        // Where a query begins or ends by time, once when it is created.
        "processor/src/engine/bounds.rs offset_for_timestamp(",
        "processor/src/query/scan/reader.rs Records::open(",
        "processor/src/runtime/source/decode.rs Records::open(",
        // The changelog of a query's state, once at its start.
        "processor/src/state/recovery.rs .records(",
    ];
    assert_eq!(found, expected);
}

/// Below the broker time and randomness are parameters: nobody waits for a timer or throws dice there by itself.
#[test]
fn below_the_broker_nobody_has_a_clock_or_dice() {
    let below = [
        "protocol/src/",
        "storage/src/",
        "processor/src/",
        "broker/coordinator/src/",
    ];
    let mut found = Vec::new();
    for file in rust_files() {
        if !below.iter().any(|folder| file.path.starts_with(folder)) || is_test(&file.path) {
            continue;
        }
        let code = file.text.split("#[cfg(test)]").next().unwrap_or_default();
        for word in ["tokio::time", "thread::sleep", "::now()", "Uuid::new_v4", "rand::"] {
            found.extend(code.matches(word).map(|word| format!("{}: {word}", file.path)));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Time, randomness and tasks come from one place per floor; clippy.toml bans the calls, this keeps the ban in place.
#[test]
fn clippy_bans_the_clock_and_the_dice() {
    let files = text_files();
    let clippy = files
        .iter()
        .find(|file| file.path == "clippy.toml")
        .expect("clippy.toml");
    for banned in [
        "std::time::SystemTime::now",
        "std::time::Instant::now",
        "rand::rng",
        "tokio::spawn",
    ] {
        assert!(clippy.text.contains(banned), "{banned}");
    }
}
