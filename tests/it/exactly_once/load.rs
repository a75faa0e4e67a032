//! The load: an idempotent producer that writes numbered records, and never gives up while the server is away.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use tests::requests::{self, Topic};
use tests::stream::Bed;
use tests::wait;

use super::LONG_WINDOW_MS;
use crate::streaming::Event;

/// Event time between two records.
const STEP_MS: i64 = 5;

/// Counts acknowledgements, and keeps what failed.
#[derive(Clone, Default)]
struct Acknowledgements {
    count: Arc<AtomicUsize>,
    failures: Arc<Mutex<Vec<String>>>,
}

impl ClientContext for Acknowledgements {}

impl ProducerContext for Acknowledgements {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => drop(self.count.fetch_add(1, Ordering::Relaxed)),
            Err((error, _)) => self
                .failures
                .lock()
                .expect("no panic while held")
                .push(error.to_string()),
        }
    }
}

/// An idempotent producer that writes records 0, 1, 2, ... until it is told to stop.
pub(super) struct Load {
    acknowledged: Acknowledgements,
    orders: Arc<Orders>,
    writer: JoinHandle<i64>,
}

/// What the writer is told, and what it tells.
#[derive(Default)]
struct Orders {
    stop: AtomicBool,
    hold: AtomicBool,
    /// The number of the next record, once the writer has seen that it is held; -1 before.
    held_at: AtomicI64,
}

/// A load that is held; it goes on when this is dropped.
pub(super) struct Held<'a>(&'a Load);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.orders.hold.store(false, Ordering::SeqCst);
    }
}

impl Load {
    pub(super) fn start(bed: &Bed, topic: &Topic, partitions: i32, base_ms: i64) -> Load {
        let acknowledged = Acknowledgements::default();
        let producer: ThreadedProducer<Acknowledgements> = ClientConfig::new()
            .set("bootstrap.servers", bed.broker.kafka_address())
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "2")
            .set("message.timeout.ms", "300000")
            .set("retry.backoff.ms", "10")
            .set("retry.backoff.max.ms", "50")
            .set("reconnect.backoff.ms", "10")
            .set("reconnect.backoff.max.ms", "50")
            .create_with_context(acknowledged.clone())
            .expect("a producer");
        let orders = Arc::new(Orders::default());
        let (told, topic) = (Arc::clone(&orders), topic.name.clone());
        let writer = std::thread::spawn(move || {
            let mut next = 0;
            while !told.stop.load(Ordering::SeqCst) {
                if told.hold.load(Ordering::SeqCst) {
                    told.held_at.store(next, Ordering::SeqCst);
                } else {
                    send(&producer, &topic, partitions, base_ms, &mut next);
                }
                // A pace that leaves the machine to the server: a few thousand records per second.
                std::thread::sleep(Duration::from_millis(2));
            }
            producer.flush(Duration::from_secs(120)).expect("everything is sent");
            next
        });
        Load {
            acknowledged,
            orders,
            writer,
        }
    }

    /// Writes nothing more for now; returns when everything that was written is acknowledged.
    pub(super) fn hold(&self) -> Held<'_> {
        let held = Held(self);
        self.orders.held_at.store(-1, Ordering::SeqCst);
        self.orders.hold.store(true, Ordering::SeqCst);
        wait::until("everything to be acknowledged", || {
            let held_at = self.orders.held_at.load(Ordering::SeqCst);
            usize::try_from(held_at).is_ok_and(|written| self.acknowledged() == written)
        });
        held
    }

    fn acknowledged(&self) -> usize {
        self.acknowledged.count.load(Ordering::Relaxed)
    }

    /// Waits for so many more acknowledgements.
    pub(super) fn await_more(&self, more: usize) {
        let before = self.acknowledged();
        wait::until(&format!("{more} more acknowledgements"), || {
            self.acknowledged() >= before + more
        });
    }

    /// Stops, and gives the number behind the last record. All were acknowledged, once each.
    pub(super) fn finish(self) -> i64 {
        self.orders.stop.store(true, Ordering::SeqCst);
        let end = self.writer.join().expect("the writer ends");
        let failures = self.acknowledged.failures.lock().expect("no panic while held").clone();
        assert!(failures.is_empty(), "{failures:?}");
        let sent = usize::try_from(end).expect("it counts up");
        assert_eq!(self.acknowledged.count.load(Ordering::Relaxed), sent);
        end
    }
}

fn send(producer: &ThreadedProducer<Acknowledgements>, topic: &str, partitions: i32, base_ms: i64, next: &mut i64) {
    for _ in 0..6 {
        let value = event(base_ms, *next).json();
        let partition = i32::try_from(*next % i64::from(partitions)).expect("few partitions");
        let record: BaseRecord<'_, (), str> = BaseRecord::to(topic).partition(partition).payload(&value);
        if producer.send(record).is_err() {
            // The queue is full while the server is away.
            return;
        }
        *next += 1;
    }
}

/// Event times begin in the past, at the start of a long window that is over by now.
pub(super) fn base_ms() -> i64 {
    let past = requests::now_ms() - 3 * LONG_WINDOW_MS;
    past - past.rem_euclid(LONG_WINDOW_MS)
}

pub(super) fn event(base_ms: i64, n: i64) -> Event {
    Event {
        ts: base_ms + n * STEP_MS,
        key: format!("k{}", n * 7 % 5),
        value: Some(n),
    }
}
