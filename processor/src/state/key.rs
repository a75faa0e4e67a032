//! Keys of state entries.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | table, never 0 |
//! | 2 | virtual node, big-endian |
//! | rest | the table's own key |
//!
//! The virtual node is a stable hash of the grouping key, so that state can be dealt out again when the parallelism of
//! a query changes. A key of one byte 0 is the store's own entry: the committed epoch.

/// Number of virtual nodes; part of the format.
pub const VIRTUAL_NODES: u16 = 256;

/// Length of table and virtual node.
pub const PREFIX_LEN: usize = 3;

/// Key of the committed epoch in RocksDB; below every table.
pub(super) const EPOCH_KEY: &[u8] = &[0];

/// A state table of a query. Ids are part of the format and never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId(u8);

impl TableId {
    /// Groups of an aggregate: pane and grouping key to partial aggregates.
    pub const GROUPS: Self = Self(1);
    /// Values that `count(DISTINCT)` has seen, in parts.
    pub const DISTINCT: Self = Self(2);
    /// The row last emitted per window and group.
    pub const EMITTED: Self = Self(3);
    /// Rows of a keyed materialized view.
    pub const VIEW: Self = Self(4);
    /// How far overlapping windows are closed.
    pub const PROGRESS: Self = Self(5);

    /// All tables.
    pub const ALL: [Self; 5] = [Self::GROUPS, Self::DISTINCT, Self::EMITTED, Self::VIEW, Self::PROGRESS];

    /// The table's number, the first byte of its keys.
    pub fn number(self) -> u8 {
        self.0
    }

    /// True for tables whose entries are read again soon after they were written. Groups are kept by their operator, and
    /// view rows are only read by others.
    pub(super) fn is_cached(self) -> bool {
        self == Self::EMITTED
    }

    /// The table of a whole key.
    pub(super) fn of_key(key: &[u8]) -> Option<Self> {
        key.first().map(|number| Self(*number))
    }

    /// Name in EXPLAIN and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::GROUPS => "groups",
            Self::DISTINCT => "distinct",
            Self::EMITTED => "emitted",
            Self::VIEW => "view",
            Self::PROGRESS => "progress",
            _ => "unknown",
        }
    }
}

/// The virtual node of a grouping key: FNV-1a, folded. Part of the format.
pub fn virtual_node(key: &[u8]) -> u16 {
    let mut hash: u32 = 0x811c_9dc5;
    for byte in key {
        hash = (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    }
    let folded = (hash >> 16) ^ (hash & 0xffff);
    u16::try_from(folded % u32::from(VIRTUAL_NODES)).expect("below the number of virtual nodes")
}

/// Writes a whole key into `out`, replacing what it held.
pub fn write_key(out: &mut Vec<u8>, table: TableId, node: u16, parts: &[&[u8]]) {
    out.clear();
    out.push(table.0);
    out.extend_from_slice(&node.to_be_bytes());
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// An event time as bytes that sort as the time does.
pub fn ordered_time(time: i64) -> [u8; 8] {
    (time.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

/// The event time of [`ordered_time`] bytes.
pub fn time_of_ordered(bytes: [u8; 8]) -> i64 {
    (u64::from_be_bytes(bytes) ^ (1 << 63)).cast_signed()
}

/// The smallest key above every key that starts with `prefix`; `None` when there is none.
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtual_nodes_are_a_format() {
        assert_eq!(virtual_node(b""), 0xd9);
        assert_eq!(virtual_node(b"a"), (0xe40c ^ 0x292c) % 256);
    }

    #[test]
    fn times_sort_as_bytes() {
        let times = [i64::MIN, -1, 0, 1, i64::MAX];
        let bytes = times.map(ordered_time);
        assert!(bytes.is_sorted());
        assert_eq!(bytes.map(time_of_ordered), times);
    }

    #[test]
    fn prefix_ends() {
        assert_eq!(prefix_end(&[1, 2]), Some(vec![1, 3]));
        assert_eq!(prefix_end(&[1, 255]), Some(vec![2]));
        assert_eq!(prefix_end(&[255, 255]), None);
        assert_eq!(prefix_end(&[]), None);
    }
}
