//! Broker keys of Apache Kafka 4.3 that clients and tools read, the ones that act here, and those behind the topic keys of
//! Kafka 4.4, which say so.

use super::super::kinds::Bounds::{Any, AtLeast, Between, ListOf, OneOf, Thousandths};
use super::super::kinds::Kind::{Boolean, Class, Double, Int, List, Long, Password, Short, String};
use super::Effect::{Acts, Fact, NotYet};
use super::{Effect, Key};
use crate::config::kinds::{Bounds, Kind};

const NO_COMPACTION: &str = "logs are not compacted yet";
const NO_REPLICAS: &str = "partitions have one replica here";
const NO_TIERING: &str = "there is no tiered storage yet";
const NO_CLIENT_TRANSACTIONS: &str = "transactions of clients are not served yet";
const NO_SECURITY: &str = "there is no authentication yet";
const NO_MODERN_GROUPS: &str = "groups of the consumer protocol (KIP-848) are not served yet";
const NO_SHARE_GROUPS: &str = "share groups are not served";
const NO_QUOTAS: &str = "there are no quotas yet";
const NO_SESSIONS: &str = "fetch sessions are not kept yet";
const OWN_THREADS: &str = "there is no request queue between network and handlers here";
const FLUSHED_ALREADY: &str =
    "every append is flushed within storage.flush_delay (storage.async_flush_delay under async)";

const LONG_MAX: &str = "9223372036854775807";
const INT_MAX: &str = "2147483647";

/// Set at start, in the configuration.
const fn fixed(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    bounds: Bounds,
    effect: Effect,
    doc: &'static str,
) -> Key {
    Key {
        name,
        kind,
        default: Some(default),
        bounds,
        effect,
        dynamic: false,
        doc,
        broker_keys: &[],
    }
}

/// Set at start or while the broker runs.
const fn dynamic(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    bounds: Bounds,
    effect: Effect,
    doc: &'static str,
) -> Key {
    Key {
        dynamic: true,
        ..fixed(name, kind, default, bounds, effect, doc)
    }
}

/// As [`fixed`], with null as default.
const fn fixed_null(name: &'static str, kind: Kind, bounds: Bounds, effect: Effect, doc: &'static str) -> Key {
    Key {
        default: None,
        ..fixed(name, kind, "", bounds, effect, doc)
    }
}

/// As [`dynamic`], with null as default.
const fn dynamic_null(name: &'static str, kind: Kind, bounds: Bounds, effect: Effect, doc: &'static str) -> Key {
    Key {
        default: None,
        ..dynamic(name, kind, "", bounds, effect, doc)
    }
}

