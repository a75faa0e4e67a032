//! Which logs a round takes, and when.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};

use protocol::TopicPartition;

use super::{FlushObserver, FlushRound};
use crate::{
    AppendOrigin, Durability, Log, LogConfig, LogManager, StorageConfig,
    faulty_fs::FaultyFs,
    fs::Fs,
    testing::{HandClock, NOW, records, storage_config, topic_id},
};

/// Far beyond the time that a test takes: only the clock that the test moves can make a flush due.
const HOUR: Duration = Duration::from_secs(3600);
const ASYNC_DELAY: Duration = Duration::from_secs(7200);

#[derive(Debug)]
struct Rounds(SyncSender<FlushRound>);

impl FlushObserver for Rounds {
    fn round_started(&self) {}

    fn round_finished(&self, round: &FlushRound) {
        self.0.send(*round).expect("the test is there");
    }
}

struct Busy {
    clock: Arc<HandClock>,
    rounds: Receiver<FlushRound>,
    /// Somebody awaits every append to it.
    busy: Arc<Log>,
    /// Nobody ever waits for it.
    lazy: Arc<Log>,
    _manager: Arc<LogManager>,
}

impl Busy {
    fn start() -> Self {
        let config = StorageConfig {
            flush_delay_max: HOUR,
            async_flush_delay: ASYNC_DELAY,
            ..storage_config()
        };
        let clock = Arc::new(HandClock::default());
        let fs = FaultyFs::new() as Arc<dyn Fs>;
        let manager = LogManager::open(config, fs, Arc::clone(&clock) as _).expect("opens");
        let open = |topic, durability| {
            let config = LogConfig {
                durability,
                ..LogConfig::default()
            };
            let partition = TopicPartition::new(topic, 0);
            let log = manager
                .open_log(partition, topic_id(), Arc::new(config), NOW)
                .expect("opens");
            let first = log
                .append(&records(1, NOW), AppendOrigin::Client, NOW)
                .expect("appended");
            log.flush_through(first.last_offset + 1).wait().expect("flushed");
            log
        };
        let busy = open("busy", Durability::Fsync);
        let lazy = open("lazy", Durability::Async);
        let (sender, rounds) = sync_channel(100);
        let this = Self {
            clock,
            rounds,
            busy,
            lazy,
            _manager: Arc::clone(&manager),
        };
        manager.observe_flushes(Arc::new(Rounds(sender)));
        this.append(&this.lazy);
        this
    }

    fn append(&self, log: &Arc<Log>) -> crate::FlushTicket {
        let appended = log.append(&records(1, NOW), AppendOrigin::Client, NOW);
        appended.expect("appended").ticket
    }

    fn round_of_busy(&self) {
        self.append(&self.busy).wait().expect("flushed");
    }

    /// The logs of the rounds that end while somebody awaits so many appends, one after the other.
    fn logs_of_rounds(&self, count: usize) -> Vec<usize> {
        let round = |_| {
            self.round_of_busy();
            self.rounds.recv().expect("a round").logs
        };
        (0..count).map(round).collect()
    }
}

#[test]
fn rounds_that_somebody_awaits_do_not_put_off_the_logs_that_nobody_awaits() {
    let node = Busy::start();
    for _ in 0..3 {
        node.clock.advance(ASYNC_DELAY / 2);
        assert_eq!(node.logs_of_rounds(5), [1; 5], "nothing lazy is due yet");
        assert_eq!(node.lazy.marks().durable, node.lazy.marks().log_end - 1);
        node.clock.advance(ASYNC_DELAY / 2);
        assert_eq!(node.logs_of_rounds(1), [2], "it is due and joins the next round");
        assert_eq!(node.lazy.marks().durable, node.lazy.marks().log_end);
        assert_eq!(node.logs_of_rounds(2), [1; 2]);
        node.append(&node.lazy);
    }
}
