//! Watch: the store's changes as the watcher sees them, through its selectors.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::{Stream, StreamExt};
use tokio::time::{Sleep, sleep};

use crate::api::{ApiError, Consistency, Revision, Target, WatchEvent, WatchOptions, WatchStream};
use crate::aside::Aside;
use crate::clock::Clock;
use crate::server::pipeline::Inner;
use crate::server::selection::Selection;
use crate::store::{Change, Range, StoreEvent, StoreWatch};

/// How often a watcher that wants bookmarks gets one.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);

impl Inner {
    pub(in crate::server) async fn watch(
        &self,
        target: &Target,
        options: &WatchOptions,
    ) -> Result<WatchStream, ApiError> {
        let selection = Selection::new(target, &options.labels, &options.fields)?;
        let scope = selection.scope(&*self.store);
        let mut ready = VecDeque::new();
        let after = match options.from {
            Consistency::Exact(revision) if !options.send_initial_events => revision,
            from => {
                if let Consistency::NotOlderThan(asked) | Consistency::Exact(asked) = from {
                    let current = self.store.revision().await?;
                    if asked > current {
                        return Err(crate::store::StoreError::Future { asked, current }.into());
                    }
                }
                let page = self.store.list(&scope, &Range::default()).await?;
                for object in page.items {
                    let object = selection.convert(object)?;
                    if selection.matches(&object) {
                        ready.push_back(WatchEvent::Added(object));
                    }
                }
                if options.send_initial_events && options.bookmarks {
                    ready.push_back(WatchEvent::Bookmark { revision: page.revision, initial_events_end: true });
                }
                page.revision
            }
        };
        let changes = self.store.watch(&scope, after).await?;
        let watcher = Watcher {
            selection,
            changes,
            ready,
            position: after,
            bookmarks: options.bookmarks.then(|| self.clock.elapsed() + BOOKMARK_EVERY),
            clock: self.clock,
            end: options.timeout.map(|timeout| Aside::new(sleep(timeout))),
            ended: false,
        };
        Ok(watcher.boxed())
    }
}

struct Watcher {
    selection: Selection,
    changes: StoreWatch,
    /// Events that are made and not yet taken.
    ready: VecDeque<WatchEvent>,
    /// Everything up to here has been delivered, or is `ready`.
    position: Revision,
    /// When the next bookmark is due, where they are wanted.
    bookmarks: Option<Duration>,
    clock: Clock,
    end: Option<Aside<Sleep>>,
    ended: bool,
}

impl Stream for Watcher {
    type Item = Result<WatchEvent, ApiError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(event)));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            let end = self.end.as_mut();
            if end.is_some_and(|end| end.poll(context, Sleep::is_elapsed).is_ready()) {
                self.ended = true;
                if self.bookmarks.is_some() {
                    self.bookmark();
                }
                continue;
            }
            match ready!(self.changes.poll_next_unpin(context)) {
                None => self.ended = true,
                Some(change) => {
                    if let Err(error) = change.map_err(ApiError::from).and_then(|change| self.follow(change)) {
                        self.ended = true;
                        return Poll::Ready(Some(Err(error)));
                    }
                }
            }
        }
    }
}

impl Watcher {
    fn follow(&mut self, event: StoreEvent) -> Result<(), ApiError> {
        let due = match event {
            StoreEvent::Progress(revision) => {
                self.position = self.position.max(revision);
                self.bookmarks.is_some()
            }
            StoreEvent::Change(change) => {
                self.position = change.revision;
                let event = self.seen(&change)?;
                self.ready.extend(event);
                self.bookmarks.is_some_and(|due| self.clock.elapsed() >= due)
            }
        };
        if due {
            self.bookmark();
        }
        Ok(())
    }

    fn bookmark(&mut self) {
        self.bookmarks = Some(self.clock.elapsed() + BOOKMARK_EVERY);
        self.ready.push_back(WatchEvent::Bookmark { revision: self.position, initial_events_end: false });
    }

    /// What a change is to this watcher: an object that begins to match appears, one that ceases to goes.
    fn seen(&self, change: &Arc<Change>) -> Result<Option<WatchEvent>, ApiError> {
        let now = self.selection.convert(change.object.clone())?;
        if self.selection.is_everything() {
            return Ok(Some(match (change.deleted, &change.previous) {
                (true, _) => WatchEvent::Deleted(now),
                (false, None) => WatchEvent::Added(now),
                (false, Some(_)) => WatchEvent::Modified(now),
            }));
        }
        let before = change.previous.clone().map(|object| self.selection.convert(object)).transpose()?;
        let matched = before.filter(|object| self.selection.matches(object));
        let matches = !change.deleted && self.selection.matches(&now);
        Ok(match (matched, matches) {
            (None, true) => Some(WatchEvent::Added(now)),
            (Some(_), true) => Some(WatchEvent::Modified(now)),
            (Some(_), false) if change.deleted => Some(WatchEvent::Deleted(now)),
            (Some(before), false) => Some(WatchEvent::Deleted(before.at(change.revision))),
            (None, false) => None,
        })
    }
}
