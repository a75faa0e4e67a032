//! `tidemill bench`: an open-loop load generator over librdkafka against any Kafka broker's address, so that the same
//! program with the same settings measures Tidemill and others.
//!
//! Figures that survive noisy machines come first: the server's CPU seconds per million records and per GB (read from
//! `/proc/<pid>`), then rates and latencies, with the disk's own ceiling measured beside them.

mod consume;
mod disk;
mod latency;
mod payload;
mod produce;
mod report;
mod server;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use rdkafka::ClientConfig;
use rdkafka::admin::{NewTopic, TopicReplication};
use rdkafka::error::RDKafkaErrorCode;

use super::error::CliError;
use super::kafka::{KafkaArgs, admin_options, block_on};

/// Arguments of `tidemill bench`.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    command: BenchCommand,
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    /// Produce as fast as the broker takes it, or at a fixed rate.
    Produce(ProduceArgs),
    /// Read a topic from its start to its end.
    Consume(ConsumeArgs),
    /// Produce at a fixed rate and measure each acknowledgement from its intended send time.
    Latency(ProduceArgs),
}

/// What every benchmark needs to know.
#[derive(Debug, Clone, Args)]
struct Target {
    #[command(flatten)]
    kafka: KafkaArgs,
    /// Topic to use; `produce` and `latency` create it where it is missing.
    #[arg(short, long, default_value = "tidemill-bench")]
    topic: String,
    /// Partitions of a topic that is created.
    #[arg(long, default_value_t = 4)]
    partitions: i32,
    /// Process id of the server: adds its CPU seconds and memory.
    #[arg(long)]
    pid: Option<u32>,
    /// A folder on the server's disk: measures that disk's ceiling before the run.
    #[arg(long)]
    disk: Option<PathBuf>,
    /// Form of the result.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Form of a benchmark's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For reading.
    Text,
    /// One JSON object.
    Json,
}

#[derive(Debug, Clone, Args)]
struct ProduceArgs {
    #[command(flatten)]
    target: Target,
    /// Records to send.
    #[arg(short = 'n', long, default_value_t = 1_000_000)]
    records: u64,
    /// Bytes of each value.
    #[arg(short, long, default_value_t = 1024)]
    size: usize,
    /// Records per second; 0 sends as fast as possible.
    #[arg(short, long, default_value_t = 0)]
    rate: u64,
    /// Acknowledgements to wait for: 0, 1, all.
    #[arg(short, long, default_value = "all")]
    acks: String,
    /// Compression: none, gzip, snappy, lz4, zstd.
    #[arg(short = 'z', long, default_value = "none")]
    codec: String,
    /// How long the client gathers records into a batch, in milliseconds.
    #[arg(long, default_value_t = 5)]
    linger_ms: u64,
    /// Distinct keys; 0 sends none.
    #[arg(long, default_value_t = 0)]
    keys: u64,
    /// Send with the idempotent producer.
    #[arg(long)]
    idempotent: bool,
}

#[derive(Debug, Clone, Args)]
struct ConsumeArgs {
    #[command(flatten)]
    target: Target,
    /// Stop after this many records; 0 reads to the end that the topic has at the start.
    #[arg(short = 'n', long, default_value_t = 0)]
    records: u64,
    /// Give up after this many seconds without a record.
    #[arg(long, default_value_t = 30)]
    timeout_s: u64,
}

/// Runs one benchmark and prints its report on stdout.
pub(crate) fn run(args: BenchArgs) -> Result<(), CliError> {
    let (output, report) = match args.command {
        BenchCommand::Produce(args) => (args.target.output, produce::run(&args)?),
        BenchCommand::Consume(args) => (args.target.output, consume::run(&args)?),
        BenchCommand::Latency(args) => (args.target.output, latency::run(&args)?),
    };
    report.print(output);
    Ok(())
}

impl Target {
    /// Creates the topic unless it is there.
    fn ensure_topic(&self) -> Result<(), CliError> {
        let topic = NewTopic::new(&self.topic, self.partitions, TopicReplication::Fixed(1));
        let results = block_on(async { Ok(self.kafka.admin()?.create_topics([&topic], &admin_options()).await?) })?;
        for result in results {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((name, code)) => return Err(CliError::failed(format!("cannot create topic {name}: {code}"))),
            }
        }
        Ok(())
    }
}

impl ProduceArgs {
    /// The producer's configuration: deep local queues, so that the broker and not the client is measured.
    fn client(&self) -> Result<ClientConfig, CliError> {
        let mut config = ClientConfig::new();
        config.set("acks", &self.acks);
        config.set("compression.codec", &self.codec);
        config.set("linger.ms", self.linger_ms.to_string());
        config.set("batch.size", "1000000");
        config.set("batch.num.messages", "100000");
        config.set("queue.buffering.max.messages", "1000000");
        config.set("queue.buffering.max.kbytes", "1048576");
        config.set("enable.idempotence", self.idempotent.to_string());
        for (name, value) in self.target.kafka.client()?.config_map() {
            config.set(name, value);
        }
        Ok(config)
    }
}
