//! The doors that storage goes through: the file system, its files and its locks.

use std::{
    collections::BTreeMap,
    io::{self, IoSlice},
    path::{Path, PathBuf},
    sync::Arc,
};

use storage::fs::{DirEntry, File, Fs, Lock, Metadata, OpenMode};

use super::{
    FaultyFs, Shared,
    nodes::{NameOp, Node, NodeId},
    state::Syncing,
};

impl Fs for FaultyFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut state = self.powered()?;
        let existing = state.find(path);
        let node = match (existing, mode) {
            (Ok(node), _) => node,
            (Err(_), OpenMode::Create | OpenMode::CreateEmpty) => {
                let file = Node::File {
                    data: Vec::new(),
                    durable: Vec::new(),
                    pending: Vec::new(),
                    modified: state.now,
                };
                state.link(path, file)?
            }
            (Err(error), _) => return Err(error),
        };
        let Some(Node::File { .. }) = state.nodes.get(&node) else {
            return Err(io::ErrorKind::IsADirectory.into());
        };
        if mode == OpenMode::CreateEmpty {
            state.truncate(node, 0);
        }
        drop(state);
        Ok(Arc::new(FaultyFile {
            shared: Arc::clone(&self.shared),
            node,
        }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.powered()?;
        let mut prefix = PathBuf::new();
        for part in path.components() {
            prefix.push(part);
            if state.find(&prefix).is_err() {
                state.link(
                    &prefix,
                    Node::Dir {
                        entries: BTreeMap::new(),
                        durable: BTreeMap::new(),
                    },
                )?;
            }
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.powered()?;
        state.find(from)?;
        let op = NameOp::Rename {
            from: state.place(from)?,
            to: state.place(to)?,
        };
        state.change_names(op);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.powered()?;
        state.find(path)?;
        let (dir, name) = state.place(path)?;
        state.change_names(NameOp::Unlink { dir, name });
        Ok(())
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.remove_file(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let state = self.powered()?;
        let node = state.find(path)?;
        let Node::Dir { entries, .. } = &state.nodes[&node] else {
            return Err(io::ErrorKind::NotADirectory.into());
        };
        let is_dir = |node: &NodeId| matches!(state.nodes[node], Node::Dir { .. });
        Ok(entries
            .iter()
            .map(|(name, node)| DirEntry {
                name: name.clone(),
                is_dir: is_dir(node),
            })
            .collect())
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        let state = self.powered()?;
        let node = state.find(path)?;
        Ok(state.metadata(node))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.powered()?;
        let dir = state.find(path)?;
        match state.begin_sync()? {
            Syncing::Real => state.sync_names(Some(dir)),
            Syncing::Lie => {}
        }
        Ok(())
    }

    fn sync_fs(&self, _path: &Path) -> io::Result<()> {
        let mut state = self.powered()?;
        match state.begin_sync() {
            Ok(Syncing::Real) => {
                state.sync_names(None);
                state.nodes.values_mut().for_each(Node::sync);
                Ok(())
            }
            Ok(Syncing::Lie) => Ok(()),
            Err(error) => {
                state.nodes.values_mut().for_each(Node::take_for_clean);
                Err(error)
            }
        }
    }

    fn free_space(&self, _path: &Path) -> io::Result<u64> {
        let state = self.powered()?;
        Ok(state
            .faults
            .capacity
            .map_or(u64::MAX, |capacity| capacity.saturating_sub(state.used())))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        drop(self.open(path, OpenMode::Create)?);
        let mut state = self.powered()?;
        if !state.locks.insert(path.to_owned()) {
            return Ok(None);
        }
        Ok(Some(Box::new(FaultyLock {
            shared: Arc::clone(&self.shared),
            path: path.to_owned(),
        })))
    }
}

#[derive(Debug)]
struct FaultyLock {
    shared: Arc<Shared>,
    path: PathBuf,
}

impl Lock for FaultyLock {}

impl Drop for FaultyLock {
    fn drop(&mut self) {
        self.shared.lock().locks.remove(&self.path);
    }
}

#[derive(Debug)]
struct FaultyFile {
    shared: Arc<Shared>,
    node: NodeId,
}

impl File for FaultyFile {
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        let state = self.shared.powered()?;
        let rest = state.bytes(self.node, position);
        let count = rest.len().min(buf.len());
        buf[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn read_into(&self, buf: &mut Vec<u8>, position: u64) -> io::Result<usize> {
        let state = self.shared.powered()?;
        let rest = state.bytes(self.node, position);
        let count = rest.len().min(buf.capacity() - buf.len());
        buf.extend_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_vectored_at(&self, bufs: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        let bytes: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
        self.shared.powered()?.write(
            self.node,
            usize::try_from(position).expect("test files are small"),
            &bytes,
        )
    }

    fn sync_data(&self) -> io::Result<()> {
        let hook = self.shared.powered()?.before_sync.clone();
        if let Some(hook) = hook {
            hook();
        }
        let mut state = self.shared.powered()?;
        let result = state.begin_sync();
        let node = state.nodes.get_mut(&self.node).expect("an open file has a node");
        match result {
            Ok(Syncing::Real) => node.sync(),
            Ok(Syncing::Lie) => {}
            Err(error) => {
                node.take_for_clean();
                return Err(error);
            }
        }
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let mut state = self.shared.powered()?;
        state.truncations += 1;
        if state
            .faults
            .fail_truncate
            .is_some_and(|first| first <= state.truncations)
        {
            return Err(io::Error::other("input/output error"));
        }
        state.truncate(self.node, usize::try_from(len).expect("test files are small"));
        Ok(())
    }

    fn allocate(&self, _position: u64, _len: u64) -> io::Result<()> {
        self.shared.powered().map(|_| ())
    }

    fn metadata(&self) -> io::Result<Metadata> {
        Ok(self.shared.powered()?.metadata(self.node))
    }
}
