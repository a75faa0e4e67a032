//! Produce and the producer ids.

use kafka_protocol::messages::{InitProducerIdRequest, ProduceRequest, produce_request};

use super::{INT16, INT32, INT64, Kind, Schema, Shape, UUID, field};
use crate::api_key::ApiKey;

pub(super) static PRODUCE: Schema = Schema::new(ApiKey::Produce, (3, 13), &PRODUCE_BODY);

static PRODUCE_BODY: Shape = Shape::new::<ProduceRequest>(&[
    field("transactional_id", Kind::Text).nullable(),
    field("acks", INT16),
    field("timeout_ms", INT32),
    field("topic_data", Kind::Array(&Kind::Struct(&PRODUCE_TOPIC))),
]);

static PRODUCE_TOPIC: Shape = Shape::new::<produce_request::TopicProduceData>(&[
    field("name", Kind::Text).until(12),
    field("topic_id", UUID).since(13),
    field("partition_data", Kind::Array(&Kind::Struct(&PRODUCE_PARTITION))),
]);

static PRODUCE_PARTITION: Shape = Shape::new::<produce_request::PartitionProduceData>(&[
    field("index", INT32),
    field("records", Kind::Bytes).nullable(),
]);

pub(super) static INIT_PRODUCER_ID: Schema = Schema::new(ApiKey::InitProducerId, (0, 5), &INIT_PRODUCER_ID_BODY);

static INIT_PRODUCER_ID_BODY: Shape = Shape::new::<InitProducerIdRequest>(&[
    field("transactional_id", Kind::Text).nullable(),
    field("transaction_timeout_ms", INT32),
    field("producer_id", INT64).since(3),
    field("producer_epoch", INT16).since(3),
]);
