//! Whether the device has room for more.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{error::NoSpace, fs::Fs};

/// Watches the free space of the data folder. Appends by clients are refused while it is low and accepted again as soon
/// as there is room; nothing has to be restarted.
#[derive(Debug)]
pub(crate) struct SpaceGuard {
    fs: Arc<dyn Fs>,
    path: PathBuf,
    needed_bytes: u64,
    low: AtomicBool,
}

impl SpaceGuard {
    pub(crate) fn new(fs: &Arc<dyn Fs>, path: PathBuf, needed_bytes: u64) -> Self {
        let guard = Self {
            fs: Arc::clone(fs),
            path,
            needed_bytes,
            low: AtomicBool::new(false),
        };
        guard.refresh();
        guard
    }

    /// Looks at the device: after each flush round, and with each append that would be refused.
    pub(crate) fn refresh(&self) -> bool {
        if self.needed_bytes == 0 {
            self.low.store(false, Ordering::Relaxed);
            return false;
        }
        let low = self.free_bytes() < self.needed_bytes;
        if self.low.swap(low, Ordering::Relaxed) != low {
            match low {
                true => {
                    tracing::warn!(path = %self.path.display(), needed = self.needed_bytes, "space is low, produce is refused")
                }
                false => tracing::info!(path = %self.path.display(), "there is space again"),
            }
        }
        low
    }

    /// Lets an append through or says why not. One atomic load while there is room.
    pub(crate) fn check(&self) -> Result<(), NoSpace> {
        if self.low.load(Ordering::Relaxed) && self.refresh() {
            return Err(self.refusal());
        }
        Ok(())
    }

    /// Whether clients are refused at the moment.
    pub(crate) fn is_low(&self) -> bool {
        self.low.load(Ordering::Relaxed)
    }

    /// The fact, with the figures of now.
    pub(crate) fn refusal(&self) -> NoSpace {
        NoSpace {
            free_bytes: self.free_bytes(),
            needed_bytes: self.needed_bytes,
        }
    }

    /// Free bytes; a device that does not say counts as having room, because writes will tell.
    fn free_bytes(&self) -> u64 {
        self.fs.free_space(&self.path).unwrap_or(u64::MAX)
    }
}
