//! A file of fixed-size entries in ascending order: the common part of offset and time index.

use std::{
    fmt::Debug,
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use protocol::Offset;

use crate::{
    flush::sync_file,
    fs::{File, Fs, OpenMode, read_full_at, read_vec_at, write_all_at},
};

/// One entry of fixed size.
pub(crate) trait Entry: Copy + Debug {
    /// Bytes on disk.
    const SIZE: usize;
    /// Appends the bytes, relative to the segment's base offset.
    fn encode(&self, base: Offset, out: &mut Vec<u8>);
    /// Reads [`Entry::SIZE`] bytes.
    fn decode(base: Offset, bytes: &[u8]) -> Self;
    /// Whether this entry may come after `previous`.
    fn follows(&self, previous: &Self) -> bool;
    /// The offset that it speaks about.
    fn offset(&self) -> Offset;
}

/// What a search came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found<E> {
    pub(crate) entry: E,
    /// Whether the entry behind it may come there. Where it may not, one of the two is damaged.
    pub(crate) in_order: bool,
}

/// Entries that wait in memory before a block of them is written.
const BLOCK_ENTRIES: usize = 512;

/// An index file: growing in memory while its segment is active, on disk alone once sealed.
///
/// One writer (the log's critical section), any number of readers.
#[derive(Debug)]
pub(crate) struct EntryFile<E> {
    fs: Arc<dyn Fs>,
    path: PathBuf,
    base: Offset,
    state: RwLock<State<E>>,
}

#[derive(Debug)]
enum State<E> {
    Growing {
        file: Arc<dyn File>,
        entries: Vec<E>,
        written: usize,
    },
    Sealed {
        count: usize,
        last: Option<E>,
    },
}

impl<E: Entry> EntryFile<E> {
    /// An empty index for an active segment; an old file of that name is emptied.
    pub(crate) fn create(fs: &Arc<dyn Fs>, path: &Path, base: Offset) -> io::Result<Self> {
        let file = fs.open(path, OpenMode::CreateEmpty)?;
        Ok(Self::with(
            fs,
            path,
            base,
            State::Growing {
                file,
                entries: Vec::new(),
                written: 0,
            },
        ))
    }

    /// The index of a sealed segment, or `None` when there is no file or it cannot be what it should be: of broken
    /// length, out of order at its ends, or outside `base..next_offset`.
    pub(crate) fn open_sealed(
        fs: &Arc<dyn Fs>,
        path: &Path,
        base: Offset,
        next_offset: Offset,
    ) -> io::Result<Option<Self>> {
        let file = match fs.open(path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let len = usize::try_from(file.metadata()?.len).unwrap_or(usize::MAX);
        if len % E::SIZE != 0 {
            return Ok(None);
        }
        let count = len / E::SIZE;
        let mut last = None;
        if 0 < count {
            let (Some(head), Some(tail)) = (
                read_entry::<E>(&*file, base, 0)?,
                read_entry::<E>(&*file, base, count - 1)?,
            ) else {
                return Ok(None);
            };
            let in_order = count == 1 || tail.follows(&head);
            if !in_order || head.offset() < base || next_offset <= tail.offset() {
                return Ok(None);
            }
            last = Some(tail);
        }
        Ok(Some(Self::with(fs, path, base, State::Sealed { count, last })))
    }

    /// The index of an active segment as its file has it; `None` as for [`EntryFile::open_sealed`], or when any two
    /// entries are out of order.
    pub(crate) fn open_growing(
        fs: &Arc<dyn Fs>,
        path: &Path,
        base: Offset,
        next_offset: Offset,
    ) -> io::Result<Option<Self>> {
        let Some(sealed) = Self::open_sealed(fs, path, base, next_offset)? else {
            return Ok(None);
        };
        let count = sealed.len();
        let file = fs.open(path, OpenMode::ReadWrite)?;
        let bytes = read_vec_at(&*file, 0, count * E::SIZE)?;
        let entries: Vec<E> = bytes
            .chunks_exact(E::SIZE)
            .map(|chunk| E::decode(base, chunk))
            .collect();
        let in_order = entries.len() == count && entries.windows(2).all(|pair| pair[1].follows(&pair[0]));
        if !in_order {
            return Ok(None);
        }
        Ok(Some(Self::with(
            fs,
            path,
            base,
            State::Growing {
                file,
                entries,
                written: count,
            },
        )))
    }

    fn with(fs: &Arc<dyn Fs>, path: &Path, base: Offset, state: State<E>) -> Self {
        Self {
            fs: Arc::clone(fs),
            path: path.to_owned(),
            base,
            state: RwLock::new(state),
        }
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        match &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Growing { entries, .. } => entries.len(),
            State::Sealed { count, .. } => *count,
        }
    }

