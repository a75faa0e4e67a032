//! Logs that the server cannot open: their active segment is put aside.

use std::fs;
use std::path::{Path, PathBuf};

const ACTIVE_SEGMENT: &str = "00000000000000000000.log";

/// A log whose active segment has been put aside, with a link that leads nowhere but to itself in its place.
#[derive(Debug)]
pub struct Blocked {
    segment: PathBuf,
    aside: PathBuf,
}

impl Blocked {
    /// The log of a topic's first partition. The server must be down.
    ///
    /// # Panics
    /// When there is no such log.
    #[must_use]
    pub fn topic(data_dir: &Path, topic: &str) -> Blocked {
        Blocked::log(data_dir, &format!("{topic}-0"))
    }

    /// The only log of the coordinator of transactions, which tells what was decided: the others are made when they are
    /// first used, and no restart or list uses them. The server must be down.
    ///
    /// # Panics
    /// When there is none, or more than one.
    #[must_use]
    pub fn transaction_state(data_dir: &Path) -> Blocked {
        let logs = fs::read_dir(data_dir.join("topics")).expect("the folder of the logs");
        let names = logs.map(|log| log.expect("readable").file_name().to_string_lossy().into_owned());
        let state: Vec<String> = names.filter(|name| name.starts_with("__transaction_state-")).collect();
        let [log] = state.as_slice() else {
            panic!("one query has one: {state:?}");
        };
        Blocked::log(data_dir, log)
    }

    fn log(data_dir: &Path, log: &str) -> Blocked {
        let segment = data_dir.join("topics").join(log).join(ACTIVE_SEGMENT);
        // Beside the folder of the logs, in which nothing may be but logs.
        let aside = data_dir.join(format!("{log}.aside"));
        fs::rename(&segment, &aside).expect("the segment is there");
        std::os::unix::fs::symlink(&segment, &segment).expect("its place is free");
        Blocked { segment, aside }
    }

    /// Puts it back. The server must be down.
    ///
    /// # Panics
    /// When the server wrote something in its place.
    pub fn undo(self) {
        fs::remove_file(&self.segment).expect("the link is still there");
        fs::rename(&self.aside, &self.segment).expect("the segment is where it was put");
    }
}
