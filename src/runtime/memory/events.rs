//! What happens, passed on to whoever listens.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::Notify;

use crate::runtime::{EventKind, RuntimeEvent, SandboxId};

/// Events that a listener may be behind before it has lost some.
const BEHIND: usize = 1024;

/// Passes events on. Clones are the same; listeners hear the end of the last of them. Unlike a channel of a fixed
/// capacity it takes no room before something happens, and every node has one.
#[derive(Clone, Debug, Default)]
pub(super) struct Events(Arc<Listeners>);

#[derive(Debug, Default)]
struct Listeners(Mutex<Vec<Weak<Listener>>>);

#[derive(Debug, Default)]
struct Listener {
    queue: Mutex<Queue>,
    bell: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<RuntimeEvent>,
    lost: bool,
    over: bool,
}

impl Events {
    /// Tells everybody who listens now.
    pub(super) fn send(&self, event: &RuntimeEvent) {
        self.0.locked().retain(|listener| {
            let Some(listener) = listener.upgrade() else { return false };
            listener.tell(|queue| {
                if queue.events.len() < BEHIND {
                    queue.events.push_back(event.clone());
                } else {
                    queue.events = VecDeque::new();
                    queue.lost = true;
                }
            });
            true
        });
    }

    /// What happens from now on.
    pub(super) fn listen(&self) -> BoxStream<'static, RuntimeEvent> {
        let listener = Arc::new(Listener::default());
        self.0.locked().push(Arc::downgrade(&listener));
        stream::unfold(listener, |listener| async { listener.next().await.map(|event| (event, listener)) }).boxed()
    }
}

impl Listeners {
    fn locked(&self) -> MutexGuard<'_, Vec<Weak<Listener>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        for listener in self.locked().iter().filter_map(Weak::upgrade) {
            listener.tell(|queue| queue.over = true);
        }
    }
}

impl Listener {
    fn tell(&self, change: impl FnOnce(&mut Queue)) {
        change(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner));
        self.bell.notify_one();
    }

    async fn next(&self) -> Option<RuntimeEvent> {
        loop {
            {
                let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
                if std::mem::take(&mut queue.lost) {
                    return Some(RuntimeEvent {
                        pod: String::new(),
                        sandbox: SandboxId::new(""),
                        kind: EventKind::Lost,
                    });
                }
                if let Some(event) = queue.events.pop_front() {
                    return Some(event);
                }
                if queue.over {
                    return None;
                }
            }
            self.bell.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn stopped(pod: usize) -> RuntimeEvent {
        RuntimeEvent { pod: pod.to_string(), sandbox: SandboxId::new("s"), kind: EventKind::SandboxStopped }
    }

    #[test]
    fn a_listener_hears_everything_in_order_or_is_told_that_it_does_not() {
        let events = Events::default();
        events.send(&stopped(0)); // before anybody listens
        let mut listener = events.listen();
        let mut next = || listener.next().now_or_never();
        (1..=2).for_each(|pod| events.send(&stopped(pod)));
        assert_eq!([next(), next(), next()], [Some(Some(stopped(1))), Some(Some(stopped(2))), None]);
        (0..=BEHIND).for_each(|pod| events.send(&stopped(pod)));
        events.send(&stopped(7));
        assert_eq!(next().flatten().map(|event| event.kind), Some(EventKind::Lost));
        assert_eq!(next(), Some(Some(stopped(7))));
        drop(events);
        assert_eq!(next(), Some(None));
    }
}
