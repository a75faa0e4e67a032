//! The history of a log's leader epochs: which epoch began at which offset.
//!
//! `leader-epoch-checkpoint` is Kafka's text file: a line `0` (version), a line with the number of entries, then one line
//! `epoch start-offset` each, ascending in both. It can be rebuilt from the batches, which carry their epoch; Kafka:
//! `LeaderEpochFileCache`.

use std::path::Path;

use protocol::{LeaderEpoch, Offset, ids::NO_LEADER_EPOCH};

use crate::{
    checkpoint::{Sync, read_small, replace},
    error::IoFailure,
    fs::Fs,
};

/// Name of the file in a partition's folder.
pub(crate) const FILE_NAME: &str = "leader-epoch-checkpoint";

/// One epoch and the first offset written in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochStart {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// Offset that its first batch has, or would have.
    pub start_offset: Offset,
}

/// The epochs of one log, oldest first; both fields ascend strictly.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EpochHistory {
    entries: Vec<EpochStart>,
    /// The largest number that was ever given, also to an epoch that left no batch.
    used: Option<LeaderEpoch>,
}

impl EpochHistory {
    /// The newest epoch, or -1.
    pub(crate) fn latest(&self) -> LeaderEpoch {
        self.entries.last().map_or(NO_LEADER_EPOCH, |entry| entry.epoch)
    }

    /// A number that no epoch of this log has had.
    pub(crate) fn next_number(&self) -> LeaderEpoch {
        self.used.unwrap_or(NO_LEADER_EPOCH).max(self.latest()) + 1
    }

    /// Takes note that a number was given away.
    pub(crate) fn reserve_number(&mut self, epoch: LeaderEpoch) {
        self.used = self.used.max(Some(epoch));
    }

    /// Begins an epoch at an offset. Epochs that wrote nothing before that offset disappear; an epoch that is not newer
    /// changes nothing. Returns whether anything changed.
    pub(crate) fn assign(&mut self, epoch: LeaderEpoch, start_offset: Offset) -> bool {
        if epoch <= self.latest() {
            return false;
        }
        self.entries.retain(|entry| entry.start_offset < start_offset);
        self.entries.push(EpochStart { epoch, start_offset });
        true
    }

    /// Drops what lies at or above a log end that was cut.
    pub(crate) fn truncate_from_end(&mut self, end_offset: Offset) {
        self.entries.retain(|entry| entry.start_offset < end_offset);
    }

    /// Drops epochs that end at or below a new log start; the one that holds it begins there.
    pub(crate) fn truncate_from_start(&mut self, log_start: Offset) -> bool {
        let holding = self.entries.partition_point(|entry| entry.start_offset <= log_start);
        let Some(holding) = holding.checked_sub(1) else {
            return false;
        };
        let changed = 0 < holding || self.entries[0].start_offset < log_start;
        self.entries.drain(..holding);
        self.entries[0].start_offset = log_start;
        changed
    }

    /// The epoch that an offset was written in.
    pub(crate) fn epoch_of(&self, offset: Offset) -> Option<LeaderEpoch> {
        let count = self.entries.partition_point(|entry| entry.start_offset <= offset);
        count.checked_sub(1).map(|slot| self.entries[slot].epoch)
    }

    /// The largest epoch not above `requested`, and the offset where it ends: the start of the next one, or the log end
    /// for the newest. `None` when the requested epoch is above all that are known.
    pub(crate) fn end_offset_for(&self, requested: LeaderEpoch, log_end: Offset) -> Option<(LeaderEpoch, Offset)> {
        if requested < 0 || self.latest() < requested {
            return None;
        }
        if requested == self.latest() {
            return Some((requested, log_end));
        }
        let above = self.entries.partition_point(|entry| entry.epoch <= requested);
        let end = self.entries[above].start_offset;
        let epoch = above.checked_sub(1).map_or(requested, |slot| self.entries[slot].epoch);
        Some((epoch, end))
    }

    /// Reads the file; `None` when it is missing or damaged.
    pub(crate) fn read(fs: &dyn Fs, dir: &Path) -> Result<Option<Self>, IoFailure> {
        let path = dir.join(FILE_NAME);
        let Some(bytes) = read_small(fs, &path)? else {
            return Ok(None);
        };
        let parsed = std::str::from_utf8(&bytes).ok().and_then(parse);
        if parsed.is_none() {
            tracing::warn!(path = %path.display(), "leader epoch file is damaged and will be rebuilt");
        }
        Ok(parsed)
    }

