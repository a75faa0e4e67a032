"""librdkafka through confluent-kafka: produce and consume with every codec, groups, time, transactions' readers, admin."""

import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from confluent_kafka import (  # noqa: E402
    OFFSET_BEGINNING,
    Consumer,
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (  # noqa: E402
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)
from support import BOOTSTRAP, BOUNDARY_VALUE, LARGE_TOPIC, ROOMY_TOPIC, collect, expect, run, unique, until  # noqa: E402

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]

# One for the whole run: its futures end when it does.
ADMIN = AdminClient({"bootstrap.servers": BOOTSTRAP})


def admin():
    return ADMIN


def wait_all(futures):
    for future in futures.values():
        future.result(30)


def create_topic(prefix, partitions=1, config=None):
    name = unique(prefix)
    wait_all(admin().create_topics([NewTopic(name, partitions, 1, config=config or {})]))
    return name


def producer(**options):
    base = {"bootstrap.servers": BOOTSTRAP, "linger.ms": 5, "message.timeout.ms": 30000}
    return Producer({**base, **{key.replace("_", "."): value for key, value in options.items()}})


def produce(client, records):
    """Sends (topic, partition, key, value, headers, timestamp) and gives the acknowledged (partition, offset) pairs."""
    acknowledged, errors = [], []

    def delivered(error, message):
        if error:
            errors.append(error)
        else:
            acknowledged.append((message.partition(), message.offset()))

    for topic, partition, key, value, headers, timestamp in records:
        while True:
            try:
                client.produce(
                    topic, value, key, partition, on_delivery=delivered, headers=headers, timestamp=timestamp
                )
                break
            except BufferError:
                client.poll(0.1)
    expect(client.flush(60), 0, "messages left unsent")
    if errors:
        raise KafkaException(errors[0])
    return acknowledged


def consumer(group=None, **options):
    base = {
        "bootstrap.servers": BOOTSTRAP,
        "group.id": group or unique("reader"),
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "session.timeout.ms": 10000,
        "fetch.message.max.bytes": 8 * 1024 * 1024,
    }
    return Consumer({**base, **{key.replace("_", "."): value for key, value in options.items()}})


def read(topic, count, partitions=1, **options):
    """Reads a topic from its start and gives the first messages by partition."""
    client = consumer(**options)
    client.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in range(partitions)])
    messages = poll(client, count)
    client.close()
    return messages


def poll(client, count):
    def some():
        for message in client.consume(500, 0.2):
            if message.error():
                raise KafkaException(message.error())
            yield message

    return collect(count, some)


def every_codec_keeps_every_byte():
    now = int(time.time() * 1000)
    for codec in CODECS:
        topic = create_topic(f"codec-{codec}", 2)
        records = []
        for number in range(2000):
            key = None if number % 7 == 0 else f"key-{number}".encode()
            value = None if number % 11 == 0 else (f"value-{number}-" * 20).encode()
            headers = [("trace", str(number).encode()), ("trace", b"again"), ("empty", b""), ("null", None)]
            records.append((topic, number % 2, key, value, headers, now + number))
        # Idempotent, because a new topic may refuse the first batch while the second is on its way.
        client = producer(compression_type=codec, batch_num_messages=100, enable_idempotence=True)
        produce(client, records)
        got = read(topic, 2000, 2)
        for partition in range(2):
            expected = [record[2:] for record in records if record[1] == partition]
            actual = [
                (message.key(), message.value(), message.headers(), message.timestamp()[1])
                for message in got
                if message.partition() == partition
            ]
            expect(actual, expected, f"{codec}, partition {partition}")
            offsets = [message.offset() for message in got if message.partition() == partition]
            expect(offsets, list(range(1000)), "offsets")


def empty_keys_and_values_are_not_null():
    topic = create_topic("empty")
    produce(producer(), [(topic, 0, b"", b"", None, 0), (topic, 0, None, None, None, 0)])
    got = [(message.key(), message.value()) for message in read(topic, 2)]
    expect(got, [(b"", b""), (None, None)])


def two_mebibytes_where_the_topic_allows_them():
    value = os.urandom(2 * 1024 * 1024)
    allowed = create_topic("large", 1, LARGE_TOPIC)
    client = producer(message_max_bytes=8 * 1024 * 1024)
    produce(client, [(allowed, 0, b"big", value, None, 0)])
    expect(read(allowed, 1)[0].value() == value, True, "the same bytes")

    default = create_topic("small")
    try:
        produce(client, [(default, 0, b"big", value, None, 0)])
        raise AssertionError("2 MiB were accepted at the default limit")
    except KafkaException as refused:
        expect(refused.args[0].code(), KafkaError.MSG_SIZE_TOO_LARGE)


