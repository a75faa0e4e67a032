//! Arithmetic of producer epochs, which run out: their producer then gets a new id.
//!
//! Source: Kafka's `TransactionMetadata.isEpochExhausted`.

use protocol::ids::ProducerEpoch;

/// The last epoch that a producer is given. One more is kept in hand, so that its holder can still be fenced.
pub const PRODUCER_EPOCH_MAX: ProducerEpoch = ProducerEpoch::MAX - 1;

/// The epoch after `epoch`, or nothing when a new producer id is needed.
pub const fn next_epoch(epoch: ProducerEpoch) -> Option<ProducerEpoch> {
    if PRODUCER_EPOCH_MAX <= epoch {
        None
    } else {
        Some(epoch + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::next_epoch;

    #[test]
    fn the_last_epoch_is_kept_for_fencing() {
        assert_eq!(next_epoch(0), Some(1));
        assert_eq!(next_epoch(32_765), Some(32_766));
        assert_eq!(next_epoch(32_766), None);
        assert_eq!(next_epoch(32_767), None);
    }
}
