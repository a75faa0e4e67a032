//! What tests of streaming SQL share: a broker with its HTTP side, JSON records in, committed rows out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

use crate::batch::{Batch, Record};
use crate::broker::TestBroker;
use crate::client::Connection;
use crate::http::Http;
use crate::requests::{self, EARLIEST, Topic};
use crate::wait;

/// How long one poll of a consumer may take.
const POLL: Duration = Duration::from_millis(50);
const METADATA_TIMEOUT: Duration = Duration::from_secs(30);

/// The setting under which retention looks so often that a test can wait for it.
pub const FREQUENT_RETENTION: (&str, &str) = ("kafka.defaults.log.retention.check.interval.ms", "50");

/// A broker and the two sides from which a test of SQL sees it.
pub struct Bed {
    /// The server.
    pub broker: TestBroker,
    /// Its HTTP side.
    pub http: Http,
    /// Its Kafka side.
    pub connection: Connection,
}

impl Bed {
    /// A broker with the defaults of the tests.
    #[must_use]
    pub fn start() -> Bed {
        Bed::start_with(&[])
    }

    /// A broker with settings added.
    #[must_use]
    pub fn start_with(settings: &[(&str, &str)]) -> Bed {
        let broker = TestBroker::start_with(settings);
        let http = Http::of(&broker);
        let connection = Connection::open(&broker.kafka_address());
        Bed {
            broker,
            http,
            connection,
        }
    }

    /// Stops the broker as `kill -9` does, and starts it again.
    pub fn kill_and_restart(&mut self) {
        self.broker.kill();
        self.restart();
    }

    /// Starts a stopped broker again.
    pub fn restart(&mut self) {
        self.broker.restart();
        self.http = Http::of(&self.broker);
        self.connection = Connection::open(&self.broker.kafka_address());
    }

    /// Kills the broker, and has it die again at the given pass of a place in a commit
    /// ([`TestBroker::run_until_it_dies`]). Clients may be at work; it is down afterwards.
    pub fn die_at(&mut self, point: &str, passes: u32) {
        self.broker.kill();
        self.broker.run_until_it_dies(&format!("{point}:{passes}"), || ());
    }

    /// Deletes the state of all queries. The broker must be down.
    ///
    /// # Panics
    /// When there is none.
    pub fn remove_state(&self) {
        let state = self.broker.data_dir().join("state");
        let has_state = std::fs::read_dir(&state).is_ok_and(|queries| queries.count() > 0);
        assert!(has_state, "there is no state to delete");
        std::fs::remove_dir_all(&state).expect("state can be removed");
    }

    /// Has retention take the head of each partition of a topic, under [`FREQUENT_RETENTION`]. Gives the number of records
    /// that are gone.
    pub fn lose_head(&mut self, topic: &Topic, partitions: i32) -> i64 {
        requests::set_config(&mut self.connection, topic, "retention.bytes", "1048576");
        let start = |partition| {
            wait::until_some("the head to be deleted", || {
                let start = requests::list_offset(&mut self.connection, topic, partition, EARLIEST).offset;
                (start > 0).then_some(start)
            })
        };
        (0..partitions).map(start).sum()
    }

    /// A new topic.
    pub fn topic(&mut self, prefix: &str, partitions: i32) -> Topic {
        requests::create_topic(&mut self.connection, prefix, partitions, &[])
    }

    /// Produces values without keys, now, as one batch.
    pub fn send<V: AsRef<[u8]>>(&mut self, topic: &Topic, partition: i32, values: &[V]) {
        let batch = Batch::of_values(requests::now_ms(), values);
        requests::produce(&mut self.connection, topic, partition, &batch);
    }

    /// Produces whole records, now, as one batch.
    pub fn send_records(&mut self, topic: &Topic, partition: i32, records: Vec<Record>) {
        let batch = Batch::of_records(requests::now_ms(), records);
        requests::produce(&mut self.connection, topic, partition, &batch);
    }

    /// All committed rows of a topic, as a consumer with read_committed gets them.
    #[must_use]
    pub fn rows(&self, topic: &str) -> Vec<Row> {
        committed(&self.broker.kafka_address(), topic)
    }

    /// Follows a topic until its committed rows are as they should be.
    pub fn rows_until(&self, topic: &str, what: &str, enough: impl FnMut(&[Row]) -> bool) -> Vec<Row> {
        committed_until(&self.broker.kafka_address(), topic, what, enough)
    }

    /// Waits until a query has committed everything that its topic holds, as its group's lag tells.
    pub fn caught_up(&self, query: &str, topic: &str) {
        let series = format!("tidemill_group_lag_records{{group=\"tidemill.query.{query}\",topic=\"{topic}\"}}");
        wait::until(&format!("query {query} to read all of {topic}"), || {
            self.refuse_failure(query);
            // The series exists from the first commit on.
            self.http.metrics().get(&series) == Some(&0.0)
        });
    }

    /// Waits until a query has the status given.
    pub fn status(&self, query: &str, wanted: &str) {
        wait::until(&format!("query {query} to be {wanted}"), || {
            if !wanted.eq_ignore_ascii_case("failed") {
                self.refuse_failure(query);
            }
            self.query(query)
                .is_some_and(|row| cell(&row, "status").eq_ignore_ascii_case(wanted))
        });
    }

