//! kill -9 and what lies on the disk after it. Goal: nothing acknowledged is missing or doubled, whatever the moment.
//! (The page cache survives kill -9; that a flush really happened is shown by `durability`, below a disk that forgets.)

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rdkafka::Offset;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use tests::acknowledged::{self, Acknowledged, Places};
use tests::batch::Batch;
use tests::broker::TestBroker;
use tests::client::Connection;
use tests::report;
use tests::requests::{self, Topic};

/// How often the broker is killed while producers write.
const KILLS: usize = 50;
const PARTITIONS: i32 = 3;

#[test]
fn kill_9_at_random_moments_loses_and_doubles_nothing() {
    let mut broker = TestBroker::start();
    let mut connection = Connection::open(&broker.kafka_address());
    let topic = requests::create_topic(&mut connection, "killed", PARTITIONS, &[]);
    let batches = [("linger.ms", "1"), ("batch.num.messages", "50")];
    let (producer, acknowledged) = acknowledged::producer(&broker.kafka_address(), &batches);
    let stop = Arc::new(AtomicBool::new(false));
    let writing = {
        let (producer, stop, name) = (producer.clone(), Arc::clone(&stop), topic.name.clone());
        std::thread::spawn(move || write_until(&producer, &name, &stop))
    };

    let mut random = StdRng::seed_from_u64(9);
    for kill in 0..KILLS {
        // The moment is what is random here, not something to wait for: from before the first byte to far beyond.
        let settled = acknowledged.count();
        let more = random.random_range(0..400);
        tests::wait::until(&format!("{more} acknowledgements before kill {kill}"), || {
            acknowledged.count() >= settled + more
        });
        broker.kill_and_restart();
    }
    stop.store(true, Ordering::Relaxed);
    let sent = writing.join().expect("the writer ends");
    producer.flush(Duration::from_secs(120)).expect("everything is sent");

    let places = acknowledged.all_of(sent);
    let mut connection = Connection::open(&broker.kafka_address());
    let mut found = 0;
    for partition in 0..PARTITIONS {
        found += assert_log_holds(&mut connection, &topic, partition, &places);
    }
    report::figure(&format!("{KILLS} kills, {sent} messages acknowledged, {found} found"));
    assert_eq!(found, sent, "nothing is there that was not sent once");
}

/// Values count up per partition, so an order or a repetition shows too.
fn write_until(producer: &ThreadedProducer<Acknowledged>, topic: &str, stop: &AtomicBool) -> usize {
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        let value = sent.to_string();
        let partition = i32::try_from(sent).expect("few messages") % PARTITIONS;
        let record: BaseRecord<'_, (), str> = BaseRecord::to(topic).partition(partition).payload(&value);
        match producer.send(record) {
            Ok(()) => sent += 1,
            Err(_full) => std::thread::yield_now(),
        }
        // A few thousand in flight keep the broker busy without filling the disk.
        while producer.in_flight_count() > 2_000 && !stop.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
    }
    sent
}

fn assert_log_holds(connection: &mut Connection, topic: &Topic, partition: i32, places: &Places) -> usize {
    let (mut count, mut last) = (0, None);
    for batch in requests::read_all(connection, topic, partition) {
        for (offset, record) in (batch.base_offset..).zip(batch.records) {
            let value = record.value.expect("a value");
            assert_eq!(
                places.get(&(partition, offset)),
                Some(&value),
                "partition {partition}, offset {offset}"
            );
            let number: i64 = String::from_utf8(value).expect("digits").parse().expect("a number");
            assert!(last < Some(number), "{number} after {last:?} in partition {partition}");
            last = Some(number);
            count += 1;
        }
    }
    assert!(count > 0);
    count
}

