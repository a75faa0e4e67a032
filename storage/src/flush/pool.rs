//! A few threads that sit in `fdatasync` side by side.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

type Task = Box<dyn FnOnce() + Send>;

/// Runs the tasks of a round; the calling thread works too.
pub(super) struct SyncPool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
    finished: Condvar,
}

#[derive(Default)]
struct State {
    tasks: VecDeque<Task>,
    running: usize,
    stopping: bool,
}

impl SyncPool {
    /// Starts `helpers` threads beside the one that calls [`SyncPool::run`].
    pub(super) fn new(helpers: usize) -> Self {
        let shared = Arc::new(Shared::default());
        let spawn = |number| {
            let shared = Arc::clone(&shared);
            let name = format!("sync-{number}");
            thread::Builder::new()
                .name(name)
                .spawn(move || shared.work())
                .expect("a thread can be started")
        };
        let threads = (0..helpers).map(spawn).collect();
        Self { shared, threads }
    }

    /// Runs all tasks and returns when the last one is done. One caller at a time.
    pub(super) fn run(&self, tasks: impl IntoIterator<Item = Task>) {
        let mut state = self.shared.lock();
        state.tasks.extend(tasks);
        // This thread takes one itself, so a round of one wakes nobody.
        for _ in 1..state.tasks.len() {
            self.shared.work.notify_one();
        }
        loop {
            match state.tasks.pop_front() {
                Some(task) => {
                    drop(state);
                    task();
                    state = self.shared.lock();
                }
                None if 0 < state.running => {
                    state = self.shared.finished.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                None => return,
            }
        }
    }
}

impl Drop for SyncPool {
    fn drop(&mut self) {
        self.shared.lock().stopping = true;
        self.shared.work.notify_all();
        for thread in self.threads.drain(..) {
            // A helper that panicked has reported itself; there is nothing left to do for it here.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for SyncPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncPool")
            .field("threads", &self.threads.len())
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn work(&self) {
        let mut state = self.lock();
        loop {
            if let Some(task) = state.tasks.pop_front() {
                state.running += 1;
                drop(state);
                task();
                state = self.lock();
                state.running -= 1;
                self.finished.notify_one();
            } else if state.stopping {
                return;
            } else {
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