def the_largest_batch_is_accepted_and_one_byte_more_is_not():
    topic = create_topic("boundary", 1, ROOMY_TOPIC)
    # The client's own limit is far away: it is the broker that says no.
    client = producer(message_max_bytes=8 * 1024 * 1024)
    produce(client, [(topic, 0, None, b"x" * BOUNDARY_VALUE, None, 0)])
    try:
        produce(client, [(topic, 0, None, b"x" * (BOUNDARY_VALUE + 1), None, 0)])
        raise AssertionError("a batch above the limit was accepted")
    except KafkaException as refused:
        expect(refused.args[0].code(), KafkaError.MSG_SIZE_TOO_LARGE)
    expect([len(message.value()) for message in read(topic, 1)], [BOUNDARY_VALUE])


def every_kind_of_acks():
    topic = create_topic("acks")
    for sent, acks in enumerate(["0", "1", "all"], 1):
        produce(producer(acks=acks), [(topic, 0, None, acks.encode(), None, 0)])
        until("the record to be readable", lambda: admin_latest(topic, 0) == sent)
    expect([message.value() for message in read(topic, 3)], [b"0", b"1", b"all"])


def idempotent_producers_write_each_message_once_and_in_order():
    topic = create_topic("idempotent", 4)
    client = producer(enable_idempotence=True, acks="all", batch_num_messages=50, linger_ms=0)
    records = [(topic, number % 4, None, str(number).encode(), None, 0) for number in range(20000)]
    expect(len(produce(client, records)), 20000)
    got = read(topic, 20000, 4)
    for partition in range(4):
        numbers = [int(message.value()) for message in got if message.partition() == partition]
        expect(numbers, list(range(partition, 20000, 4)))


def producing_to_an_unknown_topic_creates_it():
    topic = unique("auto")
    produce(producer(), [(topic, -1, None, b"first", None, 0)])
    expect(read(topic, 1)[0].value(), b"first")


def admin_latest(topic, partition):
    spec = {TopicPartition(topic, partition): OffsetSpec.latest()}
    return list(admin().list_offsets(spec).values())[0].result(30).offset


def assigned(client):
    return sorted(partition.partition for partition in client.assignment())


def poll_until_assigned(members, counts):
    """Polls all members until they own that many partitions each, in any order, and nothing is owned twice."""

    def settled():
        for member in members:
            message = member.poll(0.05)
            if message and message.error():
                raise KafkaException(message.error())
        owned = [assigned(member) for member in members]
        flat = sorted(partition for partitions in owned for partition in partitions)
        return sorted(map(len, owned)) == sorted(counts) and flat == list(range(sum(counts)))

    until(f"assignments of {counts}", settled)


def groups_rebalance(strategy):
    topic = create_topic("rebalance", 6)
    group = unique("rebalance")
    options = {"partition_assignment_strategy": strategy, "heartbeat_interval_ms": 500}
    first, second, third = (consumer(group, **options) for _ in range(3))
    first.subscribe([topic])
    poll_until_assigned([first], [6])
    second.subscribe([topic])
    poll_until_assigned([first, second], [3, 3])
    third.subscribe([topic])
    poll_until_assigned([first, second, third], [2, 2, 2])
    second.close()
    poll_until_assigned([first, third], [3, 3])
    first.close()
    third.close()


def eager_groups_rebalance():
    groups_rebalance("range")
    groups_rebalance("roundrobin")


def cooperative_groups_rebalance():
    groups_rebalance("cooperative-sticky")


def a_group_reads_each_message_once_and_resumes_from_its_commit():
    topic = create_topic("resume", 3)
    group = unique("resume")
    records = [(topic, number % 3, None, str(number).encode(), None, 0) for number in range(300)]
    produce(producer(), records[:150])
    first = consumer(group)
    first.subscribe([topic])
    seen = poll(first, 150)
    first.commit(asynchronous=False)
    committed = first.committed([TopicPartition(topic, partition) for partition in range(3)], timeout=30)
    expect([partition.offset for partition in committed], [50, 50, 50])
    first.close()
    produce(producer(), records[150:])
    second = consumer(group)
    second.subscribe([topic])
    seen += poll(second, 150)
    second.close()
    expect(sorted(int(message.value()) for message in seen), list(range(300)))


