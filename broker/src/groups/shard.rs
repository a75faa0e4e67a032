//! One partition of `__consumer_offsets` and the task that owns its machine.
//!
//! The task is the shell that the crate `coordinator` asks for: it hands commands to the machine one at a time, appends
//! the records, applies them, keeps the timers, and lets replies go once what they depend on is durable. A failed
//! append drops the machine and reads it back from the log.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use coordinator::group::{GroupCommand, GroupConfig, GroupOutcome, GroupReply, GroupTimer, Groups as Machine};
use coordinator::{Release, ReplyTo, TimerQueue};
use protocol::ErrorCode;
use storage::{AppendError, FlushTicket};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::clock::SteadyClock;
use super::store::{self, LoadError, NotAppended};
use crate::env::Env;
use crate::partitions::Partition;

/// What a waiting caller gets: the machine's reply, or the code for a coordinator that cannot answer.
pub(super) type Answer = Result<GroupReply, ErrorCode>;

/// Something for the task to do.
pub(super) enum Message {
    /// A request with somebody who waits for its reply.
    Request {
        to: ReplyTo,
        command: GroupCommand,
        answer: oneshot::Sender<Answer>,
    },
    /// A command without reply.
    Command(GroupCommand),
    /// Nobody waits for this reply any more.
    Forget(ReplyTo),
    /// A look at the state. The task runs it in between.
    Inspect(Box<dyn FnOnce(&Machine) + Send>),
}

/// Topics that a loaded machine has offsets for and that no longer exist.
pub(super) type GoneTopics = Box<dyn Fn(&Machine) -> Vec<Arc<str>> + Send>;

/// What a shard is given.
pub(super) struct ShardParts {
    pub(super) partition: Arc<Partition>,
    pub(super) config: GroupConfig,
    pub(super) env: Arc<Env>,
    pub(super) clock: SteadyClock,
    pub(super) stopping: CancellationToken,
    pub(super) gone_topics: GoneTopics,
}

/// The task's state.
pub(super) struct Shard {
    parts: ShardParts,
    inbox: mpsc::Receiver<Message>,
    machine: Machine,
    timers: TimerQueue<GroupTimer>,
    waiting: HashMap<ReplyTo, oneshot::Sender<Answer>>,
    /// Appends that are not durable yet, oldest first, each with the replies that wait for it.
    unflushed: VecDeque<Unflushed>,
    state: State,
}

enum State {
    /// A thread reads the log; commands are refused meanwhile by a machine that knows it is loading.
    Loading(JoinHandle<Result<Machine, LoadError>>),
    Serving,
    /// The log takes no more writes, or cannot be read. Only a restart helps.
    Failed,
}

struct Unflushed {
    ticket: FlushTicket,
    replies: Vec<(oneshot::Sender<Answer>, GroupReply)>,
}

/// What the task wakes up for.
enum Event {
    Message(Option<Message>),
    Loaded(Result<Machine, LoadError>),
    Flushed(bool),
    TimerDue,
    Stop,
}

impl Shard {
    /// A shard that serves at once when its log is empty, and else begins to load.
    pub(super) fn new(parts: ShardParts, inbox: mpsc::Receiver<Message>) -> Self {
        let machine = Machine::new(parts.config.clone());
        let mut shard = Self {
            state: State::Failed,
            parts,
            inbox,
            machine,
            timers: TimerQueue::new(),
            waiting: HashMap::new(),
            unflushed: VecDeque::new(),
        };
        shard.begin_load();
        shard
    }

    /// Runs until the broker stops or nobody can send any more.
    pub(super) async fn run(mut self) {
        loop {
            match self.next_event().await {
                Event::Message(Some(message)) => self.take(message),
                Event::Message(None) | Event::Stop => break,
                Event::Loaded(loaded) => self.finish_load(loaded),
                Event::Flushed(durable) => self.release_oldest(durable),
                Event::TimerDue => self.fire_timers(),
            }
        }
        self.let_go().await;
    }

    async fn next_event(&mut self) -> Event {
        let due = self.timers.next_due().map(|at| self.parts.clock.until(at));
        tokio::select! {
            biased;
            () = self.parts.stopping.cancelled() => Event::Stop,
            durable = oldest_flush(&mut self.unflushed) => Event::Flushed(durable),
            loaded = finished_load(&mut self.state) => Event::Loaded(loaded),
            () = async { sleep(due.unwrap_or_default()).await }, if due.is_some() => Event::TimerDue,
            message = self.inbox.recv() => Event::Message(message),
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Inspect(look) => look(&self.machine),
            Message::Command(command) => self.handle(command),
            // The machine still makes the reply, and a member that joined stays until its session ends, as in Kafka.
            Message::Forget(to) => drop(self.waiting.remove(&to)),
            Message::Request { answer, .. } if matches!(self.state, State::Failed) => {
                send(answer, Err(ErrorCode::NotCoordinator));
            }
            Message::Request { to, command, answer } => {
                self.waiting.insert(to, answer);
                self.handle(command);
            }
        }
    }

    fn handle(&mut self, command: GroupCommand) {
        if matches!(self.state, State::Failed) {
            return;
        }
        // What these decide lies in records alone, so that a refused append leaves nothing to undo.
        let decides_in_records = matches!(
            command,
            GroupCommand::CommitOffsets(_) | GroupCommand::TopicDeleted { .. } | GroupCommand::Expire
        );
        let outcome = self.machine.handle(self.parts.clock.now_ms(), command);
        self.carry_out(outcome, decides_in_records);
    }

