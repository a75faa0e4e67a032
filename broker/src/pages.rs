//! Pages that are written from the code's own tables: they fail here when they have drifted, and `make docs` writes them.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;

use crate::config::keys::{BROKER_KEYS, Effect, Key, TOPIC_KEYS};
use crate::config::sections::SETTINGS;
use crate::handlers::{Order, ROUTES};
use crate::telemetry::families::FAMILIES;

/// Set to write the pages instead of comparing them.
const UPDATE: &str = "TIDEMILL_UPDATE_DOCS";

#[test]
fn protocol_support_is_what_the_routes_say() {
    let mut page = String::from(
        "# Kafka APIs\n\nWritten from the route table by `make docs`. What is not listed is not advertised, and a request \
         for it closes the\nconnection, as it does in Apache Kafka. Versions are those of Apache Kafka 4.3.\n\n\
         | key | API | served | advertised | requests behind it on the connection |\n|--:|---|---|---|---|\n",
    );
    for route in ROUTES {
        let order = match route.order {
            Order::Alone => "start when it is answered",
            Order::Pipelined => "start at once; answers leave in order",
        };
        writeln!(
            page,
            "| {} | {} | {}-{max} | {}-{max} | {order} |",
            route.api.key(),
            route.api.name(),
            route.min_version,
            route.advertised_from,
            max = route.max_version
        )
        .expect("writing to a String cannot fail");
    }
    page += "\nA version that is advertised and not served closes the connection, as in Apache Kafka: librdkafka stops \
             compressing where\nthe lowest versions are not advertised.\n\n\
             Transactions of clients are not served: a transactional id is refused with TRANSACTIONAL_ID_AUTHORIZATION_FAILED.\n";
    compare("docs/protocol-support.md", &page);
}

#[test]
fn configuration_is_what_the_tables_say() {
    let mut page = String::from(
        "# Configuration\n\nWritten from the tables of the code by `make docs`. `tidemill config default` prints a file with \
         all of it.\n\n## Server\n\n| key | default | what it means |\n|---|---|---|\n",
    );
    for setting in SETTINGS {
        let default = if setting.default.is_empty() {
            ""
        } else {
            &format!("`{}`", setting.default)
        };
        row(&mut page, setting.path, default, setting.doc);
    }
    page += "\n## Kafka's broker keys\n\nUnder `kafka.defaults.`, for example `-X kafka.defaults.num.partitions=4`. These \
             and the topic keys below are keys\nof Apache Kafka 4.3, where they do not name a later version, and our own, which begin with \
             `tidemill.`.\n";
    page += &keys(BROKER_KEYS);
    page += "\n## Kafka's topic keys\n\nSet when a topic is created, or by `tidemill topic alter`.\n";
    page += &keys(TOPIC_KEYS);
    compare("docs/configuration.md", &page);
}

#[test]
fn metrics_are_what_the_table_says() {
    let mut page = String::from(
        "# Metrics\n\nWritten from the table of the code by `make docs`. `/metrics` serves all of it as Prometheus text;\n\
         [operations.md](operations.md#watching) says what to look at first.\n\n\
         Counters count from the start of the process. Labels are bounded: topics and groups beyond `metrics.max_labels` \
         are\ncounted as `_other`, and so are internal topics. A series that has nothing to tell yet is left out. Series with the \
         label\n`partition` are there with `metrics.per_partition = true` alone.\n\n\
         | metric | type | labels | unit | what it means |\n|---|---|---|---|---|\n",
    );
    for family in FAMILIES {
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        metric(
            &mut page,
            family.name,
            family.kind.name(),
            &labels.join(", "),
            family.help,
        );
    }
    for family in ProcessCollector::for_self().collect() {
        let kind = format!("{:?}", family.get_field_type()).to_lowercase();
        metric(&mut page, family.name(), &kind, "", family.help());
    }
    compare("docs/metrics.md", &page);
}

fn metric(page: &mut String, name: &str, kind: &str, labels: &str, help: &str) {
    // Base units stand in the names; what has none is a count.
    let unit = ["seconds", "bytes"]
        .into_iter()
        .find(|unit| name.contains(&format!("_{unit}")));
    writeln!(
        page,
        "| `{name}` | {kind} | {labels} | {} | {help} |",
        unit.unwrap_or_default()
    )
    .expect("writing to a String cannot fail");
}

fn keys(keys: &[Key]) -> String {
    let mut table = String::from("\n| key | default | what it means |\n|---|---|---|\n");
    for key in keys {
        let default = key.default.map_or(String::new(), |default| format!("`{default}`"));
        let doc = match key.effect {
            Effect::Acts | Effect::Fact => key.doc.to_owned(),
            Effect::NotYet(why) => format!("{} Only the default may be set: {why}", key.doc),
        };
        row(&mut table, key.name, &default, &doc);
    }
    table
}

fn row(page: &mut String, name: &str, default: &str, doc: &str) {
    writeln!(page, "| `{name}` | {default} | {} |", doc.replace('|', "\\|")).expect("writing to a String cannot fail");
}

fn compare(path: &str, page: &str) {
    // Tests run in their crate's folder.
    let file = Path::new("..").join(path);
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&file, page).unwrap_or_else(|error| panic!("{path}: {error}"));
        return;
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    assert!(found == page, "{path} has drifted from the code: run `make docs`");
}
