//! [`Watcher`]: one watch. It keeps its position and pulls: from its channel, or, where it began before that or the
//! change has lost its typed form since, from the history. So a slow watcher costs no memory and slows nobody.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker, ready};

use futures::Stream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::dispatch::{Channel, Position, Waiting};
use super::{Index, Inner, lock};
use crate::api::{Object, Revision};
use crate::aside::Aside;
use crate::store::{Change, Scope, StoreError, StoreEvent};

/// How many changes of the history a watcher looks at while it holds the history's lock.
const STEP: usize = 512;

/// One watch: a position in the changes of a scope.
pub(super) struct Watcher {
    store: Arc<Inner>,
    scope: Scope,
    channel: Arc<Channel>,
    /// Every change up to here has been pulled.
    seen: Revision,
    /// The place in the channel: what is before it is done with.
    position: Position,
    /// Pulled from the history, not yet yielded.
    backlog: VecDeque<Arc<Change>>,
    waiting: Option<Waiting>,
    /// When progress is due, while there is nothing else to yield.
    due: Option<Instant>,
    /// Ends when progress may be due. It is not set anew for each event.
    idle: Option<Aside<Sleep>>,
    ended: bool,
}

impl Watcher {
    pub(super) fn new(store: Arc<Inner>, scope: Scope, after: Revision) -> Result<Self, StoreError> {
        // Under the writer's lock: the channel misses nothing that is written from here on, and the history
        // has everything before.
        let mut channels = lock::lock(&store.writer);
        lock::read(&store.history).scan(after, 0, |_| false)?;
        let (channel, position) = channels.join(&scope, after, store.snapshot().revision());
        drop(channels);
        Ok(Self {
            store,
            scope,
            channel,
            seen: after,
            position,
            backlog: VecDeque::new(),
            waiting: None,
            due: None,
            idle: None,
            ended: false,
        })
    }

    /// The next change; where there is none, `waker` is woken for it.
    fn pull(&mut self, waker: &Waker) -> Result<Option<Arc<Change>>, StoreError> {
        loop {
            if let Some(change) = self.backlog.pop_front() {
                return Ok(Some(change));
            }
            let mut ring = self.channel.ring();
            // Whoever asks for the next change has done with those before.
            ring.pass(&mut self.position, self.seen);
            if self.seen >= ring.since {
                let Some((revision, change)) = ring.at(self.position) else {
                    let other = ring.wait(&mut self.waiting, waker);
                    drop(ring);
                    drop(other);
                    return Ok(None);
                };
                if change.is_some() {
                    self.seen = revision;
                    return Ok(change);
                }
                // There was nothing before it: the history need not go back any further.
                self.seen = Revision::from(revision.get() - 1);
            }
            drop(ring);
            let within = |change: &Change| contains(&self.scope, change, &self.store.indexes);
            (self.backlog, self.seen) = lock::read(&self.store.history).scan(self.seen, STEP, within)?;
        }
    }

    /// Waits until there has been nothing to yield for so long that progress is due.
    fn poll_idle(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(patience) = self.store.progress else { return Poll::Pending };
        let due = *self.due.get_or_insert_with(|| Instant::now() + patience);
        let idle = self.idle.get_or_insert_with(|| Aside::new(sleep_until(due)));
        loop {
            ready!(idle.poll(context, Sleep::is_elapsed));
            if Instant::now() >= due {
                self.due = None;
                return Poll::Ready(());
            }
            idle.reset(due);
        }
    }
}

impl Stream for Watcher {
    type Item = Result<StoreEvent, StoreError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        // Before it is looked for changes: of those up to here, none can be missed.
        let dispatched = Revision::from(self.store.dispatched.load(Ordering::Acquire));
        match self.pull(context.waker()) {
            Ok(Some(change)) => {
                self.due = None;
                Poll::Ready(Some(Ok(StoreEvent::Change(change))))
            }
            Ok(None) => loop {
                ready!(self.poll_idle(context));
                if dispatched >= self.seen {
                    return Poll::Ready(Some(Ok(StoreEvent::Progress(dispatched))));
                }
            },
            Err(error) => {
                self.ended = true;
                Poll::Ready(Some(Err(error)))
            }
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _waker = lock::lock(&self.store.writer).leave(&self.scope, &self.channel, self.position, self.waiting);
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").field("scope", &self.scope).field("seen", &self.seen).finish_non_exhaustive()
    }
}

fn contains(scope: &Scope, change: &Change, indexes: &[Index]) -> bool {
    let object = &change.object;
    if *object.kind().stored() != scope.resource
        || scope.namespace.as_ref().is_some_and(|namespace| **namespace != *object.namespace())
    {
        return false;
    }
    let Some((field, wanted)) = &scope.index else { return true };
    let has = |object: &Object| {
        indexes
            .iter()
            .filter(|index| index.field == *field && index.resource == scope.resource)
            .any(|index| (index.value)(object) == Some(&**wanted))
    };
    (!change.deleted && has(object)) || change.previous.as_ref().is_some_and(has)
}