def static_members_come_back_without_a_rebalance():
    topic = create_topic("static", 2)
    group = unique("static")
    rebalances = []

    def member(instance):
        client = consumer(group, group_instance_id=instance, session_timeout_ms=30000, heartbeat_interval_ms=500)
        client.subscribe([topic], on_assign=lambda _, partitions: rebalances.append(instance))
        return client

    first, second = member("a"), member("b")
    poll_until_assigned([first, second], [1, 1])
    owned, before = assigned(second), rebalances.count("a")
    # A static member says no goodbye: its place is kept for its session.
    second.close()
    second = member("b")
    poll_until_assigned([first, second], [1, 1])
    expect(assigned(second), owned, "the same partitions")
    expect(rebalances.count("a"), before, "assignments of the other member")
    description = admin().describe_consumer_groups([group])[group].result(30)
    expect(sorted(member.group_instance_id for member in description.members), ["a", "b"])
    first.close()
    second.close()


def seek_by_time():
    topic = create_topic("time", 2)
    start = int(time.time() * 1000) - 1000000
    # Small batches, so that there is something to find in an index.
    client = producer(batch_num_messages=10)
    produce(client, [(topic, number % 2, None, str(number).encode(), None, start + number * 100) for number in range(2000)])
    reader = consumer()
    wanted = [TopicPartition(topic, partition, start + 100000) for partition in range(2)]
    found = reader.offsets_for_times(wanted, timeout=30)
    expect([partition.offset for partition in found], [500, 500])
    reader.assign(found)
    expect(sorted(int(message.value()) for message in poll(reader, 1000)), list(range(1000, 2000)))
    beyond = reader.offsets_for_times([TopicPartition(topic, 0, start + 10000000)], timeout=30)
    expect(beyond[0].offset, -1, "the end, which librdkafka writes as -1")
    expect(reader.get_watermark_offsets(TopicPartition(topic, 0), timeout=30), (0, 1000))
    reader.close()


def transactions_topic():
    """A topic with aborted records, with the numbers of its committed records and of all of them."""
    if given := os.environ.get("TIDEMILL_TEST_TRANSACTIONS"):
        topic, committed, written = given.split(":")
        return topic, int(committed), int(written)
    # The broker serves transactions of clients.
    topic = create_topic("transactions")
    client = producer(transactional_id=unique("transactional"))
    client.init_transactions(30)
    for first, last, end in [
        (0, 100, client.commit_transaction),
        (100, 150, client.abort_transaction),
        (100, 200, client.commit_transaction),
    ]:
        client.begin_transaction()
        for number in range(first, last):
            client.produce(topic, json.dumps({"n": number}).encode(), partition=0)
        client.flush(30)
        end(30)
    return topic, 200, 250


def read_to_end(topic, **options):
    """The numbers that the records of a topic hold, up to the end that the reader is shown."""
    client = consumer(enable_partition_eof=True, **options)
    client.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    numbers = []

    def ended():
        message = client.poll(0.2)
        if message is None:
            return False
        if not message.error():
            numbers.append(json.loads(message.value())["n"])
            return False
        if message.error().code() == KafkaError._PARTITION_EOF:
            return True
        raise KafkaException(message.error())

    until(f"the end of {topic}", ended)
    client.close()
    return numbers


def read_committed_leaves_out_what_was_aborted():
    topic, committed, written = transactions_topic()
    expect(committed < written, True, "there is something to leave out")
    expect(read_to_end(topic, isolation_level="read_committed"), list(range(committed)))
    everything = read_to_end(topic, isolation_level="read_uncommitted")
    expect(len(everything), written)
    # What was aborted was written again and is there twice.
    expect(sorted(set(everything)), list(range(committed)))
    # Without a word about it a client leaves out what was aborted.
    expect(read_to_end(topic), list(range(committed)))


