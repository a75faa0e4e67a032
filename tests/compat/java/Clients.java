import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Producers, consumers and an admin client with the options that every check wants. */
final class Clients {
    static final Admin ADMIN = Admin.create(Map.of("bootstrap.servers", Checks.BOOTSTRAP));

    private Clients() {}

    static String createTopic(String prefix, int partitions, Map<String, String> configs) throws Exception {
        String name = Checks.unique(prefix);
        NewTopic topic = new NewTopic(name, partitions, (short) 1).configs(configs);
        ADMIN.createTopics(List.of(topic)).all().get(30, TimeUnit.SECONDS);
        return name;
    }

    static KafkaProducer<byte[], byte[]> producer(Map<String, Object> options) {
        Map<String, Object> all = new HashMap<>(Map.of("bootstrap.servers", Checks.BOOTSTRAP));
        all.putAll(options);
        return new KafkaProducer<>(all, new ByteArraySerializer(), new ByteArraySerializer());
    }

    static KafkaConsumer<byte[], byte[]> consumer(Map<String, Object> options) {
        Map<String, Object> all = new HashMap<>();
        all.put("bootstrap.servers", Checks.BOOTSTRAP);
        all.put("auto.offset.reset", "earliest");
        all.put("enable.auto.commit", false);
        all.put("session.timeout.ms", 10_000);
        all.put("heartbeat.interval.ms", 500);
        all.putAll(options);
        return new KafkaConsumer<>(all, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    /** Sends all records and gives their acknowledged places in the order of sending. */
    static List<RecordMetadata> send(Map<String, Object> options, List<ProducerRecord<byte[], byte[]>> records)
            throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = producer(options)) {
            var futures = records.stream().map(producer::send).toList();
            List<RecordMetadata> places = new ArrayList<>();
            for (var future : futures) {
                places.add(future.get(60, TimeUnit.SECONDS));
            }
            return places;
        }
    }

    /** Reads a topic from its start. */
    static List<ConsumerRecord<byte[], byte[]>> read(String topic, int partitions, int count, Map<String, Object> options)
            throws Exception {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(options)) {
            List<TopicPartition> all = new ArrayList<>();
            for (int partition = 0; partition < partitions; partition++) {
                all.add(new TopicPartition(topic, partition));
            }
            consumer.assign(all);
            consumer.seekToBeginning(all);
            return poll(consumer, count);
        }
    }

    static List<ConsumerRecord<byte[], byte[]>> poll(KafkaConsumer<byte[], byte[]> consumer, int count) throws Exception {
        List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
        Checks.until(count + " records", () -> {
            consumer.poll(Duration.ofMillis(100)).forEach(records::add);
            return records.size() >= count;
        });
        Checks.expect("records", records.size(), count);
        return records;
    }

    /** Polls all members until each owns that many partitions and together they own all of them once. */
    static void pollUntilAssigned(List<KafkaConsumer<byte[], byte[]>> members, int each) throws Exception {
        Checks.until(each + " partitions each", () -> {
            Set<Integer> owned = new TreeSet<>();
            boolean even = true;
            for (KafkaConsumer<byte[], byte[]> member : members) {
                member.poll(Duration.ofMillis(50));
                even &= member.assignment().size() == each;
                member.assignment().forEach(partition -> owned.add(partition.partition()));
            }
            return even && owned.size() == each * members.size();
        });
    }
}
