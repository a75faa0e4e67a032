//! The first error a response tells of, so that requests can be counted by outcome.

use protocol::ErrorCode;
use protocol::messages::*;

/// Implemented by every response of the route table.
pub trait FirstError {
    /// The top-level error, else the first one inside, else [`ErrorCode::None`].
    fn first_error(&self) -> ErrorCode;
}

macro_rules! first_errors {
    ($($response:ident |$this:ident| $codes:expr;)*) => {$(
        impl FirstError for $response {
            fn first_error(&self) -> ErrorCode {
                let $this = self;
                let mut codes = $codes;
                let code = codes.find(|code| *code != 0).unwrap_or(0);
                ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError)
            }
        }
    )*};
}

/// One code as a list.
fn one(code: i16) -> std::iter::Once<i16> {
    std::iter::once(code)
}

first_errors! {
    ProduceResponse |r| r.responses.iter().flat_map(|t| &t.partition_responses).map(|p| p.error_code);
    FetchResponse |r| one(r.error_code)
        .chain(r.responses.iter().flat_map(|t| &t.partitions).map(|p| p.error_code));
    ListOffsetsResponse |r| r.topics.iter().flat_map(|t| &t.partitions).map(|p| p.error_code);
    MetadataResponse |r| one(r.error_code).chain(r.topics.iter().map(|t| t.error_code));
    OffsetCommitResponse |r| r.topics.iter().flat_map(|t| &t.partitions).map(|p| p.error_code);
    OffsetFetchResponse |r| one(r.error_code)
        .chain(r.groups.iter().map(|g| g.error_code))
        .chain(r.groups.iter().flat_map(|g| &g.topics).flat_map(|t| &t.partitions).map(|p| p.error_code))
        .chain(r.topics.iter().flat_map(|t| &t.partitions).map(|p| p.error_code));
    FindCoordinatorResponse |r| one(r.error_code).chain(r.coordinators.iter().map(|c| c.error_code));
    JoinGroupResponse |r| one(r.error_code);
    HeartbeatResponse |r| one(r.error_code);
    LeaveGroupResponse |r| one(r.error_code).chain(r.members.iter().map(|m| m.error_code));
    SyncGroupResponse |r| one(r.error_code);
    DescribeGroupsResponse |r| r.groups.iter().map(|g| g.error_code);
    ListGroupsResponse |r| one(r.error_code);
    ApiVersionsResponse |r| one(r.error_code);
    CreateTopicsResponse |r| r.topics.iter().map(|t| t.error_code);
    DeleteTopicsResponse |r| r.responses.iter().map(|t| t.error_code);
    InitProducerIdResponse |r| one(r.error_code);
    DescribeConfigsResponse |r| r.results.iter().map(|x| x.error_code);
    CreatePartitionsResponse |r| r.results.iter().map(|x| x.error_code);
    DeleteGroupsResponse |r| r.results.iter().map(|x| x.error_code);
    IncrementalAlterConfigsResponse |r| r.responses.iter().map(|x| x.error_code);
    DescribeClusterResponse |r| one(r.error_code);
}
