//! Produce: what acks mean, in which order appends happen, and what an idempotent producer may repeat.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{InitProducerIdRequest, MetadataRequest, ProduceRequest, TransactionalId};
use tests::batch::{self, Batch};
use tests::broker::{Target, TestBroker};
use tests::client::Connection;
use tests::requests::{self, LATEST, Topic, text};
use tests::wait;

const VERSION: i16 = 12;

/// An idempotent producer that says what it wants, right or wrong.
struct Producer {
    connection: Connection,
    topic: Topic,
    id: i64,
    epoch: i16,
}

impl Producer {
    fn new(address: &str) -> Producer {
        let mut connection = Connection::open(address);
        let topic = requests::create_topic(&mut connection, "idempotent", 1, &[]);
        let (id, epoch) = requests::new_producer(&mut connection);
        Producer {
            connection,
            topic,
            id,
            epoch,
        }
    }

    /// Sends `count` records from `sequence` on and gives error code and base offset.
    fn send(&mut self, epoch: i16, sequence: i32, count: usize) -> (i16, i64) {
        let values: Vec<String> = (0..count).map(|number| format!("{sequence}+{number}")).collect();
        let batch = Batch::of_values(requests::now_ms(), &values).from_producer(self.id, epoch, sequence);
        let answer = requests::produce_bytes(&mut self.connection, &self.topic, 0, batch.encode());
        (answer.error_code, answer.base_offset)
    }
}

#[test]
fn acks_0_is_never_answered() {
    let target = Target::start_with(&[]);
    let mut connection = Connection::open(&target.address());
    let topic = requests::create_topic(&mut connection, "acks", 1, &[]);
    let batch = Batch::of_values(requests::now_ms(), &["silent"]).encode();
    connection.send(VERSION, &requests::produce_request(VERSION, &topic, 0, 0, batch));
    // The next answer belongs to the next request.
    let correlation_id = connection.send(12, &MetadataRequest::default().with_topics(Some(Vec::new())));
    connection.receive::<MetadataRequest>(12, correlation_id);
    wait::until("the record to be readable", || {
        requests::read_values(&mut connection, &topic, 0) == [b"silent".to_vec()]
    });
}

/// There is no answer in which to say what went wrong; the client learns by losing the connection.
#[test]
fn acks_0_with_an_error_closes_the_connection() {
    let target = Target::start_with(&[]);
    let mut connection = Connection::open(&target.address());
    let batch = Batch::of_values(requests::now_ms(), &["lost"]).encode();
    connection.send(
        VERSION,
        &requests::produce_request(VERSION, &Topic::unknown(), 0, 0, batch),
    );
    assert!(connection.is_closed_by_peer());
}

#[test]
fn pipelined_batches_of_one_connection_keep_their_order() {
    let target = Target::start_with(&[]);
    let mut connection = Connection::open(&target.address());
    let topic = requests::create_topic(&mut connection, "order", 1, &[]);
    let numbers: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    let sent: Vec<i32> = numbers
        .iter()
        .enumerate()
        .map(|(index, number)| {
            let batch = Batch::of_values(requests::now_ms(), &[number]).encode();
            let acks = if index % 3 == 0 { 1 } else { -1 };
            connection.send(VERSION, &requests::produce_request(VERSION, &topic, 0, acks, batch))
        })
        .collect();
    for (offset, correlation_id) in (0_i64..).zip(sent) {
        let response = connection.receive::<ProduceRequest>(VERSION, correlation_id);
        let answer = &response.responses[0].partition_responses[0];
        assert_eq!((answer.error_code, answer.base_offset), (0, offset));
    }
    let read: Vec<String> = requests::read_values(&mut connection, &topic, 0)
        .into_iter()
        .map(|value| String::from_utf8(value).expect("digits"))
        .collect();
    assert_eq!(read, numbers);
}

#[test]
fn one_request_reaches_many_partitions_and_fails_only_where_it_must() {
    let target = Target::start_with(&[]);
    let mut connection = Connection::open(&target.address());
    let topic = requests::create_topic(&mut connection, "many", 2, &[]);
    let batch = Batch::of_values(requests::now_ms(), &["x"]).encode();
    let mut request = requests::produce_request(VERSION, &topic, 0, -1, batch.clone());
    let template = request.topic_data[0].partition_data[0].clone();
    let mut corrupt = batch;
    *corrupt.last_mut().expect("a batch is not empty") ^= 1;
    request.topic_data[0].partition_data.extend([
        template.clone().with_index(1).with_records(Some(corrupt.into())),
        template.with_index(2),
    ]);
    let response = connection.call(VERSION, &request);
    let mut codes: Vec<(i32, i16)> = response.responses[0]
        .partition_responses
        .iter()
        .map(|partition| (partition.index, partition.error_code))
        .collect();
    codes.sort_unstable();
    let corrupt = ResponseError::CorruptMessage.code();
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    assert_eq!(codes, [(0, 0), (1, corrupt), (2, unknown)]);
}

