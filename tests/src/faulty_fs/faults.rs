//! What a test may let go wrong: in a crash, and while the machine runs.

/// What survives a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The process is killed, and the kernel writes everything in its own time before anything else happens.
    Nothing,
    /// The process is killed: the next one sees everything, and no more of it is certain to survive than before. What
    /// it does not sync itself, the power may still take.
    Killed,
    /// The power goes; nothing that was not synced survives.
    Unsynced,
    /// The power goes; what was not synced survives in parts that this seed decides.
    Random(u64),
}

/// When something goes wrong. Counts begin with 1 at the first operation after the faults are set.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// The power goes just before this sync.
    pub power_off_at_sync: Option<u64>,
    /// The power goes in the middle of this write.
    pub power_off_at_write: Option<u64>,
    /// This sync fails, and its pages are clean afterwards.
    pub fail_sync: Option<u64>,
    /// This write fails with an IO error.
    pub fail_write: Option<u64>,
    /// This truncation fails with an IO error, and all behind it.
    pub fail_truncate: Option<u64>,
    /// Bytes that all files together may hold.
    pub capacity: Option<u64>,
    /// Syncs report success and do nothing: the planted bug.
    pub lie_about_sync: bool,
    /// Every write but the smallest is cut short, and every other one is interrupted first.
    pub short_writes: bool,
}
