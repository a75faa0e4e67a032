//! Topic keys of Apache Kafka 4.3 (class `TopicConfig`), the ones that 4.4 adds, which say so, and ours under the prefix
//! `tidemill.`.

use super::super::kinds::Bounds::{Any, AtLeast, Between, ListOf, OneOf, Thousandths};
use super::super::kinds::Kind::{Boolean, Double, Int, List, Long, String};
use super::Effect::{Acts, NotYet};
use super::{BrokerSynonym, Effect, Key};
use crate::config::kinds::{Bounds, Kind};

const NO_COMPACTION: &str = "logs are not compacted yet; a compacted topic keeps all its records";
const NO_REPLICAS: &str = "partitions have one replica here";
const NO_TIERING: &str = "there is no tiered storage yet";
const NO_SHARE_GROUPS: &str = "share groups are not served";
const FLUSHED_ALREADY: &str = "every append is flushed within storage.flush_delay (storage.async_flush_delay under async); choose with tidemill.durability whether produce waits for it";

const fn key(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    bounds: Bounds,
    effect: Effect,
    broker_keys: &'static [BrokerSynonym],
    doc: &'static str,
) -> Key {
    Key {
        name,
        kind,
        default: Some(default),
        bounds,
        effect,
        dynamic: true,
        doc,
        broker_keys,
    }
}

const fn same(name: &'static str) -> BrokerSynonym {
    BrokerSynonym { name, factor: 1 }
}

const fn times(name: &'static str, factor: i64) -> BrokerSynonym {
    BrokerSynonym { name, factor }
}

const LONG_MAX: &str = "9223372036854775807";
const CODECS: &[&str] = &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"];