    /// The last entry.
    pub(crate) fn last(&self) -> Option<E> {
        match &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Growing { entries, .. } => entries.last().copied(),
            State::Sealed { last, .. } => *last,
        }
    }

    /// Adds an entry. One that does not follow the last is left out: a sparse index owes nobody an entry.
    pub(crate) fn push(&self, entry: E) -> io::Result<()> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let State::Growing { file, entries, written } = &mut *state else {
            unreachable!("a sealed segment takes no batches");
        };
        if entries.last().is_some_and(|last| !entry.follows(last)) {
            return Ok(());
        }
        entries.push(entry);
        if BLOCK_ENTRIES <= entries.len() - *written {
            write_out(&**file, self.base, entries, written)?;
        }
        Ok(())
    }

    /// Writes what is only in memory.
    pub(crate) fn write_out(&self) -> io::Result<()> {
        match &mut *self.state.write().unwrap_or_else(PoisonError::into_inner) {
            State::Growing { file, entries, written } => write_out(&**file, self.base, entries, written),
            State::Sealed { .. } => Ok(()),
        }
    }

    /// Writes everything and gives the memory back. May be repeated when it fails.
    pub(crate) fn seal(&self) -> io::Result<()> {
        self.trim()?;
        self.freeze();
        Ok(())
    }

    /// Writes everything and cuts what the file has behind it. The index still takes entries.
    pub(crate) fn trim(&self) -> io::Result<()> {
        match &mut *self.state.write().unwrap_or_else(PoisonError::into_inner) {
            State::Growing { file, entries, written } => {
                write_out(&**file, self.base, entries, written)?;
                file.truncate((entries.len() * E::SIZE) as u64)
            }
            State::Sealed { .. } => Ok(()),
        }
    }

    /// Ends a trimmed index and gives its memory back.
    pub(crate) fn freeze(&self) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if let State::Growing { entries, written, .. } = &*state {
            assert_eq!(entries.len(), *written, "an index is trimmed before it is frozen");
            let (count, last) = (entries.len(), entries.last().copied());
            *state = State::Sealed { count, last };
        }
    }

    /// Makes the file durable. One that retention took away has nothing to lose.
    pub(crate) fn sync(&self) -> io::Result<()> {
        sync_file(&*self.fs, &self.path)
    }

    /// The last entry for which `holds` is true, where it is true for a first part of the entries and false behind.
    /// Entries of a sealed index come from the disk as they are: who uses one asks its batch first.
    ///
    /// A sealed index whose file is gone (its segment was just deleted) answers `None`: search from the beginning.
    pub(crate) fn last_where(&self, holds: impl Fn(&E) -> bool) -> io::Result<Option<Found<E>>> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let count = match &*state {
            State::Growing { entries, .. } => {
                let count = entries.partition_point(holds);
                return Ok(count.checked_sub(1).map(|last| Found {
                    entry: entries[last],
                    in_order: true,
                }));
            }
            State::Sealed { count: 0, .. } => return Ok(None),
            State::Sealed { count, .. } => *count,
        };
        match self.fs.open(&self.path, OpenMode::Read) {
            Ok(file) => self.search_file(&*file, count, holds),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn search_file(&self, file: &dyn File, count: usize, holds: impl Fn(&E) -> bool) -> io::Result<Option<Found<E>>> {
        let (mut low, mut high, mut found, mut behind) = (0, count, None, None);
        while low < high {
            let middle = low + (high - low) / 2;
            let Some(entry) = read_entry::<E>(file, self.base, middle)? else {
                return Ok(None);
            };
            if holds(&entry) {
                (low, found) = (middle + 1, Some(entry));
            } else {
                (high, behind) = (middle, Some(entry));
            }
        }
        Ok(found.map(|entry| Found {
            entry,
            in_order: behind.is_none_or(|behind| behind.follows(&entry)),
        }))
    }

    /// Writes a sealed index anew. Where that fails the index is empty from then on: searches begin at the beginning.
    /// A file that is gone is not made again.
    pub(crate) fn restore(&self, entries: &[E]) -> io::Result<()> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let State::Sealed { count, last } = &mut *state else {
            return Ok(());
        };
        (*count, *last) = (0, entries.last().copied());
        let file = self.fs.open(&self.path, OpenMode::ReadWrite)?;
        write_out(&*file, self.base, entries, &mut 0)?;
        file.truncate((entries.len() * E::SIZE) as u64)?;
        file.sync_data()?;
        *count = entries.len();
        Ok(())
    }
}

fn read_entry<E: Entry>(file: &dyn File, base: Offset, slot: usize) -> io::Result<Option<E>> {
    let mut bytes = [0; 16];
    let bytes = &mut bytes[..E::SIZE];
    let filled = read_full_at(file, bytes, (slot * E::SIZE) as u64)?;
    Ok((filled == E::SIZE).then(|| E::decode(base, bytes)))
}

fn write_out<E: Entry>(file: &dyn File, base: Offset, entries: &[E], written: &mut usize) -> io::Result<()> {
    let fresh = &entries[*written..];
    if fresh.is_empty() {
        return Ok(());
    }
    let mut bytes = Vec::with_capacity(fresh.len() * E::SIZE);
    fresh.iter().for_each(|entry| entry.encode(base, &mut bytes));
    write_all_at(file, &bytes, (*written * E::SIZE) as u64)?;
    *written = entries.len();
    Ok(())
}
