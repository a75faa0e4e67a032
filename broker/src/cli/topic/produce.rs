//! `tidemill topic produce`: one record per line of stdin.

use std::io::{self, BufRead};
use std::time::Duration;

use clap::Args;
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use std::sync::Mutex;

use crate::cli::error::CliError;
use crate::cli::kafka::{KafkaArgs, REQUEST_TIMEOUT};

#[derive(Debug, Args)]
pub(super) struct ProduceArgs {
    /// The topic.
    topic: String,
    /// Split each line at this text into key and value.
    #[arg(short, long)]
    key_separator: Option<String>,
    /// The partition; without one the key decides.
    #[arg(short, long)]
    partition: Option<i32>,
    /// Compression: none, gzip, snappy, lz4, zstd.
    #[arg(short = 'z', long, default_value = "none")]
    codec: String,
}

/// Sends until stdin ends and waits for every acknowledgement.
pub(super) fn run(kafka: &KafkaArgs, args: &ProduceArgs) -> Result<(), CliError> {
    let mut config = kafka.client()?;
    config.set("compression.codec", &args.codec);
    let producer: ThreadedProducer<FirstFailure> = config.create_with_context(FirstFailure::default())?;
    for line in io::stdin().lock().lines() {
        send(&producer, args, &line?)?;
    }
    producer.flush(REQUEST_TIMEOUT)?;
    match producer.context().0.lock().expect("no holder panics").take() {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

fn send(producer: &ThreadedProducer<FirstFailure>, args: &ProduceArgs, line: &str) -> Result<(), CliError> {
    let (key, value) = match args
        .key_separator
        .as_deref()
        .and_then(|separator| line.split_once(separator))
    {
        Some((key, value)) => (Some(key), value),
        None => (None, line),
    };
    let mut record = BaseRecord::<str, str>::to(&args.topic).payload(value);
    if let Some(key) = key {
        record = record.key(key);
    }
    if let Some(partition) = args.partition {
        record = record.partition(partition);
    }
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                producer.poll(Duration::from_millis(50));
                record = back;
            }
            Err((error, _)) => return Err(error.into()),
        }
    }
}

/// Remembers the first record that the broker refused.
#[derive(Default)]
struct FirstFailure(Mutex<Option<KafkaError>>);

impl ClientContext for FirstFailure {}

impl ProducerContext for FirstFailure {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.0
                .lock()
                .expect("no holder panics")
                .get_or_insert_with(|| error.clone());
        }
    }
}
