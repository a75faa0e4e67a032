//! A file system that does what disks do on their bad days.
//!
//! It lives in memory behind `storage::fs` and keeps two states of everything: what a process sees, and what would be
//! there after the power went. Only a sync moves the one into the other. A crash ([`FaultyFs::crash`]) makes a new file
//! system out of what survived: everything (kill -9), only what was synced, or that and a random part of the rest, with
//! writes torn at sectors and names that came or went without each other.
//!
//! It can also fail a sync (and then, like Linux, take the pages for clean, so that a second sync succeeds and proves
//! nothing), fail or shorten writes, run out of space, lose its power at a chosen sync or write, and lie about syncs.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    io::{self, IoSlice},
    path::{Component, Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use storage::fs::{DirEntry, File, Fs, Lock, Metadata, OpenMode};

/// Bytes that a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;
const ROOT: NodeId = 0;

type NodeId = u64;

/// What survives a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The process is killed; the kernel writes everything in its own time.
    Nothing,
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

/// The file system. Clones of the [`Arc`] share it.
#[derive(Debug)]
pub struct FaultyFs {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
}

struct State {
    nodes: HashMap<NodeId, Node>,
    next_node: NodeId,
    /// Changes of names that were not synced, oldest first.
    name_ops: Vec<NameOp>,
    faults: Faults,
    syncs: u64,
    writes: u64,
    truncations: u64,
    before_sync: Option<Arc<dyn Fn() + Send + Sync>>,
    off: bool,
    now: i64,
    locks: BTreeSet<PathBuf>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("nodes", &self.nodes.len())
            .field("off", &self.off)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone)]
enum Node {
    Dir {
        entries: BTreeMap<String, NodeId>,
        durable: BTreeMap<String, NodeId>,
    },
    File {
        data: Vec<u8>,
        durable: Vec<u8>,
        pending: Vec<DataOp>,
        modified: i64,
    },
}

#[derive(Debug, Clone)]
enum DataOp {
    Write { position: usize, bytes: Vec<u8> },
    Truncate { len: usize },
}

/// A change of names; each happens whole or not at all.
#[derive(Debug, Clone)]
enum NameOp {
    Link {
        dir: NodeId,
        name: String,
        node: NodeId,
    },
    Unlink {
        dir: NodeId,
        name: String,
    },
    Rename {
        from: (NodeId, String),
        to: (NodeId, String),
    },
}

