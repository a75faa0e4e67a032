//! The demo's world: a web shop whose visitors click and buy. The same seed gives the same visitors.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

const PAGES: [&str; 8] = [
    "/",
    "/search",
    "/product/1",
    "/product/2",
    "/product/3",
    "/cart",
    "/checkout",
    "/help",
];
const COUNTRIES: [&str; 6] = ["DE", "FR", "US", "JP", "BR", "IN"];
const MERCHANTS: [&str; 5] = ["shoes", "books", "games", "garden", "travel"];
const USERS: u64 = 5_000;
const CARDS: u64 = 800;
/// One event in this many is a purchase.
const PURCHASE_EVERY: u32 = 8;
/// A stolen card is used far more often than others.
const STOLEN_CARD: u64 = 13;

/// An endless, seeded sequence of events.
pub(super) struct Events {
    random: StdRng,
    purchases: u64,
}

/// One event, ready to send.
pub(super) struct Event {
    /// The topic that it belongs to.
    pub(super) topic: &'static str,
    /// Partitioning key.
    pub(super) key: String,
    /// JSON.
    pub(super) value: String,
}

/// Topic of clicks.
pub(super) const CLICKS: &str = "clicks";
/// Topic of purchases.
pub(super) const PURCHASES: &str = "purchases";

impl Events {
    /// Starts the sequence.
    pub(super) fn new(seed: u64) -> Events {
        Events {
            random: StdRng::seed_from_u64(seed),
            purchases: 0,
        }
    }

    /// The next event, dated `now_ms`.
    pub(super) fn next(&mut self, now_ms: i64) -> Event {
        if self.random.random_range(0..PURCHASE_EVERY) == 0 {
            self.purchase(now_ms)
        } else {
            self.click(now_ms)
        }
    }

    fn click(&mut self, now_ms: i64) -> Event {
        let user = self.random.random_range(0..USERS);
        let value = json!({
            "user_id": user,
            "page": self.pick(&PAGES),
            "country": self.pick(&COUNTRIES),
            "ts": now_ms,
        });
        Event {
            topic: CLICKS,
            key: user.to_string(),
            value: value.to_string(),
        }
    }

    fn purchase(&mut self, now_ms: i64) -> Event {
        self.purchases += 1;
        let stolen = self.random.random_range(0..40) == 0;
        let card = if stolen {
            STOLEN_CARD
        } else {
            self.random.random_range(0..CARDS)
        };
        let cents: u64 = if stolen {
            self.random.random_range(20_000..90_000)
        } else {
            self.random.random_range(300..15_000)
        };
        let card = format!("card-{card:04}");
        let value = json!({
            "purchase_id": self.purchases,
            "card": card,
            "merchant": self.pick(&MERCHANTS),
            "amount": format!("{}.{:02}", cents / 100, cents % 100).parse::<serde_json::Number>().ok(),
            "ts": now_ms,
        });
        Event {
            topic: PURCHASES,
            key: card,
            value: value.to_string(),
        }
    }

    fn pick(&mut self, from: &[&'static str]) -> &'static str {
        from[self.random.random_range(0..from.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_events() {
        let (mut one, mut two) = (Events::new(7), Events::new(7));
        for now in 0..500 {
            let (a, b) = (one.next(now), two.next(now));
            assert_eq!((a.topic, a.key, a.value), (b.topic, b.key, b.value));
        }
    }

    #[test]
    fn amounts_are_numbers_with_two_digits() {
        let mut events = Events::new(1);
        let purchase = std::iter::repeat_with(|| events.next(0)).find(|event| event.topic == PURCHASES);
        let value: serde_json::Value = serde_json::from_str(&purchase.expect("endless").value).expect("JSON");
        let amount = value["amount"].to_string();
        assert_eq!(amount.split('.').nth(1).map(str::len), Some(2), "{amount}");
    }
}
