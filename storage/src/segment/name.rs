//! File names of a partition's folder: the base offset in 20 digits and what the file holds, as Kafka names them.

use std::path::{Path, PathBuf};

use protocol::Offset;

/// What a file of a segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// Batches.
    Log,
    /// Offset to file position.
    OffsetIndex,
    /// Timestamp to offset.
    TimeIndex,
    /// Aborted transactions.
    TransactionIndex,
    /// Producer state below the offset in the name, in Kafka's schema.
    Snapshot,
    /// The duplicate windows that belong to a snapshot.
    ProducerWindows,
}

impl FileKind {
    /// Files that share a segment's base offset and go away with it.
    pub(crate) const OF_SEGMENT: [Self; 6] = [
        Self::Log,
        Self::OffsetIndex,
        Self::TimeIndex,
        Self::TransactionIndex,
        Self::Snapshot,
        Self::ProducerWindows,
    ];

    pub(crate) const fn suffix(self) -> &'static str {
        match self {
            Self::Log => ".log",
            Self::OffsetIndex => ".index",
            Self::TimeIndex => ".timeindex",
            Self::TransactionIndex => ".txnindex",
            Self::Snapshot => ".snapshot",
            Self::ProducerWindows => ".producers",
        }
    }
}

/// Suffix of a file or folder that waits to be unlinked.
pub(crate) const DELETED_SUFFIX: &str = ".deleted";
/// Suffix of a file that is written aside and renamed into place.
pub(crate) const TEMPORARY_SUFFIX: &str = ".tmp";

/// Path of a segment's file.
pub(crate) fn path(dir: &Path, base_offset: Offset, kind: FileKind) -> PathBuf {
    dir.join(format!("{base_offset:020}{}", kind.suffix()))
}

/// Base offset and kind of a file name; `None` for names that are not a segment's.
pub(crate) fn parse(name: &str) -> Option<(Offset, FileKind)> {
    let (digits, _) = name.split_at_checked(20)?;
    let kind = FileKind::OF_SEGMENT
        .into_iter()
        .find(|kind| name.len() == 20 + kind.suffix().len() && name.ends_with(kind.suffix()))?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().map(|offset| (offset, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_foreign_names_are_left_alone() {
        let path = path(Path::new("d"), 368_769, FileKind::TimeIndex);
        assert_eq!(path, Path::new("d/00000000000000368769.timeindex"));
        assert_eq!(
            parse("00000000000000368769.timeindex"),
            Some((368_769, FileKind::TimeIndex))
        );
        for name in [
            "partition.metadata",
            "00000000000000368769.log.deleted",
            "+0000000000000368769.log",
            "",
            "é0000000000000000000.log",
        ] {
            assert_eq!(parse(name), None, "{name}");
        }
    }
}
