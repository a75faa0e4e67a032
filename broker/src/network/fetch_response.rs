//! Fetch responses, written around their records: the batches go out from where they were read, without a copy.
//!
//! The codec writes a response in one piece and would copy every record. So the small fields are written by the codec
//! with empty lists, and the lists are filled in here: array counts, then elements, then what the codec put behind the
//! empty list (tagged fields). Layout: `FetchResponse.json` of Apache Kafka, versions 4 to 18.

use std::mem;

use bytes::{BufMut, Bytes, BytesMut};
use protocol::ApiKey;
use protocol::codec::compact::put_count;
use protocol::header::put_response_header;
use protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use protocol::messages::{EncodeMessageError, FetchResponse};

use super::response::{FrameBuilder, ResponseFrame};

/// Room for the small fields of one partition.
const PARTITION_FIELDS: usize = 96;

/// Writes a Fetch response as a frame whose large record parts are shared with `response`.
pub fn encode_fetch(
    correlation_id: i32,
    version: i16,
    mut response: FetchResponse,
) -> Result<ResponseFrame, EncodeMessageError> {
    let topics = mem::take(&mut response.responses);
    let partitions: usize = topics.iter().map(|topic| topic.partitions.len()).sum();
    let mut writer = Writer {
        frame: FrameBuilder::with_capacity(64 + PARTITION_FIELDS * partitions),
        version,
    };
    put_response_header(writer.frame.buffer(), ApiKey::Fetch, version, correlation_id);
    let fields = writer.encoded(&response)?;
    // Behind the empty list of topics the codec wrote the response's tagged fields.
    let list_at = if version < 7 { 4 } else { 10 };
    writer.frame.buffer().put_slice(&fields[..list_at]);
    writer.put_length(topics.len());
    for topic in topics {
        writer.put_topic(topic)?;
    }
    let tags_at = list_at + writer.empty_list_len();
    writer.frame.buffer().put_slice(&fields[tags_at..]);
    Ok(writer.frame.finish())
}

struct Writer {
    frame: FrameBuilder,
    version: i16,
}

impl Writer {
    fn is_flexible(&self) -> bool {
        ApiKey::Fetch.is_flexible(self.version)
    }

    /// Bytes of a list without elements: a count of 0.
    fn empty_list_len(&self) -> usize {
        if self.is_flexible() { 1 } else { 4 }
    }

    /// A length of a list or byte string, as the version writes it.
    fn put_length(&mut self, length: usize) {
        let flexible = self.is_flexible();
        put_count(self.frame.buffer(), flexible, length);
    }

    fn put_topic(&mut self, mut topic: FetchableTopicResponse) -> Result<(), EncodeMessageError> {
        let partitions = mem::take(&mut topic.partitions);
        let fields = self.encoded(&topic)?;
        let tags_len = usize::from(self.is_flexible());
        let list_at = fields.len() - tags_len - self.empty_list_len();
        self.frame.buffer().put_slice(&fields[..list_at]);
        self.put_length(partitions.len());
        for partition in partitions {
            self.put_partition(partition)?;
        }
        self.frame.buffer().put_slice(&fields[fields.len() - tags_len..]);
        Ok(())
    }

    fn put_partition(&mut self, mut partition: PartitionData) -> Result<(), EncodeMessageError> {
        let shared = partition
            .records
            .take_if(|records| FrameBuilder::SHARE_AT_LEAST <= records.len());
        let fields = self.encoded(&partition)?;
        match shared {
            None => self.frame.buffer().put_slice(&fields),
            Some(records) => self.put_around(&fields, records)?,
        }
        Ok(())
    }

    /// Puts records where `fields` says null. Only tagged fields stand behind them, and a partition that has records
    /// has none: they tell of another leader or a diverging log.
    fn put_around(&mut self, fields: &[u8], records: Bytes) -> Result<(), EncodeMessageError> {
        let null: &[u8] = if self.is_flexible() { &[0, 0] } else { &[0xff; 4] };
        let Some(head) = fields.strip_suffix(null) else {
            return Err(self.error("a partition with records has tagged fields".to_owned()));
        };
        self.frame.buffer().put_slice(head);
        self.put_length(records.len());
        self.frame.put_shared(records);
        if self.is_flexible() {
            self.frame.buffer().put_u8(0);
        }
        Ok(())
    }

    fn encoded<T: kafka_protocol::protocol::Encodable>(&self, message: &T) -> Result<BytesMut, EncodeMessageError> {
        let mut out = BytesMut::with_capacity(PARTITION_FIELDS);
        message
            .encode(&mut out, self.version)
            .map_err(|error| self.error(error.to_string()))?;
        Ok(out)
    }

    fn error(&self, reason: String) -> EncodeMessageError {
        EncodeMessageError {
            api_key: ApiKey::Fetch,
            version: self.version,
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::messages::fetch_response::{AbortedTransaction, EpochEndOffset};
    use protocol::messages::{StrBytes, TopicName, encode_response};

    use super::*;

    fn response(version: i16, sizes: &[usize]) -> FetchResponse {
        let partitions = (0..).zip(sizes).map(|(index, size)| {
            let records = Bytes::from(vec![index as u8; *size]);
            PartitionData::default()
                .with_partition_index(index)
                .with_high_watermark(7)
                .with_aborted_transactions(Some(vec![AbortedTransaction::default().with_first_offset(3)]))
                .with_records(Some(records))
        });
        let diverged = PartitionData::default()
            .with_partition_index(99)
            .with_aborted_transactions(None)
            .with_diverging_epoch(EpochEndOffset::default().with_epoch(if version < 12 { -1 } else { 4 }));
        let topic = FetchableTopicResponse::default().with_partitions(partitions.chain([diverged]).collect());
        let topic = match version {
            13.. => topic.with_topic_id(uuid::Uuid::from_u128(5)),
            _ => topic.with_topic(TopicName(StrBytes::from_static_str("clicks"))),
        };
        FetchResponse::default()
            .with_throttle_time_ms(1)
            .with_responses(vec![topic.clone(), topic])
    }

    #[test]
    fn the_bytes_are_those_of_the_codec() {
        for version in 4..=18 {
            for sizes in [&[][..], &[0], &[1023, 1024], &[5000, 1, 70_000]] {
                let response = response(version, sizes);
                let whole = encode_response(version, 42, &response).expect("the codec writes it");
                let frame = encode_fetch(42, version, response).expect("written around its records");
                assert_eq!(frame.parts.concat(), whole, "version {version}, records {sizes:?}");
            }
        }
    }

    #[test]
    fn large_records_are_shared() {
        let response = response(12, &[4096]);
        let records = response.responses[0].partitions[0].records.clone().expect("records");
        let frame = encode_fetch(1, 12, response).expect("written");
        assert!(
            frame
                .parts
                .iter()
                .any(|part| part.as_ptr() == records.as_ptr() && part.len() == 4096)
        );
    }
}
