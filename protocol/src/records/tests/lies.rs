//! Records and headers that are not what their batch says.

use super::*;

fn first_error(batch: &Batch) -> RecordError {
    batch.records(LIMIT).unwrap().iter().find_map(Result::err).unwrap()
}

#[test]
fn records_that_lie_are_found_where_they_lie() {
    // Length 6, attributes, timestamp delta, offset delta, null key, null value, no headers.
    let record = |delta: u8| [12, 0, 0, delta * 2, 1, 1, 0];
    let two = [record(0), record(1)].concat();
    assert_eq!(read_all(&lying(2, 1, &two)).len(), 2);

    let error = first_error(&lying(3, 2, &two));
    assert!(
        matches!(
            error,
            RecordError {
                index: 2,
                fault: RecordFault::Field { field: "length", .. }
            }
        ),
        "{error}"
    );
    let trailing = RecordError {
        index: 1,
        fault: RecordFault::TrailingBytes { count: 7 },
    };
    assert_eq!(first_error(&lying(1, 0, &two)), trailing);
    let beyond = RecordFault::OffsetDelta {
        delta: 1,
        last_delta: 0,
    };
    assert_eq!(
        first_error(&lying(2, 0, &two)),
        RecordError {
            index: 1,
            fault: beyond
        }
    );
    let same = [record(1), record(1)].concat();
    assert_eq!(first_error(&lying(2, 1, &same)).index, 1);
    for (bad, field) in [
        (&[12, 0, 0, 0, 9, 1, 0][..], "key"),
        (&[12, 0, 0, 0, 1, 3, 0], "value"),
        (&[12, 0, 0, 0, 1, 1, 1], "header count"),
        (&[12, 0, 0, 0, 1, 1, 4], "header count"),
        (&[14, 0, 0, 0, 1, 1, 0, 9], "headers"),
        (&[13, 0, 0, 0, 1, 1, 0], "length"),
        (&[0], "attributes"),
    ] {
        let error = first_error(&lying(1, 0, bad));
        let RecordFault::Field { field: found, .. } = &error.fault else {
            panic!("{error}")
        };
        assert_eq!((error.index, *found), (0, field), "{error}");
    }
}

#[test]
fn after_an_error_the_walk_ends() {
    let batch = lying(5, 4, &[99]);
    let records = batch.records(LIMIT).unwrap();
    assert_eq!(records.iter().count(), 1);
    assert_eq!(records.spans().count(), 1);
}

#[test]
fn headers_that_lie_are_found_when_they_are_walked() {
    // One header: key length 1, "k", null value, and one byte too many.
    let batch = lying(1, 0, &[20, 0, 0, 0, 1, 1, 2, 2, b'k', 1, 0]);
    let records = batch.records(LIMIT).unwrap();
    let record = records.iter().next().unwrap().unwrap();
    assert_eq!(record.headers.len(), 1);
    let error = record.headers.iter().next().unwrap().unwrap_err();
    assert!(
        matches!(error.fault, RecordFault::Field { field: "headers", .. }),
        "{error}"
    );
    assert!(validate_records(&records).is_err());
    let not_utf8 = lying(1, 0, &[18, 0, 0, 0, 1, 1, 2, 2, 0xff, 1]);
    assert!(validate_records(&not_utf8.records(LIMIT).unwrap()).is_err());
}

#[test]
fn empty_batches_of_compaction_have_no_records() {
    let empty = lying(0, 9, &[]);
    assert_eq!(read_all(&empty), vec![]);
    assert_eq!(empty.header.next_offset(), 10);
}

#[test]
fn a_walk_that_is_interrupted_goes_on_where_it_stood() {
    let mut builder = BatchBuilder::new(Codec::Zstd, None, 0);
    for n in 0..5_i64 {
        builder.append(n, None, Some(n.to_string().as_bytes()), &[]);
    }
    let mut batch = builder.finish(BatchStamp::NONE);
    // The last record is missing.
    batch.header.record_count += 1;
    let records = batch.records(1 << 20).unwrap();
    let whole: Vec<_> = records
        .iter()
        .map(|record| record.map(|r| (r.offset, r.timestamp)))
        .collect();
    let mut place = RecordPlace::FIRST;
    let mut parts = Vec::new();
    loop {
        let mut walk = records.iter_from(place);
        let Some(record) = walk.next() else { break };
        parts.push(record.map(|r| (r.offset, r.timestamp)));
        place = walk.place();
    }
    assert_eq!(whole.len(), 6);
    assert!(whole[5].is_err());
    assert_eq!(parts, whole);
}
