//! librdkafka through the rdkafka crate: the client that the binary's own command line uses.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use tests::broker::Target;
use tests::requests::unique;
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
    let name = unique("rdkafka");
    let admin: AdminClient<DefaultClientContext> = config(address).create().expect("an admin client");
    let topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
    let results = runtime
        .block_on(admin.create_topics(&[topic], &AdminOptions::new()))
        .expect("an answer");
    assert_eq!(results, [Ok(name.clone())]);
    name
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
