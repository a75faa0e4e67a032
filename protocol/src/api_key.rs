//! Every API key of the Kafka protocol: number, name, first flexible version.
//!
//! Which keys and versions a broker serves is not said here but in its route table. Keys 4 to 7 were withdrawn with
//! ZooKeeper and keep their numbers.

use std::fmt;

macro_rules! api_keys {
    ($($variant:ident = $key:literal, $flexible:expr;)*) => {
        /// A request type by its number on the wire.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(i16)]
        pub enum ApiKey {
            $(
                #[doc = concat!("API key ", stringify!($key), ", `", stringify!($variant), "`.")]
                $variant = $key,
            )*
        }

        impl ApiKey {
            /// Every key, in ascending order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The key of a number; nothing for a number that Kafka has not given out.
            #[must_use]
            pub const fn from_key(key: i16) -> Option<Self> {
                match key {
                    $($key => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The API's name as Kafka spells it, such as `InitProducerId`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant),)* }
            }

            /// The first version in the flexible encoding (compact lengths and tagged fields, KIP-482); nothing for
            /// APIs that never became flexible or were withdrawn before.
            #[must_use]
            pub const fn first_flexible_version(self) -> Option<i16> {
                match self { $(Self::$variant => $flexible,)* }
            }
        }
    };
}

impl ApiKey {
    /// The number on the wire.
    #[must_use]
    pub const fn key(self) -> i16 {
        self as i16
    }

    /// Whether this version uses the flexible encoding.
    #[must_use]
    pub const fn is_flexible(self, version: i16) -> bool {
        match self.first_flexible_version() {
            Some(first) => first <= version,
            None => false,
        }
    }

    /// Version of the request header: 2 with tagged fields, 1 without. Header version 0 is gone since Kafka 4.0.
    #[must_use]
    pub const fn request_header_version(self, version: i16) -> i16 {
        if self.is_flexible(version) { 2 } else { 1 }
    }

    /// Version of the response header: 1 with tagged fields, 0 without. `ApiVersions` always answers with 0, so that a
    /// client can read the answer to a version that the server does not know (KIP-511).
    #[must_use]
    pub const fn response_header_version(self, version: i16) -> i16 {
        match self {
            Self::ApiVersions => 0,
            _ if self.is_flexible(version) => 1,
            _ => 0,
        }
    }
}

impl TryFrom<i16> for ApiKey {
    type Error = UnknownApiKey;

    fn try_from(key: i16) -> Result<Self, Self::Error> {
        Self::from_key(key).ok_or(UnknownApiKey { key })
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A number that is no API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown API key {key}")]
pub struct UnknownApiKey {
    /// The number on the wire.
    pub key: i16,
}

api_keys! {
    Produce = 0, Some(9);
    Fetch = 1, Some(12);
    ListOffsets = 2, Some(6);
    Metadata = 3, Some(9);
    LeaderAndIsr = 4, None;
    StopReplica = 5, None;
    UpdateMetadata = 6, None;
    ControlledShutdown = 7, None;
    OffsetCommit = 8, Some(8);
    OffsetFetch = 9, Some(6);
    FindCoordinator = 10, Some(3);
    JoinGroup = 11, Some(6);
    Heartbeat = 12, Some(4);
    LeaveGroup = 13, Some(4);
    SyncGroup = 14, Some(4);
    DescribeGroups = 15, Some(5);
    ListGroups = 16, Some(3);
    SaslHandshake = 17, None;
    ApiVersions = 18, Some(3);
    CreateTopics = 19, Some(5);
    DeleteTopics = 20, Some(4);
    DeleteRecords = 21, Some(2);
    InitProducerId = 22, Some(2);
    OffsetForLeaderEpoch = 23, Some(4);
    AddPartitionsToTxn = 24, Some(3);
    AddOffsetsToTxn = 25, Some(3);
    EndTxn = 26, Some(3);
    WriteTxnMarkers = 27, Some(1);
    TxnOffsetCommit = 28, Some(3);
    DescribeAcls = 29, Some(2);
    CreateAcls = 30, Some(2);
    DeleteAcls = 31, Some(2);
    DescribeConfigs = 32, Some(4);
    AlterConfigs = 33, Some(2);
    AlterReplicaLogDirs = 34, Some(2);
    DescribeLogDirs = 35, Some(2);
    SaslAuthenticate = 36, Some(2);
    CreatePartitions = 37, Some(2);
    CreateDelegationToken = 38, Some(2);
    RenewDelegationToken = 39, Some(2);
    ExpireDelegationToken = 40, Some(2);
    DescribeDelegationToken = 41, Some(2);
    DeleteGroups = 42, Some(2);
    ElectLeaders = 43, Some(2);
    IncrementalAlterConfigs = 44, Some(1);
    AlterPartitionReassignments = 45, Some(0);
    ListPartitionReassignments = 46, Some(0);
    OffsetDelete = 47, None;
    DescribeClientQuotas = 48, Some(1);
    AlterClientQuotas = 49, Some(1);
    DescribeUserScramCredentials = 50, Some(0);
    AlterUserScramCredentials = 51, Some(0);
    Vote = 52, Some(0);
    BeginQuorumEpoch = 53, Some(1);
    EndQuorumEpoch = 54, Some(1);
    DescribeQuorum = 55, Some(0);
    AlterPartition = 56, Some(0);
    UpdateFeatures = 57, Some(0);
    Envelope = 58, Some(0);
    FetchSnapshot = 59, Some(0);
    DescribeCluster = 60, Some(0);
    DescribeProducers = 61, Some(0);
    BrokerRegistration = 62, Some(0);
    BrokerHeartbeat = 63, Some(0);
    UnregisterBroker = 64, Some(0);
    DescribeTransactions = 65, Some(0);
    ListTransactions = 66, Some(0);
    AllocateProducerIds = 67, Some(0);
    ConsumerGroupHeartbeat = 68, Some(0);
    ConsumerGroupDescribe = 69, Some(0);
    ControllerRegistration = 70, Some(0);
    GetTelemetrySubscriptions = 71, Some(0);
    PushTelemetry = 72, Some(0);
    AssignReplicasToDirs = 73, Some(0);
    ListConfigResources = 74, Some(0);
    DescribeTopicPartitions = 75, Some(0);
    ShareGroupHeartbeat = 76, Some(0);
    ShareGroupDescribe = 77, Some(0);
    ShareFetch = 78, Some(0);
    ShareAcknowledge = 79, Some(0);
    AddRaftVoter = 80, Some(0);
    RemoveRaftVoter = 81, Some(0);
    UpdateRaftVoter = 82, Some(0);
    InitializeShareGroupState = 83, Some(0);
    ReadShareGroupState = 84, Some(0);
    WriteShareGroupState = 85, Some(0);
    DeleteShareGroupState = 86, Some(0);
    ReadShareGroupStateSummary = 87, Some(0);
    StreamsGroupHeartbeat = 88, Some(0);
    StreamsGroupDescribe = 89, Some(0);
    DescribeShareGroupOffsets = 90, Some(0);
    AlterShareGroupOffsets = 91, Some(0);
    DeleteShareGroupOffsets = 92, Some(0);
    StreamsGroupTopologyDescriptionUpdate = 93, Some(0);
    UnregisterController = 94, Some(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_contiguous_and_round_trip() {
        let keys: Vec<i16> = ApiKey::ALL.iter().map(|key| key.key()).collect();
        assert_eq!(keys, (0..=94).collect::<Vec<i16>>());
        for key in ApiKey::ALL {
            assert_eq!(ApiKey::try_from(key.key()), Ok(*key));
        }
        assert_eq!(ApiKey::try_from(95), Err(UnknownApiKey { key: 95 }));
    }

    #[test]
    fn names_and_header_versions_agree_with_the_codec_crate() {
        for key in ApiKey::ALL {
            let Ok(theirs) = kafka_protocol::messages::ApiKey::try_from(key.key()) else {
                continue;
            };
            assert_eq!(key.name(), format!("{theirs:?}"));
            let versions = theirs.valid_versions();
            for version in versions.min..=versions.max {
                assert_eq!(
                    key.request_header_version(version),
                    theirs.request_header_version(version),
                    "{key} {version}"
                );
                assert_eq!(
                    key.response_header_version(version),
                    theirs.response_header_version(version),
                    "{key} {version}"
                );
            }
        }
    }
}