    /// Sets timers, appends and applies the records, and sends replies or keeps them until they may go.
    fn carry_out(&mut self, outcome: GroupOutcome, decides_in_records: bool) {
        let GroupOutcome {
            records,
            replies,
            timers,
        } = outcome;
        for change in timers {
            self.timers.change(change);
        }
        if !records.is_empty() {
            match store::append(&self.parts.partition.log, &records, self.parts.clock.now_ms()) {
                Ok(ticket) => {
                    self.wait_for(ticket);
                    records.iter().for_each(|record| self.machine.apply(record));
                }
                Err(NotAppended { error, part }) => {
                    for reply in replies {
                        self.refuse(reply.to);
                    }
                    let unchanged = decides_in_records && part.is_none();
                    self.wait_for(part);
                    return self.append_failed(&error, unchanged);
                }
            }
        }
        for reply in replies {
            let Some(answer) = self.waiting.remove(&reply.to) else {
                continue;
            };
            match (reply.release, self.unflushed.back_mut()) {
                (Release::WhenDurable, Some(newest)) => newest.replies.push((answer, reply.body)),
                (Release::WhenDurable, None) | (Release::AtOnce, _) => send(answer, Ok(reply.body)),
            }
        }
    }

    fn wait_for(&mut self, ticket: Option<FlushTicket>) {
        self.unflushed.extend(ticket.map(|ticket| Unflushed {
            ticket,
            replies: Vec::new(),
        }));
    }

    /// `unchanged` says that the machine and the log still say the same.
    fn append_failed(&mut self, error: &AppendError, unchanged: bool) {
        let partition = &self.parts.partition.topic_partition;
        tracing::error!(%partition, %error, "group records could not be written");
        match error {
            AppendError::Poisoned(_) | AppendError::Closed(_) => self.fail(),
            _ if unchanged => {}
            _ => self.begin_load(),
        }
    }

    /// Forgets all state and reads it back from the log. Whoever waits is told to look for the coordinator again.
    fn begin_load(&mut self) {
        self.refuse_everybody();
        self.timers = TimerQueue::new();
        self.machine = Machine::new(self.parts.config.clone());
        let marks = self.parts.partition.log.marks();
        if marks.log_start == marks.log_end {
            return self.serve();
        }
        let (partition, config) = (self.parts.partition.clone(), self.parts.config.clone());
        self.state = State::Loading(
            self.parts
                .env
                .spawn_blocking(move || store::load(&partition.log, config)),
        );
    }

    fn finish_load(&mut self, loaded: Result<Machine, LoadError>) {
        match loaded {
            Ok(machine) => {
                self.machine = machine;
                self.serve();
            }
            Err(error) => {
                let partition = &self.parts.partition.topic_partition;
                tracing::error!(%partition, %error, "groups could not be read back; they stay unavailable");
                self.fail();
            }
        }
    }

    fn serve(&mut self) {
        self.state = State::Serving;
        let outcome = self.machine.loaded(self.parts.clock.now_ms());
        self.carry_out(outcome, false);
        for topic in (self.parts.gone_topics)(&self.machine) {
            self.handle(GroupCommand::TopicDeleted { topic });
        }
        tracing::debug!(
            partition = %self.parts.partition.topic_partition,
            groups = self.machine.group_count(),
            "groups are served"
        );
    }

    fn fail(&mut self) {
        self.state = State::Failed;
        self.timers = TimerQueue::new();
        self.refuse_everybody();
    }

    fn refuse_everybody(&mut self) {
        for (_, answer) in self.waiting.drain() {
            send(answer, Err(ErrorCode::NotCoordinator));
        }
    }

    fn refuse(&mut self, to: ReplyTo) {
        if let Some(answer) = self.waiting.remove(&to) {
            send(answer, Err(ErrorCode::NotCoordinator));
        }
    }

    fn release_oldest(&mut self, durable: bool) {
        let Some(Unflushed { replies, .. }) = self.unflushed.pop_front() else {
            return;
        };
        for (answer, reply) in replies {
            send(
                answer,
                if durable {
                    Ok(reply)
                } else {
                    Err(ErrorCode::NotCoordinator)
                },
            );
        }
        if !durable {
            let partition = &self.parts.partition.topic_partition;
            tracing::error!(%partition, "group records could not be made durable; groups stay unavailable");
            self.fail();
        }
    }

    fn fire_timers(&mut self) {
        let now = self.parts.clock.now_ms();
        while let Some(timer) = self.timers.pop_due(now) {
            self.handle(GroupCommand::Timer(timer));
        }
    }

    /// At the end: replies whose records are being flushed still go out, everybody else is sent to another node.
    async fn let_go(mut self) {
        self.inbox.close();
        self.refuse_everybody();
        while !self.unflushed.is_empty() {
            let durable = oldest_flush(&mut self.unflushed).await;
            self.release_oldest(durable);
        }
    }
}

/// Whether the oldest append became durable; never returns while there is none. Cancel safe.
async fn oldest_flush(unflushed: &mut VecDeque<Unflushed>) -> bool {
    match unflushed.front_mut() {
        Some(oldest) => (&mut oldest.ticket).await.is_ok(),
        None => std::future::pending().await,
    }
}

/// The outcome of the load under way; never returns while there is none. Cancel safe.
async fn finished_load(state: &mut State) -> Result<Machine, LoadError> {
    match state {
        State::Loading(thread) => match thread.await {
            Ok(loaded) => loaded,
            // The thread panicked (which is logged where it happens) or the runtime is going down.
            Err(_) => Err(LoadError::Aborted),
        },
        State::Serving | State::Failed => std::future::pending().await,
    }
}

/// The caller may be gone; then nobody wants the answer.
fn send(answer: oneshot::Sender<Answer>, value: Answer) {
    let _gone = answer.send(value);
}
