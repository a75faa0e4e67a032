//! ApiVersions (key 18), versions 0-4.
//!
//! Versions: 3 flexible, the client names its software (KIP-511), features (KIP-584) · 4 supported features whose minimum
//! is 0 (KIP-1022).
//!
//! Stage: pipelined.
//!
//! The answer is the route table. An unknown version is answered in version 0 with error 35 and the whole table, so that
//! the client can choose again; the response header has no tag section in any version. Of the features,
//! `metadata.version` stands at the level of Kafka 4.3, because tools show it as the version of the broker.
//!
//! Deliberate deviation from Kafka: `group.version` and `transaction.version` are not finalized. Clients then use neither
//! the consumer protocol of KIP-848 nor the transactions of KIP-890, which are not served yet.

use protocol::ErrorCode;
use protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use protocol::messages::{ApiVersionsRequest, ApiVersionsResponse, StrBytes};

use super::reply::{CloseReason, Reply, encode};
use super::{ROUTES, RequestContext};

const METADATA_VERSION: &str = "metadata.version";
/// Level 7 is Kafka 3.3, the oldest that Kafka itself still supports; level 30 is Kafka 4.3.
const METADATA_VERSION_LEVELS: (i16, i16) = (7, 30);
/// First version that carries features.
const FEATURES_FROM: i16 = 3;
/// Longest software name or version that is taken for one.
const SOFTWARE_LEN_MAX: usize = 256;

/// Answers one request.
pub(crate) async fn handle(ctx: &RequestContext, request: ApiVersionsRequest) -> ApiVersionsResponse {
    if FEATURES_FROM <= ctx.api_version
        && !(is_software_word(&request.client_software_name) && is_software_word(&request.client_software_version))
    {
        return ApiVersionsResponse::default().with_error_code(ErrorCode::InvalidRequest.code());
    }
    let response = ApiVersionsResponse::default().with_api_keys(advertised());
    if ctx.api_version < FEATURES_FROM {
        return response;
    }
    let (lowest, highest) = METADATA_VERSION_LEVELS;
    response
        .with_supported_features(vec![
            SupportedFeatureKey::default()
                .with_name(StrBytes::from_static_str(METADATA_VERSION))
                .with_min_version(lowest)
                .with_max_version(highest),
        ])
        .with_finalized_features_epoch(ctx.services.controller.image().version)
        .with_finalized_features(vec![
            FinalizedFeatureKey::default()
                .with_name(StrBytes::from_static_str(METADATA_VERSION))
                .with_min_version_level(highest)
                .with_max_version_level(highest),
        ])
}

/// The answer to a version that is not served.
pub(crate) fn unsupported(correlation_id: i32) -> Result<Reply, CloseReason> {
    let code = ErrorCode::UnsupportedVersion;
    let response = ApiVersionsResponse::default()
        .with_error_code(code.code())
        .with_api_keys(advertised());
    let frame = encode(correlation_id, 0, &response)?;
    Ok(Reply::Frame { frame, code })
}

fn advertised() -> Vec<ApiVersion> {
    ROUTES
        .iter()
        .map(|route| {
            ApiVersion::default()
                .with_api_key(route.api.key())
                .with_min_version(route.advertised_from)
                .with_max_version(route.max_version)
        })
        .collect()
}

/// Kafka's pattern: letters, digits, `-` and `.`, with a letter or digit at both ends.
fn is_software_word(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= SOFTWARE_LEN_MAX && ends(bytes.first()) && ends(bytes.last()) && bytes.iter().copied().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_words() {
        for good in ["a", "librdkafka", "apache-kafka-java", "4.3.0", "v2.15-rc1"] {
            assert!(is_software_word(good), "{good}");
        }
        for bad in ["", "-a", "a-", ".", "a b", "a_b", "\u{e9}"] {
            assert!(!is_software_word(bad), "{bad}");
        }
    }

    #[test]
    fn produce_is_shown_from_zero() {
        let produce = &advertised()[0];
        assert_eq!((produce.api_key, produce.min_version, produce.max_version), (0, 0, 13));
    }
}