    /// Replaces the file.
    pub(crate) fn write(&self, fs: &dyn Fs, dir: &Path, sync: Sync) -> Result<(), IoFailure> {
        let mut text = format!("0\n{}\n", self.entries.len());
        for entry in &self.entries {
            text.push_str(&format!("{} {}\n", entry.epoch, entry.start_offset));
        }
        replace(fs, &dir.join(FILE_NAME), text.as_bytes(), sync)
    }
}

fn parse(text: &str) -> Option<EpochHistory> {
    let mut lines = text.lines();
    if lines.next()?.trim() != "0" {
        return None;
    }
    let count: usize = lines.next()?.trim().parse().ok()?;
    let mut entries = Vec::new();
    for line in lines {
        let (epoch, start_offset) = line.trim().split_once(' ')?;
        entries.push(EpochStart {
            epoch: epoch.parse().ok()?,
            start_offset: start_offset.parse().ok()?,
        });
    }
    let ascends = |pair: &[EpochStart]| pair[0].epoch < pair[1].epoch && pair[0].start_offset < pair[1].start_offset;
    (entries.len() == count && entries.windows(2).all(ascends)).then_some(EpochHistory { entries, used: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faulty_fs::FaultyFs;

    const OF_KAFKA: &[u8] = include_bytes!("fixtures/kafka-4.3-leader-epoch-checkpoint");

    fn history(entries: &[(LeaderEpoch, Offset)]) -> EpochHistory {
        let mut history = EpochHistory::default();
        for (epoch, start_offset) in entries {
            history.assign(*epoch, *start_offset);
        }
        history
    }

    #[test]
    fn end_offsets_follow_kafkas_rule() {
        let history = history(&[(2, 10), (4, 20), (7, 30)]);
        let cases = [
            (1, Some((1, 10))),
            (2, Some((2, 20))),
            (3, Some((2, 20))),
            (5, Some((4, 30))),
            (7, Some((7, 99))),
            (8, None),
            (-1, None),
        ];
        for (requested, expected) in cases {
            assert_eq!(history.end_offset_for(requested, 99), expected, "epoch {requested}");
        }
        assert_eq!(EpochHistory::default().end_offset_for(0, 5), None);
    }

    #[test]
    fn an_epoch_that_wrote_nothing_disappears() {
        let history = history(&[(0, 0), (1, 5), (2, 5), (1, 9)]);
        assert_eq!(
            history.entries,
            [
                EpochStart {
                    epoch: 0,
                    start_offset: 0
                },
                EpochStart {
                    epoch: 2,
                    start_offset: 5
                }
            ]
        );
    }

    #[test]
    fn truncation_keeps_the_epoch_that_holds_the_new_start() {
        let mut history = history(&[(0, 0), (1, 5), (2, 9)]);
        assert!(history.truncate_from_start(7));
        assert!(!history.truncate_from_start(7));
        assert_eq!(
            history.entries,
            [
                EpochStart {
                    epoch: 1,
                    start_offset: 7
                },
                EpochStart {
                    epoch: 2,
                    start_offset: 9
                }
            ]
        );
        history.truncate_from_end(9);
        assert_eq!(history.latest(), 1);
        assert_eq!(history.epoch_of(8), Some(1));
        assert_eq!(history.epoch_of(6), None);
    }

    #[test]
    fn epochs_are_written_and_read_as_kafka_does() {
        let (fs, dir) = (FaultyFs::new(), Path::new("/data"));
        fs.create_dir_all(dir).expect("created");
        let epochs = history(&[(0, 0), (2, 7), (4, 14)]);
        epochs.write(&*fs, dir, Sync::Now).expect("written");
        let path = dir.join(FILE_NAME);
        assert_eq!(fs.read(&path), OF_KAFKA);

        fs.overwrite(&path, OF_KAFKA);
        assert_eq!(EpochHistory::read(&*fs, dir).expect("readable"), Some(epochs));
    }

    #[test]
    fn damaged_files_are_not_believed() {
        for text in ["", "1\n0\n", "0\n2\n0 0\n", "0\n2\n1 5\n0 9\n", "0\n1\nx 0\n"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
        assert_eq!(parse("0\n2\n0 0\n3 17\n"), Some(history(&[(0, 0), (3, 17)])));
    }
}
