//! The long poll: read, and while it is too little, wait for more.
//!
//! A wait ends when enough bytes have come, when a partition gets an error or is trimmed, when topics change, when
//! `max_wait_ms` is over, or when the connection or the broker closes. While it waits a request holds neither
//! records nor memory of the fetch budget; what is new in its logs is counted, and read again once it is enough.

use std::sync::Arc;
use std::time::Duration;

use protocol::ids::Offset;
use protocol::messages::FetchRequest;
use protocol::records::HEADER_LEN;
use storage::{Isolation, Marks};
use tokio::sync::watch;
use tokio::time::timeout;

use super::plan::{self, Plan, Target};
use super::read::{self, Data, Limits, PartitionRead, Pass};
use crate::handlers::context::RequestContext;
use crate::partitions::{Held, Waiters, Woken};

/// One fetch request on its way.
pub(super) struct LongPoll<'a> {
    ctx: &'a RequestContext,
    request: &'a FetchRequest,
    /// Changes of topics since the plan was made.
    changes: watch::Receiver<u64>,
    plan: Arc<Plan>,
    limits: Limits,
    min_bytes: usize,
    /// On the monotonic clock of the environment.
    deadline: Duration,
}

/// How a wait ended.
enum Ended {
    /// Something may be there to read; perhaps with memory that was waited for.
    ReadAgain(Option<Held>),
    /// No time is left.
    TimedOut,
}

impl<'a> LongPoll<'a> {
    pub(super) fn new(ctx: &'a RequestContext, request: &'a FetchRequest) -> Self {
        let max_bytes = to_usize(request.max_bytes).min(ctx.services.config.kafka.defaults.fetch_max_bytes);
        let max_wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
        Self {
            ctx,
            request,
            // Before the plan: what changes while it is made or read must not be missed.
            changes: ctx.services.partitions.changes(),
            plan: Arc::new(Self::plan(ctx, request)),
            limits: Limits {
                version: ctx.api_version,
                isolation: plan::isolation(request),
                max_bytes,
            },
            min_bytes: to_usize(request.min_bytes).min(max_bytes),
            deadline: ctx.services.env.monotonic() + max_wait,
        }
    }

    /// Reads until there is an answer.
    pub(super) async fn run(mut self) -> Pass {
        let mut held = None;
        loop {
            let pass = self.read(held.take()).await;
            if self.is_answer(&pass) {
                return pass;
            }
            match self.wait(pass).await {
                Ended::ReadAgain(memory) => held = memory,
                Ended::TimedOut => return self.read(None).await,
            }
        }
    }

    fn plan(ctx: &RequestContext, request: &FetchRequest) -> Plan {
        plan::plan(&ctx.services.partitions, ctx.api_version, request, ctx.now())
    }

    /// One pass: in place when all it needs is in memory, else on a thread that may block.
    async fn read(&self, held: Option<Held>) -> Pass {
        let services = &self.ctx.services;
        let limits = self.limits;
        if read::in_memory(&self.plan, limits.isolation) {
            return read::pass(&self.plan, limits, &self.ctx.fetch_budget, held);
        }
        let (plan, budget) = (Arc::clone(&self.plan), self.ctx.fetch_budget.clone());
        let cold = services
            .env
            .spawn_blocking(move || read::pass(&plan, limits, &budget, held));
        // The thread fails only when the broker stops; the client then gets nothing and finds the connection closed.
        cold.await.unwrap_or_else(|_| Pass {
            urgent: true,
            ..Pass::default()
        })
    }

    fn is_answer(&self, pass: &Pass) -> bool {
        let nothing_to_wait_for = self.plan.targets.iter().all(|target| target.partition.is_err());
        if pass.urgent || nothing_to_wait_for || self.time_left().is_zero() || self.ctx.closing.is_cancelled() {
            return true;
        }
        pass.needs_memory.is_none() && self.min_bytes <= pass.bytes
    }

    async fn wait(&mut self, pass: Pass) -> Ended {
        if let Some(bytes) = pass.needs_memory {
            return self.wait_for_memory(bytes).await;
        }
        let mut progress = Progress::of(&self.plan, pass);
        let logs = progress.seen.iter().filter_map(|seen| {
            let partition = self.plan.targets[seen.target].partition.as_ref().ok()?.as_ref()?;
            Some((&partition.log, seen.marks))
        });
        let mut waiters = Waiters::new(self.changes.clone(), self.limits.isolation, logs);
        loop {
            match self.bounded(waiters.changed()).await {
                None => return Ended::TimedOut,
                Some(Woken::Topics) => {
                    self.changes.mark_unchanged();
                    self.plan = Arc::new(Self::plan(self.ctx, self.request));
                    return Ended::ReadAgain(None);
                }
                Some(Woken::Log) => {
                    let enough;
                    (progress, enough) = self.is_enough(progress).await;
                    if enough {
                        return Ended::ReadAgain(None);
                    }
                }
            }
        }
    }

