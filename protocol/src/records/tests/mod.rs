//! Batches against bytes that Kafka itself wrote, and properties of builder, iterators and codecs.

mod batches;
mod compression;
mod kafka_bytes;
mod lies;
mod validation;

use bytes::Bytes;
use proptest::{collection::vec, option, prelude::*};

use super::*;

const LIMIT: usize = 1 << 20;

fn fixture(name: &str) -> Bytes {
    // Tests run in their crate's folder. A path fixed at compile time would be wrong for a second checkout that shares
    // the target directory.
    std::fs::read(format!("src/records/fixtures/{name}")).unwrap().into()
}

fn batch(name: &str) -> Batch {
    Batch::parse(fixture(name)).unwrap()
}

/// A record with everything owned, for comparing.
#[derive(Debug, Clone, PartialEq)]
struct Owned {
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Owned {
    fn append_to(&self, builder: &mut BatchBuilder) {
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_deref()))
            .collect();
        builder.append(self.timestamp, self.key.as_deref(), self.value.as_deref(), &headers);
    }

    fn of(record: &Record<'_>) -> Self {
        let header = |header: Header<'_>| (header.key.to_owned(), header.value.map(<[u8]>::to_vec));
        Self {
            timestamp: record.timestamp,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: record.headers.iter().map(|result| header(result.unwrap())).collect(),
        }
    }
}

/// What the fixtures hold; see their README.
fn expected(i: i64) -> Owned {
    let headers = vec![
        ("h".to_owned(), Some(format!("a{i}").into_bytes())),
        ("h".to_owned(), None),
        ("näme".to_owned(), Some(vec![])),
    ];
    Owned {
        timestamp: 1_700_000_000_000 + (i % 10) * 1000 - i,
        key: (i % 3 != 0).then(|| format!("key-{i}").into_bytes()),
        value: (i % 7 != 0).then(|| format!("value-{i}-{}", "x".repeat(i as usize)).into_bytes()),
        headers: if i % 5 == 0 { headers } else { vec![] },
    }
}

fn read_all(batch: &Batch) -> Vec<Owned> {
    batch
        .records(LIMIT)
        .unwrap()
        .iter()
        .map(|record| Owned::of(&record.unwrap()))
        .collect()
}

/// A batch whose header says what the test wants about these record bytes.
fn lying(record_count: i32, last_offset_delta: i32, records: &[u8]) -> Batch {
    let header = BatchHeader {
        record_count,
        last_offset_delta,
        ..BatchHeader::empty(Codec::None)
    };
    Batch::assemble(header, records)
}

fn any_record() -> impl Strategy<Value = Owned> {
    let bytes = || option::of(vec(any::<u8>(), 0..60));
    let header = ("[a-zä]{0,6}", option::of(vec(any::<u8>(), 0..10)));
    (-1_i64..4_000_000_000_000, bytes(), bytes(), vec(header, 0..4)).prop_map(|(timestamp, key, value, headers)| {
        Owned {
            timestamp,
            key,
            value,
            headers,
        }
    })
}

fn any_codec() -> impl Strategy<Value = Codec> {
    prop::sample::select(&Codec::ALL[..])
}
