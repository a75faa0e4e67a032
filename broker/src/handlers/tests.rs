//! The route table agrees with the protocol.

use super::*;

#[test]
fn routes_stand_in_key_order_once_each() {
    for pair in ROUTES.windows(2) {
        assert!(
            pair[0].api.key() < pair[1].api.key(),
            "{} before {}",
            pair[0].api.name(),
            pair[1].api.name()
        );
    }
}

#[test]
fn a_route_is_found_by_its_key_alone() {
    for key in -1..=200 {
        let found = route(key).map(|route| route.api.key());
        let expected = ROUTES.iter().map(|route| route.api.key()).find(|known| *known == key);
        assert_eq!(found, expected);
    }
}

#[test]
fn versions_are_those_of_kafka_4_3() {
    let table: Vec<_> = ROUTES
        .iter()
        .map(|route| {
            (
                route.api.key(),
                route.advertised_from,
                route.min_version,
                route.max_version,
            )
        })
        .collect();
    let expected = [
        (0, 0, 3, 13),
        (1, 4, 4, 18),
        (2, 1, 1, 11),
        (3, 0, 0, 13),
        (8, 2, 2, 10),
        (9, 1, 1, 10),
        (10, 0, 0, 6),
        (11, 0, 0, 9),
        (12, 0, 0, 4),
        (13, 0, 0, 5),
        (14, 0, 0, 5),
        (15, 0, 0, 6),
        (16, 0, 0, 5),
        (18, 0, 0, 4),
        (19, 2, 2, 7),
        (20, 1, 1, 6),
        (22, 0, 0, 5),
        (32, 1, 1, 4),
        (37, 0, 0, 3),
        (42, 0, 0, 2),
        (44, 0, 0, 1),
        (60, 0, 0, 2),
    ];
    assert_eq!(table, expected);
}

#[test]
fn topic_ids_are_never_offered_without_metadata_that_names_them() {
    let max = |key| route(key).map_or(0, |route| route.max_version);
    if 13 <= max(0) || 10 <= max(8) || 10 <= max(9) {
        assert!(10 <= max(3));
    }
}
