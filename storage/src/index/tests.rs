//! Tests of the index files.

use std::{path::Path, sync::Arc};

use super::{AbortedRange, EntryFile, OffsetEntry, TimeEntry, TransactionIndex};
use crate::{faulty_fs::FaultyFs, fs::Fs};

fn fs() -> (Arc<FaultyFs>, Arc<dyn Fs>) {
    let faulty = FaultyFs::new();
    let fs = Arc::clone(&faulty) as Arc<dyn Fs>;
    (faulty, fs)
}

#[test]
fn entries_have_kafkas_bytes() {
    let (faulty, fs) = fs();
    let offsets = EntryFile::create(&fs, Path::new("/i"), 1000).expect("created");
    offsets
        .push(OffsetEntry {
            offset: 1005,
            position: 4200,
        })
        .expect("pushed");
    offsets
        .push(OffsetEntry {
            offset: 1011,
            position: 9000,
        })
        .expect("pushed");
    offsets.seal().expect("sealed");
    assert_eq!(
        faulty.read(Path::new("/i")),
        [0, 0, 0, 5, 0, 0, 0x10, 0x68, 0, 0, 0, 11, 0, 0, 0x23, 0x28]
    );
    let times = EntryFile::create(&fs, Path::new("/t"), 1000).expect("created");
    times
        .push(TimeEntry {
            timestamp: 0x0102_0304,
            offset: 1005,
        })
        .expect("pushed");
    times.seal().expect("sealed");
    assert_eq!(faulty.read(Path::new("/t")), [0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 5]);
    let aborted = TransactionIndex::create(&fs, Path::new("/x")).expect("created");
    aborted
        .push(AbortedRange {
            producer_id: 1,
            first_offset: 2,
            last_offset: 3,
            last_stable_offset: 4,
        })
        .expect("pushed");
    let bytes = faulty.read(Path::new("/x"));
    assert_eq!(bytes.len(), 34);
    assert_eq!(bytes.iter().map(|byte| usize::from(*byte)).sum::<usize>(), 10);
}

#[test]
fn searches_agree_in_memory_and_on_disk() {
    let (_, fs) = fs();
    let path = Path::new("/i");
    let growing = EntryFile::create(&fs, path, 0).expect("created");
    for slot in 1..2000_u32 {
        growing
            .push(OffsetEntry {
                offset: i64::from(slot) * 10,
                position: slot * 4096,
            })
            .expect("pushed");
    }
    let expect = |index: &EntryFile<OffsetEntry>| {
        for (target, found) in [
            (9, None),
            (10, Some(4096)),
            (19, Some(4096)),
            (12_345, Some(1234 * 4096)),
            (99_999, Some(1999 * 4096)),
        ] {
            let entry = index.last_where(|entry| entry.offset <= target).expect("searched");
            assert_eq!(entry.map(|found| found.entry.position), found, "{target}");
        }
    };
    expect(&growing);
    growing.seal().expect("sealed");
    expect(&growing);
    let sealed = EntryFile::<OffsetEntry>::open_sealed(&fs, path, 0, 20_000)
        .expect("opened")
        .expect("sound");
    expect(&sealed);
    assert!(
        EntryFile::<OffsetEntry>::open_sealed(&fs, path, 0, 19_990)
            .expect("opened")
            .is_none(),
        "beyond the segment"
    );
    assert!(
        EntryFile::<OffsetEntry>::open_sealed(&fs, path, 11, 90_000)
            .expect("opened")
            .is_some()
    );
    expect(
        &EntryFile::open_growing(&fs, path, 0, 20_000)
            .expect("opened")
            .expect("sound"),
    );
}

#[test]
fn entries_that_do_not_follow_are_left_out() {
    let (_, fs) = fs();
    let index = EntryFile::create(&fs, Path::new("/t"), 0).expect("created");
    for (timestamp, offset) in [(10, 1), (10, 2), (9, 3), (11, 4)] {
        index.push(TimeEntry { timestamp, offset }).expect("pushed");
    }
    assert_eq!(index.len(), 2);
    assert_eq!(
        index.last(),
        Some(TimeEntry {
            timestamp: 11,
            offset: 4
        })
    );
}
