//! librdkafka through the rdkafka crate: the client that the binary's own command line uses.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigSource, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use tests::broker::Target;
use tests::requests::{self, unique};
use tests::wait;
use tokio::runtime::Runtime;

const TIMEOUT: Duration = Duration::from_secs(60);

fn config(address: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", address)
        .set("message.timeout.ms", "30000");
    config
}

fn consumer(address: &str, group: &str) -> BaseConsumer {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", address)
        .set("group.id", group)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("session.timeout.ms", "10000")
        .set("isolation.level", "read_committed");
    config.create().expect("a consumer")
}

fn create_topic(runtime: &Runtime, address: &str, partitions: i32) -> String {
    new_topic(runtime, address, partitions, &[])
}

fn new_topic(runtime: &Runtime, address: &str, partitions: i32, configs: &[(&str, &str)]) -> String {
    let name = unique("rdkafka");
    let admin: AdminClient<DefaultClientContext> = config(address).create().expect("an admin client");
    let topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
    let topic = configs.iter().fold(topic, |topic, (key, value)| topic.set(key, value));
    let results = runtime
        .block_on(admin.create_topics(&[topic], &AdminOptions::new()))
        .expect("an answer");
    assert_eq!(results, [Ok(name.clone())]);
    name
}

/// As [`create_topic`], with room for 2 MiB in a batch and in a segment.
fn create_large_topic(runtime: &Runtime, address: &str) -> String {
    let room = [("max.message.bytes", "4194304"), ("segment.bytes", "16777216")];
    new_topic(runtime, address, 1, &room)
}

/// Sends one record, whatever becomes of it.
fn send(runtime: &Runtime, address: &str, record: FutureRecord<'_, [u8], [u8]>) -> Result<i64, RDKafkaErrorCode> {
    let producer: FutureProducer = config(address)
        .set("message.max.bytes", "8388608")
        .create()
        .expect("a producer");
    match runtime.block_on(producer.send(record, TIMEOUT)) {
        Ok(delivery) => Ok(delivery.offset),
        Err((error, _)) => Err(error.rdkafka_error_code().expect("a code")),
    }
}

/// Key and value.
type Pair = (Option<Vec<u8>>, Option<Vec<u8>>);

/// Everything that a partition holds from an offset on, up to `count` messages: key and value.
fn read(address: &str, topic: &str, from: i64, count: usize) -> Vec<Pair> {
    let reader = consumer(address, &unique("rdkafka"));
    let mut start = TopicPartitionList::new();
    start
        .add_partition_offset(topic, 0, Offset::Offset(from))
        .expect("an offset");
    reader.assign(&start).expect("an assignment");
    let mut seen = Vec::new();
    wait::until("the messages", || {
        while let Some(message) = reader.poll(Duration::from_millis(100)) {
            let message = message.expect("a message");
            seen.push((message.key().map(<[u8]>::to_vec), message.payload().map(<[u8]>::to_vec)));
        }
        count <= seen.len()
    });
    seen
}

/// Produces `count` numbered values over the partitions and gives the places that were acknowledged.
fn produce(runtime: &Runtime, address: &str, topic: &str, codec: &str, count: i32) -> BTreeMap<(i32, i64), i32> {
    let producer: FutureProducer = config(address)
        .set("compression.type", codec)
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .create()
        .expect("a producer");
    let deliveries: Vec<_> = (0..count)
        .map(|number| {
            let (key, value) = (format!("key-{number}"), number.to_string());
            let headers = OwnedHeaders::new()
                .insert(Header {
                    key: "n",
                    value: Some(&value),
                })
                .insert(Header {
                    key: "n",
                    value: None::<&str>,
                });
            let record = FutureRecord::to(topic)
                .partition(number % 3)
                .key(&key)
                .payload(&value)
                .headers(headers);
            (number, producer.send_result(record).expect("the queue has room"))
        })
        .collect();
    producer.flush(TIMEOUT).expect("everything is sent");
    let places = deliveries.into_iter().map(|(number, delivery)| {
        let place = runtime.block_on(delivery).expect("an answer").expect("a delivery");
        ((place.partition, place.offset), number)
    });
    places.collect()
}

#[test]
fn the_rdkafka_crate_produces_and_consumes_with_every_codec() {
    let target = Target::start_with(&[]);
    let runtime = Runtime::new().expect("a runtime");
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = create_topic(&runtime, &target.address(), 3);
        let sent = produce(&runtime, &target.address(), &topic, codec, 3_000);
        assert_eq!(sent.len(), 3_000);

        let consumer = consumer(&target.address(), &unique("rdkafka"));
        consumer.subscribe(&[&topic]).expect("a subscription");
        let mut read = BTreeMap::new();
        wait::until("all messages", || {
            while let Some(message) = consumer.poll(Duration::from_millis(100)) {
                let message = message.expect("a message");
                let value = std::str::from_utf8(message.payload().expect("a value")).expect("digits");
                let headers = message.headers().expect("headers");
                assert_eq!((headers.count(), headers.get(1).value), (2, None));
                assert_eq!(headers.get(0).value, Some(value.as_bytes()));
                assert_eq!(message.key(), Some(format!("key-{value}").as_bytes()));
                read.insert(
                    (message.partition(), message.offset()),
                    value.parse::<i32>().expect("digits"),
                );
            }
            read.len() >= sent.len()
        });
        assert_eq!(read, sent, "{codec}");
    }
}

