//! Changes, the image they lead to, and the controller over a real log.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use protocol::ids::TopicId;
use storage::fs::DiskFs;
use storage::{LogManager, StorageConfig};
use tempfile::TempDir;
use uuid::Uuid;

use super::change::{
    ChangeError, ChangeRules, ConfigChange, ConfigOperation, Layout, NewTopic, Requester, TopicRef, add_partitions,
    alter_broker, alter_topic, create_topic, delete_topic,
};
use super::controller::MorePartitions;
use super::identity::Identity;
use super::store::MetadataStore;
use super::*;
use crate::config::keys::KeyError;
use crate::env::Env;

const NOW: i64 = 1_700_000_000_000;
const NODE: NodeId = 1;

fn rules() -> ChangeRules {
    ChangeRules {
        default_partitions: 3,
        default_replication_factor: 1,
        deletion_enabled: true,
        max_topics: 4,
        max_partitions: 20,
    }
}

fn image() -> Image {
    Image::empty(Arc::from("cluster"), NODE)
}

fn spread(name: &str, partitions: i32, replication_factor: i16) -> NewTopic {
    NewTopic {
        layout: Layout::Spread {
            partitions,
            replication_factor,
        },
        ..NewTopic::with_defaults(name)
    }
}

fn create(image: &mut Image, topic: NewTopic) -> Result<TopicId, ChangeError> {
    let id = TopicId(Uuid::from_u128(1000 + image.version as u128));
    for record in create_topic(image, &rules(), topic, Requester::Client, id, NOW)? {
        image.apply(&record);
    }
    Ok(id)
}

fn set(name: &str, value: &str) -> ConfigChange {
    ConfigChange {
        name: name.to_owned(),
        operation: ConfigOperation::Set(Some(value.to_owned())),
    }
}

#[test]
fn created_topics_stand_in_both_maps() {
    let mut image = image();
    let id = create(&mut image, spread("a", -1, -1)).expect("a good topic");
    let topic = image.topic("a").expect("by name");
    assert_eq!((topic.id, topic.partitions.len()), (id, 3));
    assert_eq!(image.topic_by_id(id), Some(topic));
    assert_eq!(
        topic.partitions[0],
        PartitionImage {
            leader: 1,
            leader_epoch: 0,
            replicas: vec![1],
            isr: vec![1]
        }
    );
}

#[test]
fn creation_is_refused_with_kafkas_reasons() {
    let mut image = image();
    create(&mut image, spread("a.b", 1, 1)).expect("a good topic");
    let refused = |image: &mut Image, topic| create(image, topic).expect_err("refused");
    assert!(matches!(
        refused(&mut image, spread("a.b", 1, 1)),
        ChangeError::TopicExists(_)
    ));
    assert!(matches!(
        refused(&mut image, spread("a_b", 1, 1)),
        ChangeError::NameCollision { .. }
    ));
    assert!(matches!(
        refused(&mut image, spread("a/b", 1, 1)),
        ChangeError::TopicName(_)
    ));
    assert!(matches!(
        refused(&mut image, spread("__consumer_offsets", 1, 1)),
        ChangeError::TopicName(_)
    ));
    assert!(matches!(
        refused(&mut image, spread("c", 0, 1)),
        ChangeError::PartitionCount(_)
    ));
    assert!(matches!(
        refused(&mut image, spread("c", 1, 2)),
        ChangeError::ReplicationFactor(_)
    ));
    assert!(matches!(
        refused(&mut image, spread("c", 1, 0)),
        ChangeError::ReplicationFactor(_)
    ));
    assert!(matches!(
        refused(&mut image, spread("c", 20, 1)),
        ChangeError::Limit { what: "partitions", .. }
    ));
    let config = NewTopic {
        configs: vec![("nonsense".to_owned(), Some("1".to_owned()))],
        ..spread("c", 1, 1)
    };
    assert!(matches!(
        refused(&mut image, config),
        ChangeError::Config(KeyError::Unknown { .. })
    ));
    for assigned in [
        vec![],
        vec![(1, vec![1])],
        vec![(0, vec![])],
        vec![(0, vec![2])],
        vec![(0, vec![1]), (0, vec![1])],
    ] {
        let topic = NewTopic {
            layout: Layout::Assigned(assigned.clone()),
            ..spread("c", 1, 1)
        };
        assert!(
            matches!(refused(&mut image, topic), ChangeError::ReplicaAssignment(_)),
            "{assigned:?}"
        );
    }
}

