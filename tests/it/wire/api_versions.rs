//! ApiVersions (18).

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::api_versions_response::{FinalizedFeatureKey, SupportedFeatureKey};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};
use tests::requests::text;

use super::{APIS, Wire, cut};

const SOFTWARE_SINCE: i16 = 3;

pub(crate) fn good(wire: &Wire, version: i16) {
    let mut request = ApiVersionsRequest::default();
    if version >= SOFTWARE_SINCE {
        request = request
            .with_client_software_name(text("wire-test"))
            .with_client_software_version(text("1.0"));
    }
    let response = wire.connect().call(version, &request);
    assert_eq!((response.error_code, response.throttle_time_ms), (0, 0));
    assert!(!response.zk_migration_ready);
    for api in APIS {
        let ranges: Vec<_> = response
            .api_keys
            .iter()
            .filter(|range| range.api_key == api.key as i16)
            .collect();
        assert_eq!(ranges.len(), 1, "{:?} is advertised once", api.key);
        let range = ranges[0];
        assert!(
            range.min_version <= *api.advertised.start() && *api.advertised.end() <= range.max_version,
            "{range:?}"
        );
    }
    if wire.is_own {
        assert_eq!(features(response.clone()), known_features(version));
    }
    if version < 4 {
        // KAFKA-17011: a feature whose minimum is 0 trips older clients.
        assert!(
            response
                .supported_features
                .iter()
                .all(|feature| feature.min_version > 0),
            "{response:?}"
        );
    }
}

/// The answer without the table, which is compared apart, and without the state of the cluster's metadata.
fn features(mut response: ApiVersionsResponse) -> ApiVersionsResponse {
    response.api_keys.clear();
    response.finalized_features_epoch = response.finalized_features_epoch.signum();
    response
}

/// Tools show the metadata version as that of the broker: 30 is Kafka 4.3. No other feature is on.
fn known_features(version: i16) -> ApiVersionsResponse {
    let response = ApiVersionsResponse::default();
    if version < SOFTWARE_SINCE {
        return response.with_finalized_features_epoch(-1);
    }
    let supported = SupportedFeatureKey::default()
        .with_name(text("metadata.version"))
        .with_min_version(7)
        .with_max_version(30);
    let finalized = FinalizedFeatureKey::default()
        .with_name(text("metadata.version"))
        .with_min_version_level(30)
        .with_max_version_level(30);
    response
        .with_supported_features(vec![supported])
        .with_finalized_features_epoch(1)
        .with_finalized_features(vec![finalized])
}

/// A software name outside Kafka's pattern. Before there was one the request had no field that could be wrong, so that
/// there it is the frame that is cut.
pub(crate) fn bad(wire: &Wire, version: i16) {
    if version < SOFTWARE_SINCE {
        cut::cut_frame_closes(wire, ApiKey::ApiVersions, version);
        return;
    }
    let request = ApiVersionsRequest::default()
        .with_client_software_name(text("-not a name-"))
        .with_client_software_version(text("1.0"));
    let response = wire.connect().call(version, &request);
    let code = ResponseError::InvalidRequest.code();
    assert_eq!(response, ApiVersionsResponse::default().with_error_code(code));
}
