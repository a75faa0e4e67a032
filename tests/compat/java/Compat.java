import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.header.Header;

/**
 * The Java client: producer, consumer, admin. Runs alone against any broker, see {@link Checks#BOOTSTRAP}.
 */
public final class Compat {
    private static final Map<String, String> LARGE = Map.of("max.message.bytes", "4194304", "segment.bytes", "16777216");

    public static void main(String[] arguments) {
        Checks checks = new Checks();
        checks.run("every codec keeps every byte", Compat::everyCodecKeepsEveryByte);
        checks.run("2 MiB where the topic allows them", Compat::largeRecords);
        checks.run("the exact boundary of max.message.bytes", Compat::boundary);
        checks.run("acks", Compat::acks);
        checks.run("eager groups rebalance", () -> groupsRebalance("org.apache.kafka.clients.consumer.RangeAssignor"));
        checks.run(
                "cooperative groups rebalance",
                () -> groupsRebalance("org.apache.kafka.clients.consumer.CooperativeStickyAssignor"));
        checks.run("a group resumes from its commit", Compat::groupResumes);
        checks.run("static members come back without a rebalance", Compat::staticMembers);
        checks.run("seek by time", Compat::seekByTime);
        checks.run("read_committed leaves out what was aborted", Compat::readCommitted);
        checks.run("topics are administered", Compat::topics);
        checks.run("groups are administered", Compat::groups);
        checks.run("offsets are listed by kind", Compat::offsets);
        checks.run("the cluster describes itself", Compat::cluster);
        Clients.ADMIN.close();
        checks.finish();
    }

