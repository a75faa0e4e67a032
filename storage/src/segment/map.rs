//! Memory maps of sealed segments: the only file of this crate with `unsafe` code.
//!
//! The contract that makes it sound:
//! - only sealed segments are mapped; a sealed segment is never truncated and never rewritten in place (compaction
//!   writes a new file and swaps it in by rename, recovery works before anything is mapped);
//! - the data folder is locked, nobody else touches its files;
//! - deleting a segment only unlinks it, the map keeps the pages;
//! - a device error while a page is loaded is a bus error and ends the process, which is why maps can be switched off.
//!
//! Why maps at all, and what was rejected: docs/adr/0001-memory-maps-for-sealed-segments.md.

use std::io;

use bytes::Bytes;
use memmap2::{Advice, Mmap, MmapOptions};

use crate::fs::File;

/// Maps the first `len` bytes of a sealed segment; `None` when the file is not a real one or is empty.
///
/// The bytes stay valid for as long as any slice of them is held.
pub(crate) fn map_sealed(file: &dyn File, len: u64) -> io::Result<Option<Bytes>> {
    let Some(fd) = file.as_fd() else { return Ok(None) };
    let Ok(len) = usize::try_from(len) else { return Ok(None) };
    if len == 0 {
        return Ok(None);
    }
    #[expect(unsafe_code, reason = "the one memory map of the project, decided in ADR 0001")]
    // SAFETY: the caller hands in a sealed segment, which by the contract above is neither truncated nor written while
    // the process runs, inside a folder that this process has locked; so the mapped bytes do not change.
    let map: Mmap = unsafe { MmapOptions::new().len(len).map(&fd)? };
    // A scan goes front to back; the advice is a hint, and a kernel that refuses it still serves the pages.
    let _ = map.advise(Advice::Sequential);
    Ok(Some(Bytes::from_owner(map)))
}
