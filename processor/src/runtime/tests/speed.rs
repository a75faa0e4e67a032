//! Ad hoc.
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, col, lit};
use protocol::records::{BatchBuilder, BatchStamp, Codec};
use storage::AppendOrigin;
use super::super::{QuerySpec, Supervisor};
use crate::plan::graph::*;
use crate::ports::{Clock, Topics};
use crate::testing::{NOON, World};

struct Real(Instant, AtomicI64);
impl Clock for Real {
    fn now_ms(&self) -> i64 { self.1.fetch_add(0, Ordering::Relaxed); NOON + 100_000_000 + self.0.elapsed().as_millis() as i64 }
    fn monotonic(&self) -> Duration { self.0.elapsed() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore]
async fn speed() {
    let world = World::new();
    world.topic("bid", 2);
    let total: i64 = 1_000_000;
    let topic = world.topics.find("bid").unwrap();
    let pad = "x".repeat(150);
    let mut n = 0i64;
    while n < total {
        for p in 0..2 {
            let mut b = BatchBuilder::new(Codec::None, None, NOON);
            for _ in 0..1000 {
                let ts = NOON + n / 10;
                let v = format!(r#"{{"event_type":2,"auction":{},"bidder":{},"price":{},"channel":"Google{}","url":"https://www.nexmark.com/a/b/c/item.htm?query=1&{}","date_time":{},"extra":"{}"}}"#, 1000 + (n * 7919) % 1000, (n * 104729) % 50000, (n * 31) % 100000, n % 10, n, ts, pad);
                b.append(ts, None, Some(v.as_bytes()), &[]);
                n += 1;
            }
            topic.partitions[p].append(&b.finish(BatchStamp::NONE), AppendOrigin::Coordinator, NOON).unwrap();
        }
    }
    let stop: Vec<_> = topic.partitions.iter().enumerate().map(|(i, l)| (i as i32, l.marks().high_watermark)).collect();
    let ts = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
    let all = vec![
        Field::new("date_time", ts.clone(), true), Field::new("auction", DataType::Int64, true), Field::new("price", DataType::Int64, true),
    ];
    let schema = Arc::new(Schema::new(all));
    let c = |n: &str| -> Arc<dyn PhysicalExpr> { col(n, &schema).unwrap() };
    let f = |n: &str| SourceColumn::Field { name: n.into(), not_null: false };
    let win = Arc::new(Schema::new(vec![Field::new("window_start", ts.clone(), false), Field::new("window_end", ts.clone(), false), Field::new("auction", DataType::Int64, true), Field::new("n", DataType::Int64, false), Field::new("s", DataType::Decimal128(38, 0), true)]));
    let filter = Stage::Filter(Arc::new(BinaryExpr::new(c("auction"), Operator::Lt, lit(1100i64))));
    let agg = Stage::Aggregate(AggregatePlan {
        window: Some(WindowPlan { time: c("date_time"), slide_us: 10_000_000, size_us: 10_000_000, offset_us: 0 }),
        keys: vec![c("auction")],
        aggregates: vec![
            AggregateCall { function: AggregateFunction::Count, argument: None, filter: None, input_type: None, output_type: DataType::Int64 },
            AggregateCall { function: AggregateFunction::Sum, argument: Some(c("price")), filter: None, input_type: Some(DataType::Int64), output_type: DataType::Decimal128(38, 0) },
        ],
        schema: win.clone(),
    });
    for (name, stages, out, key, emit) in [
        ("filter", vec![filter], schema.clone(), vec![], Emit { on_close: true, on_update: None }),
        ("tumble", vec![agg.clone()], win.clone(), vec![0usize, 1, 2], Emit { on_close: true, on_update: None }),
        ("tumble-update", vec![agg], win.clone(), vec![0usize, 1, 2], Emit { on_close: true, on_update: Some(Duration::from_millis(100)) }),
    ] {
        let plan = StreamPlan {
            source: SourcePlan { name: "bid".into(), topic: "bid".into(), format: SourceFormat::Json { timestamp_unit: TimestampUnit::Millisecond }, schema: schema.clone(), columns: vec![f("date_time"), f("auction"), f("price")], event_time: 0, watermark: c("date_time"), start: StartAt::Earliest, stop: Some(stop.clone()), idle_timeout: Duration::from_secs(10), max_future: Duration::from_secs(3600), on_error: ErrorPolicy::Fail, committed_only: true },
            stages, emit, output: OutputPlan { name: name.into(), schema: out, key, target: OutputTarget::Blackhole }, late_topic: None,
        };
        let ports = crate::ports::Ports { clock: Arc::new(Real(Instant::now(), AtomicI64::new(0))), ..world.ports() };
        let mut config = world.config();
        config.epoch_interval = Duration::from_millis(100);
        config.memory_limit = 1 << 30;
        let spec = QuerySpec { name: name.into(), id: name.into(), generation: 1, plan: Arc::new(plan), changelog_topic: format!("cl-{name}"), transactional_id: name.into(), group: name.into() };
        let cpu = || { let s = std::fs::read_to_string("/proc/self/stat").unwrap(); let v: Vec<&str> = s.rsplit(')').next().unwrap().split_whitespace().collect(); (v[11].parse::<f64>().unwrap() + v[12].parse::<f64>().unwrap()) / 100.0 };
        let (t, c0) = (Instant::now(), cpu());
        let h = Supervisor::start(spec, ports, &config);
        h.ended().await;
        let c1 = cpu() - c0;
        eprintln!("{name}: {:?} wall {:?} cpu {c1:.2}s => {:.0} K events per CPU s; {:?}", h.status(), t.elapsed(), total as f64 / c1 / 1000.0, h.stats().snapshot());
    }
}