    private static void everyCodecKeepsEveryByte() throws Exception {
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            String topic = Clients.createTopic("codec-" + codec, 2, Map.of());
            List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
            long now = System.currentTimeMillis();
            for (int number = 0; number < 2000; number++) {
                byte[] key = number % 7 == 0 ? null : bytes("key-" + number);
                byte[] value = number % 11 == 0 ? null : bytes(("value-" + number + "-").repeat(20));
                var record = new ProducerRecord<>(topic, number % 2, now + number, key, value);
                record.headers().add("trace", bytes("" + number)).add("trace", bytes("again"));
                record.headers().add("empty", new byte[0]).add("null", null);
                records.add(record);
            }
            Clients.send(Map.of("compression.type", codec, "batch.size", 4096), records);
            var got = Clients.read(topic, 2, 2000, Map.of());
            for (int partition = 0; partition < 2; partition++) {
                int wanted = partition;
                var expected = records.stream().filter(record -> record.partition() == wanted).map(Compat::text).toList();
                var actual = got.stream().filter(record -> record.partition() == wanted).map(Compat::text).toList();
                Checks.expect(codec + ", partition " + partition, actual, expected);
            }
        }
    }

    private static void largeRecords() throws Exception {
        byte[] value = new byte[2 * 1024 * 1024];
        new Random(7).nextBytes(value);
        Map<String, Object> options = Map.of("max.request.size", 8 * 1024 * 1024);
        String allowed = Clients.createTopic("large", 1, LARGE);
        Clients.send(options, List.of(new ProducerRecord<>(allowed, value)));
        Checks.expect("value", Arrays.equals(Clients.read(allowed, 1, 1, Map.of()).get(0).value(), value), true);
        String normal = Clients.createTopic("small", 1, Map.of());
        expectFailure(
                RecordTooLargeException.class, () -> Clients.send(options, List.of(new ProducerRecord<>(normal, value))));
    }

    /** A value that makes a batch of exactly max.message.bytes at its default, and one byte more. */
    private static void boundary() throws Exception {
        // 61 bytes of batch header, 3 of the record's length, 4 of attributes, two deltas and the null key, 3 of the
        // value's length, 1 of headers.
        byte[] fits = new byte[1_048_588 - 61 - 3 - 4 - 3 - 1];
        byte[] tooLarge = new byte[fits.length + 1];
        // The client's own limit is far away: it is the broker that says no.
        Map<String, Object> options = Map.of("max.request.size", 8 * 1024 * 1024);
        String topic = Clients.createTopic("boundary", 1, Map.of("segment.bytes", "16777216"));
        Clients.send(options, List.of(new ProducerRecord<>(topic, fits)));
        expectFailure(
                RecordTooLargeException.class, () -> Clients.send(options, List.of(new ProducerRecord<>(topic, tooLarge))));
        Checks.expect("end", latest(topic), 1L);
        Checks.expect("value", Arrays.equals(Clients.read(topic, 1, 1, Map.of()).get(0).value(), fits), true);
    }

    private static void acks() throws Exception {
        String topic = Clients.createTopic("acks", 1, Map.of());
        int count = 0;
        for (String acks : List.of("0", "1", "all")) {
            Map<String, Object> options = Map.of("acks", acks, "enable.idempotence", acks.equals("all"));
            List<RecordMetadata> places = Clients.send(options, List.of(new ProducerRecord<>(topic, bytes(acks))));
            int sent = ++count;
            // An acknowledged record is visible once it is flushed, which acks=1 does not wait for.
            Checks.until("the record", () -> latest(topic) == sent);
            if (!acks.equals("0")) {
                Checks.expect("offset", places.get(0).offset(), sent - 1L);
            }
        }
        List<String> values = Clients.read(topic, 1, 3, Map.of()).stream().map(record -> string(record.value())).toList();
        Checks.expect("values", values, List.of("0", "1", "all"));
    }

    private static void groupsRebalance(String assignor) throws Exception {
        String topic = Clients.createTopic("rebalance", 6, Map.of());
        Map<String, Object> options =
                Map.of("group.id", Checks.unique("rebalance"), "partition.assignment.strategy", assignor);
        List<KafkaConsumer<byte[], byte[]>> members = new ArrayList<>();
        for (int count = 1; count <= 3; count++) {
            KafkaConsumer<byte[], byte[]> member = Clients.consumer(options);
            member.subscribe(List.of(topic));
            members.add(member);
            Clients.pollUntilAssigned(members, 6 / count);
        }
        members.remove(1).close();
        Clients.pollUntilAssigned(members, 3);
        members.forEach(KafkaConsumer::close);
    }

    private static void groupResumes() throws Exception {
        String topic = Clients.createTopic("resume", 3, Map.of());
        Map<String, Object> options = Map.of("group.id", Checks.unique("resume"));
        List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
        for (int number = 0; number < 300; number++) {
            records.add(new ProducerRecord<>(topic, number % 3, null, bytes("" + number)));
        }
        Clients.send(Map.of(), records.subList(0, 150));
        List<ConsumerRecord<byte[], byte[]>> seen = new ArrayList<>();
        for (int half = 0; half < 2; half++) {
            try (KafkaConsumer<byte[], byte[]> member = Clients.consumer(options)) {
                member.subscribe(List.of(topic));
                seen.addAll(Clients.poll(member, 150));
                member.commitSync();
            }
            if (half == 0) {
                Clients.send(Map.of(), records.subList(150, 300));
            }
        }
        Checks.expect("distinct values", seen.stream().map(record -> string(record.value())).distinct().count(), 300L);
        var committed = Clients.ADMIN.listConsumerGroupOffsets((String) options.get("group.id"));
        var offsets = committed.partitionsToOffsetAndMetadata().get(30, TimeUnit.SECONDS).values();
        Checks.expect("offsets", offsets.stream().map(OffsetAndMetadata::offset).toList(), List.of(100L, 100L, 100L));
    }

    private static void staticMembers() throws Exception {
        String topic = Clients.createTopic("static", 2, Map.of());
        String group = Checks.unique("static");
        AtomicInteger assignments = new AtomicInteger();
        KafkaConsumer<byte[], byte[]> first = staticMember(group, "a", topic, assignments);
        KafkaConsumer<byte[], byte[]> second = staticMember(group, "b", topic, new AtomicInteger());
        Clients.pollUntilAssigned(List.of(first, second), 1);
        var owned = second.assignment();
        int before = assignments.get();
        // A static member says no goodbye: its place is kept for its session.
        second.close();
        second = staticMember(group, "b", topic, new AtomicInteger());
        Clients.pollUntilAssigned(List.of(first, second), 1);
        Checks.expect("partitions", second.assignment(), owned);
        Checks.expect("assignments of the other member", assignments.get(), before);
        first.close();
        second.close();
    }

    private static KafkaConsumer<byte[], byte[]> staticMember(
            String group, String instance, String topic, AtomicInteger assignments) {
        var member = Clients.consumer(
                Map.of("group.id", group, "group.instance.id", instance, "session.timeout.ms", 30_000));
        member.subscribe(List.of(topic), new ConsumerRebalanceListener() {
            @Override
            public void onPartitionsRevoked(Collection<TopicPartition> partitions) {}

            @Override
            public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                assignments.incrementAndGet();
            }
        });
        return member;
    }

    private static void seekByTime() throws Exception {
        String topic = Clients.createTopic("time", 1, Map.of());
        long start = System.currentTimeMillis() - 1_000_000;
        List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
        for (int number = 0; number < 1000; number++) {
            records.add(new ProducerRecord<>(topic, 0, start + number * 100L, null, bytes("" + number)));
        }
        Clients.send(Map.of("batch.size", 1000), records);
        TopicPartition partition = new TopicPartition(topic, 0);
        try (KafkaConsumer<byte[], byte[]> reader = Clients.consumer(Map.of())) {
            reader.assign(List.of(partition));
            var found = reader.offsetsForTimes(Map.of(partition, start + 50_000)).get(partition);
            Checks.expect("offset", found.offset(), 500L);
            Checks.expect("timestamp", found.timestamp(), start + 50_000);
            Checks.expect("beyond", reader.offsetsForTimes(Map.of(partition, start + 10_000_000)).get(partition) == null, true);
            reader.seek(partition, found.offset());
            Checks.expect("first value", string(Clients.poll(reader, 500).get(0).value()), "500");
            Checks.expect("end", reader.endOffsets(List.of(partition)).get(partition), 1000L);
        }
    }

    /** A topic with aborted records, with the numbers of its committed records and of all of them. */
    private record Transactions(String topic, int committed, int written) {}

    private static Transactions transactions() throws Exception {
        String given = System.getenv("TIDEMILL_TEST_TRANSACTIONS");
        if (given != null) {
            String[] parts = given.split(":");
            return new Transactions(parts[0], Integer.parseInt(parts[1]), Integer.parseInt(parts[2]));
        }
        // The broker serves transactions of clients.
        String topic = Clients.createTopic("transactions", 1, Map.of());
        try (var producer = Clients.producer(Map.of("transactional.id", Checks.unique("transactional")))) {
            producer.initTransactions();
            for (int[] range : new int[][] {{0, 100, 1}, {100, 150, 0}, {100, 200, 1}}) {
                producer.beginTransaction();
                for (int number = range[0]; number < range[1]; number++) {
                    producer.send(new ProducerRecord<>(topic, bytes("{\"n\":" + number + "}")));
                }
                producer.flush();
                if (range[2] == 1) {
                    producer.commitTransaction();
                } else {
                    producer.abortTransaction();
                }
            }
        }
        return new Transactions(topic, 200, 250);
    }

    private static void readCommitted() throws Exception {
        Transactions transactions = transactions();
        List<String> due = new ArrayList<>();
        for (int number = 0; number < transactions.committed; number++) {
            due.add("{\"n\":" + number + "}");
        }
        Checks.expect("something to leave out", transactions.committed < transactions.written, true);
        Checks.expect("read_committed", readToEnd(transactions.topic, "read_committed"), due);
        List<String> everything = readToEnd(transactions.topic, "read_uncommitted");
        Checks.expect("read_uncommitted", everything.size(), transactions.written);
        // What was aborted was written again and is there twice.
        Checks.expect("the same records", new HashSet<>(everything), new HashSet<>(due));
    }

    /** The values of a topic up to the end that the reader is shown. */
    private static List<String> readToEnd(String topic, String isolation) throws Exception {
        TopicPartition partition = new TopicPartition(topic, 0);
        List<String> values = new ArrayList<>();
        try (var consumer = Clients.consumer(Map.of("isolation.level", isolation))) {
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            long end = consumer.endOffsets(List.of(partition)).get(partition);
            Checks.until("the end of " + topic, () -> {
                consumer.poll(Duration.ofMillis(100))
                        .forEach(record -> values.add(new String(record.value(), StandardCharsets.UTF_8)));
                return consumer.position(partition) >= end;
            });
        }
        return values;
    }

    private static void topics() throws Exception {
        String topic = Clients.createTopic("admin", 2, Map.of("retention.ms", "1234567"));
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        Checks.expect("retention.ms", config(resource, "retention.ms"), "1234567");
        Checks.expect("cleanup.policy", config(resource, "cleanup.policy"), "delete");
        var change = new AlterConfigOp(new ConfigEntry("retention.ms", "7654321"), AlterConfigOp.OpType.SET);
        Clients.ADMIN.incrementalAlterConfigs(Map.of(resource, List.of(change))).all().get(30, TimeUnit.SECONDS);
        Checks.until("the new value", () -> "7654321".equals(config(resource, "retention.ms")));

        Clients.ADMIN.createPartitions(Map.of(topic, NewPartitions.increaseTo(5))).all().get(30, TimeUnit.SECONDS);
        Checks.until("five partitions", () -> partitions(topic) == 5);
        expectFailure(TopicExistsException.class, () -> create(new NewTopic(topic, 1, (short) 1)));
        expectFailure(
                InvalidReplicationFactorException.class, () -> create(new NewTopic(Checks.unique("admin"), 1, (short) 3)));
        Clients.ADMIN.deleteTopics(List.of(topic)).all().get(30, TimeUnit.SECONDS);
        Checks.until(
                "the topic to be gone",
                () -> !Clients.ADMIN.listTopics().names().get(30, TimeUnit.SECONDS).contains(topic));
    }

    private static void groups() throws Exception {
        String topic = Clients.createTopic("group-admin", 2, Map.of());
        String group = Checks.unique("group-admin");
        Clients.send(Map.of(), List.of(new ProducerRecord<>(topic, bytes("x"))));
        try (KafkaConsumer<byte[], byte[]> member = Clients.consumer(Map.of("group.id", group))) {
            member.subscribe(List.of(topic));
            Clients.poll(member, 1);
            member.commitSync();
            var described = Clients.ADMIN.describeConsumerGroups(List.of(group)).all().get(30, TimeUnit.SECONDS).get(group);
            Checks.expect("state", described.groupState(), GroupState.STABLE);
            Checks.expect("members", described.members().size(), 1);
            int owned = described.members().iterator().next().assignment().topicPartitions().size();
            Checks.expect("partitions", owned, 2);
            expectFailure(
                    GroupNotEmptyException.class,
                    () -> Clients.ADMIN.deleteConsumerGroups(List.of(group)).all().get(30, TimeUnit.SECONDS));
        }
        TopicPartition partition = new TopicPartition(topic, 1);
        Clients.ADMIN.alterConsumerGroupOffsets(group, Map.of(partition, new OffsetAndMetadata(7))).all().get(30, TimeUnit.SECONDS);
        var offsets = Clients.ADMIN.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get(30, TimeUnit.SECONDS);
        Checks.expect("altered offset", offsets.get(partition).offset(), 7L);
        Clients.ADMIN.deleteConsumerGroups(List.of(group)).all().get(30, TimeUnit.SECONDS);
        boolean listed = Clients.ADMIN.listGroups().all().get(30, TimeUnit.SECONDS).stream()
                .anyMatch(found -> found.groupId().equals(group));
        Checks.expect("still listed", listed, false);
    }

    private static void offsets() throws Exception {
        String topic = Clients.createTopic("offsets", 1, Map.of());
        long now = System.currentTimeMillis() - 60_000;
        List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
        for (int number = 0; number < 10; number++) {
            records.add(new ProducerRecord<>(topic, 0, now + number, null, bytes("x")));
        }
        Clients.send(Map.of(), records);
        Checks.expect("earliest", offset(topic, OffsetSpec.earliest()), 0L);
        Checks.expect("latest", offset(topic, OffsetSpec.latest()), 10L);
        Checks.expect("max timestamp", offset(topic, OffsetSpec.maxTimestamp()), 9L);
        Checks.expect("earliest local", offset(topic, OffsetSpec.earliestLocal()), 0L);
        Checks.expect("for timestamp", offset(topic, OffsetSpec.forTimestamp(now + 5)), 5L);
    }

    private static void cluster() throws Exception {
        var cluster = Clients.ADMIN.describeCluster();
        var nodes = cluster.nodes().get(30, TimeUnit.SECONDS);
        Checks.expect("nodes", nodes.size(), 1);
        Checks.expect("controller", cluster.controller().get(30, TimeUnit.SECONDS), nodes.iterator().next());
        Checks.expect("cluster id", cluster.clusterId().get(30, TimeUnit.SECONDS).isEmpty(), false);
        var broker = new ConfigResource(ConfigResource.Type.BROKER, nodes.iterator().next().idString());
        Checks.expect("num.partitions", config(broker, "num.partitions"), "1");
    }

    private static void create(NewTopic topic) throws Exception {
        Clients.ADMIN.createTopics(List.of(topic)).all().get(30, TimeUnit.SECONDS);
    }

    private static String config(ConfigResource resource, String key) throws Exception {
        var configs = Clients.ADMIN.describeConfigs(List.of(resource)).all().get(30, TimeUnit.SECONDS);
        return configs.get(resource).get(key).value();
    }

    private static int partitions(String topic) throws Exception {
        var topics = Clients.ADMIN.describeTopics(List.of(topic)).allTopicNames().get(30, TimeUnit.SECONDS);
        return topics.get(topic).partitions().size();
    }

    private static long latest(String topic) throws Exception {
        return offset(topic, OffsetSpec.latest());
    }

    private static long offset(String topic, OffsetSpec kind) throws Exception {
        TopicPartition partition = new TopicPartition(topic, 0);
        return Clients.ADMIN.listOffsets(Map.of(partition, kind)).partitionResult(partition).get(30, TimeUnit.SECONDS).offset();
    }

    private static void expectFailure(Class<? extends Throwable> expected, Checks.Check action) throws Exception {
        try {
            action.run();
        } catch (ExecutionException failure) {
            Checks.expect("the failure", failure.getCause().getClass(), expected);
            return;
        }
        throw new AssertionError("expected " + expected.getSimpleName());
    }

    private static String text(ProducerRecord<byte[], byte[]> record) {
        return text(record.key(), record.value(), record.headers(), record.timestamp());
    }

    private static String text(ConsumerRecord<byte[], byte[]> record) {
        return text(record.key(), record.value(), record.headers(), record.timestamp());
    }

    private static String text(byte[] key, byte[] value, Iterable<Header> headers, long timestamp) {
        StringBuilder text = new StringBuilder(string(key)).append('=').append(string(value)).append('@').append(timestamp);
        headers.forEach(header -> text.append(' ').append(header.key()).append(':').append(string(header.value())));
        return text.toString();
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static String string(byte[] bytes) {
        return bytes == null ? "null" : new String(bytes, StandardCharsets.UTF_8);
    }
}
