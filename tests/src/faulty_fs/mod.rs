//! A file system that does what disks do on their bad days.
//!
//! It lives in memory behind `storage::fs` and keeps two states of everything: what a process sees, and what would be
//! there after the power went. Only a sync moves the one into the other. A crash ([`FaultyFs::crash`]) makes a new file
//! system out of what survived: everything (kill -9, with or without the kernel writing it out), only what was synced, or that and a random part of the rest, with
//! writes torn at sectors and names that came or went without each other.
//!
//! It can also fail a sync (and then, like Linux, take the pages for clean, so that a second sync succeeds and proves
//! nothing), fail or shorten writes, run out of space, lose its power at a chosen sync or write, and lie about syncs.

mod dice;
mod faults;
mod files;
mod nodes;
mod state;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use storage::fs::Fs;

pub use self::faults::{Faults, Loss};
use self::{
    dice::Dice,
    nodes::{NameOp, Node, NodeId, ROOT, sorted},
    state::State,
};

/// The file system. Clones of the [`Arc`] share it.
#[derive(Debug)]
pub struct FaultyFs {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
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
        Self::with_nodes(nodes, Vec::new(), 1, 0)
    }

    fn with_nodes(nodes: HashMap<NodeId, Node>, name_ops: Vec<NameOp>, next_node: NodeId, now: i64) -> Arc<Self> {
        let state = State {
            nodes,
            next_node,
            name_ops,
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
            Loss::Nothing | Loss::Killed | Loss::Unsynced => None,
        };
        let mut nodes = state.nodes.clone();
        let mut ops = state.name_ops.clone();
        // Names that wait for a sync go on waiting where nothing but the process has ended.
        let waiting = match loss {
            Loss::Killed => std::mem::take(&mut ops),
            Loss::Nothing | Loss::Unsynced | Loss::Random(_) => Vec::new(),
        };
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
        Self::with_nodes(nodes, waiting, state.next_node, state.now)
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
