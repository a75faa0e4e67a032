//! The wire matrix: every API key that the broker advertises, in every version that it advertises, gets a good request,
//! a bad one that it has to refuse with the right code, and one whose frame is cut short. Answers are decoded and
//! compared as a whole with the answer that is due, so no field goes unchecked.
//!
//! Goal: a version cannot be advertised without being served right. Method: the list below names every key with its
//! cases; the broker's own ApiVersions answer must be that list.

mod api_versions;
mod configs;
mod coordinator;
mod cut;
mod describe_cluster;
mod fetch;
mod group_admin;
mod list_offsets;
mod membership;
mod metadata;
mod offsets;
pub(crate) use offsets::COORDINATOR_NOT_READY;
mod partitions;
mod produce;
mod producer_id;
mod topics;

use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};

use kafka_protocol::messages::{ApiKey, ApiVersionsRequest};
use tests::broker::Target;
use tests::client::Connection;
use tests::report;
use tests::requests::{self, Cluster};

/// What every case gets: where the broker is and who it says that it is.
pub(crate) struct Wire {
    pub(crate) address: String,
    pub(crate) cluster: Cluster,
    /// False against a foreign broker, which may advertise more.
    pub(crate) is_own: bool,
}

impl Wire {
    fn new(target: &Target) -> Wire {
        let address = target.address();
        let cluster = requests::cluster(&mut Connection::open(&address));
        Wire {
            address,
            cluster,
            is_own: target.own().is_some(),
        }
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::open(&self.address)
    }
}

/// One API key: the versions that must be advertised and the two cases that every served version has to pass.
pub(crate) struct Api {
    pub(crate) key: ApiKey,
    pub(crate) advertised: RangeInclusive<i16>,
    /// Below this a version is advertised only so that old clients do not stumble, and refused.
    pub(crate) served_from: i16,
    pub(crate) good: fn(&Wire, i16),
    pub(crate) bad: fn(&Wire, i16),
}

const fn api(key: ApiKey, advertised: RangeInclusive<i16>, good: fn(&Wire, i16), bad: fn(&Wire, i16)) -> Api {
    let served_from = *advertised.start();
    Api {
        key,
        advertised,
        served_from,
        good,
        bad,
    }
}

/// All of it. A key that is missing here fails the test as soon as the broker advertises it.
pub(crate) const APIS: &[Api] = &[
    Api {
        served_from: 3,
        ..api(ApiKey::Produce, 0..=13, produce::good, produce::bad)
    },
    api(ApiKey::Fetch, 4..=18, fetch::good, fetch::bad),
    api(ApiKey::ListOffsets, 1..=11, list_offsets::good, list_offsets::bad),
    api(ApiKey::Metadata, 0..=13, metadata::good, metadata::bad),
    api(ApiKey::OffsetCommit, 2..=10, offsets::good_commit, offsets::bad_commit),
    api(ApiKey::OffsetFetch, 1..=10, offsets::good_fetch, offsets::bad_fetch),
    api(ApiKey::FindCoordinator, 0..=6, coordinator::good, coordinator::bad),
    api(ApiKey::JoinGroup, 0..=9, membership::good_join, membership::bad_join),
    api(
        ApiKey::Heartbeat,
        0..=4,
        membership::good_heartbeat,
        membership::bad_heartbeat,
    ),
    api(ApiKey::LeaveGroup, 0..=5, membership::good_leave, membership::bad_leave),
    api(ApiKey::SyncGroup, 0..=5, membership::good_sync, membership::bad_sync),
    api(
        ApiKey::DescribeGroups,
        0..=6,
        group_admin::good_describe,
        group_admin::bad_describe,
    ),
    api(ApiKey::ListGroups, 0..=5, group_admin::good_list, group_admin::bad_list),
    api(ApiKey::ApiVersions, 0..=4, api_versions::good, api_versions::bad),
    api(ApiKey::CreateTopics, 2..=7, topics::good_create, topics::bad_create),
    api(ApiKey::DeleteTopics, 1..=6, topics::good_delete, topics::bad_delete),
    api(ApiKey::InitProducerId, 0..=5, producer_id::good, producer_id::bad),
    api(
        ApiKey::DescribeConfigs,
        1..=4,
        configs::good_describe,
        configs::bad_describe,
    ),
    api(ApiKey::CreatePartitions, 0..=3, partitions::good, partitions::bad),
    api(
        ApiKey::DeleteGroups,
        0..=2,
        group_admin::good_delete,
        group_admin::bad_delete,
    ),
    api(
        ApiKey::IncrementalAlterConfigs,
        0..=1,
        configs::good_alter,
        configs::bad_alter,
    ),
    api(
        ApiKey::DescribeCluster,
        0..=2,
        describe_cluster::good,
        describe_cluster::bad,
    ),
];

#[test]
fn every_advertised_version_answers_a_good_and_a_bad_request() {
    let target = Target::start_with(&[]);
    let wire = Wire::new(&target);
    let mut tally = Tally::default();
    for api in APIS {
        for version in api.advertised.clone() {
            if version < api.served_from {
                tally.run(api, version, "refused", || {
                    cut::version_is_refused(&wire, api.key, version)
                });
                continue;
            }
            tally.run(api, version, "good", || (api.good)(&wire, version));
            tally.run(api, version, "bad", || (api.bad)(&wire, version));
            tally.run(api, version, "cut", || cut::cut_frame_closes(&wire, api.key, version));
        }
    }
    report::figure(&format!(
        "wire matrix: {} requests over {} keys",
        tally.requests,
        APIS.len()
    ));
    assert!(
        tally.failures.is_empty(),
        "{} wrong:\n{}",
        tally.failures.len(),
        tally.failures.join("\n")
    );
}

#[test]
fn exactly_the_keys_of_the_matrix_are_advertised() {
    let target = Target::start_with(&[]);
    let wire = Wire::new(&target);
    let response = wire.connect().call(0, &ApiVersionsRequest::default());
    let mut advertised: Vec<(i16, i16, i16)> = response
        .api_keys
        .iter()
        .map(|range| (range.api_key, range.min_version, range.max_version))
        .collect();
    advertised.sort_unstable();
    let expected: Vec<(i16, i16, i16)> = APIS
        .iter()
        .map(|api| (api.key as i16, *api.advertised.start(), *api.advertised.end()))
        .collect();
    if wire.is_own {
        assert_eq!(advertised, expected);
        return;
    }
    for (key, min, max) in expected {
        let found = advertised.iter().find(|range| range.0 == key);
        assert!(
            found.is_some_and(|range| range.1 <= min && max <= range.2),
            "key {key} {min}..={max}: {found:?}"
        );
    }
}

/// Counts the requests and collects what went wrong, so that one run shows everything.
#[derive(Default)]
struct Tally {
    requests: usize,
    failures: Vec<String>,
}

impl Tally {
    fn run(&mut self, api: &Api, version: i16, kind: &str, case: impl FnOnce()) {
        self.requests += 1;
        let Err(panic) = catch_unwind(AssertUnwindSafe(case)) else {
            return;
        };
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("a panic without text");
        self.failures
            .push(format!("{:?} version {version}, {kind} request: {text}", api.key));
    }
}
