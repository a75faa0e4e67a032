//! Record batches that must not reach the log. Each case states what is wrong, the code that is due, and that nothing
//! was written.

use kafka_protocol::error::ResponseError;
use tests::batch::{self, Batch};
use tests::broker::Target;
use tests::client::Connection;
use tests::requests::{self, LATEST, Topic};

/// Kafka's default `max.message.bytes`: a MiB and the twelve bytes in front of a batch's length.
const MESSAGE_BYTES_MAX: usize = 1_048_588;

struct Bed {
    target: Target,
    connection: Connection,
    topic: Topic,
}

impl Bed {
    fn new() -> Bed {
        let target = Target::start_with(&[]);
        let mut connection = Connection::open(&target.address());
        let topic = requests::create_topic(&mut connection, "bad-batches", 1, &[]);
        Bed {
            target,
            connection,
            topic,
        }
    }

    #[track_caller]
    fn assert_refused(&mut self, bytes: Vec<u8>, allowed: &[ResponseError]) {
        let before = self.log_end();
        let answer = requests::produce_bytes(&mut self.connection, &self.topic, 0, bytes);
        let mut allowed: Vec<i16> = allowed.iter().map(ResponseError::code).collect();
        if self.target.own().is_none() {
            // Kafka trips over some of these and says that it does not know what happened.
            allowed.push(ResponseError::UnknownServerError.code());
        }
        assert!(
            allowed.contains(&answer.error_code),
            "due is one of {allowed:?}: {answer:?}"
        );
        assert_eq!(answer.base_offset, -1);
        assert_eq!(self.log_end(), before, "nothing was written");
    }

    fn log_end(&mut self) -> i64 {
        requests::list_offset(&mut self.connection, &self.topic, 0, LATEST).offset
    }
}

fn honest() -> Batch {
    Batch::of_values(requests::now_ms(), &["one", "two"])
}

#[test]
fn a_wrong_crc_is_a_corrupt_message() {
    let mut bed = Bed::new();
    for at in [17, 20, 21, 30, 60, 61] {
        let mut bytes = honest().encode();
        bytes[at] ^= 0x40;
        // A flipped attribute bit may also be refused for what it then means.
        bed.assert_refused(bytes, &[ResponseError::CorruptMessage, ResponseError::InvalidRecord]);
    }
    let mut last = honest().encode();
    *last.last_mut().expect("a batch is not empty") ^= 0x01;
    bed.assert_refused(last, &[ResponseError::CorruptMessage]);
}

#[test]
fn the_largest_batch_is_accepted_and_one_byte_more_is_not() {
    let mut bed = Bed::new();
    // A batch has to fit into a segment too.
    let roomy = ("segment.bytes", "16777216");
    bed.topic = requests::create_topic(&mut bed.connection, "bad-batches", 1, &[roomy]);
    let fits = Batch::of_total_bytes(requests::now_ms(), MESSAGE_BYTES_MAX);
    assert_eq!(requests::produce(&mut bed.connection, &bed.topic, 0, &fits), 0);
    let too_large = Batch::of_total_bytes(requests::now_ms(), MESSAGE_BYTES_MAX + 1);
    bed.assert_refused(too_large.encode(), &[ResponseError::MessageTooLarge]);

    let larger = [("max.message.bytes", "2200000"), roomy];
    let topic = requests::create_topic(&mut bed.connection, "large-batches", 1, &larger);
    let allowed = Batch::of_total_bytes(requests::now_ms(), 2_200_000);
    assert_eq!(requests::produce(&mut bed.connection, &topic, 0, &allowed), 0);
    assert_eq!(requests::read_all(&mut bed.connection, &topic, 0).len(), 1);
}

#[test]
fn no_batch_and_two_batches_are_invalid_records() {
    let mut bed = Bed::new();
    bed.assert_refused(Vec::new(), &[ResponseError::InvalidRecord]);
    let twice = [honest().encode(), honest().encode()].concat();
    bed.assert_refused(twice, &[ResponseError::InvalidRecord]);
}

#[test]
fn a_batch_length_that_lies_is_refused() {
    let mut bed = Bed::new();
    let refusals = [ResponseError::CorruptMessage, ResponseError::InvalidRecord];
    for length in [-1, 0, 8, 48, 49, 10_000, i32::MAX] {
        let mut bytes = honest().encode();
        bytes[8..12].copy_from_slice(&i32::to_be_bytes(length));
        bed.assert_refused(bytes, &refusals);
    }
    for cut in [1, 11, 16, 17, 60, 61] {
        bed.assert_refused(honest().encode()[..cut].to_vec(), &refusals);
    }
}