impl FaultyFs {
    /// An empty file system without faults.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let root = Node::Dir {
            entries: BTreeMap::new(),
            durable: BTreeMap::new(),
        };
        let nodes = HashMap::from([(ROOT, root)]);
        Self::with_nodes(nodes, 1, 0)
    }

    fn with_nodes(nodes: HashMap<NodeId, Node>, next_node: NodeId, now: i64) -> Arc<Self> {
        let state = State {
            nodes,
            next_node,
            name_ops: Vec::new(),
            faults: Faults::default(),
            syncs: 0,
            writes: 0,
            truncations: 0,
            before_sync: None,
            off: false,
            now,
            locks: BTreeSet::new(),
        };
        Arc::new(Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
            }),
        })
    }

    /// Sets the faults from here on; counting begins anew.
    pub fn set_faults(&self, faults: Faults) {
        let mut state = self.lock();
        state.faults = faults;
        state.syncs = 0;
        state.writes = 0;
        state.truncations = 0;
    }

    /// Runs `hook` before every sync of a file, on the thread that syncs.
    pub fn before_sync(&self, hook: impl Fn() + Send + Sync + 'static) {
        self.lock().before_sync = Some(Arc::new(hook));
    }

    /// Syncs since the faults were set.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.lock().syncs
    }

    /// Writes since the faults were set.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.lock().writes
    }

    /// Whether the power is gone: every operation fails from then on.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.lock().off
    }

    /// Takes the power away now.
    pub fn power_off(&self) {
        self.lock().off = true;
    }

    /// The time that files are dated with.
    pub fn set_time(&self, now: i64) {
        self.lock().now = now;
    }

    /// What a machine finds when it starts again. The old file system is off from then on.
    #[must_use]
    pub fn crash(&self, loss: Loss) -> Arc<Self> {
        let mut state = self.lock();
        state.off = true;
        let mut dice = match loss {
            Loss::Random(seed) => Some(Dice::new(seed)),
            Loss::Nothing | Loss::Unsynced => None,
        };
        let mut nodes = state.nodes.clone();
        let ops = state.name_ops.clone();
        for op in ops {
            let survives = match (loss, &mut dice) {
                (Loss::Nothing, _) => true,
                (_, Some(dice)) => dice.flip(),
                _ => false,
            };
            if survives {
                op.apply_durable(&mut nodes);
            }
        }
        for node in sorted(&mut nodes) {
            node.settle(loss, &mut dice);
        }
        Self::with_nodes(nodes, state.next_node, state.now)
    }

    /// The content of a file as a process sees it.
    ///
    /// # Panics
    /// When there is no such file.
    #[must_use]
    pub fn read(&self, path: &Path) -> Vec<u8> {
        let state = self.lock();
        let node = state.find(path).expect("the file exists");
        match &state.nodes[&node] {
            Node::File { data, .. } => data.clone(),
            Node::Dir { .. } => panic!("{} is a folder", path.display()),
        }
    }

    /// Replaces the content of a file, durably: damage done by a test.
    ///
    /// # Panics
    /// When there is no such file.
    pub fn overwrite(&self, path: &Path, content: &[u8]) {
        let mut state = self.lock();
        let node = state.find(path).expect("the file exists");
        match state.nodes.get_mut(&node) {
            Some(Node::File {
                data, durable, pending, ..
            }) => {
                *data = content.to_vec();
                *durable = content.to_vec();
                pending.clear();
            }
            _ => panic!("{} is a folder", path.display()),
        }
    }

    /// Flips one bit of a file, durably.
    ///
    /// # Panics
    /// When there is no such file or byte.
    pub fn flip_bit(&self, path: &Path, position: usize) {
        let mut content = self.read(path);
        content[position] ^= 0x10;
        self.overwrite(path, &content);
    }

    /// Every file below a folder.
    #[must_use]
    pub fn files(&self, dir: &Path) -> Vec<PathBuf> {
        let Ok(entries) = self.list(dir) else { return Vec::new() };
        let mut files = Vec::new();
        for entry in entries {
            let path = dir.join(&entry.name);
            if entry.is_dir {
                files.extend(self.files(&path));
            } else {
                files.push(path);
            }
        }
        files.sort();
        files
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }

    fn powered(&self) -> io::Result<MutexGuard<'_, State>> {
        self.shared.powered()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn powered(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.lock();
        if state.off {
            Err(io::Error::other("the power is off"))
        } else {
            Ok(state)
        }
    }
}

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

/// What a sync does.
enum Syncing {
    Real,
    Lie,
}