#[test]
fn a_repeated_batch_is_written_once_and_answered_with_its_first_offset() {
    let target = Target::start_with(&[]);
    let mut producer = Producer::new(&target.address());
    let epoch = producer.epoch;
    assert_eq!(producer.send(epoch, 0, 3), (0, 0));
    assert_eq!(producer.send(epoch, 3, 2), (0, 3));
    assert_eq!(producer.send(epoch, 5, 1), (0, 5));
    for (sequence, count, offset) in [(3, 2, 3), (0, 3, 0), (5, 1, 5)] {
        assert_eq!(producer.send(epoch, sequence, count), (0, offset), "repeated");
    }
    let (connection, topic) = (&mut producer.connection, &producer.topic);
    assert_eq!(requests::list_offset(connection, topic, 0, LATEST).offset, 6);
}

#[test]
fn a_gap_or_a_batch_from_before_the_window_is_out_of_order() {
    let target = Target::start_with(&[]);
    let mut producer = Producer::new(&target.address());
    let epoch = producer.epoch;
    for sequence in 0..6 {
        assert_eq!(producer.send(epoch, sequence, 1), (0, i64::from(sequence)));
    }
    let out_of_order = ResponseError::OutOfOrderSequenceNumber.code();
    assert_eq!(producer.send(epoch, 7, 1), (out_of_order, -1), "a gap");
    // The window holds five batches: 1 to 5. Kafka says "duplicate" or "out of order" about what lies before it.
    let (code, _) = producer.send(epoch, 0, 1);
    assert!(
        [out_of_order, ResponseError::DuplicateSequenceNumber.code()].contains(&code),
        "code {code}"
    );
    assert_eq!(producer.send(epoch, 1, 1), (0, 1), "the oldest batch in the window");
    assert_eq!(producer.send(epoch, 6, 1), (0, 6), "errors leave no trace");
}

#[test]
fn an_older_epoch_is_fenced_and_a_newer_one_starts_at_zero() {
    let target = Target::start_with(&[]);
    let mut producer = Producer::new(&target.address());
    let epoch = producer.epoch;
    assert_eq!(producer.send(epoch, 0, 2), (0, 0));
    let out_of_order = ResponseError::OutOfOrderSequenceNumber.code();
    assert_eq!(
        producer.send(epoch + 1, 2, 1).0,
        out_of_order,
        "a new epoch starts at sequence 0"
    );
    assert_eq!(producer.send(epoch + 1, 0, 1), (0, 2));
    assert_eq!(producer.send(epoch, 2, 1).0, ResponseError::InvalidProducerEpoch.code());
}

#[test]
fn log_append_time_is_the_brokers_and_is_told_to_the_producer() {
    let target = Target::start_with(&[]);
    let mut connection = Connection::open(&target.address());
    let configs = [("message.timestamp.type", "LogAppendTime")];
    let topic = requests::create_topic(&mut connection, "append-time", 1, &configs);
    let before = requests::now_ms();
    let sent = Batch::of_values(1_000, &["old"]);
    let answer = requests::produce_bytes(&mut connection, &topic, 0, sent.encode());
    assert_eq!(answer.error_code, 0, "{answer:?}");
    assert!(
        (before..=requests::now_ms()).contains(&answer.log_append_time_ms),
        "{answer:?}"
    );

    let stored = &requests::read_all(&mut connection, &topic, 0)[0];
    assert_eq!(stored.max_timestamp, answer.log_append_time_ms);
    assert_eq!(stored.attributes & batch::LOG_APPEND_TIME, batch::LOG_APPEND_TIME);
    assert_eq!(stored.records, sent.records, "the records are as they came");
}

#[test]
fn clients_may_not_write_internal_topics() {
    let broker = TestBroker::start();
    let mut connection = Connection::open(&broker.kafka_address());
    // The first commit creates it.
    let topic = requests::create_topic(&mut connection, "internal", 1, &[]);
    crate::groups::commit_simple(&mut connection, &requests::unique("internal"), &topic, 1);
    let internal = Topic {
        name: "__consumer_offsets".to_owned(),
        id: uuid::Uuid::nil(),
    };
    let batch = Batch::of_values(requests::now_ms(), &["forged"]).encode();
    let answer = requests::produce_bytes(&mut connection, &internal, 0, batch);
    assert_eq!(answer.error_code, ResponseError::InvalidTopicException.code());
}

/// Transactions for clients are not there yet: one fixed answer, and one that no client retries.
#[test]
fn a_transactional_id_is_refused_for_good() {
    let broker = TestBroker::start();
    let mut connection = Connection::open(&broker.kafka_address());
    let request = InitProducerIdRequest::default()
        .with_transactional_id(Some(TransactionalId(text("payments"))))
        .with_transaction_timeout_ms(60_000);
    let codes: Vec<i16> = (0..2).map(|_| connection.call(4, &request).error_code).collect();
    assert_eq!(codes[0], codes[1]);
    let error = ResponseError::try_from_code(codes[0]).expect("an error");
    assert!(!error.is_retriable(), "{error:?}");
}