#[test]
fn old_magic_is_refused() {
    let mut bed = Bed::new();
    for magic in [0, 1, 3, 0xff] {
        let mut bytes = honest().encode();
        bytes[16] = magic;
        bed.assert_refused(bytes, &[ResponseError::InvalidRecord, ResponseError::CorruptMessage]);
    }
}

#[test]
fn a_header_that_contradicts_itself_is_an_invalid_record() {
    let mut bed = Bed::new();
    let invalid = [ResponseError::InvalidRecord];
    bed.assert_refused(Batch { count: 3, ..honest() }.encode(), &invalid);
    bed.assert_refused(Batch { count: 1, ..honest() }.encode(), &invalid);
    bed.assert_refused(
        Batch {
            count: 0,
            last_offset_delta: -1,
            ..honest()
        }
        .encode(),
        &invalid,
    );
    bed.assert_refused(
        Batch {
            count: -1,
            last_offset_delta: -2,
            ..honest()
        }
        .encode(),
        &invalid,
    );
    bed.assert_refused(
        Batch {
            last_offset_delta: i32::MAX,
            ..honest()
        }
        .encode(),
        &invalid,
    );
    bed.assert_refused(
        Batch {
            attributes: batch::CONTROL,
            ..honest()
        }
        .encode(),
        &invalid,
    );
    bed.assert_refused(
        Batch {
            base_sequence: -1,
            ..honest().from_producer(1, 0, 0)
        }
        .encode(),
        &invalid,
    );
}

#[test]
fn time_more_than_an_hour_ahead_is_an_invalid_timestamp() {
    let mut bed = Bed::new();
    let ahead = requests::now_ms() + 2 * 60 * 60 * 1_000;
    bed.assert_refused(
        Batch::of_values(ahead, &["later"]).encode(),
        &[ResponseError::InvalidTimestamp],
    );
    let past = Batch::of_values(0, &["1970"]);
    assert_eq!(requests::produce(&mut bed.connection, &bed.topic, 0, &past), 0);
}

#[test]
fn acks_are_minus_one_zero_or_one() {
    let mut bed = Bed::new();
    for acks in [2, -2, 5, i16::MAX] {
        let request = requests::produce_request(12, &bed.topic, 0, acks, honest().encode());
        let response = bed.connection.call(12, &request);
        let code = response.responses[0].partition_responses[0].error_code;
        assert_eq!(code, ResponseError::InvalidRequiredAcks.code(), "acks={acks}");
    }
    assert_eq!(bed.log_end(), 0);
}

/// zstd came with version 7; a client that old could not have compressed so.
#[test]
fn zstd_needs_a_newer_produce() {
    let mut bed = Bed::new();
    let plain = honest();
    let records = batch::zstd_frame(&batch::encode_records(&plain.records));
    let bytes = Batch {
        attributes: batch::ZSTD,
        ..plain
    }
    .encode_around(&records);

    let old = requests::produce_request(6, &bed.topic, 0, -1, bytes.clone());
    let refused = bed.connection.call(6, &old).responses[0].partition_responses[0].error_code;
    assert_eq!(refused, ResponseError::UnsupportedCompressionType.code());
    assert_eq!(bed.log_end(), 0);

    let topic = requests::create_topic(&mut bed.connection, "zstd", 1, &[("compression.type", "zstd")]);
    let new = requests::produce_request(7, &topic, 0, -1, bytes);
    assert_eq!(
        bed.connection.call(7, &new).responses[0].partition_responses[0].error_code,
        0
    );
    // Kafka 4.3 leaves an old reader to find out by itself; refusing is allowed, other bytes are not.
    let old = bed
        .connection
        .call(9, &requests::fetch_request(9, &topic, 0, 0))
        .responses[0]
        .partitions[0]
        .clone();
    let new = bed
        .connection
        .call(10, &requests::fetch_request(10, &topic, 0, 0))
        .responses[0]
        .partitions[0]
        .clone();
    assert_eq!(new.error_code, 0);
    if old.error_code != ResponseError::UnsupportedCompressionType.code() {
        assert_eq!((old.error_code, old.records), (0, new.records));
    }
}

#[test]
fn codecs_that_do_not_exist_are_refused() {
    let mut bed = Bed::new();
    let refusals = [
        ResponseError::UnsupportedCompressionType,
        ResponseError::InvalidRecord,
        ResponseError::CorruptMessage,
    ];
    for codec in [5, 6, 7] {
        bed.assert_refused(
            Batch {
                attributes: codec,
                ..honest()
            }
            .encode(),
            &refusals,
        );
    }
}
