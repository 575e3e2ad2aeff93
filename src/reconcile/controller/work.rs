//! The loop of a controller: keys in, calls out.

use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio::sync::Notify;

use super::LAG;
use super::queue::Queue;
use crate::client::ObjectRef;
use crate::reconcile::{Action, Context, Error, Reconciler};

/// A controller's queue, and the bell that rings when something is put in.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    queue: Mutex<Queue<ObjectRef>>,
    bell: Notify,
}

impl Inbox {
    pub(super) fn add_all(&self, keys: Vec<ObjectRef>) {
        if keys.is_empty() {
            return;
        }
        self.with(|queue| keys.into_iter().for_each(|key| queue.add(key)));
        self.bell.notify_one();
    }

    fn with<T>(&self, change: impl FnOnce(&mut Queue<ObjectRef>) -> T) -> T {
        change(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Works on keys until it is dropped.
pub(super) async fn work<R: Reconciler>(
    name: &str,
    reconciler: &R,
    ctx: &Context,
    inbox: &Inbox,
    concurrency: NonZeroUsize,
) {
    let mut calls = FuturesUnordered::new();
    loop {
        let now = ctx.clock().elapsed();
        while calls.len() < concurrency.get()
            && let Some(key) = inbox.with(|queue| queue.take(now))
        {
            calls.push(async {
                let outcome = call(reconciler, &key, ctx).await;
                (key, outcome)
            });
        }
        let due = inbox.with(|queue| queue.next_due()).filter(|_| calls.len() < concurrency.get());
        tokio::select! {
            // In order, not at random: runs must be repeatable.
            biased;
            Some((key, outcome)) = calls.next() => finish(name, ctx, inbox, &key, outcome),
            () = inbox.bell.notified() => {}
            () = ctx.clock().sleep(due.unwrap_or_default().saturating_sub(now)), if due.is_some() => {}
        }
    }
}

/// Reconciles one object, and waits until the informers show what that wrote.
async fn call<R: Reconciler>(reconciler: &R, key: &ObjectRef, ctx: &Context) -> Result<Action, Error> {
    let (ctx, noting) = ctx.noting();
    let object = ctx.informers().of::<R::Object>().find(key);
    let call = async {
        match object {
            Some(object) => reconciler.reconcile(object, &ctx).await,
            None => reconciler.gone(key, &ctx).await,
        }
    };
    // A mistake that one object brings to light must not keep the controller from all others.
    let outcome = AssertUnwindSafe(call).catch_unwind().await.unwrap_or_else(|_| Err(Error::failed("panicked")));
    tokio::select! {
        biased;
        () = noting.shown_by(ctx.informers()) => {}
        () = ctx.clock().sleep(LAG) => tracing::warn!(%key, "informers do not show what was written"),
    }
    outcome
}

fn finish(name: &str, ctx: &Context, inbox: &Inbox, key: &ObjectRef, outcome: Result<Action, Error>) {
    let now = ctx.clock().elapsed();
    inbox.with(|queue| {
        match outcome {
            Ok(action) => {
                queue.succeeded(key);
                if let Action::After(after) = action {
                    queue.add_at(key.clone(), now.saturating_add(after));
                }
            }
            Err(Error::Permanent(error)) => {
                tracing::error!(controller = name, %key, %error, "given up");
                queue.succeeded(key);
            }
            Err(error) => {
                let pause: Duration = queue.retry(key.clone(), now);
                tracing::debug!(controller = name, %key, %error, ?pause, "reconciliation failed");
            }
        }
        queue.done(key);
    });
}