#[test]
fn the_rdkafka_crate_commits_and_seeks() {
    let target = Target::start_with(&[]);
    let runtime = Runtime::new().expect("a runtime");
    let topic = create_topic(&runtime, &target.address(), 3);
    produce(&runtime, &target.address(), &topic, "lz4", 300);

    let group = unique("rdkafka");
    let reader = consumer(&target.address(), &group);
    let mut offsets = TopicPartitionList::new();
    offsets
        .add_partition_offset(&topic, 1, Offset::Offset(42))
        .expect("an offset");
    reader.commit(&offsets, CommitMode::Sync).expect("a commit");
    let mut asked = TopicPartitionList::new();
    asked.add_partition(&topic, 1);
    let committed = reader.committed_offsets(asked, TIMEOUT).expect("an answer");
    assert_eq!(committed.elements()[0].offset(), Offset::Offset(42));

    let mut all = TopicPartitionList::new();
    all.add_partition_offset(&topic, 0, Offset::Offset(90))
        .expect("an offset");
    reader.assign(&all).expect("an assignment");
    let mut seen = Vec::new();
    wait::until("the last ten messages", || {
        while let Some(message) = reader.poll(Duration::from_millis(100)) {
            seen.push(message.expect("a message").offset());
        }
        seen.len() >= 10
    });
    assert_eq!(seen, (90..100).collect::<Vec<i64>>());
    assert_eq!(
        reader.fetch_watermarks(&topic, 0, TIMEOUT).expect("an answer"),
        (0, 100)
    );
}

