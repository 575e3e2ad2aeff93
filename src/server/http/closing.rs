//! [`Closing`]: what ends long answers early.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::stream::{self, Stream, StreamExt};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::aside::{Aside, Once};

/// Requests carry it while their connection is served: cancelled when long answers are to end, because the listener
/// closes or because the client sends no more: it may be gone.
#[derive(Clone, Debug)]
pub(crate) struct Closing(pub(crate) CancellationToken);

/// The stream, until `closing` is cancelled.
pub(crate) fn until<S: Stream + Unpin>(
    mut stream: S,
    closing: Option<&Closing>,
) -> impl Stream<Item = S::Item> + Unpin + use<S> {
    let mut closed = closing.map(Aside::of);
    stream::poll_fn(move |context| match closed.as_mut().map_or(Poll::Pending, |closed| closed.poll(context)) {
        Poll::Ready(()) => Poll::Ready(None),
        Poll::Pending => stream.poll_next_unpin(context),
    })
}

/// That it has been cancelled.
#[derive(Debug)]
struct Cancelled {
    token: CancellationToken,
    future: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Aside<Cancelled> {
    fn of(Closing(token): &Closing) -> Self {
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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn a_stream_that_always_has_one_more_item_ends_as_well() {
        let token = CancellationToken::new();
        let mut numbers = until(stream::iter(0..), Some(&Closing(token.clone())));
        assert_eq!(numbers.next().await, Some(0));
        token.cancel();
        assert_eq!(numbers.next().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_task_that_asked_last_is_woken() {
        let token = CancellationToken::new();
        let mut end = Aside::of(&Closing(token.clone()));
        let first = poll_fn(|context| Poll::Ready(end.poll(context))).await;
        assert!(first.is_pending());
        let second = tokio::spawn(async move { poll_fn(|context| end.poll(context)).await });
        tokio::task::yield_now().await;
        token.cancel();
        second.await.unwrap();
    }
}
