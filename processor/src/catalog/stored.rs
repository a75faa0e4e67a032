//! SQL objects as they are kept across restarts: JSON with a version, around the statement's own text.
//!
//! | field | what |
//! |---|---|
//! | `version` | 1 |
//! | `sql` | the statement as it was given |
//! | `order` | creation order: an object refers only to objects of lower order |
//! | `query.id`, `query.generation` | names of changelog, transactional id and state folder |
//! | `query.start`, `query.stop` | offsets per partition, resolved at CREATE |
//! | `query.log_start` | where the logs began at CREATE, if reading begins there |
//! | `query.settings` | session settings that acted at CREATE |
//! | `query.columns` | names and types of the result: a newer version must not change them |
//! | `query.owns` | topics that DROP deletes |

use bytes::Bytes;
use protocol::ids::{Offset, PartitionId};
use serde::{Deserialize, Serialize};

/// The version that this code writes, and the newest that it reads.
const VERSION: u32 = 1;

/// An object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stored {
    version: u32,
    /// The statement.
    pub(crate) sql: String,
    /// Creation order.
    pub(crate) order: u64,
    /// For materialized views and sinks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) query: Option<StoredQuery>,
}

/// What a running query keeps beside its statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredQuery {
    /// Identity of the definition.
    pub(crate) id: String,
    /// Generation of the definition.
    pub(crate) generation: u32,
    /// Where reading begins and ends.
    #[serde(flatten)]
    pub(crate) bounds: Bounds,
    /// Session settings at CREATE, name and value.
    #[serde(default)]
    pub(crate) settings: Vec<(String, String)>,
    /// Names and SQL types of the result.
    pub(crate) columns: Vec<(String, String)>,
    /// Topics that were created for this query alone.
    #[serde(default)]
    pub(crate) owns: Vec<String>,
}

/// Where a query begins and ends to read, per partition; nothing means the log start and never.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bounds {
    /// First offsets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) start: Option<Vec<(PartitionId, Offset)>>,
    /// Offsets before which reading ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stop: Option<Vec<(PartitionId, Offset)>>,
    /// Where the logs began when the query was created, if `start` is nothing. A query that repeats this one must find
    /// all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) log_start: Option<Vec<(PartitionId, Offset)>>,
}

/// A materialized view whose query another one repeats, with what it reads.
#[derive(Debug, Clone)]
pub(crate) struct Repeated {
    /// The view.
    pub(crate) view: String,
    /// Where it begins and ends to read.
    pub(crate) bounds: Bounds,
    /// True where it reads up to the last stable offset.
    pub(crate) committed_only: bool,
}

impl Stored {
    /// An object to be stored.
    pub(crate) fn new(sql: String, order: u64, query: Option<StoredQuery>) -> Self {
        Self {
            version: VERSION,
            sql,
            order,
            query,
        }
    }

    /// The payload.
    pub(crate) fn encode(&self) -> Bytes {
        serde_json::to_vec(self)
            .map(Bytes::from)
            .expect("strings and numbers always have a JSON form")
    }

    /// Reads a payload. The error is the reason.
    pub(crate) fn decode(payload: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let Versioned { version } = serde_json::from_slice(payload).map_err(|e| e.to_string())?;
        if VERSION < version {
            return Err(format!(
                "written by a newer release (format {version}, this one reads up to {VERSION})"
            ));
        }
        serde_json::from_slice(payload).map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_read_back_and_newer_ones_are_refused() {
        let query = StoredQuery {
            id: "a-b".to_owned(),
            generation: 1,
            bounds: Bounds {
                start: None,
                stop: Some(vec![(0, 17)]),
                log_start: Some(vec![(0, 3)]),
            },
            settings: vec![("epoch_interval".to_owned(), "1 s".to_owned())],
            columns: vec![("n".to_owned(), "BIGINT".to_owned())],
            owns: vec!["v".to_owned()],
        };
        let stored = Stored::new("CREATE ...".to_owned(), 7, Some(query));
        assert_eq!(Stored::decode(&stored.encode()), Ok(stored));
        let first = br#"{"version":1,"sql":"CREATE VIEW v AS SELECT 1","order":3}"#;
        assert_eq!(Stored::decode(first).map(|s| s.order), Ok(3));
        assert!(Stored::decode(br#"{"version":2,"anything":true}"#).is_err());
        assert!(Stored::decode(b"garbage").is_err());
    }
}