#[test]
fn topics_of_the_broker_are_out_of_a_clients_reach() {
    let mut image = image();
    let owned = NewTopic {
        owner: Some(Arc::from("q1")),
        ..spread("view", 1, 1)
    };
    create(&mut image, owned).expect("made by the broker");
    let by_name = TopicRef::Name("view".to_owned());
    let refused = delete_topic(&image, &rules(), &by_name, Requester::Client).expect_err("owned");
    assert!(matches!(refused, ChangeError::OwnedTopic { .. }));
    let refused = alter_topic(&image, "view", &[set("retention.ms", "1")], Requester::Client).expect_err("owned");
    assert!(matches!(refused, ChangeError::OwnedTopic { .. }));
    let more = MorePartitions {
        topic: "view".to_owned(),
        count: 2,
        assignments: None,
    };
    assert!(add_partitions(&image, &rules(), &more, Requester::Client).is_err());
    assert!(delete_topic(&image, &rules(), &by_name, Requester::Broker).is_ok());
}

#[test]
fn partitions_only_grow() {
    let mut image = image();
    create(&mut image, spread("a", 2, 1)).expect("a good topic");
    let add = |image: &Image, count, assignments| {
        let more = MorePartitions {
            topic: "a".to_owned(),
            count,
            assignments,
        };
        add_partitions(image, &rules(), &more, Requester::Client)
    };
    assert!(matches!(add(&image, 2, None), Err(ChangeError::PartitionCount(_))));
    assert!(matches!(add(&image, 1, None), Err(ChangeError::PartitionCount(_))));
    assert!(matches!(add(&image, -1, None), Err(ChangeError::PartitionCount(_))));
    assert!(matches!(
        add(&image, 4, Some(vec![vec![1]])),
        Err(ChangeError::ReplicaAssignment(_))
    ));
    for record in add(&image, 4, None).expect("two more") {
        image.apply(&record);
    }
    assert_eq!(image.topic("a").map(|topic| topic.partitions.len()), Some(4));
}

#[test]
fn settings_change_all_or_none() {
    let mut image = image();
    create(&mut image, spread("a", 1, 1)).expect("a good topic");
    let change = |operation: ConfigOperation, name: &str| ConfigChange {
        name: name.to_owned(),
        operation,
    };
    let append = change(ConfigOperation::Append(Some("compact".to_owned())), "cleanup.policy");
    let records =
        alter_topic(&image, "a", &[set("retention.ms", "5"), append], Requester::Client).expect("both are good");
    for record in records {
        image.apply(&record);
    }
    let configs = &image.topic("a").expect("there").configs;
    assert_eq!(configs["retention.ms"], "5");
    assert_eq!(configs["cleanup.policy"], "delete,compact");

    let bad = alter_topic(
        &image,
        "a",
        &[set("retention.ms", "6"), set("segment.bytes", "1")],
        Requester::Client,
    );
    assert!(matches!(
        bad,
        Err(ChangeError::Config(KeyError::Invalid {
            name: "segment.bytes",
            ..
        }))
    ));
    let twice = alter_topic(
        &image,
        "a",
        &[set("retention.ms", "6"), set("retention.ms", "7")],
        Requester::Client,
    );
    assert!(matches!(twice, Err(ChangeError::Config(KeyError::Twice(_)))));
    let no_list = change(ConfigOperation::Append(Some("1".to_owned())), "retention.ms");
    assert!(matches!(
        alter_topic(&image, "a", &[no_list], Requester::Client),
        Err(ChangeError::Config(KeyError::NoList(_)))
    ));
    let unset = change(ConfigOperation::Delete, "segment.ms");
    assert_eq!(alter_topic(&image, "a", &[unset], Requester::Client), Ok(vec![]));
    let subtract = change(ConfigOperation::Subtract(Some("delete".to_owned())), "cleanup.policy");
    for record in alter_topic(&image, "a", &[subtract], Requester::Client).expect("good") {
        image.apply(&record);
    }
    assert_eq!(image.topic("a").expect("there").configs["cleanup.policy"], "compact");
}

