//! Kafka's configuration keys: what topics and brokers can be told under Kafka's own names.
//!
//! Two tables, [`TOPIC_KEYS`] and [`BROKER_KEYS`], feed everything: DescribeConfigs, CreateTopics,
//! IncrementalAlterConfigs, `kafka.defaults` and the reference page. A key that Kafka has and that does not act here
//! yet stands in the table too, because tools read it back; setting it to anything but its default is refused with
//! the reason that stands beside it.

mod broker;
mod topic;

pub use broker::BROKER_KEYS;
pub use topic::TOPIC_KEYS;

use super::kinds::{Bounds, Kind};

/// One key.
#[derive(Debug)]
pub struct Key {
    /// Kafka's name.
    pub name: &'static str,
    /// Type of the value.
    pub kind: Kind,
    /// Kafka's default; `None` is null.
    pub default: Option<&'static str>,
    /// What the value may be.
    pub bounds: Bounds,
    /// Whether it does something here.
    pub effect: Effect,
    /// Whether it may change while the broker runs. Topic keys always may.
    pub dynamic: bool,
    /// What it means.
    pub doc: &'static str,
    /// For topic keys: the broker keys that give the default, strongest first.
    pub broker_keys: &'static [BrokerSynonym],
}

/// A broker key behind a topic key, with the factor between their units.
#[derive(Clone, Copy, Debug)]
pub struct BrokerSynonym {
    /// Name of the broker key.
    pub name: &'static str,
    /// What its number is multiplied with to give the topic key's number; 1 leaves the text as it is.
    pub factor: i64,
}

/// Whether a key does something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It does what it says.
    Acts,
    /// It does nothing yet; only its default may be set. The text says why.
    NotYet(&'static str),
    /// It reports a fact about this broker and cannot be set.
    Fact,
}

/// Keys that older tools still set and that no longer mean anything: taken without a word and not kept.
pub const IGNORED_TOPIC_KEYS: [&str; 2] = ["message.downconversion.enable", "message.format.version"];

/// Why a key or its value is refused. The text is shown to the client's user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No such key.
    #[error("unknown {of} config name: {name}{}", hint(nearest))]
    Unknown {
        /// Topic or broker.
        of: &'static str,
        /// What was written.
        name: String,
        /// The known key that looks most like it.
        nearest: Option<&'static str>,
    },
    /// Not a value of that key.
    #[error("invalid value {value} for configuration {name}: {reason}")]
    Invalid {
        /// The key.
        name: &'static str,
        /// What was written.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A key that may only hold its default for now.
    #[error("configuration {name} cannot be set to {value} here: {reason}")]
    NotYet {
        /// The key.
        name: &'static str,
        /// What was written.
        value: String,
        /// Why.
        reason: &'static str,
    },
    /// A key that the broker sets by itself, or only at start.
    #[error("configuration {0} cannot be changed while the broker runs")]
    ReadOnly(&'static str),
    /// SET without a value.
    #[error("configuration {0} needs a value")]
    NullValue(String),
    /// APPEND or SUBTRACT on a key that is no list.
    #[error("configuration {0} is not a list: it can be neither appended to nor subtracted from")]
    NoList(&'static str),
    /// The same key twice in one change.
    #[error("configuration {0} is named twice")]
    Twice(String),
}

/// The topic key of this name.
pub fn topic_key(name: &str) -> Result<&'static Key, KeyError> {
    find(TOPIC_KEYS, "topic", name)
}

/// The broker key of this name.
pub fn broker_key(name: &str) -> Result<&'static Key, KeyError> {
    find(BROKER_KEYS, "broker", name)
}

/// Whether the key is one of those that no longer mean anything.
pub fn is_ignored_topic_key(name: &str) -> bool {
    IGNORED_TOPIC_KEYS.contains(&name)
}

/// The name in `names` that looks most like `name`, if any looks like it at all.
pub fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    /// Below this likeness (0 to 1) a hint would confuse. Keys share long beginnings, which makes them alike.
    const NEAR: f64 = 0.8;
    names
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| NEAR <= *likeness)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, candidate)| candidate)
}

impl Key {
    /// Checks a value for this key and returns it in its canonical spelling.
    pub fn check(&'static self, value: &str) -> Result<String, KeyError> {
        let invalid = |reason| KeyError::Invalid {
            name: self.name,
            value: value.to_owned(),
            reason,
        };
        let canonical = self.kind.check(self.bounds, value).map_err(invalid)?;
        match self.effect {
            Effect::NotYet(reason) if !self.is_default(&canonical) => Err(KeyError::NotYet {
                name: self.name,
                value: canonical,
                reason,
            }),
            _ => Ok(canonical),
        }
    }

    /// Whether the value is the key's default, however it is spelt.
    fn is_default(&self, value: &str) -> bool {
        let default = self.default.unwrap_or_default();
        match self.kind {
            Kind::Double => value.parse::<f64>().ok() == default.parse::<f64>().ok(),
            Kind::List => value.split(',').eq(default.split(',')),
            _ => value == default,
        }
    }
}

fn find(table: &'static [Key], of: &'static str, name: &str) -> Result<&'static Key, KeyError> {
    table
        .iter()
        .find(|key| key.name == name)
        .ok_or_else(|| KeyError::Unknown {
            of,
            name: name.to_owned(),
            nearest: nearest(name, table.iter().map(|key| key.name)),
        })
}

fn hint(nearest: &Option<&'static str>) -> String {
    nearest
        .map(|name| format!(" (did you mean {name}?)"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
