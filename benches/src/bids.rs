//! Fills a topic with bids of an auction, for the streaming benchmarks: the `bid` stream of Nexmark with its hot
//! auctions and bidders, as JSON of about 330 bytes, seeded, with event time advancing by 100 microseconds per bid.

use std::time::Duration;

use clap::Parser;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

/// Event time of the first bid: 2026-01-01T00:00:00Z.
const FIRST_EVENT_MS: i64 = 1_767_225_600_000;
const BIDS_PER_MS: i64 = 10;
const CHANNELS: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];
const VALUE_BYTES: usize = 330;

#[derive(Parser)]
struct Args {
    /// Address of the broker.
    #[arg(short, long, default_value = "127.0.0.1:9092")]
    brokers: String,
    /// Topic; the broker creates it or it exists.
    #[arg(short, long, default_value = "bids")]
    topic: String,
    /// Bids to send.
    #[arg(short = 'n', long, default_value_t = 3_000_000)]
    count: i64,
    /// Partitions of the topic, filled in turn.
    #[arg(short, long, default_value_t = 2)]
    partitions: i32,
}

fn main() -> Result<(), KafkaError> {
    let args = Args::parse();
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", &args.brokers)
        .set("linger.ms", "20")
        .set("batch.size", "1000000")
        .set("acks", "all")
        .create()?;
    let mut bids = Bids {
        random: StdRng::seed_from_u64(42),
        value: String::with_capacity(VALUE_BYTES),
    };
    for index in 0..args.count {
        let partition = (index % i64::from(args.partitions)) as i32;
        send(
            &producer,
            &args.topic,
            partition,
            FIRST_EVENT_MS + index / BIDS_PER_MS,
            bids.next(index),
        )?;
    }
    producer.flush(Duration::from_secs(120))
}

fn send(
    producer: &ThreadedProducer<DefaultProducerContext>,
    topic: &str,
    partition: i32,
    time_ms: i64,
    value: &str,
) -> Result<(), KafkaError> {
    let mut record = BaseRecord::<(), str>::to(topic)
        .partition(partition)
        .timestamp(time_ms)
        .payload(value);
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                producer.poll(Duration::from_millis(1));
                record = back;
            }
            Err((error, _)) => return Err(error),
        }
    }
}

struct Bids {
    random: StdRng,
    value: String,
}

impl Bids {
    /// One bid; half of them go to the newest hundredth auction, three quarters come from a hot bidder.
    fn next(&mut self, index: i64) -> &str {
        use std::fmt::Write as _;
        let newest = 1000 + index / 15;
        let auction = if self.random.random_range(0..2) == 0 {
            newest / 100 * 100
        } else {
            newest - self.random.random_range(0..100)
        };
        let bidder = if self.random.random_range(0..4) > 0 {
            1000 + index / 50 / 100 * 100
        } else {
            1000 + self.random.random_range(0..1000)
        };
        let price = (10f64.powf(self.random.random_range(0.0..6.0)) * 100.0) as i64;
        let channel = CHANNELS[self.random.random_range(0..CHANNELS.len())];
        let time = FIRST_EVENT_MS + index / BIDS_PER_MS;
        self.value.clear();
        write!(
            self.value,
            "{{\"auction\":{auction},\"bidder\":{bidder},\"price\":{price},\"channel\":\"{channel}\",\
             \"url\":\"https://www.nexmark.com/{channel}/item.htm?query=1&channel_id={}\",\"date_time\":{time},\"extra\":\"",
            self.random.random_range(0..1_000_000),
        )
        .expect("writing to a String cannot fail");
        while self.value.len() < VALUE_BYTES - 2 {
            self.value.push(char::from(b'a' + self.random.random_range(0..26)));
        }
        self.value.push_str("\"}");
        &self.value
    }
}
