//! The loop behind informers: list, watch, and list again where the watch was lost.

use std::time::Duration;

use futures::StreamExt;

use crate::api::{
    ApiError, Consistency, FieldSelector, LabelSelector, ListOptions, Object, Revision, WatchEvent, WatchOptions,
};
use crate::client::DynamicApi;
use crate::turn;

/// How long to wait before listing again after a failure; doubled up to the second value.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// So many events count as one thing done of the hundred and twenty-eight that tokio lets a task do before others run:
/// an event takes a fraction of what a write takes, and who follows is to keep up with those who write. What a follower
/// has not seen yet the store may take for something that nobody looks at.
const TAKEN: usize = 8;

/// One step of following a resource. After each, everything up to its revision is known.
#[derive(Clone, Debug)]
pub enum Followed {
    /// All objects, as they are: what is not among them is gone.
    All(Vec<Object>, Revision),
    /// An object is new or changed.
    Set(Object),
    /// An object is gone. Carries the deletion's revision.
    Gone(Object),
    /// Nothing else changed up to this revision.
    Progress(Revision),
}

impl Followed {
    /// The revision up to which everything is known now.
    pub fn revision(&self) -> Revision {
        match self {
            Self::All(_, revision) | Self::Progress(revision) => *revision,
            Self::Set(object) | Self::Gone(object) => object.revision(),
        }
    }
}

impl DynamicApi {
    /// Follows the objects that match, whatever happens to the connection: `step` is called with all of them, and
    /// then with each change, in order. Never returns.
    ///
    /// # Cancel safety
    /// Dropping the future ends the following and nothing else.
    pub async fn follow(&self, labels: &LabelSelector, fields: &FieldSelector, mut step: impl FnMut(Followed) + Send) {
        let clock = *self.client().clock();
        let mut wait = RETRY.0;
        loop {
            let mut progressed = false;
            let mut step = |followed| {
                progressed = true;
                step(followed);
            };
            let end = follow_once(self, labels, fields, &mut step).await;
            let kind = &self.kind().kind;
            match end {
                Ok(()) => tracing::trace!(kind, "watch ended, listing again"),
                Err(error) => tracing::debug!(kind, %error, "watch failed, listing again"),
            }
            if progressed {
                wait = RETRY.0;
            }
            clock.sleep(wait).await;
            wait = (wait * 2).min(RETRY.1);
        }
    }
}

async fn follow_once(
    api: &DynamicApi,
    labels: &LabelSelector,
    fields: &FieldSelector,
    step: &mut (dyn FnMut(Followed) + Send),
) -> Result<(), ApiError> {
    let options = ListOptions { labels: labels.clone(), fields: fields.clone(), ..ListOptions::default() };
    let list = api.list(&options).await?;
    let mut seen = list.revision;
    step(Followed::All(list.items, seen));
    loop {
        let options = WatchOptions {
            labels: labels.clone(),
            fields: fields.clone(),
            from: Consistency::Exact(seen),
            bookmarks: true,
            ..WatchOptions::default()
        };
        let mut events = api.watch(&options).await?;
        let before = seen;
        let mut taken = 0_usize;
        while let Some(event) = events.next().await {
            let followed = match event? {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => Followed::Set(object),
                WatchEvent::Deleted(object) => Followed::Gone(object),
                WatchEvent::Bookmark { revision, .. } => Followed::Progress(revision),
            };
            seen = followed.revision();
            step(followed);
            taken += 1;
            if taken.is_multiple_of(TAKEN) {
                // Where there is always one more event, others are to have their turn all the same.
                turn::step().await;
            }
        }
        if seen == before {
            // A server that ends watches at once is not asked again without a pause.
            return Ok(());
        }
    }
}
