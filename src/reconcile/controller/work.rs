//! The loop of a controller: keys in, calls out.

use std::fmt::Debug;
use std::future::{Future, poll_fn};
use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio::sync::Notify;

use super::queue::Queue;
use crate::clock::Clock;
use crate::reconcile::{Action, Error};

/// A controller's queue, and the bell that rings when something is put in.
#[derive(Debug)]
pub(in crate::reconcile) struct Inbox<T> {
    queue: Mutex<Queue<T>>,
    bell: Notify,
}

impl<T> Default for Inbox<T> {
    fn default() -> Self {
        Self { queue: Mutex::default(), bell: Notify::new() }
    }
}

impl<T: Clone + Ord> Inbox<T> {
    /// Adds keys. Mostly there are none: a change concerns few controllers.
    pub(in crate::reconcile) fn add_all(&self, keys: Vec<T>) {
        if !keys.is_empty() {
            self.with(|queue| keys.into_iter().for_each(|key| queue.add(key)));
            self.bell.notify_one();
        }
    }

    fn with<R>(&self, change: impl FnOnce(&mut Queue<T>) -> R) -> R {
        change(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Makes a call for each key that comes in, never two for the same at once. Works until it is dropped.
pub(in crate::reconcile) async fn work<T, F>(
    name: &str,
    clock: Clock,
    inbox: &Inbox<T>,
    concurrency: NonZeroUsize,
    call: impl Fn(T) -> F,
) where
    T: Clone + Debug + Ord,
    F: Future<Output = Result<Action, Error>>,
{
    let mut calls = FuturesUnordered::new();
    loop {
        let now = clock.elapsed();
        while calls.len() < concurrency.get()
            && let Some(key) = inbox.with(|queue| queue.take(now))
        {
            // A mistake that one object brings to light must not keep the controller from all others.
            let call = timed(clock, AssertUnwindSafe(call(key.clone())).catch_unwind());
            calls.push(
                call.map(move |(outcome, took)| {
                    (key, outcome.unwrap_or_else(|_| Err(Error::failed("panicked"))), took)
                }),
            );
        }
        let due = inbox.with(|queue| queue.next_due()).filter(|_| calls.len() < concurrency.get());
        tokio::select! {
            // In order, not at random: runs must be repeatable.
            biased;
            Some((key, outcome, took)) = calls.next() => {
                inbox.with(|queue| {
                    let now = clock.elapsed();
                    let more = matches!(outcome, Ok(Action::After(Duration::ZERO)));
                    finish(name, queue, &key, outcome, now);
                    queue.done(&key, if more { Duration::ZERO } else { took }, now);
                });
            }
            () = inbox.bell.notified() => {}
            () = clock.sleep(due.unwrap_or_default().saturating_sub(now)), if due.is_some() => {}
        }
    }
}

/// What comes of a call, and how long it worked: not what it waited for others.
async fn timed<F: Future>(clock: Clock, call: F) -> (F::Output, Duration) {
    let (mut call, mut took) = (pin!(call), Duration::ZERO);
    let outcome = poll_fn(|context| {
        let begun = clock.elapsed();
        let polled = call.as_mut().poll(context);
        took += clock.elapsed() - begun;
        polled
    });
    (outcome.await, took)
}

fn finish<T: Clone + Debug + Ord>(
    name: &str,
    queue: &mut Queue<T>,
    key: &T,
    outcome: Result<Action, Error>,
    now: Duration,
) {
    match outcome {
        Ok(action) => {
            queue.succeeded(key);
            if let Action::After(after) = action {
                queue.add_at(key.clone(), now.saturating_add(after));
            }
        }
        Err(Error::Permanent(error)) => {
            tracing::error!(controller = name, ?key, %error, "given up");
            queue.succeeded(key);
        }
        Err(error) => {
            let pause = queue.retry(key.clone(), now);
            tracing::debug!(controller = name, ?key, %error, ?pause, "reconciliation failed");
        }
    }
}
