//! Tests of walking over whatever bytes there are.

use std::path::Path;

use proptest::prelude::*;

use super::scan::{Depth, Scanner, Step};
use crate::{
    faulty_fs::FaultyFs,
    fs::{Fs, OpenMode, write_all_at},
    testing::{NOW, records},
};

fn walk(content: &[u8], depth: Depth) -> (Vec<i64>, bool) {
    let fs = FaultyFs::new();
    let file = fs.open(Path::new("/log"), OpenMode::Create).expect("created");
    write_all_at(&*file, content, 0).expect("written");
    let mut scanner = Scanner::new(&*file, 0, content.len() as u64, 0..8);
    let (mut bases, mut met_damage) = (Vec::new(), false);
    loop {
        match scanner.step(depth).expect("readable") {
            Step::End => return (bases, met_damage),
            Step::Batch { header, .. } => bases.push(header.base_offset),
            Step::Bad { .. } => {
                met_damage = true;
                if scanner.resync().expect("readable").is_none() {
                    return (bases, met_damage);
                }
            }
        }
    }
}

fn content(batches: i64) -> Vec<u8> {
    (0..batches)
        .flat_map(|slot| records(2, NOW).patched(slot * 2, 0, None).bytes)
        .collect()
}

#[test]
fn a_walk_finds_every_batch() {
    for depth in [Depth::Headers, Depth::Checksums] {
        assert_eq!(walk(&content(4), depth), (vec![0, 2, 4, 6], false));
    }
}

#[test]
fn a_walk_goes_on_behind_any_single_damaged_byte() {
    let good = content(4);
    for place in 0..good.len() {
        let mut content = good.clone();
        content[place] ^= 0x5a;
        let (bases, _) = walk(&content, Depth::Checksums);
        let hurt = place * 4 / good.len();
        let others: Vec<i64> = (0..4)
            .filter(|slot| *slot != hurt as i64)
            .map(|slot| slot * 2)
            .collect();
        // The leader epoch lies outside the checksum and hurts nothing.
        let in_epoch = (12..16).contains(&(place % (good.len() / 4)));
        assert!(bases == others || in_epoch, "byte {place}: {bases:?}");
    }
}

proptest! {
    #[test]
    fn garbage_is_walked_without_a_panic(content in proptest::collection::vec(any::<u8>(), 0..400)) {
        walk(&content, Depth::Headers);
        walk(&content, Depth::Checksums);
    }
}
