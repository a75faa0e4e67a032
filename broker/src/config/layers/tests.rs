//! From the layers to the validated form.

use std::time::Duration;

use super::*;
use crate::config::RecordValidation;

fn flags(settings: &[&str]) -> Overrides {
    Overrides {
        settings: settings.iter().map(|text| (*text).to_owned()).collect(),
        ..Overrides::default()
    }
}

fn error(settings: &[&str]) -> String {
    load(&flags(settings)).expect_err("a refused configuration").to_string()
}

#[test]
fn defaults_alone_are_a_configuration() {
    let config = load(&Overrides::default()).expect("defaults").config;
    assert_eq!(config.kafka.listen.to_string(), "127.0.0.1:9092");
    assert_eq!(config.kafka.max_frame_bytes, 100 << 20);
    assert_eq!(config.kafka.idle_timeout, Duration::from_secs(600));
    assert_eq!(config.kafka.validate, RecordValidation::Header);
    assert_eq!(config.kafka.defaults.num_partitions, 1);
    assert!(config.kafka.defaults.auto_create_topics);
    assert_eq!(config.kafka.defaults.offsets_topic_partitions, 50);
}

#[test]
fn later_layers_win() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tidemill.toml");
    let text = "[kafka]\nlisten = \"0.0.0.0:1\"\nmax_frame_bytes = \"1MiB\"\ndefaults.num.partitions = 3\n\
                [kafka.defaults]\n";
    std::fs::write(&path, text.replace("\n[kafka.defaults]\n", "\n")).expect("written");
    let overrides = Overrides {
        file: Some(path),
        environment: vec![
            ("TIDEMILL__KAFKA__MAX_FRAME_BYTES".to_owned(), "2MiB".to_owned()),
            ("TIDEMILL__KAFKA__DEFAULTS__LOG_RETENTION_MS".to_owned(), "7".to_owned()),
            ("TIDEMILL_UNRELATED".to_owned(), "x".to_owned()),
        ],
        settings: vec!["kafka.max_frame_bytes=3MiB".to_owned()],
        data_dir: Some("elsewhere".into()),
    };
    let loaded = load(&overrides).expect("all layers");
    assert_eq!(loaded.config.kafka.listen.to_string(), "0.0.0.0:1");
    assert_eq!(loaded.config.kafka.max_frame_bytes, 3 << 20);
    assert_eq!(loaded.config.kafka.defaults.num_partitions, 3);
    assert_eq!(loaded.config.kafka.static_keys["log.retention.ms"], "7");
    assert_eq!(loaded.config.node.data_dir, std::path::Path::new("elsewhere"));
    assert_eq!(loaded.values["kafka.max_frame_bytes"].origin, Origin::Flag);
    assert_eq!(loaded.values["http.listen"].origin, Origin::Default);
}

#[test]
fn unknown_keys_name_the_nearest() {
    assert!(error(&["kafka.max_conections=1"]).contains("did you mean kafka.max_connections?"));
    assert!(error(&["kafka.defaults.num.partition=1"]).contains("did you mean kafka.defaults.num.partitions?"));
    assert!(error(&["postgres.listen=127.0.0.1:5433"]).contains("not served by this version"));
    assert!(error(&["kafka.listen"]).contains("section.key=value"));
}

#[test]
fn units_of_sizes_are_those_of_sql() {
    for (text, bytes) in [("1GiB", 1 << 30), ("1GB", 1_000_000_000)] {
        let loaded = load(&flags(&[&format!("sql.memory_limit={text}")])).expect(text);
        assert_eq!(loaded.config.sql.memory_limit, bytes, "{text}");
    }
}

#[test]
fn values_are_checked() {
    assert!(error(&["kafka.max_frame_bytes=big"]).contains("kafka.max_frame_bytes"));
    assert!(error(&["kafka.listen=9092"]).contains("HOST:PORT"));
    assert!(error(&["storage.durability=maybe"]).contains("fsync"));
    assert!(error(&["kafka.defaults.num.partitions=0"]).contains("at least 1"));
    assert!(error(&["kafka.defaults.node.id=4"]).contains("node.id"));
    assert!(error(&["kafka.max_frame_bytes=200MiB", "kafka.request_memory=100MiB"]).contains("kafka.request_memory"));
    assert!(error(&["kafka.max_frame_bytes=513MiB", "kafka.request_memory=1GiB"]).contains("512 MiB"));
    assert!(error(&["kafka.max_decompressed=513MiB"]).contains("kafka.max_decompressed"));
    assert!(error(&["sql.parallelism=2"]).contains("a query runs as one task in this version"));
    assert!(error(&["sql.parallelism=0"]).contains("at least 1"));
}

#[test]
fn a_kafka_key_and_its_setting_are_one() {
    let config = load(&flags(&["kafka.defaults.socket.request.max.bytes=2097152"]))
        .expect("Kafka's name")
        .config;
    assert_eq!(config.kafka.max_frame_bytes, 2 << 20);
    let config = load(&flags(&["kafka.max_frame_bytes=3MiB"])).expect("our name").config;
    assert_eq!(
        config.kafka.static_keys["socket.request.max.bytes"],
        (3 << 20).to_string()
    );
    let config = load(&flags(&["storage.durability=async"])).expect("async").config;
    assert_eq!(config.kafka.static_keys["tidemill.durability"], "async");
}

#[test]
fn each_durability_has_a_flush_delay_of_its_own() {
    let storage = load(&Overrides::default()).expect("defaults").config.storage;
    assert_eq!(storage.flush_delay_max, Duration::from_millis(10));
    assert_eq!(storage.async_flush_delay, Duration::from_secs(1));
    let longer = flags(&["storage.async_flush_delay=1m"]);
    let storage = load(&longer).expect("a longer delay").config.storage;
    assert_eq!(storage.async_flush_delay, Duration::from_secs(60));
    assert_eq!(storage.flush_delay_max, Duration::from_millis(10));
}