#[test]
fn idempotence_survives_kill_9() {
    let mut broker = TestBroker::start();
    let mut connection = Connection::open(&broker.kafka_address());
    let topic = requests::create_topic(&mut connection, "sequences", 1, &[]);
    let (id, epoch) = requests::new_producer(&mut connection);
    let batch = |sequence: i32| Batch::of_values(1_000, &[sequence.to_string()]).from_producer(id, epoch, sequence);
    for sequence in 0..7 {
        assert_eq!(
            requests::produce(&mut connection, &topic, 0, &batch(sequence)),
            i64::from(sequence)
        );
    }
    broker.kill_and_restart();
    let mut connection = Connection::open(&broker.kafka_address());
    for sequence in 2..7 {
        let offset = requests::produce(&mut connection, &topic, 0, &batch(sequence));
        assert_eq!(offset, i64::from(sequence), "the last five batches are known again");
    }
    assert_eq!(requests::produce(&mut connection, &topic, 0, &batch(7)), 7);
    let (other, _) = requests::new_producer(&mut connection);
    assert!(other > id, "producer ids are not given twice");
}

/// A test bed of one log with several segments, stopped, and open to be damaged.
struct Stopped {
    broker: TestBroker,
    topic: Topic,
    values: Vec<Vec<u8>>,
}

impl Stopped {
    /// Writes about 3 MB, which is three segments, and kills the broker.
    fn new() -> Stopped {
        let broker = TestBroker::start();
        let mut connection = Connection::open(&broker.kafka_address());
        let topic = requests::create_topic(&mut connection, "damaged", 1, &[]);
        let values: Vec<Vec<u8>> = (0..60).map(|number| format!("{number:050000}").into_bytes()).collect();
        for value in &values {
            requests::produce(
                &mut connection,
                &topic,
                0,
                &Batch::of_values(requests::now_ms(), &[value]),
            );
        }
        let mut stopped = Stopped { broker, topic, values };
        stopped.broker.kill();
        stopped
    }

    fn files(&self, extension: &str) -> Vec<PathBuf> {
        let dir = self
            .broker
            .data_dir()
            .join("topics")
            .join(format!("{}-0", self.topic.name));
        let entries = fs::read_dir(dir).expect("the log's folder");
        let paths = entries.map(|entry| entry.expect("readable").path());
        let mut files: Vec<PathBuf> = paths
            .filter(|path| path.extension().is_some_and(|found| found == extension))
            .collect();
        files.sort();
        files
    }

    fn active_segment(&self) -> PathBuf {
        self.files("log").pop().expect("a log has a segment")
    }

    /// Starts again and asserts that every acknowledged value is there and that the log goes on where it ended.
    fn assert_recovers(mut self) {
        self.broker.restart();
        let mut connection = Connection::open(&self.broker.kafka_address());
        assert_eq!(requests::read_values(&mut connection, &self.topic, 0), self.values);
        let next = requests::produce(
            &mut connection,
            &self.topic,
            0,
            &Batch::of_values(requests::now_ms(), &["next"]),
        );
        assert_eq!(usize::try_from(next).ok(), Some(self.values.len()));
        let at = requests::list_offset(&mut connection, &self.topic, 0, 0);
        assert_eq!((at.error_code, at.offset), (0, 0));
    }
}

fn append(path: &Path, bytes: &[u8]) {
    OpenOptions::new()
        .append(true)
        .open(path)
        .expect("a segment")
        .write_all(bytes)
        .expect("written");
}

#[test]
fn a_torn_tail_is_cut_off() {
    let whole = Batch::of_values(requests::now_ms(), &["never acknowledged"]).encode();
    for torn in [&whole[..7], &whole[..40], &whole[..whole.len() - 1], &[0; 4096][..]] {
        let stopped = Stopped::new();
        append(&stopped.active_segment(), torn);
        stopped.assert_recovers();
    }
}

#[test]
fn a_batch_with_a_wrong_crc_behind_the_end_is_cut_off() {
    let stopped = Stopped::new();
    let mut batch = Batch::of_values(requests::now_ms(), &["never acknowledged"]);
    batch.base_offset = i64::try_from(stopped.values.len()).expect("few values");
    let mut bytes = batch.encode();
    *bytes.last_mut().expect("a batch is not empty") ^= 1;
    append(&stopped.active_segment(), &bytes);
    stopped.assert_recovers();
}

