//! Where things are: the repository, the binary under test, and the folder in which test data is left behind.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// The repository's root, as cargo says when it runs a test. A path fixed at compile time would be wrong for a second
/// checkout that shares the target directory.
///
/// # Panics
/// When cargo did not start the test.
#[must_use]
pub fn repository() -> PathBuf {
    let crate_dir = std::env::var_os("CARGO_MANIFEST_DIR").expect("tests are run by cargo");
    Path::new(&crate_dir)
        .parent()
        .expect("the tests crate is a folder of the repository")
        .to_path_buf()
}

/// The binary under test: `TIDEMILL_BIN`, or `tidemill` in the profile folder that this test was built into.
///
/// # Panics
/// When there is no such file: the binary has to be built before the tests run.
#[must_use]
pub fn tidemill_binary() -> PathBuf {
    let binary = match std::env::var_os("TIDEMILL_BIN") {
        Some(path) => PathBuf::from(path),
        None => profile_dir().join("tidemill"),
    };
    assert!(
        binary.is_file(),
        "{} is not built: run `make build` or `make test`",
        binary.display()
    );
    binary
}

/// A new, empty folder for one broker's data. It stays when the test ends, because Kafka's dump tool reads everything
/// that the tests left behind; `make test` empties the parent first.
///
/// # Panics
/// When the folder cannot be made.
#[must_use]
pub fn new_data_dir() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("test").replace("::", ".");
    let dir = left_behind_dir().join(format!("{}-{test}-{number}", executable_name()));
    if dir.exists() {
        std::fs::remove_dir_all(&dir).expect("data of the run before can be removed");
    }
    std::fs::create_dir_all(&dir).expect("data folder can be made");
    dir
}

/// The parent of all folders that [`new_data_dir`] made, in this run and in the ones before.
#[must_use]
pub fn left_behind_dir() -> PathBuf {
    target_dir().join("left-behind")
}

/// Cargo's target directory.
///
/// # Panics
/// When cargo did not build the test.
#[must_use]
pub fn target_dir() -> PathBuf {
    profile_dir()
        .parent()
        .expect("a profile folder lies in the target directory")
        .to_path_buf()
}

/// `<target>/debug`: test executables lie in `<target>/debug/deps`.
fn profile_dir() -> PathBuf {
    let executable = std::env::current_exe().expect("the test knows its own path");
    let deps = executable.parent().expect("an executable lies in a folder");
    deps.parent()
        .expect("cargo puts tests into <profile>/deps")
        .to_path_buf()
}

/// `it` of `it-0123456789abcdef`.
fn executable_name() -> String {
    let executable = std::env::current_exe().expect("the test knows its own path");
    let name = executable
        .file_name()
        .expect("an executable has a name")
        .to_string_lossy()
        .into_owned();
    match name.rsplit_once('-') {
        Some((stem, _hash)) => stem.to_owned(),
        None => name,
    }
}