#[test]
fn only_some_broker_keys_change_while_running() {
    let image = image();
    assert!(alter_broker(&image, None, &[set("log.retention.ms", "5")]).is_ok());
    assert!(matches!(
        alter_broker(&image, Some(NODE), &[set("num.partitions", "5")]),
        Err(ChangeError::Config(KeyError::ReadOnly("num.partitions")))
    ));
    assert!(matches!(
        alter_broker(&image, Some(2), &[]),
        Err(ChangeError::UnknownBroker(2))
    ));
}

/// Remembers the images it was given.
#[derive(Default)]
struct Applied(Mutex<Vec<usize>>);

impl ImageApplier for Applied {
    fn apply(&self, image: &Arc<Image>) -> Result<(), String> {
        self.0.lock().expect("no panics").push(image.topics_by_name.len());
        Ok(())
    }
}

fn open(folder: &TempDir) -> (Arc<LogManager>, Arc<Controller>, Arc<Applied>) {
    let manager = LogManager::open(
        StorageConfig::new(folder.path()),
        Arc::new(DiskFs),
        Arc::new(Env::system()),
    )
    .expect("a usable folder");
    let identity = Identity::open(&DiskFs, folder.path(), NODE, Uuid::from_u128(5)).expect("an identity");
    let (store, image) = MetadataStore::open(&manager, folder.path(), &identity, NOW).expect("a readable log");
    let applied = Arc::new(Applied::default());
    let applier = Arc::clone(&applied) as Arc<dyn ImageApplier>;
    let controller = Controller::new(store, image, rules(), applier, Arc::new(Env::system()));
    (manager, Arc::new(controller), applied)
}

#[tokio::test]
async fn a_restart_gives_the_same_image() {
    let folder = tempfile::tempdir().expect("a folder");
    let (manager, controller, applied) = open(&folder);
    let created = controller
        .create_topics(
            vec![spread("a", 1, 1), spread("b", 0, 1), spread("c", 2, 1)],
            Requester::Client,
            false,
        )
        .await;
    let outcomes: Vec<bool> = created.iter().map(Result::is_ok).collect();
    assert_eq!(
        outcomes,
        [true, false, true],
        "a refused topic does not touch its neighbours"
    );
    assert_eq!(*applied.0.lock().expect("no panics"), [2], "one batch, one image");
    assert_eq!(controller.allocate_producer_ids().await.expect("a block"), 0..1000);
    controller
        .put_sql_object("v", Bytes::from_static(b"definition"))
        .await
        .expect("stored");
    let deleted = controller
        .delete_topics(vec![TopicRef::Name("a".to_owned())], Requester::Client)
        .await;
    assert!(deleted[0].is_ok());
    let before = controller.image();
    drop(controller);
    manager.shutdown(NOW).expect("flushed");
    drop(manager);

    let (_manager, controller, _) = open(&folder);
    let after = controller.image();
    assert_eq!(
        after.topics_by_name.keys().map(AsRef::as_ref).collect::<Vec<_>>(),
        ["c"]
    );
    assert_eq!(
        after.topic("c").map(|topic| topic.id),
        before.topic("c").map(|topic| topic.id)
    );
    let epochs = |image: &Image| image.topic("c").expect("kept").partitions[0].leader_epoch;
    assert_eq!(
        epochs(&after),
        epochs(&before) + 1,
        "every start begins new leaderships"
    );
    assert_eq!(after.sql_objects["v"], Bytes::from_static(b"definition"));
    assert_eq!(controller.allocate_producer_ids().await.expect("a block"), 1000..2000);
}

#[tokio::test]
async fn validation_alone_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_manager, controller, applied) = open(&folder);
    let before = controller.image();
    let answers = controller
        .create_topics(vec![spread("a", 1, 1)], Requester::Client, true)
        .await;
    assert_eq!(answers[0].as_ref().expect("valid").partitions.len(), 1);
    assert_eq!(controller.image(), before);
    assert!(applied.0.lock().expect("no panics").is_empty());
}

#[tokio::test]
async fn a_topic_made_again_has_another_id() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_manager, controller, _) = open(&folder);
    let mut ids = Vec::new();
    for _ in 0..3 {
        let created = controller
            .create_topics(vec![spread("a", 1, 1)], Requester::Client, false)
            .await;
        ids.push(created[0].as_ref().expect("created").id);
        controller
            .delete_topics(vec![TopicRef::Id(ids[ids.len() - 1])], Requester::Client)
            .await;
    }
    ids.dedup();
    assert_eq!(ids.len(), 3);
}
