//! `tidemill demo`: the server on an empty folder, a web shop's events, two running queries, and a view of it all.

mod events;
mod generator;
mod results;
mod screen;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use processor::sql;
use rdkafka::admin::{NewTopic, TopicReplication};
use rdkafka::error::RDKafkaErrorCode;

use self::generator::Generator;
use self::results::Results;
use self::screen::{Picture, Place, Screen};
use super::error::CliError;
use super::kafka::{KafkaArgs, admin_options};
use super::output::{message, print};
use super::server::{self, RunningServer};
use super::sql::client::SqlClient;
use super::start::Signals;
use crate::env::Env;

const QUERIES: &str = include_str!("queries.sql");
const PARTITIONS: i32 = 2;
const REFRESH: Duration = Duration::from_secs(1);

/// Arguments of `tidemill demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Keep the data in this folder instead of a temporary one.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Events per second.
    #[arg(long, default_value_t = 2_000)]
    rate: u64,
    /// Stop after this many seconds instead of waiting for Ctrl-C.
    #[arg(long)]
    seconds: Option<u64>,
    /// Seed of the events.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs until Ctrl-C, or for the time asked for.
pub(crate) fn run(args: &DemoArgs) -> Result<(), CliError> {
    let runtime = server::runtime()?;
    let outcome = runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let server = RunningServer::start(args.data_dir.clone()).await?;
        let outcome = drive(args, &server, &mut signals).await;
        server.stop().await;
        outcome
    });
    runtime.shutdown_background();
    outcome
}

async fn drive(args: &DemoArgs, server: &RunningServer, signals: &mut Signals) -> Result<(), CliError> {
    let place = Place {
        kafka: server.kafka_address().to_string(),
        http: format!("http://{}", server.http_address()),
        program: screen::own_path(),
    };
    let client_args = KafkaArgs::at(place.kafka.clone());
    create_topics(&client_args).await?;
    let env = server.env();
    create_queries(&env, &place.http).await?;
    let generator = Generator::start(&client_args, Arc::clone(&env), args.seed, args.rate)?;
    let results = Results::start(&client_args, Arc::clone(&env))?;
    print(&place.instructions());

    let screen = Screen::new();
    let mut past = Past { sent: 0, rows: 0 };
    let started = env.monotonic();
    let mut pace = tokio::time::interval(REFRESH);
    pace.tick().await;
    loop {
        let finished = tokio::select! {
            _ = pace.tick() => false,
            () = signals.next() => true,
        };
        let elapsed_s = (env.monotonic() - started).as_secs();
        if finished || args.seconds.is_some_and(|seconds| seconds <= elapsed_s) {
            break;
        }
        let lags = server.group_lags().await;
        screen.show(&past.picture(&place, elapsed_s, &generator, &results, lags));
    }
    message("stopping");
    env.spawn_blocking(move || {
        generator.stop();
        results.stop();
    })
    .await
    .map_err(|error| CliError::failed(error.to_string()))
}

/// Creates the topics that the shop writes to; those of an earlier run in the same folder stay.
async fn create_topics(kafka: &KafkaArgs) -> Result<(), CliError> {
    let topics =
        [events::CLICKS, events::PURCHASES].map(|name| NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1)));
    for created in kafka.admin()?.create_topics(&topics, &admin_options()).await? {
        match created {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, code)) => return Err(CliError::from_code(code, format!("cannot create topic {name}: {code}"))),
        }
    }
    Ok(())
}

/// Creates the sources and views over HTTP, as a user would. Those of an earlier run in the same folder stay.
async fn create_queries(env: &Env, http: &str) -> Result<(), CliError> {
    let mut client = SqlClient::new(http);
    let created = env.spawn_blocking(move || {
        for statement in sql::split(QUERIES).map_err(|error| CliError::failed(error.to_string()))? {
            match client.execute(&statement) {
                Err(error) if error.to_string().contains("42P07") => {}
                outcome => drop(outcome?),
            }
        }
        Ok(())
    });
    created.await.map_err(|error| CliError::failed(error.to_string()))?
}

/// Totals at the last picture, for rates.
struct Past {
    sent: u64,
    rows: u64,
}

impl Past {
    fn picture<'a>(
        &mut self,
        place: &'a Place,
        elapsed_s: u64,
        generator: &Generator,
        results: &Results,
        lags: Vec<(String, i64)>,
    ) -> Picture<'a> {
        let sent = generator.sent();
        let mut latest = results.latest();
        let latency = &latest.latency_ms;
        let latency_ms =
            (!latency.is_empty()).then(|| (latency.value_at_quantile(0.5), latency.value_at_quantile(0.99)));
        let picture = Picture {
            place,
            elapsed_s,
            events_per_s: sent - self.sent,
            rows_per_s: latest.rows - self.rows,
            lags,
            latency_ms,
            minute: latest.minute.clone(),
            pages: latest
                .pages
                .iter()
                .map(|(page, (clicks, users))| (page.clone(), *clicks, *users))
                .collect(),
            flagged: latest
                .flagged
                .iter()
                .map(|(card, (n, total))| (card.clone(), *n, total.clone()))
                .collect(),
        };
        latest.latency_ms.reset();
        *self = Past {
            sent,
            rows: latest.rows,
        };
        picture
    }
}
