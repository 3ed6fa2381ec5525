//! The embedder's waiting work: questions first, bounded, and the count of workers that serve it.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{EmbedError, EmbedKind, Embedding};

/// Texts for one pass of the model.
pub(super) struct Job {
    pub(super) texts: Vec<String>,
    pub(super) answer: oneshot::Sender<Result<Vec<Embedding>, EmbedError>>,
    /// The job's place in the bounded queue.
    pub(super) _place: OwnedSemaphorePermit,
}

/// Which work a worker takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Questions only, so that one never waits behind a long chunk.
    Queries,
    /// Whatever waits, questions first.
    Any,
}

#[derive(Default)]
struct State {
    queries: VecDeque<Job>,
    bulk: VecDeque<Job>,
    query_workers: usize,
    bulk_workers: usize,
    waiting_queries: usize,
    waiting_any: usize,
    closed: bool,
}

/// Shared by the embedder and its workers.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

impl Queue {
    /// Puts a job in and says which worker to start for it, if one is missing; the caller starts it with [`Worker`].
    pub(super) fn push(&self, job: Job, kind: EmbedKind, bulk_workers_max: usize) -> Option<Role> {
        let mut state = self.lock();
        if state.closed {
            return None;
        }
        let start = match kind {
            EmbedKind::Query => {
                state.queries.push_back(job);
                let idle = state.waiting_queries + state.waiting_any;
                (state.query_workers == 0 && idle < state.queries.len()).then_some(Role::Queries)
            }
            EmbedKind::Bulk => {
                state.bulk.push_back(job);
                (state.bulk_workers < bulk_workers_max && state.waiting_any < state.bulk.len()).then_some(Role::Any)
            }
        };
        match start {
            Some(Role::Queries) => state.query_workers += 1,
            Some(Role::Any) => state.bulk_workers += 1,
            None => {}
        }
        drop(state);
        self.changed.notify_all();
        start
    }

    /// The next job for a worker; `None` after `idle` without one, or when the queue is closed: the worker ends.
    pub(super) fn next(&self, worker: &mut Worker<'_>, idle: Duration) -> Option<Job> {
        let mut state = self.lock();
        loop {
            while let Some(job) = take(&mut state, worker.role) {
                // Whoever asked may have given up meanwhile.
                if !job.answer.is_closed() {
                    return Some(job);
                }
            }
            if state.closed {
                break;
            }
            *waiting(&mut state, worker.role) += 1;
            let (guard, wait) = self.changed.wait_timeout(state, idle).unwrap_or_else(PoisonError::into_inner);
            state = guard;
            *waiting(&mut state, worker.role) -= 1;
            let empty = state.queries.is_empty() && (worker.role == Role::Queries || state.bulk.is_empty());
            if wait.timed_out() && empty {
                break;
            }
        }
        // Under the same lock that push holds: no job is left to a worker that is going.
        worker.leave(&mut state);
        None
    }

    /// Refuses everything from now on and lets the workers go.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.queries.clear();
        state.bulk.clear();
        drop(state);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take(state: &mut State, role: Role) -> Option<Job> {
    state.queries.pop_front().or_else(|| if role == Role::Any { state.bulk.pop_front() } else { None })
}

fn waiting(state: &mut State, role: Role) -> &mut usize {
    match role {
        Role::Queries => &mut state.waiting_queries,
        Role::Any => &mut state.waiting_any,
    }
}

/// A worker's place in the count; given up when it ends, however it ends.
pub(super) struct Worker<'a> {
    queue: &'a Queue,
    role: Role,
    counted: bool,
}

impl<'a> Worker<'a> {
    pub(super) fn new(queue: &'a Queue, role: Role) -> Self {
        Self { queue, role, counted: true }
    }

    fn leave(&mut self, state: &mut State) {
        if std::mem::take(&mut self.counted) {
            match self.role {
                Role::Queries => state.query_workers -= 1,
                Role::Any => state.bulk_workers -= 1,
            }
        }
    }
}

impl Drop for Worker<'_> {
    fn drop(&mut self) {
        let queue = self.queue;
        self.leave(&mut queue.lock());
    }
}
