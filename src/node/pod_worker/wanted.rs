//! What the agent wants of a pod, on its way to the pod's worker.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::Pod;
use tokio::sync::Notify;

/// The latest version of a pod, and whether the API has it no more. The agent sets it, the worker takes it; of several
/// versions between, the worker sees the last.
#[derive(Debug)]
pub(super) struct Wanted {
    latest: Mutex<Latest>,
    bell: Notify,
}

#[derive(Debug)]
struct Latest {
    pod: Arc<Pod>,
    gone: bool,
    taken: bool,
}

impl Wanted {
    /// The version that the worker starts with.
    pub(super) fn new(pod: Arc<Pod>) -> Self {
        Self { latest: Mutex::new(Latest { pod, gone: false, taken: true }), bell: Notify::new() }
    }

    fn latest(&self) -> MutexGuard<'_, Latest> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn pod(&self) -> Arc<Pod> {
        Arc::clone(&self.latest().pod)
    }

    pub(super) fn is_gone(&self) -> bool {
        self.latest().gone
    }

    /// Sets the latest version. What is gone stays so.
    pub(super) fn set(&self, pod: &Arc<Pod>, gone: bool) {
        let mut latest = self.latest();
        *latest = Latest { pod: Arc::clone(pod), gone: latest.gone || gone, taken: false };
        drop(latest);
        self.bell.notify_one();
    }

    /// What has not been taken yet: the version, and whether the API has it no more.
    pub(super) fn take(&self) -> Option<(Arc<Pod>, bool)> {
        let mut latest = self.latest();
        (!std::mem::replace(&mut latest.taken, true)).then(|| (Arc::clone(&latest.pod), latest.gone))
    }

    /// Waits until there is something to take.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn changed(&self) {
        // The bell may still ring for what has been taken since.
        while self.latest().taken {
            self.bell.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn the_last_version_is_taken_once_and_what_is_gone_stays_so() {
        let [first, second, third]: [Arc<Pod>; 3] = std::array::from_fn(|_| Arc::default());
        let wanted = Wanted::new(Arc::clone(&first));
        assert!(wanted.take().is_none());
        assert!(wanted.changed().now_or_never().is_none());

        wanted.set(&second, true);
        wanted.set(&third, false);
        assert!(wanted.changed().now_or_never().is_some());
        let (pod, gone) = wanted.take().unwrap();
        assert!(Arc::ptr_eq(&pod, &third) && gone && wanted.is_gone());
        // The bell has rung for what is taken by now.
        assert!(wanted.changed().now_or_never().is_none());
        assert!(Arc::ptr_eq(&wanted.pod(), &third));
    }
}
