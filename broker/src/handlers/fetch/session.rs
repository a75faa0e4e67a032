//! Fetch sessions (KIP-227), refused properly.
//!
//! A full request is answered with session id 0, which tells the client that no session was made; it goes on with full
//! requests. Incremental requests can then only come from a client that remembers a session of an earlier broker.

use protocol::ErrorCode;

/// Session epoch of a full request that would like a session.
const INITIAL_EPOCH: i32 = 0;
/// Session epoch of a full request that wants none, or closes the one it names.
const FINAL_EPOCH: i32 = -1;

/// Checks the session fields of a request (Kafka's `FetchManager.newContext`).
///
/// Kafka answers INVALID_FETCH_SESSION_EPOCH only for a session that exists; none does here, so whoever asks for an
/// incremental answer gets FETCH_SESSION_ID_NOT_FOUND and starts over with a full request.
pub(super) fn check(session_epoch: i32) -> Result<(), ErrorCode> {
    match session_epoch {
        INITIAL_EPOCH | FINAL_EPOCH => Ok(()),
        _ => Err(ErrorCode::FetchSessionIdNotFound),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_requests_pass_and_incremental_ones_start_over() {
        assert_eq!(check(0), Ok(()));
        assert_eq!(check(-1), Ok(()));
        for epoch in [1, 7, i32::MAX, -2] {
            assert_eq!(check(epoch), Err(ErrorCode::FetchSessionIdNotFound), "{epoch}");
        }
    }
}
