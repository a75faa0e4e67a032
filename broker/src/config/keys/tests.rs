//! The tables agree with themselves and with each other.

use super::*;

#[test]
fn names_are_sorted_and_unique() {
    for table in [TOPIC_KEYS, BROKER_KEYS] {
        for pair in table.windows(2) {
            assert!(
                pair[0].name < pair[1].name,
                "{} stands before {}",
                pair[0].name,
                pair[1].name
            );
        }
    }
}

#[test]
fn every_default_is_a_legal_value_of_its_key() {
    for key in TOPIC_KEYS.iter().chain(BROKER_KEYS) {
        if let Some(default) = key.default {
            assert_eq!(key.check(default), Ok(default.to_owned()), "{}", key.name);
        }
    }
}

#[test]
fn broker_synonyms_exist_and_have_the_same_default() {
    for key in TOPIC_KEYS {
        for synonym in key.broker_keys {
            let broker = broker_key(synonym.name).unwrap_or_else(|error| panic!("{}: {error}", key.name));
            let Some(default) = broker.default else { continue };
            let scaled = match (default.parse::<i64>(), synonym.factor) {
                (Ok(number), factor) if factor != 1 => (number * factor).to_string(),
                _ => default.to_owned(),
            };
            assert_eq!(Some(scaled.as_str()), key.default, "{} and {}", key.name, synonym.name);
        }
    }
}

#[test]
fn every_key_is_documented_with_a_sentence() {
    for key in TOPIC_KEYS.iter().chain(BROKER_KEYS) {
        assert!(key.doc.ends_with('.'), "{}", key.name);
    }
}

#[test]
fn values_in_bounds() {
    let check = |name: &str, value: &str| topic_key(name).expect(name).check(value);
    assert_eq!(
        check("cleanup.policy", "compact, delete"),
        Ok("compact,delete".to_owned())
    );
    assert_eq!(check("cleanup.policy", ""), Ok(String::new()));
    assert!(matches!(
        check("cleanup.policy", "shred"),
        Err(KeyError::Invalid { .. })
    ));
    assert!(matches!(
        check("cleanup.policy", "delete,delete"),
        Err(KeyError::Invalid { .. })
    ));
    assert!(matches!(check("retention.ms", "-2"), Err(KeyError::Invalid { .. })));
    assert!(matches!(check("retention.ms", "7 days"), Err(KeyError::Invalid { .. })));
    assert!(matches!(check("preallocate", "yes"), Err(KeyError::Invalid { .. })));
    assert_eq!(check("preallocate", "TRUE"), Ok("true".to_owned()));
    assert!(matches!(
        check("min.cleanable.dirty.ratio", "0.7"),
        Err(KeyError::NotYet { .. })
    ));
    assert_eq!(check("min.cleanable.dirty.ratio", "0.50"), Ok("0.50".to_owned()));
    assert!(matches!(
        check("remote.storage.enable", "true"),
        Err(KeyError::NotYet { .. })
    ));
}
