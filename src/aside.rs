//! [`Aside`]: what happens once, waited for beside what happens often.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures::stream::{self, Stream, StreamExt};
use tokio::task::coop::has_budget_remaining;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// What happens once, and can be seen to have happened without being polled.
pub(crate) trait Once: Future<Output = ()> + Unpin {
    fn has_happened(&self) -> bool;
}

/// Waits for what happens once. A stream with an end is polled for each of its items and the end with it, which is the
/// costlier of the two; so whom it is to wake it is told once, and is only looked at from then on.
#[derive(Debug)]
pub(crate) struct Aside<F> {
    end: F,
    /// Whom it wakes.
    told: Option<Waker>,
}

impl<F: Once> Aside<F> {
    pub(crate) fn new(end: F) -> Self {
        Self { end, told: None }
    }

    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let told = self.told.as_ref().is_some_and(|told| told.will_wake(context.waker()));
        if told && !self.end.has_happened() {
            return Poll::Pending;
        }
        // A task that has done as much as it may at once is not listened to.
        let heard = has_budget_remaining();
        let polled = Pin::new(&mut self.end).poll(context);
        self.told = (heard && polled.is_pending()).then(|| context.waker().clone());
        polled
    }
}

impl Once for Pin<Box<Sleep>> {
    fn has_happened(&self) -> bool {
        self.is_elapsed()
    }
}

impl Aside<Pin<Box<Sleep>>> {
    pub(crate) fn until(deadline: Instant) -> Self {
        Self::new(Box::pin(tokio::time::sleep_until(deadline)))
    }

    pub(crate) fn reset(&mut self, deadline: Instant) {
        self.end.as_mut().reset(deadline);
        self.told = None;
    }
}

/// The end that the cancellation of a token is.
#[derive(Debug)]
pub(crate) struct Cancelled {
    token: CancellationToken,
    future: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Aside<Cancelled> {
    pub(crate) fn of(token: &CancellationToken) -> Self {
        Self::new(Cancelled { token: token.clone(), future: Box::pin(token.clone().cancelled_owned()) })
    }
}

impl Future for Cancelled {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.future.as_mut().poll(context)
    }
}

impl Once for Cancelled {
    fn has_happened(&self) -> bool {
        self.token.is_cancelled()
    }
}

/// The stream, until `end` is cancelled.
pub(crate) fn until<S: Stream + Unpin>(
    mut stream: S,
    end: Option<&CancellationToken>,
) -> impl Stream<Item = S::Item> + use<S> {
    let mut end = end.map(Aside::of);
    stream::poll_fn(move |context| match end.as_mut().map_or(Poll::Pending, |end| end.poll(context)) {
        Poll::Ready(()) => Poll::Ready(None),
        Poll::Pending => stream.poll_next_unpin(context),
    })
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use tokio::task::coop::consume_budget;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_wakes_a_task_that_had_done_as_much_as_it_may_when_it_asked() {
        let begun = Instant::now();
        let mut end = Aside::until(begun + Duration::from_secs(1));
        while has_budget_remaining() {
            consume_budget().await;
        }
        poll_fn(|context| end.poll(context)).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(1));
        end.reset(begun + Duration::from_secs(3));
        poll_fn(|context| end.poll(context)).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(3));
    }

    #[tokio::test]
    async fn a_stream_that_always_has_one_more_item_ends_as_well() {
        let token = CancellationToken::new();
        let mut numbers = until(stream::iter(0..), Some(&token));
        assert_eq!(numbers.next().await, Some(0));
        token.cancel();
        assert_eq!(numbers.next().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn it_wakes_whom_it_is_asked_by_last() {
        let token = CancellationToken::new();
        let mut end = Aside::of(&token);
        let first = poll_fn(|context| Poll::Ready(end.poll(context))).await;
        assert!(first.is_pending());
        let second = tokio::spawn(async move { poll_fn(|context| end.poll(context)).await });
        tokio::task::yield_now().await;
        token.cancel();
        second.await.unwrap();
    }
}
