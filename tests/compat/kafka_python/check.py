"""kafka-python: the pure Python client, with its newest protocol versions and its own codecs."""

import itertools
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition  # noqa: E402
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic  # noqa: E402
from kafka.errors import MessageSizeTooLargeError, TopicAlreadyExistsError  # noqa: E402
from support import BOOTSTRAP, BOUNDARY_VALUE, LARGE_TOPIC, ROOMY_TOPIC, collect, expect, run, unique, until  # noqa: E402

CODECS = [None, "gzip", "snappy", "lz4", "zstd"]


def admin():
    return KafkaAdminClient(bootstrap_servers=BOOTSTRAP)


def create_topic(prefix, partitions=1, config=None):
    name = unique(prefix)
    client = admin()
    client.create_topics([NewTopic(name, partitions, 1, topic_configs=config or {})])
    client.close()
    return name


def producer(**options):
    return KafkaProducer(bootstrap_servers=BOOTSTRAP, **options)


def consumer(*topics, **options):
    base = {
        "auto_offset_reset": "earliest",
        "enable_auto_commit": False,
        "session_timeout_ms": 10000,
        # It may join a group before it has heard of a new topic, and then waits for this.
        "metadata_max_age_ms": 1000,
    }
    return KafkaConsumer(*topics, bootstrap_servers=BOOTSTRAP, **{**base, **options})


def poll(client, count):
    return collect(count, lambda: itertools.chain.from_iterable(client.poll(timeout_ms=200).values()))


def every_codec_keeps_every_byte():
    now = int(time.time() * 1000)
    for codec in CODECS:
        topic = create_topic(f"codec-{codec}")
        client = producer(compression_type=codec, linger_ms=5)
        expected = []
        for number in range(1000):
            key = None if number % 7 == 0 else f"key-{number}".encode()
            value = None if number % 11 == 0 else (f"value-{number}-" * 20).encode()
            headers = [("trace", str(number).encode()), ("trace", b"again"), ("empty", b"")]
            if key is None and value is None:
                # This client refuses to send nothing at all.
                key = b"tombstone"
            client.send(topic, value, key, headers, 0, now + number)
            expected.append((number, key, value, headers, now + number))
        client.flush()
        client.close()
        reader = consumer()
        reader.assign([TopicPartition(topic, 0)])
        reader.seek_to_beginning()
        got = [
            (message.offset, message.key, message.value, list(message.headers), message.timestamp)
            for message in poll(reader, 1000)
        ]
        reader.close()
        expect(got, expected, str(codec))


def an_acknowledgement_names_partition_and_offset():
    topic = create_topic("acks", 2)
    for acks in [1, "all"]:
        client = producer(acks=acks, enable_idempotence=acks == "all")
        done = client.send(topic, b"x", partition=1).get(30)
        expect((done.topic, done.partition), (topic, 1))
        client.close()
    expect(done.offset, 1)


def two_mebibytes_where_the_topic_allows_them():
    value = os.urandom(2 * 1024 * 1024)
    topic = create_topic("large", 1, LARGE_TOPIC)
    client = producer(max_request_size=8 * 1024 * 1024)
    expect(client.send(topic, value).get(30).offset, 0)
    reader = consumer(max_partition_fetch_bytes=1024)
    reader.assign([TopicPartition(topic, 0)])
    reader.seek_to_beginning()
    expect(poll(reader, 1)[0].value == value, True, "the same bytes")
    reader.close()
    try:
        client.send(create_topic("small"), value).get(30)
        raise AssertionError("2 MiB were accepted at the default limit")
    except MessageSizeTooLargeError:
        pass
    client.close()
    # The client's own limit is a mebibyte, and then nothing is sent.
    client = producer()
    try:
        client.send(topic, value).get(30)
        raise AssertionError("2 MiB were accepted at the client's limit")
    except MessageSizeTooLargeError as refused:
        expect("max_request_size" in str(refused), True, str(refused))
    client.close()


def the_largest_batch_is_accepted_and_one_byte_more_is_not():
    topic = create_topic("boundary", 1, ROOMY_TOPIC)
    client = producer(max_request_size=8 * 1024 * 1024)
    expect(client.send(topic, b"x" * BOUNDARY_VALUE).get(30).offset, 0)
    try:
        client.send(topic, b"x" * (BOUNDARY_VALUE + 1)).get(30)
        raise AssertionError("a batch above the limit was accepted")
    except MessageSizeTooLargeError:
        pass
    client.close()


