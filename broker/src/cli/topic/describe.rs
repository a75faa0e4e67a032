//! `tidemill topic describe`: partitions with their offsets, then the configuration that differs from the default.

use rdkafka::admin::{ConfigResource, ConfigSource, ResourceSpecifier};
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::cli::error::CliError;
use crate::cli::kafka::{KafkaArgs, REQUEST_TIMEOUT, admin_options, block_on};
use crate::cli::output::{Format, print, print_table};

/// Prints one topic.
pub(super) fn run(kafka: &KafkaArgs, topic: &str, format: Format) -> Result<(), CliError> {
    let rows = partitions(kafka, topic)?;
    print_table(format, &["PARTITION", "LEADER", "START", "END", "RECORDS"], &rows);
    if format != Format::Table {
        return Ok(());
    }
    for (name, value) in changed_configs(kafka, topic)? {
        print(&format!("{name} = {value}\n"));
    }
    Ok(())
}

fn partitions(kafka: &KafkaArgs, topic: &str) -> Result<Vec<Vec<String>>, CliError> {
    let mut config = kafka.client()?;
    config.set("allow.auto.create.topics", "false");
    let client: BaseConsumer = config.create()?;
    let metadata = client.fetch_metadata(Some(topic), REQUEST_TIMEOUT)?;
    let Some(found) = metadata.topics().first().filter(|found| !found.partitions().is_empty()) else {
        return Err(CliError::not_found(format!("topic {topic} does not exist")));
    };
    let mut rows = Vec::new();
    for partition in found.partitions() {
        let (start, end) = client.fetch_watermarks(topic, partition.id(), REQUEST_TIMEOUT)?;
        let cells = [
            i64::from(partition.id()),
            i64::from(partition.leader()),
            start,
            end,
            end - start,
        ];
        rows.push(cells.iter().map(i64::to_string).collect());
    }
    Ok(rows)
}

fn changed_configs(kafka: &KafkaArgs, topic: &str) -> Result<Vec<(String, String)>, CliError> {
    let resources = [ResourceSpecifier::Topic(topic)];
    let results = block_on(async { Ok(kafka.admin()?.describe_configs(&resources, &admin_options()).await?) })?;
    let mut changed = Vec::new();
    for result in results {
        let ConfigResource { entries, .. } =
            result.map_err(|code| CliError::from_code(code, format!("cannot describe {topic}: {code}")))?;
        let own = entries
            .into_iter()
            .filter(|entry| entry.source == ConfigSource::DynamicTopic);
        changed.extend(own.map(|entry| (entry.name, entry.value.unwrap_or_default())));
    }
    changed.sort();
    Ok(changed)
}
