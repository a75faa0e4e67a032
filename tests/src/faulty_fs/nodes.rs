//! Files and folders twice over: as a process sees them, and as the power would leave them.

use std::collections::{BTreeMap, HashMap};

use super::{dice::Dice, faults::Loss};

/// Bytes that a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;
pub(super) const ROOT: NodeId = 0;

pub(super) type NodeId = u64;

#[derive(Debug, Clone)]
pub(super) enum Node {
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
pub(super) enum DataOp {
    Write { position: usize, bytes: Vec<u8> },
    Truncate { len: usize },
}

/// A change of names; each happens whole or not at all.
#[derive(Debug, Clone)]
pub(super) enum NameOp {
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

impl Node {
    pub(super) fn sync(&mut self) {
        if let Self::File { durable, pending, .. } = self {
            pending.drain(..).for_each(|op| op.apply(durable));
        }
    }

    /// The kernel's view after a failed sync: nothing waits any more, and nothing was written.
    pub(super) fn take_for_clean(&mut self) {
        if let Self::File { pending, .. } = self {
            pending.clear();
        }
    }

    /// Becomes what the next start finds.
    pub(super) fn settle(&mut self, loss: Loss, dice: &mut Option<Dice>) {
        match self {
            Self::Dir { .. } if loss == Loss::Killed => {}
            Self::Dir { entries, durable } => entries.clone_from(durable),
            Self::File {
                data, durable, pending, ..
            } => {
                match (loss, dice) {
                    (Loss::Killed, _) => return,
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
    pub(super) fn apply(&self, data: &mut Vec<u8>) {
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
    pub(super) fn touches(&self, dir: NodeId) -> bool {
        match self {
            Self::Link { dir: place, .. } | Self::Unlink { dir: place, .. } => *place == dir,
            Self::Rename { from, to } => from.0 == dir || to.0 == dir,
        }
    }

    pub(super) fn apply(&self, nodes: &mut HashMap<NodeId, Node>) {
        self.apply_to(nodes, |node| match node {
            Node::Dir { entries, .. } => Some(entries),
            Node::File { .. } => None,
        });
    }

    pub(super) fn apply_durable(&self, nodes: &mut HashMap<NodeId, Node>) {
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
pub(super) fn sorted(nodes: &mut HashMap<NodeId, Node>) -> Vec<&mut Node> {
    let mut nodes: Vec<(&NodeId, &mut Node)> = nodes.iter_mut().collect();
    nodes.sort_unstable_by_key(|(id, _)| **id);
    nodes.into_iter().map(|(_, node)| node).collect()
}
