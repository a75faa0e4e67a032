//! Batches that decompress to far more than they weigh. `kafka.max_decompressed` is the one bound for whoever opens them:
//! the broker where a topic or `kafka.validate` makes it look at records, and SQL.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ListOffsetsRequest;
use serde_json::json;
use tests::batch::{self, Batch, Record};
use tests::requests;
use tests::stream::Bed;

const LIMIT: usize = 1024 * 1024;
const SETTING: (&str, &str) = ("kafka.max_decompressed", "1MiB");

/// A batch of one record `{"n": 1,` + spaces + `}` with a key, whose records take exactly `total` bytes decompressed.
fn bomb(total: usize) -> Vec<u8> {
    let (head, tail) = (&b"{\"n\": 1"[..], &b"}"[..]);
    let mut filler = total - 64;
    loop {
        let value = [head, &vec![b' '; filler], tail].concat();
        let record = Record {
            key: Some(b"k".to_vec()),
            value: Some(value),
            ..Record::default()
        };
        let plain = batch::encode_records(std::slice::from_ref(&record));
        if plain.len() < total {
            filler += 1;
            continue;
        }
        assert_eq!(plain.len(), total, "a length prefix grew at the wrong place");
        // Behind the value stands only its empty list of headers.
        let value_at = plain.len() - 1 - tail.len() - filler;
        let packed = batch::zstd_bomb(&plain[..value_at], b' ', filler, &plain[value_at + filler..]);
        assert!(packed.len() < 4096, "{} bytes are no bomb", packed.len());
        let honest = Batch::of_records(requests::now_ms(), vec![record]);
        return Batch {
            attributes: batch::ZSTD,
            ..honest
        }
        .encode_around(&packed);
    }
}

/// Produces the bombs at and above the limit to a topic with these settings: one is taken, the other refused.
#[track_caller]
fn assert_bounded(bed: &mut Bed, configs: &[(&str, &str)]) {
    let roomy = [configs, &[("segment.bytes", "16777216")]].concat();
    let topic = requests::create_topic(&mut bed.connection, "bombs", 1, &roomy);
    let fits = requests::produce_bytes(&mut bed.connection, &topic, 0, bomb(LIMIT));
    assert_eq!(fits.error_code, 0, "{configs:?}: {fits:?}");
    let above = requests::produce_bytes(&mut bed.connection, &topic, 0, bomb(LIMIT + 1));
    assert_eq!(
        above.error_code,
        ResponseError::InvalidRecord.code(),
        "{configs:?}: {above:?}"
    );
    let end = requests::list_offset(&mut bed.connection, &topic, 0, requests::LATEST);
    assert_eq!(end.offset, 1, "{configs:?}: nothing was written of what was refused");
}

#[test]
fn a_bomb_is_refused_where_the_broker_looks_at_records() {
    let mut bed = Bed::start_with(&[SETTING, ("kafka.validate", "records")]);
    assert_bounded(&mut bed, &[]);
    // These make the broker look whatever it validates.
    let mut bed = Bed::start_with(&[SETTING]);
    assert_bounded(&mut bed, &[("cleanup.policy", "compact")]);
    assert_bounded(&mut bed, &[("compression.type", "lz4")]);
}

#[test]
fn a_bomb_that_nobody_looked_at_is_a_bad_record_to_sql() {
    let mut bed = Bed::start_with(&[SETTING]);
    let topic = bed.topic("bombs", 1);
    for bytes in [bomb(LIMIT), bomb(LIMIT + 1), bomb(50 * LIMIT)] {
        let answer = requests::produce_bytes(&mut bed.connection, &topic, 0, bytes);
        assert_eq!(answer.error_code, 0, "{answer:?}");
    }
    bed.http
        .sql(&format!("CREATE SOURCE s (n INT) WITH (topic = '{}')", topic.name));
    bed.http
        .sql("CREATE SINK kept AS SELECT n FROM s WITH (connector = 'topic', topic = 'kept')");
    let answer = bed.http.sql("SELECT n FROM s");
    assert_eq!((&answer["rows"], &answer["skipped_rows"]), (&json!([[1]]), &json!(2)));
    bed.caught_up("kept", &topic.name);
    assert_eq!(bed.query_metric("bad_rows_total", "kept"), 2.0);
    assert_eq!(bed.rows("kept").len(), 1);
}

/// Forty batches of a few kilobytes, read at once, which would come to more than a gibibyte if they were held together.
#[test]
fn many_bombs_within_the_limit_are_not_held_at_once() {
    const BOMBS: usize = 40;
    const HELD_MAX: usize = 640 * LIMIT;
    let mut bed = Bed::start();
    let topic = bed.topic("bombs", 1);
    let bomb = bomb(32 * LIMIT);
    for _ in 0..BOMBS {
        let answer = requests::produce_bytes(&mut bed.connection, &topic, 0, bomb.clone());
        assert_eq!(answer.error_code, 0, "{answer:?}");
    }
    bed.http
        .sql(&format!("CREATE SOURCE s (n INT) WITH (topic = '{}')", topic.name));
    bed.http
        .sql("CREATE SINK kept AS SELECT n FROM s WITH (connector = 'topic', topic = 'kept')");
    bed.caught_up("kept", &topic.name);
    assert_eq!(bed.rows("kept").len(), BOMBS);
    assert_eq!(bed.http.rows("SELECT count(n) FROM s"), [[json!(BOMBS)]]);
    let held = memory_peak(bed.broker.pid());
    assert!(held < HELD_MAX, "{held} bytes");
}

/// Lookups by time have to open the batch. Clients may ask for a hundred at once on one connection.
#[test]
fn lookups_by_time_open_a_few_bombs_at_a_time() {
    const LOOKUPS: usize = 100;
    const HELD_MAX: usize = 640 * LIMIT;
    let mut bed = Bed::start();
    let topic = bed.topic("bombs", 1);
    let answer = requests::produce_bytes(&mut bed.connection, &topic, 0, bomb(32 * LIMIT));
    assert_eq!(answer.error_code, 0, "{answer:?}");
    let timestamp = requests::now_ms() - 60_000;
    let request = requests::list_offsets_request(&topic, 0, timestamp);
    let sent: Vec<i32> = (0..LOOKUPS).map(|_| bed.connection.send(7, &request)).collect();
    for id in sent {
        let answer = bed.connection.receive::<ListOffsetsRequest>(7, id);
        let found = &answer.topics[0].partitions[0];
        assert_eq!((found.error_code, found.offset), (0, 0));
    }
    let held = memory_peak(bed.broker.pid());
    assert!(held < HELD_MAX, "{held} bytes");
}

/// The most memory that a process has held.
pub(super) fn memory_peak(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB"));
    kilobytes.and_then(|n| n.trim().parse::<usize>().ok()).expect("VmHWM") * 1024
}