    async fn wait_for_memory(&self, bytes: usize) -> Ended {
        match self.bounded(self.ctx.fetch_budget.take(bytes)).await {
            Some(memory) => Ended::ReadAgain(Some(memory)),
            None => Ended::TimedOut,
        }
    }

    /// `None` when the time is up or the connection closes.
    async fn bounded<T>(&self, wait: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            outcome = timeout(self.time_left(), wait) => outcome.ok(),
            () = self.ctx.closing.cancelled() => None,
        }
    }

    fn time_left(&self) -> Duration {
        self.deadline.saturating_sub(self.ctx.services.env.monotonic())
    }

    /// Whether a new pass would reach `min_bytes`, or meet an error that the client has to see.
    async fn is_enough(&self, mut progress: Progress) -> (Progress, bool) {
        // Any batch at all is enough: there is nothing to measure.
        if self.min_bytes <= progress.bytes() + HEADER_LEN {
            return (progress, true);
        }
        if progress.is_in_memory(&self.plan) {
            let enough = progress.measure(&self.plan, self.limits.isolation, self.min_bytes);
            return (progress, enough);
        }
        let (plan, isolation, min_bytes) = (Arc::clone(&self.plan), self.limits.isolation, self.min_bytes);
        let cold = self.ctx.services.env.spawn_blocking(move || {
            let enough = progress.measure(&plan, isolation, min_bytes);
            (progress, enough)
        });
        cold.await.unwrap_or((Progress { seen: Vec::new() }, true))
    }
}

/// How far the partitions of a waiting request have come, without their records.
struct Progress {
    seen: Vec<Seen>,
}

/// What is known of one partition.
struct Seen {
    target: usize,
    /// Bytes that a pass would find, each partition counted up to its own limit.
    bytes: usize,
    /// Where those bytes end.
    next: Offset,
    marks: Marks,
}

impl Progress {
    fn of(plan: &Plan, pass: Pass) -> Self {
        assert_eq!(plan.targets.len(), pass.reads.len(), "one read per target");
        let seen = pass
            .reads
            .into_iter()
            .enumerate()
            .filter_map(|(target, read)| match read {
                PartitionRead::Data(Data {
                    records, marks, next, ..
                }) => Some(Seen {
                    target,
                    bytes: records.len(),
                    next,
                    marks,
                }),
                // A log that is made meanwhile is found by the next request.
                PartitionRead::Diverged { .. } | PartitionRead::Unmade | PartitionRead::Failed(_) => None,
            });
        Self { seen: seen.collect() }
    }

    fn bytes(&self) -> usize {
        self.seen.iter().map(|seen| seen.bytes).sum()
    }

    fn is_in_memory(&self, plan: &Plan) -> bool {
        self.seen.iter().all(|seen| match &plan.targets[seen.target].partition {
            Ok(Some(partition)) => partition.log.marks().log_end <= seen.next || partition.log.cached(seen.next),
            Ok(None) | Err(_) => true,
        })
    }

    /// Reads what is new since the last time, only to count it: reading all again at every append would cost the square
    /// of `min_bytes`. Errors count as enough, so that a pass meets them.
    fn measure(&mut self, plan: &Plan, isolation: Isolation, min_bytes: usize) -> bool {
        for seen in &mut self.seen {
            let Target {
                wanted,
                partition: Ok(Some(partition)),
            } = &plan.targets[seen.target]
            else {
                return true;
            };
            if wanted.from < partition.log.marks().log_start {
                return true;
            }
            let room = wanted.max_bytes.saturating_sub(seen.bytes);
            let Ok(slice) = partition.log.read(seen.next, isolation, room, seen.bytes == 0) else {
                return true;
            };
            seen.bytes += slice.bytes.len();
            seen.next = slice.next_offset;
        }
        min_bytes <= self.bytes()
    }
}

fn to_usize(bytes: i32) -> usize {
    usize::try_from(bytes).unwrap_or(0)
}
