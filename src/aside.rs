//! [`Aside`]: what happens once, waited for beside what happens often.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::task::coop::has_budget_remaining;
use tokio::time::{Instant, Sleep};

/// Waits for what happens once. A timer that is polled with every item of a stream costs more than the item does, so it is
/// told once whom to wake, and from then on only looked at.
#[derive(Debug)]
pub(crate) struct Aside<F> {
    end: Pin<Box<F>>,
    /// Whom it wakes.
    told: Option<Waker>,
}

impl<F: Future<Output = ()>> Aside<F> {
    pub(crate) fn new(end: F) -> Self {
        Self { end: Box::pin(end), told: None }
    }

    /// Polls it, unless it wakes that task already and has not happened.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>, has_happened: impl FnOnce(&F) -> bool) -> Poll<()> {
        let told = self.told.as_ref().is_some_and(|told| told.will_wake(context.waker()));
        if told && !has_happened(&self.end) {
            return Poll::Pending;
        }
        // A task that has done as much as it may at once is put off unheard.
        let heard = has_budget_remaining();
        let polled = self.end.as_mut().poll(context);
        self.told = (heard && polled.is_pending()).then(|| context.waker().clone());
        polled
    }
}

impl Aside<Sleep> {
    pub(crate) fn reset(&mut self, deadline: Instant) {
        self.end.as_mut().reset(deadline);
        self.told = None;
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use tokio::task::coop::consume_budget;
    use tokio::time::sleep_until;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_wakes_a_task_that_had_done_as_much_as_it_may_when_it_asked() {
        let begun = Instant::now();
        let mut end = Aside::new(sleep_until(begun + Duration::from_secs(1)));
        while has_budget_remaining() {
            consume_budget().await;
        }
        poll_fn(|context| end.poll(context, Sleep::is_elapsed)).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(1));
        end.reset(begun + Duration::from_secs(3));
        poll_fn(|context| end.poll(context, Sleep::is_elapsed)).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(3));
    }
}
