//! Request schemas as tables: which fields, in which order, in which versions, nullable or not.
//!
//! Source: Kafka's message definitions at the level of 4.3. Whether a version is flexible is a property of the API
//! ([`ApiKey::is_flexible`]), so the tables do not repeat it. Adding an API or a version is adding lines here.

mod admin;
mod fetch;
mod groups;
mod produce;
mod topics;

use crate::api_key::ApiKey;

/// The request of one API, over all its versions.
pub(super) struct Schema {
    api_key: ApiKey,
    /// Lowest and highest version.
    pub(super) versions: (i16, i16),
    pub(super) body: &'static Shape,
}

/// A struct.
pub(super) struct Shape {
    /// Fields in the order of the wire.
    pub(super) fields: &'static [Field],
    /// Fields of the tag buffer.
    pub(super) tagged: &'static [Field],
    /// Bytes that the decoded struct takes in an array.
    memory: usize,
}

/// A field of a struct.
#[derive(Clone, Copy)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) tag: Option<u32>,
    since: i16,
    until: i16,
    nullable_since: i16,
}

/// The type of a field.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// So many bytes.
    Fixed(usize),
    /// A string.
    Text,
    /// A run of bytes.
    Bytes,
    /// A struct in place.
    Struct(&'static Shape),
    /// Any number of one type.
    Array(&'static Kind),
}

const INT8: Kind = Kind::Fixed(1);
const INT16: Kind = Kind::Fixed(2);
const INT32: Kind = Kind::Fixed(4);
const INT64: Kind = Kind::Fixed(8);
const BOOL: Kind = Kind::Fixed(1);
const UUID: Kind = Kind::Fixed(16);
const INT32_ARRAY: Kind = Kind::Array(&INT32);
const TEXT_ARRAY: Kind = Kind::Array(&Kind::Text);

const ALL: &[&Schema] = &[
    &produce::PRODUCE,
    &produce::INIT_PRODUCER_ID,
    &fetch::FETCH,
    &fetch::LIST_OFFSETS,
    &groups::OFFSET_COMMIT,
    &groups::OFFSET_FETCH,
    &groups::FIND_COORDINATOR,
    &groups::JOIN_GROUP,
    &groups::HEARTBEAT,
    &groups::LEAVE_GROUP,
    &groups::SYNC_GROUP,
    &groups::DESCRIBE_GROUPS,
    &groups::LIST_GROUPS,
    &groups::DELETE_GROUPS,
    &topics::METADATA,
    &topics::CREATE_TOPICS,
    &topics::DELETE_TOPICS,
    &topics::CREATE_PARTITIONS,
    &admin::API_VERSIONS,
    &admin::DESCRIBE_CONFIGS,
    &admin::INCREMENTAL_ALTER_CONFIGS,
    &admin::DESCRIBE_CLUSTER,
];

impl Schema {
    const fn new(api_key: ApiKey, versions: (i16, i16), body: &'static Shape) -> Self {
        Self {
            api_key,
            versions,
            body,
        }
    }

    /// The schema of an API.
    pub(super) fn of(api_key: ApiKey) -> Option<&'static Self> {
        ALL.iter().find(|schema| schema.api_key == api_key).copied()
    }

    /// The schema of an API, if it has the version.
    pub(super) fn find(api_key: ApiKey, version: i16) -> Option<&'static Self> {
        Self::of(api_key).filter(|schema| schema.versions.0 <= version && version <= schema.versions.1)
    }

    /// Every API with a schema.
    #[cfg(test)]
    pub(super) fn api_keys() -> impl Iterator<Item = ApiKey> {
        ALL.iter().map(|schema| schema.api_key)
    }
}

impl Shape {
    /// A struct decoded as `T`.
    const fn new<T>(fields: &'static [Field]) -> Self {
        Self {
            fields,
            tagged: &[],
            memory: size_of::<T>(),
        }
    }

    const fn with_tagged(mut self, tagged: &'static [Field]) -> Self {
        self.tagged = tagged;
        self
    }
}

impl Field {
    const fn new(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            tag: None,
            since: 0,
            until: i16::MAX,
            nullable_since: i16::MAX,
        }
    }

    const fn since(mut self, version: i16) -> Self {
        self.since = version;
        self
    }

    /// The last version that has the field.
    const fn until(mut self, version: i16) -> Self {
        self.until = version;
        self
    }

    const fn nullable(self) -> Self {
        self.nullable_since(0)
    }

    const fn nullable_since(mut self, version: i16) -> Self {
        self.nullable_since = version;
        self
    }

    const fn tag(mut self, tag: u32) -> Self {
        self.tag = Some(tag);
        self
    }

    pub(super) const fn is_in(&self, version: i16) -> bool {
        self.since <= version && version <= self.until
    }

    pub(super) const fn is_nullable_in(&self, version: i16) -> bool {
        self.nullable_since <= version
    }
}

impl Kind {
    /// Bytes that one element of this type takes in a decoded array.
    pub(super) const fn memory(&self) -> usize {
        match self {
            Self::Fixed(length) => *length,
            Self::Text | Self::Bytes => size_of::<bytes::Bytes>(),
            Self::Struct(shape) => shape.memory,
            Self::Array(_) => size_of::<Vec<u8>>(),
        }
    }
}

/// A field, in the notation of the tables.
const fn field(name: &'static str, kind: Kind) -> Field {
    Field::new(name, kind)
}