def groups_share_and_rebalance():
    # A poll that ends before a join does makes this client begin again, so polls are long.
    topic = create_topic("rebalance", 4)
    group = unique("rebalance")
    first = consumer(topic, group_id=group, heartbeat_interval_ms=500)
    until("all partitions", lambda: first.poll(timeout_ms=500) is not None and len(first.assignment()) == 4)
    second = consumer(topic, group_id=group, heartbeat_interval_ms=500)

    def shared():
        first.poll(timeout_ms=500)
        second.poll(timeout_ms=500)
        return len(first.assignment()) == 2 and len(second.assignment()) == 2

    until("two partitions each", shared)
    expect(first.assignment() & second.assignment(), set())
    second.close()
    until("all partitions again", lambda: first.poll(timeout_ms=500) is not None and len(first.assignment()) == 4)
    first.close()


def a_group_resumes_from_its_commit():
    topic = create_topic("resume")
    group = unique("resume")
    client = producer()
    for number in range(200):
        client.send(topic, str(number).encode())
    client.flush()
    client.close()
    first = consumer(topic, group_id=group, max_poll_records=50)
    seen = []
    until("the first records", lambda: seen.extend(*first.poll(timeout_ms=200).values() or [[]]) or len(seen) >= 50)
    first.commit()
    committed = first.committed(TopicPartition(topic, 0))
    expect(committed, len(seen))
    first.close()
    second = consumer(topic, group_id=group)
    seen += poll(second, 200 - len(seen))
    second.close()
    expect([int(message.value) for message in seen], list(range(200)))


def seek_by_time():
    topic = create_topic("time")
    start = int(time.time() * 1000) - 1000000
    client = producer(batch_size=2000)
    for number in range(1000):
        client.send(topic, str(number).encode(), timestamp_ms=start + number * 100)
    client.flush()
    client.close()
    reader = consumer()
    partition = TopicPartition(topic, 0)
    reader.assign([partition])
    found = reader.offsets_for_times({partition: start + 50000})[partition]
    expect((found.offset, found.timestamp), (500, start + 50000))
    expect(reader.offsets_for_times({partition: start + 10000000})[partition], None)
    expect((reader.beginning_offsets([partition])[partition], reader.end_offsets([partition])[partition]), (0, 1000))
    reader.seek(partition, found.offset)
    expect([int(message.value) for message in poll(reader, 500)], list(range(500, 1000)))
    reader.close()


def topics_are_administered():
    client = admin()
    topic = create_topic("admin", 2, {"retention.ms": "1234567"})
    expect(topic in client.list_topics(), True)
    try:
        client.create_topics([NewTopic(topic, 1, 1)])
        raise AssertionError("a topic was created twice")
    except TopicAlreadyExistsError:
        pass
    described = repr(client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)]))
    expect("retention.ms" in described and "1234567" in described, True, described)
    client.create_partitions({topic: NewPartitions(total_count=4)})
    until("four partitions", lambda: len(client.describe_topics([topic])[0]["partitions"]) == 4)
    client.delete_topics([topic])
    until("the topic to be gone", lambda: topic not in client.list_topics())
    client.close()


def groups_are_administered():
    topic = create_topic("group-admin")
    group = unique("group-admin")
    with_offset = consumer(topic, group_id=group)
    client = producer()
    client.send(topic, b"x").get(30)
    client.close()
    poll(with_offset, 1)
    with_offset.commit()
    with_offset.close()
    manager = admin()
    expect(group in repr(manager.list_groups()), True)
    expect(group in repr(manager.describe_groups([group])), True)
    offsets = manager.list_group_offsets([group])
    expect("1" in repr(offsets), True, repr(offsets))
    manager.delete_groups([group])
    expect(group in repr(manager.list_groups()), False)
    manager.close()


run(
    [
        every_codec_keeps_every_byte,
        an_acknowledgement_names_partition_and_offset,
        two_mebibytes_where_the_topic_allows_them,
        the_largest_batch_is_accepted_and_one_byte_more_is_not,
        groups_share_and_rebalance,
        a_group_resumes_from_its_commit,
        seek_by_time,
        topics_are_administered,
        groups_are_administered,
    ]
)