#[test]
fn the_rdkafka_crate_sends_two_mebibytes_where_the_topic_allows_them() {
    let target = Target::start_with(&[]);
    let runtime = Runtime::new().expect("a runtime");
    let value: Vec<u8> = (0..2 * 1024 * 1024_u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect();
    let large = create_large_topic(&runtime, &target.address());
    let sent = FutureRecord::<[u8], [u8]>::to(&large).payload(&value);
    assert_eq!(send(&runtime, &target.address(), sent), Ok(0));
    assert!(
        read(&target.address(), &large, 0, 1) == [(None, Some(value.clone()))],
        "the same bytes"
    );

    let small = create_topic(&runtime, &target.address(), 1);
    let refused = FutureRecord::<[u8], [u8]>::to(&small).payload(&value);
    assert_eq!(
        send(&runtime, &target.address(), refused),
        Err(RDKafkaErrorCode::MessageSizeTooLarge)
    );
}

/// One batch of exactly max.message.bytes at its default, and one byte more: the client's own limit is far away.
#[test]
fn the_rdkafka_crate_meets_the_exact_limit_of_a_batch() {
    // 61 bytes of batch header, 3 of the record's length, 4 of attributes, two deltas and the null key, 3 of the value's
    // length, 1 of headers.
    const FITS: usize = 1_048_588 - 61 - 3 - 4 - 3 - 1;
    let target = Target::start_with(&[]);
    let runtime = Runtime::new().expect("a runtime");
    let topic = new_topic(&runtime, &target.address(), 1, &[("segment.bytes", "16777216")]);
    let mut value = vec![b'x'; FITS];
    let sent = FutureRecord::<[u8], [u8]>::to(&topic).payload(&value);
    assert_eq!(send(&runtime, &target.address(), sent), Ok(0));
    assert!(
        read(&target.address(), &topic, 0, 1) == [(None, Some(value.clone()))],
        "the same bytes"
    );
    value.push(b'x');
    let refused = FutureRecord::<[u8], [u8]>::to(&topic).payload(&value);
    assert_eq!(
        send(&runtime, &target.address(), refused),
        Err(RDKafkaErrorCode::MessageSizeTooLarge)
    );
    let reader = consumer(&target.address(), &unique("rdkafka"));
    let watermarks = reader.fetch_watermarks(&topic, 0, TIMEOUT).expect("an answer");
    assert_eq!(watermarks, (0, 1), "nothing of it was written");
}

#[test]
fn the_rdkafka_crate_administers_topics() {
    let target = Target::start_with(&[]);
    let runtime = Runtime::new().expect("a runtime");
    let configs = [("retention.ms", "1234567"), ("cleanup.policy", "compact,delete")];
    let topic = new_topic(&runtime, &target.address(), 2, &configs);
    let admin: AdminClient<DefaultClientContext> = config(&target.address()).create().expect("an admin client");
    let options = AdminOptions::new();
    let partitions = || {
        let metadata = admin.inner().fetch_metadata(Some(&topic), TIMEOUT).expect("metadata");
        metadata.topics()[0].partitions().len()
    };

    let grow = |count: usize| {
        let wanted = NewPartitions::new(&topic, count);
        let answer = runtime.block_on(admin.create_partitions(&[wanted], &options));
        answer.expect("an answer")
    };
    assert_eq!(grow(5), [Ok(topic.clone())]);
    wait::until("five partitions", || partitions() == 5);
    let refused = RDKafkaErrorCode::InvalidPartitions;
    assert_eq!(grow(5), [Err((topic.clone(), refused))], "as many as there are");
    assert_eq!(grow(3), [Err((topic.clone(), refused))], "fewer");
    assert_eq!(partitions(), 5);

    let wanted = ResourceSpecifier::Topic(&topic);
    let described = runtime
        .block_on(admin.describe_configs([&wanted], &options))
        .expect("an answer");
    let described = described[0].as_ref().expect("the topic is there");
    for (name, value, source) in [
        ("retention.ms", "1234567", ConfigSource::DynamicTopic),
        ("cleanup.policy", "compact,delete", ConfigSource::DynamicTopic),
        ("max.message.bytes", "1048588", ConfigSource::Default),
        ("compression.type", "producer", ConfigSource::Default),
    ] {
        let entry = described.get(name).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(
            (entry.value.as_deref(), &entry.source),
            (Some(value), &source),
            "{name}"
        );
        assert!(!entry.is_read_only && !entry.is_sensitive, "{name}");
    }

    let delete = || {
        let answer = runtime.block_on(admin.delete_topics(&[&topic], &options));
        answer.expect("an answer")
    };
    assert_eq!(delete(), [Ok(topic.clone())]);
    assert_eq!(
        delete(),
        [Err((topic.clone(), RDKafkaErrorCode::UnknownTopicOrPartition))]
    );
    let metadata = admin.inner().fetch_metadata(None, TIMEOUT).expect("metadata");
    assert!(metadata.topics().iter().all(|known| known.name() != topic));
}

#[test]
fn the_rdkafka_crate_tells_null_from_empty() {
    let target = Target::start_with(&[]);
    let runtime = Runtime::new().expect("a runtime");
    let topic = create_topic(&runtime, &target.address(), 1);
    let (none, empty, full): (Option<&[u8]>, _, _) = (None, Some(&b""[..]), Some(&b"x"[..]));
    let records = [(none, none), (none, full), (full, none), (empty, empty), (full, full)];
    for (offset, (key, value)) in (0..).zip(records) {
        let mut record = FutureRecord::to(&topic);
        (record.key, record.payload) = (key, value);
        assert_eq!(send(&runtime, &target.address(), record), Ok(offset));
    }
    let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
    let expected = records.map(|(key, value)| (owned(key), owned(value)));
    assert_eq!(read(&target.address(), &topic, 0, 5), expected);
}

#[test]
fn the_rdkafka_crate_finds_offsets_by_time() {
    let target = Target::start_with(&[]);
    let runtime = Runtime::new().expect("a runtime");
    let topic = create_topic(&runtime, &target.address(), 1);
    let start = requests::now_ms() - 1_000_000;
    for n in 0..10 {
        let record = FutureRecord::to(&topic).payload(&b"x"[..]).timestamp(start + n * 100);
        assert_eq!(send(&runtime, &target.address(), record), Ok(n));
    }
    let reader = consumer(&target.address(), &unique("rdkafka"));
    for (time, expected) in [
        (start - 1, Offset::Offset(0)),
        (start + 500, Offset::Offset(5)),
        (start + 501, Offset::Offset(6)),
        (start + 901, Offset::End),
    ] {
        let mut wanted = TopicPartitionList::new();
        wanted
            .add_partition_offset(&topic, 0, Offset::Offset(time))
            .expect("a time");
        let found = reader.offsets_for_times(wanted, TIMEOUT).expect("an answer");
        assert_eq!(
            found.elements()[0].offset(),
            expected,
            "{} ms after the first",
            time - start
        );
    }
}

#[test]
fn the_rdkafka_crate_shares_a_topic_among_the_members_of_a_group() {
    let target = Target::start_with(&[]);
    let runtime = Runtime::new().expect("a runtime");
    let topic = create_topic(&runtime, &target.address(), 4);
    let group = unique("rdkafka");
    let member = || {
        let member = consumer(&target.address(), &group);
        member.subscribe(&[&topic]).expect("a subscription");
        member
    };
    let first = member();
    owned_until(&[&first], &[4]);
    let second = member();
    owned_until(&[&first, &second], &[2, 2]);
    drop(first);
    owned_until(&[&second], &[4]);
}

/// Polls all members until they own that many partitions each, and together every partition once.
fn owned_until(members: &[&BaseConsumer], counts: &[usize]) {
    wait::until("a balance", || {
        let mut owned: Vec<Vec<i32>> = Vec::new();
        for member in members {
            if let Some(message) = member.poll(Duration::from_millis(50)) {
                message.expect("a message");
            }
            let assigned = member.assignment().expect("an assignment");
            owned.push(assigned.elements().iter().map(|part| part.partition()).collect());
        }
        let found: Vec<usize> = owned.iter().map(Vec::len).collect();
        let mut all = owned.concat();
        all.sort_unstable();
        found == counts && (0..).zip(&all).all(|(partition, found)| partition == *found)
    });
}
