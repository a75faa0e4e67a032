//! The log against a model that is obviously right: a list of batches.

use proptest::prelude::*;
use protocol::{Offset, records::BatchHeader};

use crate::{
    Isolation, LogConfig, ReadError,
    faulty_fs::Loss,
    testing::{NOW, TestNode, parse, records, small_segments},
};

#[derive(Debug, Clone)]
enum Action {
    Append { records: usize, time: i64 },
    Flush,
    Crash(Loss),
    Restart,
    Retain { later: i64 },
    Delete { part: u8 },
    Read { part: u8, max_bytes: usize },
    Lookup { time: i64 },
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        8 => (1..6_usize, 0..500_i64).prop_map(|(records, time)| Action::Append { records, time }),
        2 => Just(Action::Flush),
        1 => prop_oneof![Just(Loss::Nothing), Just(Loss::Unsynced), any::<u64>().prop_map(Loss::Random)].prop_map(Action::Crash),
        1 => Just(Action::Restart),
        1 => (0..2000_i64).prop_map(|later| Action::Retain { later }),
        1 => any::<u8>().prop_map(|part| Action::Delete { part }),
        3 => (any::<u8>(), 1..3000_usize).prop_map(|(part, max_bytes)| Action::Read { part, max_bytes }),
        2 => (0..600_i64).prop_map(|time| Action::Lookup { time }),
    ]
}

#[derive(Debug, Default)]
struct Model {
    batches: Vec<(BatchHeader, bytes::Bytes)>,
    log_start: Offset,
    log_end: Offset,
    /// What was promised.
    durable: Offset,
}

impl Model {
    fn after_crash(&mut self, log_end: Offset) {
        assert!(
            self.durable <= log_end && log_end <= self.log_end,
            "{} <= {log_end} <= {}",
            self.durable,
            self.log_end
        );
        self.batches.retain(|(header, _)| header.base_offset < log_end);
        self.log_end = log_end;
        self.durable = log_end;
        assert_eq!(
            self.batches.last().map_or(log_end, |(header, _)| header.next_offset()),
            log_end
        );
    }

    fn at(&self, offset: Offset) -> Option<&(BatchHeader, bytes::Bytes)> {
        self.batches.iter().find(|(header, _)| offset < header.next_offset())
    }

    fn lookup(&self, timestamp: i64) -> Option<Offset> {
        let every = self.batches.iter().flat_map(|(header, _)| {
            (0..=header.last_offset_delta).map(|delta| {
                (
                    header.base_offset + i64::from(delta),
                    header.base_timestamp + i64::from(delta),
                )
            })
        });
        every
            .filter(|(offset, _)| self.log_start <= *offset)
            .find(|(_, time)| timestamp <= *time)
            .map(|(offset, _)| offset)
    }
}

fn config() -> LogConfig {
    LogConfig {
        retention_ms: Some(1000),
        timestamp_before_max_ms: i64::MAX,
        segment_bytes: 1500,
        ..small_segments()
    }
}

fn step(node: TestNode, model: &mut Model, action: &Action) -> TestNode {
    match action {
        Action::Append { records: count, time } => {
            let batch = records(*count, NOW + time);
            let appended = node.append(&batch).expect("appended");
            assert_eq!(appended.base_offset, model.log_end);
            let mut header = batch.header;
            header.base_offset = appended.base_offset;
            header.partition_leader_epoch = node.log.leader_epoch();
            model.batches.push((header, batch.records_bytes()));
            model.log_end = header.next_offset();
        }
        Action::Flush => {
            node.log.flush_through(model.log_end).wait().expect("flushed");
            model.durable = model.log_end;
        }
        Action::Crash(loss) => {
            let seen = node.log.marks().high_watermark;
            model.durable = model.durable.max(seen);
            let node = node.crash(*loss);
            model.after_crash(node.log.marks().log_end);
            assert_eq!(node.log.marks().log_start, model.log_start);
            return node;
        }
        Action::Restart => {
            model.durable = model.log_end;
            let node = node.restart();
            model.after_crash(node.log.marks().log_end);
            assert!(node.log.recovery().clean);
            assert_eq!(node.log.marks().log_start, model.log_start);
            return node;
        }
        Action::Retain { later } => {
            node.manager.apply_retention(NOW + later);
            model.log_start = node.log.marks().log_start;
            assert!(model.log_start <= node.log.marks().high_watermark);
        }
        Action::Delete { part } => {
            let high_watermark = node.log.marks().high_watermark;
            let target = high_watermark * i64::from(*part) / 255;
            let start = node.log.delete_records(target, NOW).expect("deleted");
            assert_eq!(start, target.max(model.log_start));
            model.log_start = start;
        }
        Action::Read { part, max_bytes } => {
            let from = model.log_end * i64::from(*part) / 255;
            check_read(&node, model, from, *max_bytes);
        }
        Action::Lookup { time } => {
            let found = node
                .log
                .offset_for_timestamp(NOW + time, Isolation::LogEnd)
                .expect("readable");
            assert_eq!(found.map(|found| found.offset), model.lookup(NOW + time), "at {time}");
        }
    }
    node
}

fn check_read(node: &TestNode, model: &Model, from: Offset, max_bytes: usize) {
    let read = node.log.read(from, Isolation::LogEnd, max_bytes, true);
    if from < model.log_start {
        assert!(matches!(read, Err(ReadError::OffsetOutOfRange(_))));
        return;
    }
    let slice = read.expect("readable");
    let mut offset = from;
    let mut size = 0;
    for batch in parse(slice.bytes) {
        let (header, bytes) = model.at(offset).expect("the model has it");
        assert_eq!(batch.header, *header);
        assert_eq!(batch.records_bytes(), *bytes);
        size += batch.bytes.len();
        assert!(size <= max_bytes || offset == from);
        offset = header.next_offset();
    }
    assert_eq!(slice.next_offset, offset);
    assert!(from == model.log_end || from < offset, "a read makes progress");
}

proptest! {
    #[test]
    fn the_log_does_what_a_list_would(actions in proptest::collection::vec(action(), 1..60)) {
        let mut node = TestNode::new(config());
        let mut model = Model::default();
        for action in &actions {
            node = step(node, &mut model, action);
            let marks = node.log.marks();
            prop_assert_eq!((marks.log_start, marks.log_end), (model.log_start, model.log_end));
        }
        let mut from = model.log_start;
        while from < model.log_end {
            check_read(&node, &model, from, 1);
            from = model.at(from).expect("the model has it").0.next_offset();
        }
    }
}
