//! The load: an idempotent producer that writes numbered records, and never gives up while the server is away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use tests::acknowledged::{self, Acknowledged};
use tests::requests::{self, Topic};
use tests::stream::Bed;
use tests::wait;

use super::LONG_WINDOW_MS;
use crate::streaming::Event;

/// Event time between two records.
const STEP_MS: i64 = 5;

/// An idempotent producer that writes records 0, 1, 2, ... until it is told to stop.
pub(super) struct Load {
    acknowledged: Acknowledged,
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
        let (producer, acknowledged) = acknowledged::producer(&bed.broker.kafka_address(), &[("linger.ms", "2")]);
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
            usize::try_from(held_at).is_ok_and(|written| self.acknowledged.count() == written)
        });
        held
    }

    /// Waits for so many more acknowledgements.
    pub(super) fn await_more(&self, more: usize) {
        let before = self.acknowledged.count();
        wait::until(&format!("{more} more acknowledgements"), || {
            self.acknowledged.count() >= before + more
        });
    }

    /// Stops, and gives the number behind the last record. All were acknowledged, once each.
    pub(super) fn finish(self) -> i64 {
        self.orders.stop.store(true, Ordering::SeqCst);
        let end = self.writer.join().expect("the writer ends");
        drop(self.acknowledged.all_of(usize::try_from(end).expect("it counts up")));
        end
    }
}

fn send(producer: &ThreadedProducer<Acknowledged>, topic: &str, partitions: i32, base_ms: i64, next: &mut i64) {
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
