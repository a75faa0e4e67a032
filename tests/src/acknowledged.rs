//! An idempotent producer that does not give up while its server is away, and what was acknowledged to it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{ProducerContext, ThreadedProducer};

/// Values by (partition, offset).
pub type Places = HashMap<(i32, i64), Vec<u8>>;

/// What was acknowledged so far: place and value.
#[derive(Clone, Debug, Default)]
pub struct Acknowledged {
    places: Arc<Mutex<Places>>,
    failures: Arc<Mutex<Vec<String>>>,
}

impl Acknowledged {
    /// How many records were acknowledged.
    #[must_use]
    pub fn count(&self) -> usize {
        self.places.lock().expect("no panic while held").len()
    }

    /// All acknowledged records, when the producer is done with its `sent` records: each was acknowledged once.
    ///
    /// # Panics
    /// When one was not.
    pub fn all_of(&self, sent: usize) -> MutexGuard<'_, Places> {
        let failures = self.failures.lock().expect("no panic while held");
        assert!(failures.is_empty(), "{failures:?}");
        let places = self.places.lock().expect("no panic while held");
        assert_eq!(places.len(), sent, "every record was acknowledged once");
        places
    }
}

impl ClientContext for Acknowledged {}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let message = match result {
            Ok(message) => message,
            Err((error, _)) => {
                let mut failures = self.failures.lock().expect("no panic while held");
                return failures.push(error.to_string());
            }
        };
        let place = (message.partition(), message.offset());
        let value = message.payload().expect("a value").to_vec();
        if self
            .places
            .lock()
            .expect("no panic while held")
            .insert(place, value)
            .is_some()
        {
            let mut failures = self.failures.lock().expect("no panic while held");
            failures.push(format!("{place:?} was acknowledged twice"));
        }
    }
}

/// A producer with acks=all that never gives up within a test; `settings` are librdkafka's, over those that make it so.
///
/// # Panics
/// When librdkafka refuses a setting.
pub fn producer(address: &str, settings: &[(&str, &str)]) -> (ThreadedProducer<Acknowledged>, Acknowledged) {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", address)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("message.timeout.ms", "300000")
        .set("retry.backoff.ms", "10")
        .set("retry.backoff.max.ms", "50")
        .set("reconnect.backoff.ms", "10")
        .set("reconnect.backoff.max.ms", "50");
    for (key, value) in settings {
        config.set(*key, *value);
    }
    let acknowledged = Acknowledged::default();
    let producer = config.create_with_context(acknowledged.clone());
    (producer.expect("a producer"), acknowledged)
}