#[test]
fn lost_indexes_are_made_again() {
    for extension in ["index", "timeindex", "snapshot"] {
        let stopped = Stopped::new();
        for path in stopped.files(extension) {
            fs::remove_file(path).expect("removed");
        }
        stopped.assert_recovers();
    }
}

#[test]
fn nonsense_in_indexes_is_made_good() {
    for extension in ["index", "timeindex"] {
        let stopped = Stopped::new();
        assert!(!stopped.files(extension).is_empty());
        for path in stopped.files(extension) {
            fs::write(path, [0xff; 48]).expect("written");
        }
        stopped.assert_recovers();
    }
}

#[test]
fn lost_notes_about_the_log_are_no_reason_to_lose_the_log() {
    let stopped = Stopped::new();
    for name in ["durable-marks", "clean-shutdown"] {
        let path = stopped.broker.data_dir().join(name);
        if path.is_file() {
            fs::remove_file(path).expect("removed");
        } else if path.is_dir() {
            fs::remove_dir_all(path).expect("removed");
        }
    }
    let checkpoint = stopped
        .broker
        .data_dir()
        .join("topics")
        .join(format!("{}-0", stopped.topic.name));
    let _ = fs::remove_file(checkpoint.join("leader-epoch-checkpoint"));
    stopped.assert_recovers();
}

/// Below what is known to be durable a bad batch is corruption: an error to its reader, never skipped, and no reason to
/// cut what lies behind it.
#[test]
fn corruption_in_the_middle_is_an_error_and_hides_nothing_behind_it() {
    let mut stopped = Stopped::new();
    // What is rebuilt or cut off in the other tests stays for Kafka's dump tool; this damage stays too.
    stopped.broker.discard_data();
    let sealed = stopped.files("log")[0].clone();
    let mut bytes = fs::read(&sealed).expect("a segment");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&sealed, bytes).expect("written");
    stopped.broker.restart();

    let mut connection = Connection::open(&stopped.broker.kafka_address());
    let last = i64::try_from(stopped.values.len()).expect("few values") - 1;
    let behind = requests::fetch(&mut connection, &stopped.topic, 0, last);
    let batches = Batch::decode_all(&behind.records.expect("records are never null"));
    assert_eq!(
        batches.last().map(Batch::last_offset),
        Some(last),
        "what lies behind it is served"
    );
    let mut errors = 0;
    for offset in 0..=last {
        let answer = requests::fetch(&mut connection, &stopped.topic, 0, offset);
        if answer.error_code != 0 {
            errors += 1;
            continue;
        }
        let records = answer.records.expect("records are never null");
        let first = first_batch(&records).unwrap_or_else(|| panic!("offset {offset} was skipped in silence"));
        assert!(first.base_offset <= offset && offset <= first.last_offset());
    }
    assert!((1..=2).contains(&errors), "{errors} offsets could not be read");
}

fn first_batch(bytes: &[u8]) -> Option<Batch> {
    let length = i32::from_be_bytes(bytes.get(8..12)?.try_into().ok()?);
    let total = 12 + usize::try_from(length).ok()?;
    Batch::decode_all(bytes.get(..total)?).into_iter().next()
}

#[test]
fn committed_offsets_of_rdkafka_survive_kill_9_between_commits() {
    use rdkafka::TopicPartitionList;
    use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};

    let mut broker = TestBroker::start();
    let mut connection = Connection::open(&broker.kafka_address());
    let topic = requests::create_topic(&mut connection, "commits", 1, &[]);
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", broker.kafka_address())
        .set("group.id", "survivor")
        .set("reconnect.backoff.ms", "10")
        .set("reconnect.backoff.max.ms", "50")
        .create()
        .expect("a consumer");
    for offset in 0..10 {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&topic.name, 0, Offset::Offset(offset))
            .expect("an offset");
        tests::wait::until("a commit", || consumer.commit(&list, CommitMode::Sync).is_ok());
        broker.kill_and_restart();
        let mut connection = Connection::open(&broker.kafka_address());
        assert_eq!(crate::groups::committed(&mut connection, "survivor", &topic), offset);
    }
}
