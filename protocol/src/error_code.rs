//! Every error code of the Kafka protocol in one table: code, name, whether a client retries, meaning.
//!
//! Source: Kafka's `org.apache.kafka.common.protocol.Errors` at the level of 4.3; "retriable" is what its exception
//! classes say. Names are the ones that Kafka prints, so that logs can be searched for either.

use std::fmt;

macro_rules! error_codes {
    ($($variant:ident = $code:literal, $name:literal, $retriable:literal, $message:literal;)*) => {
        /// A code in the `error_code` field of a response.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(i16)]
        pub enum ErrorCode {
            $(
                #[doc = concat!($name, ": ", $message, ".")]
                $variant = $code,
            )*
        }

        impl ErrorCode {
            /// Every code, in ascending order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code of a number; nothing for a number that Kafka has not given a meaning.
            #[must_use]
            pub const fn from_code(code: i16) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// Kafka's constant, such as `UNKNOWN_TOPIC_OR_PARTITION`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Whether clients repeat the request by themselves.
            #[must_use]
            pub const fn is_retriable(self) -> bool {
                match self { $(Self::$variant => $retriable,)* }
            }

            /// What it means, as a lowercase phrase without full stop.
            #[must_use]
            pub const fn message(self) -> &'static str {
                match self { $(Self::$variant => $message,)* }
            }
        }
    };
}

impl ErrorCode {
    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// Whether this is anything but [`ErrorCode::None`].
    #[must_use]
    pub const fn is_error(self) -> bool {
        !matches!(self, Self::None)
    }
}

