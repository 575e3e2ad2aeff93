//! [`Closing`]: what ends long answers early.

use std::task::Poll;

use futures::stream::{self, Stream, StreamExt};
use tokio_util::sync::CancellationToken;

use crate::aside::Aside;

/// Requests carry it while their connection is served: cancelled when long answers are to end, because the listener
/// closes or because the client sends no more: it may be gone.
#[derive(Clone, Debug)]
pub(crate) struct Closing(pub(crate) CancellationToken);

/// The stream, until `closing` is cancelled.
pub(crate) fn until<S: Stream + Unpin>(
    mut stream: S,
    closing: Option<&Closing>,
) -> impl Stream<Item = S::Item> + Unpin + use<S> {
    let mut closed = closing.map(|Closing(token)| (token.clone(), Aside::new(token.clone().cancelled_owned())));
    stream::poll_fn(move |context| {
        if let Some((token, closed)) = &mut closed
            && closed.poll(context, |_| token.is_cancelled()).is_ready()
        {
            return Poll::Ready(None);
        }
        stream.poll_next_unpin(context)
    })
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_stream_that_always_has_one_more_item_ends_as_well() {
        let token = CancellationToken::new();
        let mut numbers = until(stream::iter(0..), Some(&Closing(token.clone())));
        assert_eq!(numbers.next().await, Some(0));
        token.cancel();
        assert_eq!(numbers.next().await, None);
    }

    #[tokio::test]
    async fn the_task_that_asked_last_is_woken() {
        let token = CancellationToken::new();
        let mut nothing = until(stream::pending::<()>(), Some(&Closing(token.clone())));
        assert_eq!(nothing.next().now_or_never(), None);
        let asked_last = tokio::spawn(async move { nothing.next().await });
        tokio::task::yield_now().await;
        token.cancel();
        assert_eq!(asked_last.await.unwrap(), None);
    }
}