impl State {
    fn find(&self, path: &Path) -> io::Result<NodeId> {
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
    fn place(&self, path: &Path) -> io::Result<(NodeId, String)> {
        let parts = names(path);
        let (name, parents) = parts.split_last().ok_or(io::ErrorKind::InvalidInput)?;
        let parent: PathBuf = parents.iter().collect();
        Ok((self.find(&parent)?, (*name).to_owned()))
    }

    fn link(&mut self, path: &Path, node: Node) -> io::Result<NodeId> {
        let (dir, name) = self.place(path)?;
        let id = self.next_node;
        self.next_node += 1;
        self.nodes.insert(id, node);
        self.change_names(NameOp::Link { dir, name, node: id });
        Ok(id)
    }

    fn change_names(&mut self, op: NameOp) {
        op.apply(&mut self.nodes);
        self.name_ops.push(op);
    }

    /// Makes the names of one folder durable, or all of them.
    fn sync_names(&mut self, dir: Option<NodeId>) {
        let ops = std::mem::take(&mut self.name_ops);
        for op in ops {
            if dir.is_none_or(|dir| op.touches(dir)) {
                op.apply_durable(&mut self.nodes);
            } else {
                self.name_ops.push(op);
            }
        }
    }

    fn begin_sync(&mut self) -> io::Result<Syncing> {
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

    fn write(&mut self, node: NodeId, position: usize, bytes: &[u8]) -> io::Result<usize> {
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

    fn truncate(&mut self, node: NodeId, len: usize) {
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

    fn bytes(&self, node: NodeId, position: u64) -> &[u8] {
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

    fn metadata(&self, node: NodeId) -> Metadata {
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
    fn used(&self) -> u64 {
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

impl Node {
    fn sync(&mut self) {
        if let Self::File { durable, pending, .. } = self {
            pending.drain(..).for_each(|op| op.apply(durable));
        }
    }

    /// The kernel's view after a failed sync: nothing waits any more, and nothing was written.
    fn take_for_clean(&mut self) {
        if let Self::File { pending, .. } = self {
            pending.clear();
        }
    }

    /// Becomes what the next start finds.
    fn settle(&mut self, loss: Loss, dice: &mut Option<Dice>) {
        match self {
            Self::Dir { entries, durable } => entries.clone_from(durable),
            Self::File {
                data, durable, pending, ..
            } => {
                match (loss, dice) {
                    (Loss::Nothing, _) => durable.clone_from(data),
                    (_, Some(dice)) => pending.drain(..).for_each(|op| op.apply_torn(durable, dice)),
                    _ => {}
                }
                pending.clear();
                data.clone_from(durable);
            }
        }
    }
}

impl DataOp {
    fn apply(&self, data: &mut Vec<u8>) {
        match self {
            Self::Truncate { len } => data.resize(*len, 0),
            Self::Write { position, bytes } => put(data, *position, bytes),
        }
    }

    /// Applies whole, not at all, or some sectors of it.
    fn apply_torn(&self, data: &mut Vec<u8>, dice: &mut Dice) {
        match (self, dice.roll(3)) {
            (_, 0) => {}
            (_, 1) | (Self::Truncate { .. }, _) => self.apply(data),
            (Self::Write { position, bytes }, _) => {
                let mut at = 0;
                while at < bytes.len() {
                    let border = ((position + at) / SECTOR_BYTES + 1) * SECTOR_BYTES - position;
                    let end = border.min(bytes.len());
                    if dice.flip() {
                        put(data, position + at, &bytes[at..end]);
                    }
                    at = end;
                }
            }
        }
    }
}

impl NameOp {
    fn touches(&self, dir: NodeId) -> bool {
        match self {
            Self::Link { dir: place, .. } | Self::Unlink { dir: place, .. } => *place == dir,
            Self::Rename { from, to } => from.0 == dir || to.0 == dir,
        }
    }

    fn apply(&self, nodes: &mut HashMap<NodeId, Node>) {
        self.apply_to(nodes, |node| match node {
            Node::Dir { entries, .. } => Some(entries),
            Node::File { .. } => None,
        });
    }

    fn apply_durable(&self, nodes: &mut HashMap<NodeId, Node>) {
        self.apply_to(nodes, |node| match node {
            Node::Dir { durable, .. } => Some(durable),
            Node::File { .. } => None,
        });
    }

    fn apply_to(
        &self,
        nodes: &mut HashMap<NodeId, Node>,
        view: impl Fn(&mut Node) -> Option<&mut BTreeMap<String, NodeId>>,
    ) {
        let mut entries = |dir: &NodeId, change: &mut dyn FnMut(&mut BTreeMap<String, NodeId>)| {
            if let Some(entries) = nodes.get_mut(dir).and_then(&view) {
                change(entries);
            }
        };
        match self {
            Self::Link { dir, name, node } => entries(dir, &mut |entries| {
                entries.insert(name.clone(), *node);
            }),
            Self::Unlink { dir, name } => entries(dir, &mut |entries| {
                entries.remove(name);
            }),
            Self::Rename { from, to } => {
                let mut moved = None;
                entries(&from.0, &mut |entries| moved = entries.remove(&from.1));
                let Some(node) = moved else { return };
                entries(&to.0, &mut |entries| {
                    entries.insert(to.1.clone(), node);
                });
            }
        }
    }
}

fn put(data: &mut Vec<u8>, position: usize, bytes: &[u8]) {
    let end = position + bytes.len();
    if data.len() < end {
        data.resize(end, 0);
    }
    data[position..end].copy_from_slice(bytes);
}

/// Nodes in the order of their numbers, so that a seed always means the same.
fn sorted(nodes: &mut HashMap<NodeId, Node>) -> Vec<&mut Node> {
    let mut nodes: Vec<(&NodeId, &mut Node)> = nodes.iter_mut().collect();
    nodes.sort_unstable_by_key(|(id, _)| **id);
    nodes.into_iter().map(|(_, node)| node).collect()
}

fn names(path: &Path) -> Vec<&str> {
    let normal = path.components().filter_map(|part| match part {
        Component::Normal(name) => name.to_str(),
        _ => None,
    });
    normal.collect()
}

/// A small generator of repeatable chance (splitmix64).
#[derive(Debug, Clone)]
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.next() % sides
    }

    fn flip(&mut self) -> bool {
        self.roll(2) == 1
    }
}
