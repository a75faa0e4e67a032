//! What a query has committed, from where it says so itself: the epoch records in its changelog. The group that lag tools
//! look at is a copy and may lag behind.

use std::collections::BTreeMap;

use tests::batch::Batch;
use tests::requests::{self, LATEST, Topic};
use tests::stream::Bed;
use tests::wait;

use super::load::Load;

/// The key of an epoch record.
const EPOCH_KEY: &[u8] = &[0];
/// Version, epoch, time, finished, watermark, silence; then the number of sources.
const AT_SOURCES: usize = 34;
const SOURCE_BYTES: usize = 49;
/// Partition, topic id, leader epoch, last offset; then the next offset.
const AT_NEXT_OFFSET: usize = 32;
/// The type in a marker's key that commits.
const COMMIT: &[u8] = &[0, 1];

/// The changelog topics by query.
pub(super) struct Changelogs(BTreeMap<&'static str, Topic>);

/// An epoch that was committed.
struct Epoch {
    /// The producer's epoch: one for each run of the query.
    run: i16,
    /// Sum of the next offsets of the source's partitions.
    next_offsets: i64,
}

impl Changelogs {
    pub(super) fn new() -> Changelogs {
        Changelogs(BTreeMap::new())
    }

    /// Waits for the changelog of a query that was just created: the one that was not there before.
    pub(super) fn note(&mut self, bed: &Bed, query: &'static str) {
        let name = wait::until_some(&format!("the changelog of {query}"), || {
            let entries = std::fs::read_dir(bed.broker.data_dir().join("topics")).expect("topics");
            let mut folders = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
            folders.find_map(|folder| {
                let name = folder
                    .strip_suffix("-0")
                    .filter(|name| name.starts_with("tidemill.changelog."))?;
                let known = self.0.values().any(|topic| topic.name == name);
                (!known).then(|| name.to_owned())
            })
        });
        self.0.insert(
            query,
            Topic {
                name,
                ..Topic::unknown()
            },
        );
    }

    /// Holds the load until every query has committed all of it, and compares what each has read since the server was
    /// started with what its last epoch of the run before had left: not a record more.
    pub(super) fn assert_nothing_read_again(&self, bed: &mut Bed, load: &Load, topic: &Topic, partitions: i32) {
        wait::until("an epoch of every query", || {
            self.0
                .keys()
                .all(|query| bed.query_metric("epochs_total", query) >= 1.0)
        });
        let _held = load.hold();
        let end: i64 = (0..partitions)
            .map(|partition| requests::list_offset(&mut bed.connection, topic, partition, LATEST).offset)
            .sum();
        for (query, changelog) in &self.0 {
            let left = end - committed_before(bed, query, changelog, end);
            let read = bed.query_metric("rows_read_total", query);
            assert_eq!(
                read, left as f64,
                "{query} read {read} records where {left} came after its last epoch"
            );
        }
    }
}

/// Waits until a query has committed everything, and gives what the last epoch before this run had committed.
fn committed_before(bed: &mut Bed, query: &str, changelog: &Topic, end: i64) -> i64 {
    wait::until_some(&format!("{query} to commit everything"), || {
        let counted = bed.query_metric("epochs_total", query);
        let epochs = committed_epochs(bed, changelog);
        let last = epochs.last()?;
        let of_this_run = epochs.iter().filter(|epoch| epoch.run == last.run).count();
        let before = epochs.iter().rfind(|epoch| epoch.run != last.run);
        (last.next_offsets == end && counted == of_this_run as f64)
            .then(|| before.map_or(0, |epoch| epoch.next_offsets))
    })
}

/// The committed epochs of a changelog, in order.
fn committed_epochs(bed: &mut Bed, changelog: &Topic) -> Vec<Epoch> {
    let (mut committed, mut open) = (Vec::new(), Vec::new());
    for batch in requests::read_all(&mut bed.connection, changelog, 0) {
        if !batch.is_control() {
            open.extend(epochs(&batch));
        } else if is_commit(&batch) {
            committed.append(&mut open);
        } else {
            open.clear();
        }
    }
    committed
}

fn epochs(batch: &Batch) -> impl Iterator<Item = Epoch> {
    let records = batch
        .records
        .iter()
        .filter(|record| record.key.as_deref() == Some(EPOCH_KEY));
    records.map(|record| Epoch {
        run: batch.producer_epoch,
        next_offsets: next_offsets(record.value.as_deref().expect("an epoch record has a value")),
    })
}

fn next_offsets(record: &[u8]) -> i64 {
    let (count, sources) = record[AT_SOURCES..].split_at(4);
    let count = u32::from_be_bytes(count.try_into().expect("four bytes"));
    let (sources, rest) = sources.as_chunks::<SOURCE_BYTES>();
    assert!(rest.is_empty() && sources.len() == count as usize, "{record:?}");
    let next = |source: &[u8; SOURCE_BYTES]| {
        let bytes = source[AT_NEXT_OFFSET..AT_NEXT_OFFSET + 8].try_into();
        i64::from_be_bytes(bytes.expect("eight bytes"))
    };
    sources.iter().map(next).sum()
}

fn is_commit(marker: &Batch) -> bool {
    let key = marker.records[0].key.as_deref().expect("a marker has a key");
    key[2..] == *COMMIT
}
