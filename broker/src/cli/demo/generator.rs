//! Sends events through the Kafka protocol at a steady rate, on a thread of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

use super::events::Events;
use crate::cli::error::CliError;
use crate::cli::kafka::{KafkaArgs, REQUEST_TIMEOUT};
use crate::env::Env;

/// Events are sent in small groups, so that a sleep is long enough to be kept.
const TICK: Duration = Duration::from_millis(5);

/// A running generator; dropping it without [`Generator::stop`] leaves the thread to end with the process.
pub(super) struct Generator {
    sent: Arc<AtomicU64>,
    stopping: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Generator {
    /// Starts to send `rate` events per second.
    pub(super) fn start(kafka: &KafkaArgs, env: Arc<Env>, seed: u64, rate: u64) -> Result<Generator, CliError> {
        let mut config = kafka.client()?;
        config.set("client.id", "tidemill-demo");
        config.set("linger.ms", "5");
        config.set("enable.idempotence", "true");
        let producer: ThreadedProducer<DefaultProducerContext> = config.create()?;
        let sent = Arc::new(AtomicU64::new(0));
        let stopping = Arc::new(AtomicBool::new(false));
        let thread = thread::Builder::new().name("demo-events".to_owned()).spawn({
            let (sent, stopping) = (Arc::clone(&sent), Arc::clone(&stopping));
            move || run(&producer, &env, Events::new(seed), rate, &sent, &stopping)
        })?;
        Ok(Generator { sent, stopping, thread })
    }

    /// Events handed to the client so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Stops sending and waits for the acknowledgements.
    pub(super) fn stop(self) {
        self.stopping.store(true, Ordering::Relaxed);
        if self.thread.join().is_err() {
            tracing::error!("the event generator panicked");
        }
    }
}

fn run(
    producer: &ThreadedProducer<DefaultProducerContext>,
    env: &Env,
    mut events: Events,
    rate: u64,
    sent: &AtomicU64,
    stopping: &AtomicBool,
) {
    let started = env.monotonic();
    while !stopping.load(Ordering::Relaxed) {
        let elapsed = env.monotonic() - started;
        let due = (elapsed.as_nanos() * u128::from(rate) / 1_000_000_000) as u64;
        while sent.load(Ordering::Relaxed) < due {
            let event = events.next(env.now_ms());
            let record = BaseRecord::<str, str>::to(event.topic)
                .key(&event.key)
                .payload(&event.value);
            if producer.send(record).is_err() {
                // The local queue is full: the server is slower than the rate; what is due waits for the next tick.
                break;
            }
            sent.fetch_add(1, Ordering::Relaxed);
        }
        producer.poll(TICK);
    }
    // A server that is already gone cannot acknowledge; the demo ends all the same.
    let _ = producer.flush(REQUEST_TIMEOUT.min(Duration::from_secs(2)));
}