/// All topic keys, in name order.
#[rustfmt::skip]
pub static TOPIC_KEYS: &[Key] = &[
    key("cleanup.policy", List, "delete", ListOf(&["compact", "delete"]), Acts, &[same("log.cleanup.policy")],
        "What happens to old records: delete them by retention, compact them by key, both, or (empty) keep everything. Compaction does not run yet: with compact alone nothing is ever removed."),
    key("compression.gzip.level", Int, "-1", Between(-1, 9), Acts, &[same("compression.gzip.level")],
        "Level where compression.type makes the broker compress with gzip; -1 is the library's default."),
    key("compression.lz4.level", Int, "9", Between(1, 17), NotYet("the lz4 encoder has one level"), &[same("compression.lz4.level")],
        "Level where compression.type makes the broker compress with lz4."),
    key("compression.type", String, "producer", OneOf(CODECS), Acts, &[same("compression.type")],
        "Codec of the stored batches. With producer they stay as they were sent; otherwise the broker compresses again where they differ."),
    key("compression.zstd.level", Int, "3", Between(-131_072, 22), Acts, &[same("compression.zstd.level")],
        "Level where compression.type makes the broker compress with zstd."),
    key("delete.retention.ms", Long, "86400000", AtLeast(0), NotYet(NO_COMPACTION), &[same("log.cleaner.delete.retention.ms")],
        "How long compaction keeps the markers of deleted keys."),
    key("errors.deadletterqueue.group.enable", Boolean, "false", Any, NotYet(NO_SHARE_GROUPS), &[],
        "Whether share groups may write undeliverable records to this topic (Kafka 4.4)."),
    key("file.delete.delay.ms", Long, "60000", AtLeast(0), Acts, &[same("log.segment.delete.delay.ms")],
        "Time between a segment's removal from the log and that of its file."),
    key("flush.messages", Long, LONG_MAX, AtLeast(1), NotYet(FLUSHED_ALREADY), &[same("log.flush.interval.messages")],
        "Number of records after which the log is flushed."),
    key("flush.ms", Long, LONG_MAX, AtLeast(0), NotYet(FLUSHED_ALREADY), &[same("log.flush.interval.ms")],
        "Time after which the log is flushed."),
    key("follower.replication.throttled.replicas", List, "", Any, NotYet(NO_REPLICAS), &[],
        "Replicas whose fetching is throttled."),
    key("index.interval.bytes", Int, "4096", AtLeast(0), Acts, &[same("log.index.interval.bytes")],
        "Bytes of log between two entries of its offset index."),
    key("leader.replication.throttled.replicas", List, "", Any, NotYet(NO_REPLICAS), &[],
        "Replicas whose serving is throttled."),
    key("local.retention.bytes", Long, "-2", AtLeast(-2), NotYet(NO_TIERING), &[same("log.local.retention.bytes")],
        "Size of the part kept on this node's disk when older segments are in remote storage; -2 follows retention.bytes."),
    key("local.retention.ms", Long, "-2", AtLeast(-2), NotYet(NO_TIERING), &[same("log.local.retention.ms")],
        "Age of the part kept on this node's disk when older segments are in remote storage; -2 follows retention.ms."),
    key("max.compaction.lag.ms", Long, LONG_MAX, AtLeast(1), NotYet(NO_COMPACTION), &[same("log.cleaner.max.compaction.lag.ms")],
        "Longest time a record stays out of compaction."),
    key("max.message.bytes", Int, "1048588", AtLeast(0), Acts, &[same("message.max.bytes")],
        "Largest record batch in bytes, as sent, with its 12 bytes of log overhead."),
    key("message.timestamp.after.max.ms", Long, "3600000", AtLeast(0), Acts, &[same("log.message.timestamp.after.max.ms")],
        "How far a record's timestamp may lie ahead of the broker's clock."),
    key("message.timestamp.before.max.ms", Long, LONG_MAX, AtLeast(0), Acts, &[same("log.message.timestamp.before.max.ms")],
        "How far a record's timestamp may lie behind the broker's clock."),
    key("message.timestamp.type", String, "CreateTime", OneOf(&["CreateTime", "LogAppendTime"]), Acts, &[same("log.message.timestamp.type")],
        "Whether a record's timestamp is the producer's or the time of the append."),
    key("min.cleanable.dirty.ratio", Double, "0.5", Thousandths(0, 1000), NotYet(NO_COMPACTION), &[same("log.cleaner.min.cleanable.ratio")],
        "Share of uncompacted bytes at which compaction starts."),
    key("min.compaction.lag.ms", Long, "0", AtLeast(0), NotYet(NO_COMPACTION), &[same("log.cleaner.min.compaction.lag.ms")],
        "Shortest time a record stays out of compaction."),
    key("min.insync.replicas", Int, "1", AtLeast(1), NotYet(NO_REPLICAS), &[same("min.insync.replicas")],
        "Replicas that must hold a record before it is acknowledged with acks=all."),
    key("preallocate", Boolean, "false", Any, Acts, &[same("log.preallocate")],
        "Whether a new segment's file gets its full size at once."),
    key("remote.copy.lag.bytes", Long, "-1", AtLeast(-2), NotYet(NO_TIERING), &[same("log.remote.copy.lag.bytes")],
        "Size of closed segments that may wait before they are copied to remote storage (Kafka 4.4)."),
    key("remote.copy.lag.ms", Long, "0", AtLeast(-2), NotYet(NO_TIERING), &[same("log.remote.copy.lag.ms")],
        "Time a closed segment may wait before it is copied to remote storage (Kafka 4.4)."),
    key("remote.log.copy.disable", Boolean, "false", Any, NotYet(NO_TIERING), &[],
        "Whether segments are no longer copied to remote storage."),
    key("remote.log.delete.on.disable", Boolean, "false", Any, NotYet(NO_TIERING), &[],
        "Whether remote segments are deleted when remote storage is switched off."),
    key("remote.storage.enable", Boolean, "false", Any, NotYet(NO_TIERING), &[],
        "Whether closed segments are copied to remote storage."),
    key("retention.bytes", Long, "-1", AtLeast(-1), Acts, &[same("log.retention.bytes")],
        "Size of a partition beyond which its oldest segments are deleted; -1 is without limit."),
    key("retention.ms", Long, "604800000", AtLeast(-1), Acts,
        &[same("log.retention.ms"), times("log.retention.minutes", 60_000), times("log.retention.hours", 3_600_000)],
        "Age beyond which segments are deleted; -1 is without limit. Counted from the append where record timestamps lie ahead of it."),
    key("segment.bytes", Int, "1073741824", AtLeast(1_048_576), Acts, &[same("log.segment.bytes")],
        "Size at which a new segment file is begun."),
    key("segment.index.bytes", Int, "10485760", AtLeast(4), Acts, &[same("log.index.size.max.bytes")],
        "Bytes that the offset index and the time index of a segment may each grow to before the segment is rolled."),
    key("segment.jitter.ms", Long, "0", AtLeast(0), NotYet("segments of different partitions roll independently of one another"), &[times("log.roll.jitter.ms", 1), times("log.roll.jitter.hours", 3_600_000)],
        "Random part subtracted from segment.ms."),
    key("segment.ms", Long, "604800000", AtLeast(1), Acts, &[same("log.roll.ms"), times("log.roll.hours", 3_600_000)],
        "Age at which a new segment file is begun."),
    key("tidemill.durability", String, "fsync", OneOf(&["fsync", "async"]), Acts, &[same("tidemill.durability")],
        "Whether acks=all waits until the batch is on the device (fsync) or only until it is in the page cache (async)."),
    key("unclean.leader.election.enable", Boolean, "false", Any, NotYet(NO_REPLICAS), &[same("unclean.leader.election.enable")],
        "Whether a replica that is not in sync may lead when no other is left."),
];
