//! Topic names: Kafka's rules (class `Topic`), which are also what makes a name safe as a folder name.

use super::image::Image;

/// Longest topic name in bytes.
pub const MAX_TOPIC_NAME_LEN: usize = 249;

/// Group offsets, in Kafka's record schema.
pub const CONSUMER_OFFSETS: &str = "__consumer_offsets";
/// Transaction states, in Kafka's record schema.
pub const TRANSACTION_STATE: &str = "__transaction_state";
/// Names that only the broker creates.
pub const RESERVED_TOPICS: [&str; 4] = [
    CONSUMER_OFFSETS,
    TRANSACTION_STATE,
    "__share_group_state",
    "__cluster_metadata",
];
/// Prefix of internal topics of our own, such as the changelogs of queries.
pub const RESERVED_PREFIX: &str = "tidemill.";

/// Why a topic name is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicNameError {
    /// No name at all.
    #[error("the topic name is empty")]
    Empty,
    /// `.` and `..` are folders.
    #[error("the topic name cannot be '.' or '..'")]
    Dots,
    /// Too long for a folder name with a partition number behind it.
    #[error("the topic name has {0} bytes, more than the {MAX_TOPIC_NAME_LEN} allowed")]
    TooLong(usize),
    /// A character outside `[a-zA-Z0-9._-]`.
    #[error("the topic name {0:?} holds a character other than ASCII letters, digits, '.', '_' and '-'")]
    Character(String),
    /// A name that only the broker may create.
    #[error("the topic name '{0}' is reserved")]
    Reserved(String),
}

/// Checks the form of a name.
pub fn check_topic_name(name: &str) -> Result<(), TopicNameError> {
    if name.is_empty() {
        return Err(TopicNameError::Empty);
    }
    if name == "." || name == ".." {
        return Err(TopicNameError::Dots);
    }
    if MAX_TOPIC_NAME_LEN < name.len() {
        return Err(TopicNameError::TooLong(name.len()));
    }
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if !name.bytes().all(legal) {
        return Err(TopicNameError::Character(name.to_owned()));
    }
    Ok(())
}

/// Whether clients may not create a topic of this name.
pub fn is_reserved(name: &str) -> bool {
    RESERVED_TOPICS.contains(&name) || name.starts_with(RESERVED_PREFIX)
}

/// An existing topic whose name differs from `name` only in `.` and `_`.
pub fn colliding_topic<'a>(image: &'a Image, name: &str) -> Option<&'a str> {
    if !name.contains(['.', '_']) {
        return None;
    }
    let folded = fold(name);
    image
        .topics_by_name
        .keys()
        .map(AsRef::as_ref)
        .find(|existing: &&str| *existing != name && fold(existing) == folded)
}

fn fold(name: &str) -> String {
    name.replace('.', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_kafkas_rules() {
        for good in ["a", "a.b_c-D9", "...", &"x".repeat(249)] {
            assert_eq!(check_topic_name(good), Ok(()), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "\u{e9}", "a\0", &"x".repeat(250)] {
            assert!(check_topic_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn reserved_names_are_known() {
        assert!(is_reserved("__consumer_offsets"));
        assert!(is_reserved("tidemill.query.1.changelog"));
        assert!(!is_reserved("tidemill"));
        assert!(!is_reserved("_schemas"));
    }
}
