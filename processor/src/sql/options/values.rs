//! Values of options: text to what it means, or what it must be, as the end of a sentence about the option.

use std::time::Duration;

use protocol::ids::{Offset, PartitionId, TimestampMs};

use crate::formats::json::parse_timestamp;
use crate::plan::graph::TimestampUnit;
use crate::quantity::{parse_duration, parse_size};

const PARTITIONS_MAX: PartitionId = 10_000;

/// Time between two commits.
pub(in crate::sql) fn epoch_interval(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|interval| match interval.as_millis() {
        1..=60_000 => Ok(interval),
        _ => Err("must be between 1 ms and 1 minute".to_owned()),
    })
}

/// Bytes: at least a mebibyte.
pub(in crate::sql) fn memory_limit(text: &str) -> Result<u64, String> {
    let bytes = parse_size(text).map_err(|_| "must be a size such as 64MiB or 64MB".to_owned())?;
    match 1 << 20 <= bytes {
        true => Ok(bytes),
        false => Err("must be a size of at least 1MiB".to_owned()),
    }
}

/// True where only committed records are read.
pub(in crate::sql) fn isolation(text: &str) -> Result<bool, String> {
    match text.to_lowercase().as_str() {
        "read_committed" => Ok(true),
        "read_uncommitted" => Ok(false),
        _ => Err("must be 'read_committed' or 'read_uncommitted'".to_owned()),
    }
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|_| "must be a duration such as '10 s'".to_owned())
}

pub(super) fn timestamp_unit(text: &str) -> Result<TimestampUnit, String> {
    match text.to_lowercase().as_str() {
        "s" | "second" | "seconds" => Ok(TimestampUnit::Second),
        "ms" | "millisecond" | "milliseconds" => Ok(TimestampUnit::Millisecond),
        "us" | "microsecond" | "microseconds" => Ok(TimestampUnit::Microsecond),
        "ns" | "nanosecond" | "nanoseconds" => Ok(TimestampUnit::Nanosecond),
        _ => Err("must be 's', 'ms', 'us' or 'ns'".to_owned()),
    }
}

pub(super) fn partitions(text: &str) -> Result<PartitionId, String> {
    text.parse()
        .ok()
        .filter(|count| (1..=PARTITIONS_MAX).contains(count))
        .ok_or_else(|| format!("must be between 1 and {PARTITIONS_MAX}"))
}

/// Milliseconds since 1970, as a number or as RFC 3339 text.
pub(super) fn timestamp(text: &str) -> Option<TimestampMs> {
    if let Ok(millis) = text.trim().parse::<TimestampMs>() {
        return (0 <= millis).then_some(millis);
    }
    parse_timestamp(text.trim()).map(|us| us.div_euclid(1000))
}

/// `0:100,1:250`
pub(super) fn offsets(text: &str) -> Option<Vec<(PartitionId, Offset)>> {
    let mut offsets: Vec<(PartitionId, Offset)> = Vec::new();
    for part in text.split(',') {
        let (partition, offset) = part.split_once(':')?;
        let partition: PartitionId = partition.trim().parse().ok().filter(|p| 0 <= *p)?;
        let offset: Offset = offset.trim().parse().ok().filter(|o| 0 <= *o)?;
        if offsets.iter().any(|(p, _)| *p == partition) {
            return None;
        }
        offsets.push((partition, offset));
    }
    offsets.sort_unstable();
    Some(offsets)
}

/// `a, "B c"` as names.
pub(super) fn column_names(text: &str) -> Vec<String> {
    text.split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(|name| match name.strip_prefix('"').and_then(|n| n.strip_suffix('"')) {
            Some(quoted) => quoted.to_owned(),
            None => name.to_lowercase(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_the_configuration() {
        assert_eq!(memory_limit("64MiB"), Ok(64 << 20));
        assert_eq!(memory_limit("1GB"), Ok(1_000_000_000));
        assert!(memory_limit("1MB").is_err(), "below a mebibyte");
        assert!(memory_limit("12").is_err());
        assert!(memory_limit("64 parsec").is_err());
    }
}