    /// The row of a query in SHOW QUERIES, by column.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<BTreeMap<String, Value>> {
        let answer = self.http.sql("SHOW QUERIES");
        let rows = objects(&answer);
        rows.into_iter()
            .find(|row| row.get("name").and_then(Value::as_str) == Some(name))
    }

    /// The rows of a SELECT from a materialized view, once the view can be read: right after it was created or the
    /// server was started its state may still be opening.
    #[must_use]
    pub fn view_rows(&self, statement: &str) -> Vec<Vec<Value>> {
        const NOT_IN_STATE: &str = "55000";
        wait::until("the view to be readable", || {
            let answer = self.http.try_sql(statement);
            answer.status == 200 || answer.error_code() != NOT_IN_STATE
        });
        self.http.rows(statement)
    }

    /// One of a query's counters, 0 while there is none.
    #[must_use]
    pub fn query_metric(&self, metric: &str, query: &str) -> f64 {
        self.http
            .metric(&format!("tidemill_query_{metric}{{query=\"{query}\"}}"))
    }

    /// A query that failed will never do what is waited for.
    fn refuse_failure(&self, query: &str) {
        if let Some(row) = self.query(query) {
            assert!(
                !cell(&row, "status").eq_ignore_ascii_case("failed"),
                "{row:?}\n{}",
                self.broker.messages()
            );
        }
    }
}

/// The rows of an answer as maps from column to value.
///
/// # Panics
/// When the answer has another form.
#[must_use]
pub fn objects(answer: &Value) -> Vec<BTreeMap<String, Value>> {
    let columns = answer["columns"].as_array().expect("columns");
    let names: Vec<&str> = columns
        .iter()
        .map(|column| column["name"].as_str().expect("a name"))
        .collect();
    let rows = answer["rows"].as_array().expect("rows");
    let object = |row: &Value| {
        let cells = row.as_array().expect("a row is an array").iter().cloned();
        names.iter().map(|name| (*name).to_owned()).zip(cells).collect()
    };
    rows.iter().map(object).collect()
}

/// A text cell, empty where it is NULL or missing.
#[must_use]
pub fn cell(row: &BTreeMap<String, Value>, column: &str) -> String {
    row.get(column).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A record as a consumer got it. Keys and values are text here, which every sink of ours writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// Key, or null.
    pub key: Option<String>,
    /// Value, or null.
    pub value: Option<String>,
    /// Headers with their values.
    pub headers: Vec<(String, String)>,
}

impl Row {
    /// The value as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        let value = self
            .value
            .as_deref()
            .unwrap_or_else(|| panic!("a null value: {self:?}"));
        serde_json::from_str(value).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Every committed record of a topic, up to the last stable offset of each partition.
///
/// # Panics
/// When the topic cannot be read to its end before the harness's deadline.
#[must_use]
pub fn committed(address: &str, topic: &str) -> Vec<Row> {
    let (consumer, partitions) = follower(address, topic);
    let (mut rows, mut ended) = (Vec::new(), std::collections::BTreeSet::new());
    let start = Instant::now();
    while ended.len() < partitions {
        assert!(
            start.elapsed() < wait::DEADLINE,
            "{topic} does not end; {} rows so far",
            rows.len()
        );
        match consumer.poll(POLL) {
            Some(Ok(message)) => rows.push(row(&message)),
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(ended.insert(partition)),
            Some(Err(error)) => refuse_unless_passing(topic, &error),
            None => {}
        }
    }
    rows
}

/// Follows a topic from its start until its committed records satisfy a condition.
///
/// # Panics
/// When they do not before the harness's deadline; the rows that came are shown.
pub fn committed_until(address: &str, topic: &str, what: &str, mut enough: impl FnMut(&[Row]) -> bool) -> Vec<Row> {
    let (consumer, _) = follower(address, topic);
    let mut rows = Vec::new();
    let start = Instant::now();
    while !enough(&rows) {
        let last: Vec<_> = rows.iter().rev().take(20).collect();
        assert!(
            start.elapsed() < wait::DEADLINE,
            "in vain for {what}; {} rows, the last: {last:#?}",
            rows.len()
        );
        match consumer.poll(POLL) {
            Some(Ok(message)) => rows.push(row(&message)),
            Some(Err(KafkaError::PartitionEOF(_))) | None => {}
            Some(Err(error)) => refuse_unless_passing(topic, &error),
        }
    }
    rows
}

/// Librdkafka reports a lost connection and connects again by itself: the deadline tells whether it does.
fn refuse_unless_passing(topic: &str, error: &KafkaError) {
    let passing = [
        RDKafkaErrorCode::AllBrokersDown,
        RDKafkaErrorCode::BrokerTransportFailure,
    ];
    assert!(
        matches!(error.rdkafka_error_code(), Some(code) if passing.contains(&code)),
        "{topic}: {error}"
    );
}

/// A consumer with read_committed at the start of every partition, and their number.
fn follower(address: &str, topic: &str) -> (BaseConsumer, usize) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("group.id", requests::unique("reader"))
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("allow.auto.create.topics", "false")
        .set("isolation.level", "read_committed")
        .set("fetch.wait.max.ms", "20")
        .create()
        .expect("a consumer");
    let partitions = wait::until_some(&format!("topic {topic}"), || {
        let metadata = consumer
            .fetch_metadata(Some(topic), METADATA_TIMEOUT)
            .expect("metadata");
        let found = metadata.topics().first()?;
        (!found.partitions().is_empty()).then(|| found.partitions().len())
    });
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        let partition = i32::try_from(partition).expect("few partitions");
        list.add_partition_offset(topic, partition, Offset::Beginning)
            .expect("a partition");
    }
    consumer.assign(&list).expect("an assignment");
    (consumer, partitions)
}

fn row(message: &BorrowedMessage<'_>) -> Row {
    let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        headers
            .iter()
            .map(|header| (header.key.to_owned(), text(header.value).unwrap_or_default()))
            .collect()
    });
    Row {
        partition: message.partition(),
        offset: message.offset(),
        key: text(message.key()),
        value: text(message.payload()),
        headers,
    }
}
