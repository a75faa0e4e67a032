//! The one thing that the coordinator reads in a consumer's otherwise opaque metadata: the topics it subscribes to.

use std::sync::Arc;

use protocol::codec::DecodeError;
pub(crate) use protocol::subscription::CONSUMER_PROTOCOL_TYPE as CONSUMER;

use crate::wire::Reader;

/// Topics of a `ConsumerProtocolSubscription`, in the part that all its versions share: an int16 version and an
/// array of strings. What follows is not looked at, as in Kafka: some clients leave fields out that their version calls
/// for, and their topics count all the same.
pub(crate) fn subscribed_topics(metadata: &[u8]) -> Result<Vec<Arc<str>>, DecodeError> {
    let mut reader = Reader::new(metadata);
    let _version = reader.i16()?;
    reader.array_of(Reader::string)
}
