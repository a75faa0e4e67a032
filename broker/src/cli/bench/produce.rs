//! `tidemill bench produce` and the sending loop that `latency` shares.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use hdrhistogram::Histogram;
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};

use super::disk::DiskCeiling;
use super::payload::Payload;
use super::report::Report;
use super::server::ServerUsage;
use super::{CliError, ProduceArgs};
use crate::env::Env;

const FLUSH_TIMEOUT: Duration = Duration::from_secs(120);
/// Latencies above this are counted as this, in microseconds.
const LATENCY_US_MAX: u64 = 3_600_000_000;
/// How long the local queue is given to drain before a record is tried again.
const QUEUE_FULL_PAUSE: Duration = Duration::from_micros(500);

/// Sends all records and reports; latency is recorded only where a rate was asked for, since without one it measures
/// the client's own queue.
pub(super) fn run(args: &ProduceArgs) -> Result<Report, CliError> {
    let disk = args.target.disk.as_deref().map(DiskCeiling::measure).transpose()?;
    args.target.ensure_topic()?;
    let producer: ThreadedProducer<Deliveries> = args.client()?.create_with_context(Deliveries::new())?;
    warm_up(&producer, args)?;

    let before = args.target.pid.map(ServerUsage::read).transpose()?;
    let started = producer.context().start();
    let sent_bytes = send_all(&producer, args, started)?;
    producer.flush(FLUSH_TIMEOUT)?;
    let elapsed = producer.context().env.monotonic() - started;
    let after = args.target.pid.map(ServerUsage::read).transpose()?;

    let deliveries = producer.context();
    let errors = deliveries.errors.load(Ordering::Relaxed);
    let records = args.records - errors;
    Ok(Report {
        name: "produce",
        records,
        bytes: sent_bytes / args.records.max(1) * records,
        errors,
        elapsed,
        latency_us: (args.rate > 0).then(|| deliveries.latency()),
        server: before.zip(after),
        disk,
    })
}

/// One record before the clock starts, so that connections and metadata are there.
fn warm_up(producer: &ThreadedProducer<Deliveries>, args: &ProduceArgs) -> Result<(), CliError> {
    let record = BaseRecord::<(), [u8], usize>::with_opaque_to(&args.target.topic, 0).payload(b"warm-up");
    producer.send(record).map_err(|(error, _)| error)?;
    producer.flush(FLUSH_TIMEOUT)?;
    match producer.context().errors.load(Ordering::Relaxed) {
        0 => Ok(()),
        _ => Err(CliError::failed("the broker refused the first record")),
    }
}

fn send_all(producer: &ThreadedProducer<Deliveries>, args: &ProduceArgs, started: Duration) -> Result<u64, CliError> {
    let env = &producer.context().env;
    let payload = Payload::new(args.size);
    let mut bytes = 0_u64;
    for index in 0..args.records {
        let intended = intended_send_time(index, args.rate);
        wait_until(env, started + intended);
        let key = (args.keys > 0).then(|| (index % args.keys).to_string());
        let value = payload.value(index);
        bytes += (value.len() + key.as_ref().map_or(0, String::len)) as u64;
        let sent = if args.rate > 0 {
            started + intended
        } else {
            env.monotonic()
        };
        send_one(producer, &args.target.topic, key.as_deref(), value, sent)?;
    }
    Ok(bytes)
}

/// Open loop: the time a record is due does not depend on how the ones before it fared.
fn intended_send_time(index: u64, rate: u64) -> Duration {
    match rate {
        0 => Duration::ZERO,
        rate => Duration::from_nanos((u128::from(index) * 1_000_000_000 / u128::from(rate)) as u64),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "an open loop sends by the clock and by nothing else"
)]
fn wait_until(env: &Env, due: Duration) {
    let Some(left) = due.checked_sub(env.monotonic()) else {
        return;
    };
    if left > Duration::from_micros(60) {
        thread::sleep(left);
    }
}

fn send_one(
    producer: &ThreadedProducer<Deliveries>,
    topic: &str,
    key: Option<&str>,
    value: &[u8],
    sent: Duration,
) -> Result<(), CliError> {
    let mut record = BaseRecord::<str, [u8], usize>::with_opaque_to(topic, sent.as_nanos() as usize).payload(value);
    if let Some(key) = key {
        record = record.key(key);
    }
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                producer.poll(QUEUE_FULL_PAUSE);
                record = back;
            }
            Err((error, _)) => return Err(error.into()),
        }
    }
}

/// Counts acknowledgements on librdkafka's thread; the opaque value is the send time in nanoseconds on `env`'s clock.
pub(super) struct Deliveries {
    env: Env,
    counting: AtomicBool,
    errors: AtomicU64,
    latency_us: Mutex<Histogram<u64>>,
}

impl Deliveries {
    fn new() -> Deliveries {
        let histogram = Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("the bounds are valid");
        Deliveries {
            env: Env::system(),
            counting: AtomicBool::new(false),
            errors: AtomicU64::new(0),
            latency_us: Mutex::new(histogram),
        }
    }

    /// Records latencies from now on.
    fn start(&self) -> Duration {
        self.counting.store(true, Ordering::Relaxed);
        self.env.monotonic()
    }

    fn latency(&self) -> Histogram<u64> {
        self.latency_us.lock().expect("no holder panics").clone()
    }
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, sent_ns: usize) {
        if result.is_err() {
            self.errors.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if !self.counting.load(Ordering::Relaxed) {
            return;
        }
        let taken = self
            .env
            .monotonic()
            .saturating_sub(Duration::from_nanos(sent_ns as u64));
        self.latency_us
            .lock()
            .expect("no holder panics")
            .saturating_record(taken.as_micros() as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_times_follow_the_rate_and_not_each_other() {
        assert_eq!(intended_send_time(0, 1000), Duration::ZERO);
        assert_eq!(intended_send_time(1500, 1000), Duration::from_millis(1500));
        assert_eq!(intended_send_time(u64::MAX / 4, 0), Duration::ZERO);
    }
}
