//! What all operations share: names, the counts that faults wait for, and what each operation does to the nodes.

use std::{
    collections::{BTreeSet, HashMap},
    fmt, io,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use storage::fs::Metadata;

use super::{
    faults::Faults,
    nodes::{DataOp, NameOp, Node, NodeId, ROOT},
};

pub(super) struct State {
    pub(super) nodes: HashMap<NodeId, Node>,
    pub(super) next_node: NodeId,
    /// Changes of names that were not synced, oldest first.
    pub(super) name_ops: Vec<NameOp>,
    pub(super) faults: Faults,
    pub(super) syncs: u64,
    pub(super) writes: u64,
    pub(super) truncations: u64,
    pub(super) before_sync: Option<Arc<dyn Fn() + Send + Sync>>,
    pub(super) off: bool,
    pub(super) now: i64,
    pub(super) locks: BTreeSet<PathBuf>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("nodes", &self.nodes.len())
            .field("off", &self.off)
            .finish_non_exhaustive()
    }
}

/// What a sync does.
pub(super) enum Syncing {
    Real,
    Lie,
}

impl State {
    pub(super) fn find(&self, path: &Path) -> io::Result<NodeId> {
        let mut node = ROOT;
        for name in names(path) {
            let Node::Dir { entries, .. } = &self.nodes[&node] else {
                return Err(io::ErrorKind::NotADirectory.into());
            };
            node = *entries.get(name).ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(node)
    }

    /// The folder and the name within it.
    pub(super) fn place(&self, path: &Path) -> io::Result<(NodeId, String)> {
        let parts = names(path);
        let (name, parents) = parts.split_last().ok_or(io::ErrorKind::InvalidInput)?;
        let parent: PathBuf = parents.iter().collect();
        Ok((self.find(&parent)?, (*name).to_owned()))
    }

    pub(super) fn link(&mut self, path: &Path, node: Node) -> io::Result<NodeId> {
        let (dir, name) = self.place(path)?;
        let id = self.next_node;
        self.next_node += 1;
        self.nodes.insert(id, node);
        self.change_names(NameOp::Link { dir, name, node: id });
        Ok(id)
    }

    pub(super) fn change_names(&mut self, op: NameOp) {
        op.apply(&mut self.nodes);
        self.name_ops.push(op);
    }

    /// Makes the names of one folder durable, or all of them.
    pub(super) fn sync_names(&mut self, dir: Option<NodeId>) {
        let ops = std::mem::take(&mut self.name_ops);
        for op in ops {
            if dir.is_none_or(|dir| op.touches(dir)) {
                op.apply_durable(&mut self.nodes);
            } else {
                self.name_ops.push(op);
            }
        }
    }

    pub(super) fn begin_sync(&mut self) -> io::Result<Syncing> {
        self.syncs += 1;
        if self.faults.power_off_at_sync == Some(self.syncs) {
            self.off = true;
            return Err(io::Error::other("the power is off"));
        }
        if self.faults.fail_sync == Some(self.syncs) {
            return Err(io::Error::other("input/output error"));
        }
        Ok(if self.faults.lie_about_sync {
            Syncing::Lie
        } else {
            Syncing::Real
        })
    }

    pub(super) fn write(&mut self, node: NodeId, position: usize, bytes: &[u8]) -> io::Result<usize> {
        self.writes += 1;
        if self.faults.fail_write == Some(self.writes) {
            return Err(io::Error::other("input/output error"));
        }
        let mut count = bytes.len();
        if self.faults.short_writes {
            if self.writes % 2 == 1 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            count = count.div_ceil(2);
        }
        let power_goes = self.faults.power_off_at_write == Some(self.writes);
        if power_goes {
            count /= 2;
        }
        let len = self.len(node);
        let growth = (position + count).saturating_sub(len) as u64;
        if let Some(capacity) = self.faults.capacity {
            let free = capacity.saturating_sub(self.used());
            if free < growth {
                count = count.saturating_sub(usize::try_from(growth - free).expect("test files are small"));
                if count == 0 {
                    return Err(io::ErrorKind::StorageFull.into());
                }
            }
        }
        let now = self.now;
        if let Some(Node::File {
            data,
            pending,
            modified,
            ..
        }) = self.nodes.get_mut(&node)
        {
            let op = DataOp::Write {
                position,
                bytes: bytes[..count].to_vec(),
            };
            op.apply(data);
            pending.push(op);
            *modified = now;
        }
        if power_goes {
            self.off = true;
            return Err(io::Error::other("the power is off"));
        }
        Ok(count)
    }

    pub(super) fn truncate(&mut self, node: NodeId, len: usize) {
        let now = self.now;
        if let Some(Node::File {
            data,
            pending,
            modified,
            ..
        }) = self.nodes.get_mut(&node)
        {
            if data.len() == len {
                return;
            }
            let op = DataOp::Truncate { len };
            op.apply(data);
            pending.push(op);
            *modified = now;
        }
    }

    pub(super) fn bytes(&self, node: NodeId, position: u64) -> &[u8] {
        let Node::File { data, .. } = &self.nodes[&node] else {
            return &[];
        };
        data.get(usize::try_from(position).unwrap_or(usize::MAX)..)
            .unwrap_or_default()
    }

    fn len(&self, node: NodeId) -> usize {
        match &self.nodes[&node] {
            Node::File { data, .. } => data.len(),
            Node::Dir { .. } => 0,
        }
    }

    pub(super) fn metadata(&self, node: NodeId) -> Metadata {
        match &self.nodes[&node] {
            Node::File { data, modified, .. } => Metadata {
                len: data.len() as u64,
                modified: *modified,
                is_dir: false,
            },
            Node::Dir { .. } => Metadata {
                len: 0,
                modified: self.now,
                is_dir: true,
            },
        }
    }

    /// Bytes of all files that still have a name.
    pub(super) fn used(&self) -> u64 {
        let mut used = 0;
        let mut folders = vec![ROOT];
        while let Some(folder) = folders.pop() {
            let Node::Dir { entries, .. } = &self.nodes[&folder] else {
                continue;
            };
            for node in entries.values() {
                match &self.nodes[node] {
                    Node::Dir { .. } => folders.push(*node),
                    Node::File { data, .. } => used += data.len() as u64,
                }
            }
        }
        used
    }
}

fn names(path: &Path) -> Vec<&str> {
    let normal = path.components().filter_map(|part| match part {
        Component::Normal(name) => name.to_str(),
        _ => None,
    });
    normal.collect()
}
