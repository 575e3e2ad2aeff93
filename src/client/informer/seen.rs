//! Up to where a view is current, and those who wait for it to be.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::api::Revision;

/// A revision that many wait for. They are woken in the order in which they began to wait: tokio's `watch` channel
/// wakes its receivers in a random one, and the same seed must give the same run.
#[derive(Debug, Default)]
pub(super) struct Seen {
    revision: Mutex<Option<Revision>>,
    news: Notify,
}

impl Seen {
    pub(super) fn get(&self) -> Option<Revision> {
        *self.revision.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, revision: Revision) {
        *self.revision.lock().unwrap_or_else(PoisonError::into_inner) = Some(revision);
        self.news.notify_waiters();
    }

    /// Waits until `look` gives something; it looks now, and at each new revision.
    pub(super) async fn wait<T>(&self, mut look: impl FnMut(Option<Revision>) -> Option<T>) -> T {
        loop {
            let mut news = std::pin::pin!(self.news.notified());
            news.as_mut().enable();
            if let Some(found) = look(self.get()) {
                return found;
            }
            news.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn those_who_wait_are_woken_in_the_order_in_which_they_began() {
        let (seen, order) = (Arc::new(Seen::default()), Arc::new(Mutex::new(Vec::new())));
        let mut waiting = Vec::new();
        for number in 0..50 {
            let (seen, order) = (Arc::clone(&seen), Arc::clone(&order));
            waiting.push(tokio::spawn(async move {
                seen.wait(|revision| revision).await;
                order.lock().unwrap().push(number);
            }));
        }
        tokio::task::yield_now().await;
        seen.set(Revision::from(1));
        for task in waiting {
            task.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), (0..50).collect::<Vec<_>>());
    }
}