/// All broker keys, in name order.
#[rustfmt::skip]
pub static BROKER_KEYS: &[Key] = &[
    fixed_null("advertised.listeners", String, Any, Fact, "Addresses that clients are told."),
    fixed("allow.everyone.if.no.acl.found", Boolean, "true", Any, Fact, "Whether a resource without rules is open to everybody. There are no rules yet, so it is."),
    fixed("authorizer.class.name", Class, "", Any, Fact, "Name of the authorizer; empty where there is none."),
    fixed("auto.create.topics.enable", Boolean, "true", Any, Acts, "Whether asking for the metadata of an unknown topic may create it."),
    fixed_null("broker.id", Int, Any, Fact, "Number of this node (the older name of node.id)."),
    fixed_null("broker.rack", String, Any, Fact, "Rack of this node."),
    dynamic("compression.gzip.level", Int, "-1", Between(-1, 9), Acts, "Default of the topic key compression.gzip.level."),
    dynamic("compression.lz4.level", Int, "9", Between(1, 17), NotYet("the lz4 encoder has one level"), "Default of the topic key compression.lz4.level."),
    dynamic("compression.type", String, "producer", OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), Acts, "Default of the topic key compression.type."),
    dynamic("compression.zstd.level", Int, "3", Between(-131_072, 22), Acts, "Default of the topic key compression.zstd.level."),
    fixed("connection.failed.authentication.delay.ms", Int, "100", AtLeast(0), NotYet(NO_SECURITY), "Delay before a failed authentication is answered."),
    fixed("connections.max.idle.ms", Long, "600000", AtLeast(1), Acts, "A connection without traffic is closed after this time."),
    fixed("connections.max.reauth.ms", Long, "0", AtLeast(0), NotYet(NO_SECURITY), "Time after which a client must authenticate again."),
    fixed("controlled.shutdown.enable", Boolean, "true", Any, Fact, "Whether the broker finishes what it accepted before it stops. It does."),
    fixed("default.replication.factor", Int, "1", Between(1, 32_767), Acts, "Replicas of a topic that asks for the default."),
    fixed("delete.topic.enable", Boolean, "true", Any, Acts, "Whether topics may be deleted."),
    fixed("fetch.max.bytes", Int, "57671680", AtLeast(1024), Acts, "Most bytes of records in one Fetch response."),
    fixed("group.consumer.assignors", List, "uniform,range", Any, NotYet(NO_MODERN_GROUPS), "Server-side assignors."),
    fixed("group.consumer.heartbeat.interval.ms", Int, "5000", AtLeast(1), NotYet(NO_MODERN_GROUPS), "Heartbeat interval of members."),
    fixed("group.consumer.max.size", Int, INT_MAX, AtLeast(1), NotYet(NO_MODERN_GROUPS), "Most members of a group."),
    fixed("group.consumer.migration.policy", String, "bidirectional", OneOf(&["bidirectional", "upgrade", "downgrade", "disabled"]), NotYet(NO_MODERN_GROUPS), "Between which protocols groups may migrate."),
    fixed("group.consumer.regex.refresh.interval.ms", Int, "600000", AtLeast(10_000), NotYet(NO_MODERN_GROUPS), "How often regex subscriptions are resolved."),
    fixed("group.consumer.session.timeout.ms", Int, "45000", AtLeast(1), NotYet(NO_MODERN_GROUPS), "Session timeout of members."),
    fixed("group.initial.rebalance.delay.ms", Int, "0", AtLeast(0), Acts, "How long an empty group waits for more members before its first rebalance. 0 because one node runs alone."),
    fixed("group.max.session.timeout.ms", Int, "1800000", AtLeast(1), Acts, "Longest session timeout that a member may ask for."),
    fixed("group.max.size", Int, INT_MAX, AtLeast(1), Acts, "Most members of a classic group."),
    fixed("group.min.session.timeout.ms", Int, "6000", AtLeast(1), Acts, "Shortest session timeout that a member may ask for."),
    fixed("group.share.delivery.count.limit", Int, "5", Between(2, 10), NotYet(NO_SHARE_GROUPS), "Deliveries of a record before it is given up."),
    fixed("group.share.partition.max.record.locks", Int, "2000", Between(100, 10_000), NotYet(NO_SHARE_GROUPS), "Records of a partition that may be locked at one time."),
    fixed("group.share.record.lock.duration.ms", Int, "30000", Between(1000, 3_600_000), NotYet(NO_SHARE_GROUPS), "How long a delivered record stays locked."),
    fixed("inter.broker.protocol.version", String, "4.3", Any, Fact, "Level of Apache Kafka that this broker speaks. Kafka 4.0 dropped the key; tools still show it as the Kafka version."),
    fixed_null("listener.security.protocol.map", String, Any, Fact, "Security protocol of each listener name."),
    fixed_null("listeners", String, Any, Fact, "Addresses that are listened on."),
    fixed("log.cleaner.backoff.ms", Long, "15000", AtLeast(0), NotYet(NO_COMPACTION), "Pause of the cleaner when there is nothing to clean."),
    fixed("log.cleaner.dedupe.buffer.size", Long, "134217728", Any, NotYet(NO_COMPACTION), "Memory of the cleaner."),
    dynamic("log.cleaner.delete.retention.ms", Long, "86400000", AtLeast(0), NotYet(NO_COMPACTION), "Default of the topic key delete.retention.ms."),
    fixed("log.cleaner.enable", Boolean, "true", Any, Fact, "Whether the cleaner may run. It does not exist yet: compacted topics keep all their records."),
    dynamic("log.cleaner.max.compaction.lag.ms", Long, LONG_MAX, AtLeast(1), NotYet(NO_COMPACTION), "Default of the topic key max.compaction.lag.ms."),
    dynamic("log.cleaner.min.cleanable.ratio", Double, "0.5", Thousandths(0, 1000), NotYet(NO_COMPACTION), "Default of the topic key min.cleanable.dirty.ratio."),
    dynamic("log.cleaner.min.compaction.lag.ms", Long, "0", AtLeast(0), NotYet(NO_COMPACTION), "Default of the topic key min.compaction.lag.ms."),
    fixed("log.cleaner.threads", Int, "1", AtLeast(0), NotYet(NO_COMPACTION), "Threads of the cleaner."),
    dynamic("log.cleanup.policy", List, "delete", ListOf(&["compact", "delete"]), Acts, "Default of the topic key cleanup.policy."),
    fixed_null("log.dirs", String, Any, Fact, "Folders of the logs."),
    dynamic("log.flush.interval.messages", Long, LONG_MAX, AtLeast(1), NotYet(FLUSHED_ALREADY), "Default of the topic key flush.messages."),
    dynamic_null("log.flush.interval.ms", Long, AtLeast(0), NotYet(FLUSHED_ALREADY), "Default of the topic key flush.ms."),
    dynamic("log.index.interval.bytes", Int, "4096", AtLeast(0), Acts, "Default of the topic key index.interval.bytes."),
    dynamic("log.index.size.max.bytes", Int, "10485760", AtLeast(4), Acts, "Default of the topic key segment.index.bytes."),
    dynamic("log.local.retention.bytes", Long, "-2", AtLeast(-2), NotYet(NO_TIERING), "Default of the topic key local.retention.bytes."),
    dynamic("log.local.retention.ms", Long, "-2", AtLeast(-2), NotYet(NO_TIERING), "Default of the topic key local.retention.ms."),
    dynamic("log.message.timestamp.after.max.ms", Long, "3600000", AtLeast(0), Acts, "Default of the topic key message.timestamp.after.max.ms."),
    dynamic("log.message.timestamp.before.max.ms", Long, LONG_MAX, AtLeast(0), Acts, "Default of the topic key message.timestamp.before.max.ms."),
    dynamic("log.message.timestamp.type", String, "CreateTime", OneOf(&["CreateTime", "LogAppendTime"]), Acts, "Default of the topic key message.timestamp.type."),
    dynamic("log.preallocate", Boolean, "false", Any, Acts, "Default of the topic key preallocate."),
    dynamic("log.remote.copy.lag.bytes", Long, "-1", AtLeast(-2), NotYet(NO_TIERING), "Default of the topic key remote.copy.lag.bytes (Kafka 4.4)."),
    dynamic("log.remote.copy.lag.ms", Long, "0", AtLeast(-2), NotYet(NO_TIERING), "Default of the topic key remote.copy.lag.ms (Kafka 4.4)."),
    dynamic("log.retention.bytes", Long, "-1", AtLeast(-1), Acts, "Default of the topic key retention.bytes."),
    fixed("log.retention.check.interval.ms", Long, "300000", AtLeast(1), Acts, "How often retention is applied."),
    fixed("log.retention.hours", Int, "168", Any, Acts, "Default of the topic key retention.ms in hours, where neither milliseconds nor minutes are set."),
    fixed_null("log.retention.minutes", Int, Any, Acts, "Default of the topic key retention.ms in minutes, where milliseconds are not set."),
    dynamic_null("log.retention.ms", Long, AtLeast(-1), Acts, "Default of the topic key retention.ms."),
    fixed("log.roll.hours", Int, "168", AtLeast(1), Acts, "Default of the topic key segment.ms in hours, where milliseconds are not set."),
    fixed("log.roll.jitter.hours", Int, "0", AtLeast(0), NotYet("segments of different partitions roll independently of one another"), "Default of the topic key segment.jitter.ms in hours."),
    dynamic_null("log.roll.jitter.ms", Long, AtLeast(0), NotYet("segments of different partitions roll independently of one another"), "Default of the topic key segment.jitter.ms."),
    dynamic_null("log.roll.ms", Long, AtLeast(1), Acts, "Default of the topic key segment.ms."),
    dynamic("log.segment.bytes", Int, "1073741824", AtLeast(1_048_576), Acts, "Default of the topic key segment.bytes."),
    dynamic("log.segment.delete.delay.ms", Long, "60000", AtLeast(0), Acts, "Default of the topic key file.delete.delay.ms."),
    fixed("max.connection.creation.rate", Int, INT_MAX, AtLeast(0), NotYet("connections are bounded by number, not by rate"), "Most new connections per second."),
    fixed("max.connections", Int, INT_MAX, AtLeast(0), Acts, "Most connections at one time. The configuration section kafka sets a lower default."),
    fixed("max.connections.per.ip", Int, INT_MAX, AtLeast(0), Acts, "Most connections at one time from one address."),
    fixed("max.incremental.fetch.session.cache.slots", Int, "1000", AtLeast(0), NotYet(NO_SESSIONS), "Fetch sessions kept."),
    fixed("max.request.partition.size.limit", Int, "2000", AtLeast(1), NotYet("DescribeTopicPartitions is not served"), "Partitions in one DescribeTopicPartitions response."),
    dynamic("message.max.bytes", Int, "1048588", AtLeast(0), Acts, "Default of the topic key max.message.bytes."),
    dynamic("min.insync.replicas", Int, "1", AtLeast(1), NotYet(NO_REPLICAS), "Default of the topic key min.insync.replicas."),
    fixed_null("node.id", Int, Any, Fact, "Number of this node."),
    fixed("num.io.threads", Int, "8", AtLeast(1), NotYet(OWN_THREADS), "Threads that handle requests."),
    fixed("num.network.threads", Int, "3", AtLeast(1), NotYet(OWN_THREADS), "Threads of the network."),
    fixed("num.partitions", Int, "1", AtLeast(1), Acts, "Partitions of a topic that asks for the default."),
    fixed("offset.metadata.max.bytes", Int, "4096", AtLeast(0), Acts, "Longest metadata text of an offset commit."),
    fixed("offsets.retention.check.interval.ms", Long, "600000", AtLeast(1), Acts, "How often expired offsets are looked for."),
    fixed("offsets.retention.minutes", Int, "10080", AtLeast(1), Acts, "How long the offsets of a group without members are kept."),
    fixed("offsets.topic.num.partitions", Int, "50", AtLeast(1), Acts, "Partitions of __consumer_offsets; fixed when that topic is created."),
    fixed("offsets.topic.replication.factor", Short, "1", AtLeast(1), NotYet(NO_REPLICAS), "Replicas of __consumer_offsets."),
    fixed("process.roles", List, "broker,controller", Any, Fact, "Roles of this process."),
    fixed("producer.id.expiration.ms", Int, "86400000", AtLeast(1), Acts, "How long the state of an idempotent producer is kept after its last batch."),
    fixed("queued.max.requests", Int, "500", AtLeast(1), NotYet(OWN_THREADS), "Requests that may wait for a handler."),
    fixed("quota.window.num", Int, "11", AtLeast(1), NotYet(NO_QUOTAS), "Samples kept for client quotas."),
    fixed("quota.window.size.seconds", Int, "1", AtLeast(1), NotYet(NO_QUOTAS), "Length of a quota sample."),
    fixed("replica.lag.time.max.ms", Long, "30000", AtLeast(1), NotYet(NO_REPLICAS), "Lag after which a replica is no longer in sync."),
    fixed("request.timeout.ms", Int, "30000", AtLeast(0), NotYet(NO_REPLICAS), "Longest wait for an answer of another broker."),
    fixed("sasl.enabled.mechanisms", List, "", Any, Fact, "SASL mechanisms that clients may use; none yet."),
    fixed("sasl.oauthbearer.expected.audience", List, "", Any, NotYet(NO_SECURITY), "Audience that a token must name."),
    fixed("sasl.oauthbearer.expected.issuer", String, "", Any, NotYet(NO_SECURITY), "Issuer that a token must name."),
    fixed("sasl.oauthbearer.jwks.endpoint.url", String, "", Any, NotYet(NO_SECURITY), "Where the keys of token issuers are found."),
    fixed("security.inter.broker.protocol", String, "PLAINTEXT", Any, Fact, "Security protocol between brokers."),
    fixed("socket.request.max.bytes", Int, "104857600", AtLeast(1024), Acts, "Largest request frame."),
    fixed_null("ssl.keystore.password", Password, Any, NotYet(NO_SECURITY), "Password of the key store."),
    fixed("super.users", String, "", Any, NotYet(NO_SECURITY), "Principals that may do everything."),
    dynamic("tidemill.durability", String, "fsync", OneOf(&["fsync", "async"]), Acts, "Default of the topic key tidemill.durability; set by storage.durability."),
    fixed("transaction.max.timeout.ms", Int, "900000", AtLeast(1), NotYet(NO_CLIENT_TRANSACTIONS), "Longest transaction timeout that a producer may ask for."),
    fixed("transaction.partition.verification.enable", Boolean, "true", Any, Fact, "Whether the first write of a transaction to a partition is verified. It always is."),
    fixed("transaction.state.log.min.isr", Int, "1", AtLeast(1), NotYet(NO_REPLICAS), "In-sync replicas that a write to __transaction_state needs."),
    fixed("transaction.state.log.num.partitions", Int, "50", AtLeast(1), NotYet(NO_CLIENT_TRANSACTIONS), "Partitions of __transaction_state."),
    fixed("transaction.state.log.replication.factor", Short, "1", AtLeast(1), NotYet(NO_REPLICAS), "Replicas of __transaction_state."),
    fixed("transaction.two.phase.commit.enable", Boolean, "false", Any, NotYet(NO_CLIENT_TRANSACTIONS), "Whether producers may take part in two-phase commit."),
    fixed("transactional.id.expiration.ms", Int, "604800000", AtLeast(1), NotYet(NO_CLIENT_TRANSACTIONS), "How long an unused transactional id is kept."),
    dynamic("unclean.leader.election.enable", Boolean, "false", Any, NotYet(NO_REPLICAS), "Default of the topic key unclean.leader.election.enable."),
];