impl From<ErrorCode> for i16 {
    fn from(code: ErrorCode) -> Self {
        code.code()
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

error_codes! {
    UnknownServerError = -1, "UNKNOWN_SERVER_ERROR", false, "the server met an unexpected error";
    None = 0, "NONE", false, "no error";
    OffsetOutOfRange = 1, "OFFSET_OUT_OF_RANGE", false, "the offset lies outside the partition's log";
    CorruptMessage = 2, "CORRUPT_MESSAGE", true, "the message failed its checksum, has an impossible size, or is damaged otherwise";
    UnknownTopicOrPartition = 3, "UNKNOWN_TOPIC_OR_PARTITION", true, "this server does not host the topic or partition";
    InvalidFetchSize = 4, "INVALID_FETCH_SIZE", false, "the fetch size is invalid";
    LeaderNotAvailable = 5, "LEADER_NOT_AVAILABLE", true, "the partition has no leader at the moment";
    NotLeaderOrFollower = 6, "NOT_LEADER_OR_FOLLOWER", true, "this broker is not the leader, or holds no replica, of the partition";
    RequestTimedOut = 7, "REQUEST_TIMED_OUT", true, "the request timed out";
    BrokerNotAvailable = 8, "BROKER_NOT_AVAILABLE", false, "the broker is not available";
    ReplicaNotAvailable = 9, "REPLICA_NOT_AVAILABLE", true, "the replica is not available";
    MessageTooLarge = 10, "MESSAGE_TOO_LARGE", false, "the batch is larger than the topic accepts";
    StaleControllerEpoch = 11, "STALE_CONTROLLER_EPOCH", false, "the controller has moved to another broker";
    OffsetMetadataTooLarge = 12, "OFFSET_METADATA_TOO_LARGE", false, "the metadata of a committed offset is too long";
    NetworkException = 13, "NETWORK_EXCEPTION", true, "the connection broke before the response came";
    CoordinatorLoadInProgress = 14, "COORDINATOR_LOAD_IN_PROGRESS", true, "the coordinator is still loading";
    CoordinatorNotAvailable = 15, "COORDINATOR_NOT_AVAILABLE", true, "the coordinator is not available";
    NotCoordinator = 16, "NOT_COORDINATOR", true, "this broker is not the coordinator";
    InvalidTopicException = 17, "INVALID_TOPIC_EXCEPTION", false, "the topic name is invalid, or the operation is not allowed on this topic";
    RecordListTooLarge = 18, "RECORD_LIST_TOO_LARGE", false, "the batch is larger than a log segment";
    NotEnoughReplicas = 19, "NOT_ENOUGH_REPLICAS", true, "fewer replicas are in sync than required; nothing was written";
    NotEnoughReplicasAfterAppend = 20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", true, "written, but to fewer in-sync replicas than required";
    InvalidRequiredAcks = 21, "INVALID_REQUIRED_ACKS", false, "acks must be -1, 0 or 1";
    IllegalGeneration = 22, "ILLEGAL_GENERATION", false, "the group's generation is another one";
    InconsistentGroupProtocol = 23, "INCONSISTENT_GROUP_PROTOCOL", false, "the member shares no protocol type or protocol with the group";
    InvalidGroupId = 24, "INVALID_GROUP_ID", false, "the group id is invalid";
    UnknownMemberId = 25, "UNKNOWN_MEMBER_ID", false, "the coordinator does not know this member";
    InvalidSessionTimeout = 26, "INVALID_SESSION_TIMEOUT", false, "the session timeout is outside the allowed range";
    RebalanceInProgress = 27, "REBALANCE_IN_PROGRESS", false, "the group is rebalancing; join again";
    InvalidCommitOffsetSize = 28, "INVALID_COMMIT_OFFSET_SIZE", false, "the offset commit is too large";
    TopicAuthorizationFailed = 29, "TOPIC_AUTHORIZATION_FAILED", false, "not authorized for the topic";
    GroupAuthorizationFailed = 30, "GROUP_AUTHORIZATION_FAILED", false, "not authorized for the group";
    ClusterAuthorizationFailed = 31, "CLUSTER_AUTHORIZATION_FAILED", false, "not authorized for the cluster";
    InvalidTimestamp = 32, "INVALID_TIMESTAMP", false, "a record's timestamp is out of range";
    UnsupportedSaslMechanism = 33, "UNSUPPORTED_SASL_MECHANISM", false, "the SASL mechanism is not supported";
    IllegalSaslState = 34, "ILLEGAL_SASL_STATE", false, "the request does not fit the state of authentication";
    UnsupportedVersion = 35, "UNSUPPORTED_VERSION", false, "the version of this API is not supported";
    TopicAlreadyExists = 36, "TOPIC_ALREADY_EXISTS", false, "a topic of this name exists already";
    InvalidPartitions = 37, "INVALID_PARTITIONS", false, "the number of partitions is invalid";
    InvalidReplicationFactor = 38, "INVALID_REPLICATION_FACTOR", false, "the replication factor is below 1 or above the number of brokers";
    InvalidReplicaAssignment = 39, "INVALID_REPLICA_ASSIGNMENT", false, "the replica assignment is invalid";
    InvalidConfig = 40, "INVALID_CONFIG", false, "the configuration is invalid";
    NotController = 41, "NOT_CONTROLLER", true, "this broker is not the controller";
    InvalidRequest = 42, "INVALID_REQUEST", false, "the request is malformed or contradicts itself";
    UnsupportedForMessageFormat = 43, "UNSUPPORTED_FOR_MESSAGE_FORMAT", false, "the message format does not support the request";
    PolicyViolation = 44, "POLICY_VIOLATION", false, "the request violates a policy";
    OutOfOrderSequenceNumber = 45, "OUT_OF_ORDER_SEQUENCE_NUMBER", false, "the producer's sequence number leaves a gap";
    DuplicateSequenceNumber = 46, "DUPLICATE_SEQUENCE_NUMBER", false, "the producer's sequence number was written before";
    InvalidProducerEpoch = 47, "INVALID_PRODUCER_EPOCH", false, "the producer's epoch is an old one";
    InvalidTxnState = 48, "INVALID_TXN_STATE", false, "the operation does not fit the state of the transaction";
    InvalidProducerIdMapping = 49, "INVALID_PRODUCER_ID_MAPPING", false, "the producer id does not belong to the transactional id";
    InvalidTransactionTimeout = 50, "INVALID_TRANSACTION_TIMEOUT", false, "the transaction timeout is above the broker's maximum";
    ConcurrentTransactions = 51, "CONCURRENT_TRANSACTIONS", true, "another operation on the same transaction is under way";
    TransactionCoordinatorFenced = 52, "TRANSACTION_COORDINATOR_FENCED", false, "the transaction coordinator has been replaced by a newer one";
    TransactionalIdAuthorizationFailed = 53, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", false, "not authorized for the transactional id";
    SecurityDisabled = 54, "SECURITY_DISABLED", false, "security features are switched off";
    OperationNotAttempted = 55, "OPERATION_NOT_ATTEMPTED", false, "the operation was not tried because another one in the request failed";
    KafkaStorageError = 56, "KAFKA_STORAGE_ERROR", true, "the disk failed under the log";
    LogDirNotFound = 57, "LOG_DIR_NOT_FOUND", false, "the log folder is not one of the broker's";
    SaslAuthenticationFailed = 58, "SASL_AUTHENTICATION_FAILED", false, "authentication failed";
    UnknownProducerId = 59, "UNKNOWN_PRODUCER_ID", false, "nothing is known of this producer id";
    ReassignmentInProgress = 60, "REASSIGNMENT_IN_PROGRESS", false, "the partition is being reassigned";
    DelegationTokenAuthDisabled = 61, "DELEGATION_TOKEN_AUTH_DISABLED", false, "delegation tokens are switched off";
    DelegationTokenNotFound = 62, "DELEGATION_TOKEN_NOT_FOUND", false, "the delegation token does not exist";
    DelegationTokenOwnerMismatch = 63, "DELEGATION_TOKEN_OWNER_MISMATCH", false, "the principal neither owns nor may renew the token";
    DelegationTokenRequestNotAllowed = 64, "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", false, "delegation tokens cannot be requested over this connection";
    DelegationTokenAuthorizationFailed = 65, "DELEGATION_TOKEN_AUTHORIZATION_FAILED", false, "not authorized for the delegation token";
    DelegationTokenExpired = 66, "DELEGATION_TOKEN_EXPIRED", false, "the delegation token has expired";
    InvalidPrincipalType = 67, "INVALID_PRINCIPAL_TYPE", false, "the principal type is not supported";
    NonEmptyGroup = 68, "NON_EMPTY_GROUP", false, "the group still has members";
    GroupIdNotFound = 69, "GROUP_ID_NOT_FOUND", false, "the group does not exist";
    FetchSessionIdNotFound = 70, "FETCH_SESSION_ID_NOT_FOUND", true, "the fetch session does not exist";
    InvalidFetchSessionEpoch = 71, "INVALID_FETCH_SESSION_EPOCH", true, "the fetch session's epoch is another one";
    ListenerNotFound = 72, "LISTENER_NOT_FOUND", true, "the leader has no listener of the name that the request came in on";
    TopicDeletionDisabled = 73, "TOPIC_DELETION_DISABLED", false, "topics cannot be deleted here";
    FencedLeaderEpoch = 74, "FENCED_LEADER_EPOCH", true, "the request's leader epoch is older than the broker's";
    UnknownLeaderEpoch = 75, "UNKNOWN_LEADER_EPOCH", true, "the request's leader epoch is newer than the broker's";
    UnsupportedCompressionType = 76, "UNSUPPORTED_COMPRESSION_TYPE", false, "the version of the request does not know the compression codec";
    StaleBrokerEpoch = 77, "STALE_BROKER_EPOCH", false, "the broker's epoch has changed";
    OffsetNotAvailable = 78, "OFFSET_NOT_AVAILABLE", true, "the high watermark has not caught up since the last change of leader";
    MemberIdRequired = 79, "MEMBER_ID_REQUIRED", false, "join again with the member id of this answer";
    PreferredLeaderNotAvailable = 80, "PREFERRED_LEADER_NOT_AVAILABLE", true, "the preferred leader is not available";
    GroupMaxSizeReached = 81, "GROUP_MAX_SIZE_REACHED", false, "the group has as many members as it may have";
    FencedInstanceId = 82, "FENCED_INSTANCE_ID", false, "another member has joined with the same group instance id";
    EligibleLeadersNotAvailable = 83, "ELIGIBLE_LEADERS_NOT_AVAILABLE", true, "no eligible leader is available";
    ElectionNotNeeded = 84, "ELECTION_NOT_NEEDED", true, "the partition needs no election";
    NoReassignmentInProgress = 85, "NO_REASSIGNMENT_IN_PROGRESS", false, "the partition is not being reassigned";
    GroupSubscribedToTopic = 86, "GROUP_SUBSCRIBED_TO_TOPIC", false, "the group still subscribes to the topic";
    InvalidRecord = 87, "INVALID_RECORD", false, "a record failed the broker's validation";
    UnstableOffsetCommit = 88, "UNSTABLE_OFFSET_COMMIT", true, "a transaction that commits offsets is still undecided";
    ThrottlingQuotaExceeded = 89, "THROTTLING_QUOTA_EXCEEDED", true, "the quota is used up";
    ProducerFenced = 90, "PRODUCER_FENCED", false, "a newer producer uses the same transactional id";
    ResourceNotFound = 91, "RESOURCE_NOT_FOUND", false, "the resource does not exist";
    DuplicateResource = 92, "DUPLICATE_RESOURCE", false, "the request names a resource twice";
    UnacceptableCredential = 93, "UNACCEPTABLE_CREDENTIAL", false, "the credential is not acceptable";
    InconsistentVoterSet = 94, "INCONSISTENT_VOTER_SET", false, "sender or receiver is not one of the expected voters";
    InvalidUpdateVersion = 95, "INVALID_UPDATE_VERSION", false, "the version of the update is invalid";
    FeatureUpdateFailed = 96, "FEATURE_UPDATE_FAILED", false, "the features could not be updated";
    PrincipalDeserializationFailure = 97, "PRINCIPAL_DESERIALIZATION_FAILURE", false, "the forwarded principal could not be read";
    SnapshotNotFound = 98, "SNAPSHOT_NOT_FOUND", false, "the snapshot does not exist";
    PositionOutOfRange = 99, "POSITION_OUT_OF_RANGE", false, "the position lies outside the snapshot";
    UnknownTopicId = 100, "UNKNOWN_TOPIC_ID", true, "this server does not host a topic of this id";
    DuplicateBrokerRegistration = 101, "DUPLICATE_BROKER_REGISTRATION", false, "the broker id is in use";
    BrokerIdNotRegistered = 102, "BROKER_ID_NOT_REGISTERED", false, "the broker id is not registered";
    InconsistentTopicId = 103, "INCONSISTENT_TOPIC_ID", true, "the log belongs to another topic id than the request names";
    InconsistentClusterId = 104, "INCONSISTENT_CLUSTER_ID", false, "the request names another cluster";
    TransactionalIdNotFound = 105, "TRANSACTIONAL_ID_NOT_FOUND", false, "the transactional id does not exist";
    FetchSessionTopicIdError = 106, "FETCH_SESSION_TOPIC_ID_ERROR", true, "the fetch session mixes topic ids and names";
    IneligibleReplica = 107, "INELIGIBLE_REPLICA", false, "the new in-sync set holds a replica that is not eligible";
    NewLeaderElected = 108, "NEW_LEADER_ELECTED", false, "the partition changed, and its leader is now another one";
    OffsetMovedToTieredStorage = 109, "OFFSET_MOVED_TO_TIERED_STORAGE", false, "the offset has moved to tiered storage";
    FencedMemberEpoch = 110, "FENCED_MEMBER_EPOCH", false, "the member's epoch is fenced; give up all partitions and join again";
    UnreleasedInstanceId = 111, "UNRELEASED_INSTANCE_ID", false, "another member still holds the group instance id";
    UnsupportedAssignor = 112, "UNSUPPORTED_ASSIGNOR", false, "the group does not support the assignor";
    StaleMemberEpoch = 113, "STALE_MEMBER_EPOCH", false, "the member's epoch is an old one";
    MismatchedEndpointType = 114, "MISMATCHED_ENDPOINT_TYPE", false, "the request was sent to an endpoint of another type";
    UnsupportedEndpointType = 115, "UNSUPPORTED_ENDPOINT_TYPE", false, "the endpoint type is not supported";
    UnknownControllerId = 116, "UNKNOWN_CONTROLLER_ID", false, "the controller id is not known";
    UnknownSubscriptionId = 117, "UNKNOWN_SUBSCRIPTION_ID", false, "the telemetry subscription is invalid or outdated";
    TelemetryTooLarge = 118, "TELEMETRY_TOO_LARGE", false, "the telemetry is larger than the broker accepts";
    InvalidRegistration = 119, "INVALID_REGISTRATION", false, "the controller refuses the broker's registration";
    TransactionAbortable = 120, "TRANSACTION_ABORTABLE", false, "the transaction failed; abort it to go on";
    InvalidRecordState = 121, "INVALID_RECORD_STATE", false, "the record cannot be acknowledged in its state";
    ShareSessionNotFound = 122, "SHARE_SESSION_NOT_FOUND", true, "the share session does not exist";
    InvalidShareSessionEpoch = 123, "INVALID_SHARE_SESSION_EPOCH", true, "the share session's epoch is another one";
    FencedStateEpoch = 124, "FENCED_STATE_EPOCH", false, "the share group's state epoch is another one";
    InvalidVoterKey = 125, "INVALID_VOTER_KEY", false, "the voter's key is not that of the receiving replica";
    DuplicateVoter = 126, "DUPLICATE_VOTER", false, "the voter is in the set already";
    VoterNotFound = 127, "VOTER_NOT_FOUND", false, "the voter is not in the set";
    InvalidRegularExpression = 128, "INVALID_REGULAR_EXPRESSION", false, "the regular expression is invalid";
    RebootstrapRequired = 129, "REBOOTSTRAP_REQUIRED", false, "the client's metadata is stale; it must bootstrap again";
    StreamsInvalidTopology = 130, "STREAMS_INVALID_TOPOLOGY", false, "the topology is invalid";
    StreamsInvalidTopologyEpoch = 131, "STREAMS_INVALID_TOPOLOGY_EPOCH", false, "the topology's epoch is invalid";
    StreamsTopologyFenced = 132, "STREAMS_TOPOLOGY_FENCED", false, "the topology's epoch is an old one";
    ShareSessionLimitReached = 133, "SHARE_SESSION_LIMIT_REACHED", true, "no more share sessions are allowed";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_contiguous_and_round_trip() {
        let codes: Vec<i16> = ErrorCode::ALL.iter().map(|code| code.code()).collect();
        assert_eq!(codes, (-1..=133).collect::<Vec<i16>>());
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_code(code.code()), Some(*code));
        }
        assert_eq!(ErrorCode::from_code(134), None);
        assert_eq!(ErrorCode::from_code(-2), None);
    }

    #[test]
    fn names_and_retriability_agree_with_the_codec_crate() {
        use kafka_protocol::error::ResponseError;

        for code in ErrorCode::ALL {
            let Some(theirs) = ResponseError::try_from_code(code.code()) else {
                continue;
            };
            assert_eq!(
                code.name().replace('_', "").to_lowercase(),
                theirs.to_string().to_lowercase()
            );
            // Kafka 4 made this one retriable, which the crate's table does not know yet.
            if *code != ErrorCode::ConcurrentTransactions {
                assert_eq!(code.is_retriable(), theirs.is_retriable(), "{code}");
            }
        }
    }
}