def topics_are_administered():
    client = admin()
    topic = create_topic("admin", 2, {"retention.ms": "1234567"})
    resource = ConfigResource(ResourceType.TOPIC, topic)
    config = client.describe_configs([resource])[resource].result(30)
    expect(config["retention.ms"].value, "1234567")
    expect(config["cleanup.policy"].value, "delete")
    expect(len(config) >= 30, True, "all topic keys are described")

    change = ConfigEntry("retention.ms", "7654321", incremental_operation=AlterConfigOpType.SET)
    wait_all(client.incremental_alter_configs([ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[change])]))
    until(
        "the new value",
        lambda: client.describe_configs([resource])[resource].result(30)["retention.ms"].value == "7654321",
    )

    wait_all(client.create_partitions([NewPartitions(topic, 5)]))
    until("five partitions", lambda: len(client.list_topics(topic, 10).topics[topic].partitions) == 5)

    try:
        wait_all(client.create_topics([NewTopic(topic, 1, 1)]))
        raise AssertionError("a topic was created twice")
    except KafkaException as refused:
        expect(refused.args[0].code(), KafkaError.TOPIC_ALREADY_EXISTS)
    try:
        wait_all(client.create_topics([NewTopic(unique("admin"), 1, 3)]))
        raise AssertionError("three replicas on one node")
    except KafkaException as refused:
        expect(refused.args[0].code(), KafkaError.INVALID_REPLICATION_FACTOR)

    wait_all(client.delete_topics([topic]))
    until("the topic to be gone", lambda: topic not in client.list_topics(timeout=10).topics)


def groups_are_administered():
    client = admin()
    topic = create_topic("group-admin", 2)
    group = unique("group-admin")
    produce(producer(), [(topic, number % 2, None, b"x", None, 0) for number in range(10)])
    reader = consumer(group)
    reader.subscribe([topic])
    poll(reader, 10)
    reader.commit(asynchronous=False)

    listed = client.list_consumer_groups().result(30)
    expect(group in [found.group_id for found in listed.valid], True)
    description = client.describe_consumer_groups([group])[group].result(30)
    expect((description.state, len(description.members)), (ConsumerGroupState.STABLE, 1))
    expect(sorted(part.partition for part in description.members[0].assignment.topic_partitions), [0, 1])
    try:
        wait_all(client.delete_consumer_groups([group]))
        raise AssertionError("a group with members was deleted")
    except KafkaException as refused:
        expect(refused.args[0].code(), KafkaError.NON_EMPTY_GROUP)
    reader.close()

    offsets = client.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(30)
    expect(sorted((part.partition, part.offset) for part in offsets.topic_partitions), [(0, 5), (1, 5)])
    back = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 2)])
    wait_all(client.alter_consumer_group_offsets([back]))
    offsets = client.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(30)
    expect(sorted((part.partition, part.offset) for part in offsets.topic_partitions), [(0, 2), (1, 5)])
    wait_all(client.delete_consumer_groups([group]))
    listed = client.list_consumer_groups().result(30)
    expect(group in [found.group_id for found in listed.valid], False)


def offsets_are_listed_by_kind():
    topic = create_topic("offsets")
    now = int(time.time() * 1000)
    produce(producer(), [(topic, 0, None, b"x", None, now - 5000 + number) for number in range(10)])
    partition = TopicPartition(topic, 0)

    def offset(spec):
        return list(admin().list_offsets({partition: spec}).values())[0].result(30).offset

    expect(offset(OffsetSpec.earliest()), 0)
    expect(offset(OffsetSpec.latest()), 10)
    expect(offset(OffsetSpec.max_timestamp()), 9)
    expect(offset(OffsetSpec.for_timestamp(now - 4995)), 5)


def the_cluster_describes_itself():
    cluster = admin().describe_cluster().result(30)
    expect(len(cluster.nodes), 1)
    expect(bool(cluster.cluster_id), True)
    expect(f"{cluster.nodes[0].host}:{cluster.nodes[0].port}", BOOTSTRAP)


run(
    [
        every_codec_keeps_every_byte,
        empty_keys_and_values_are_not_null,
        two_mebibytes_where_the_topic_allows_them,
        the_largest_batch_is_accepted_and_one_byte_more_is_not,
        every_kind_of_acks,
        idempotent_producers_write_each_message_once_and_in_order,
        producing_to_an_unknown_topic_creates_it,
        eager_groups_rebalance,
        cooperative_groups_rebalance,
        a_group_reads_each_message_once_and_resumes_from_its_commit,
        static_members_come_back_without_a_rebalance,
        seek_by_time,
        read_committed_leaves_out_what_was_aborted,
        topics_are_administered,
        groups_are_administered,
        offsets_are_listed_by_kind,
        the_cluster_describes_itself,
    ]
)
