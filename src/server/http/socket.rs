//! A TCP connection that can be watched while it is in use.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest, ReadBuf};
use tokio::net::TcpStream;

/// How long to leave a connection alone that has something to read: whoever serves it may be about to.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a client may take to read why its connection ends.
const LINGER: Duration = Duration::from_millis(500);

/// A connection. Clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Socket {
    shared: Arc<Shared>,
    /// The turn in which something was read last.
    asked: u64,
}

#[derive(Debug)]
struct Shared {
    stream: TcpStream,
    /// How often the task that serves the connection has been polled; nothing while none does.
    turn: AtomicU64,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { shared: Arc::new(Shared { stream, turn: AtomicU64::new(0) }), asked: 0 }
    }

    /// Whether a task serves the connection in turns.
    pub(super) fn is_in_turn(&self) -> bool {
        self.shared.turn.load(Ordering::Relaxed) != 0
    }

    /// Serves the connection by `task`, which writes in its next turn what answers something read.
    ///
    /// A client that waits for an answer sleeps, and to wake it, on another core, may cost as much as to work the answer
    /// out. A turn later, the answers for all who had asked are there; they are sent one after the other, and clients
    /// that share a thread are woken once. Where nobody else asks, the next turn comes at once.
    ///
    /// `send` is called at the end of each turn, to send what has gathered in it.
    ///
    /// # Cancel safety
    /// As that of `task`.
    pub(super) async fn in_turns<T>(
        &self,
        task: impl Future<Output = T>,
        send: impl Fn(&mut Context<'_>) -> Poll<()>,
    ) -> T {
        let turn = &self.shared.turn;
        let mut task = pin!(task);
        let ended = poll_fn(|cx| {
            turn.fetch_add(1, Ordering::Relaxed);
            let ended = task.as_mut().poll(cx);
            let _ = send(cx); // where not all has gone, there is another turn as soon as there is room
            ended
        });
        let ended = ended.await;
        turn.store(0, Ordering::Relaxed); // it may go on elsewhere, as streams do
        let _ = tokio::time::timeout(LINGER, poll_fn(send)).await;
        ended
    }

    /// Waits until the client sends no more: it has closed its side, or is gone. Nothing is read.
    ///
    /// # Cancel safety
    /// Waiting changes nothing.
    pub(super) async fn ended(&self) {
        loop {
            match self.shared.stream.ready(Interest::READABLE).await {
                Ok(ready) if !ready.is_read_closed() => tokio::time::sleep(PAUSE).await,
                _ => return,
            }
        }
    }

    /// Ends a connection on which the client may still be sending: closing it at once would make the kernel throw away
    /// what has been answered. Does nothing where the connection goes on elsewhere, as streams do.
    ///
    /// # Cancel safety
    /// Dropping the future closes at once.
    pub(super) async fn linger(self) {
        let Some(Shared { mut stream, .. }) = Arc::into_inner(self.shared) else { return };
        let _ = stream.shutdown().await; // a client that is gone needs no goodbye
        let mut rest = [0; 4096];
        let drained = async { while matches!(stream.read(&mut rest).await, Ok(1..)) {} };
        let _ = tokio::time::timeout(LINGER, drained).await;
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.shared.stream.poll_read_ready(cx))?;
            match self.shared.stream.try_read(buffer.initialize_unfilled()) {
                Ok(read) => {
                    buffer.advance(read);
                    self.asked = self.shared.turn.load(Ordering::Relaxed);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl Socket {
    /// Writes as soon as there is room; in turns, not in the one in which something was read.
    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let turn = self.shared.turn.load(Ordering::Relaxed);
        if turn != 0 && turn == self.asked {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            ready!(self.shared.stream.poll_write_ready(cx))?;
            match write(&self.shared.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send(cx, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(cx, |stream| stream.try_write_vectored(bytes))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // the kernel sends by itself
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn what_answers_something_is_written_a_turn_later() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream.writable().await.unwrap();
        client.write_all(b"?").await.unwrap();
        stream.readable().await.unwrap();

        let socket = Socket::new(stream);
        let mut own = socket.clone();
        let answer = async move {
            let mut question = [0];
            own.read_exact(&mut question).await.unwrap();
            own.write_all(b"!").await.unwrap();
            own.write_all(b"!").await.unwrap();
            question
        };
        let mut answering = Box::pin(socket.in_turns(answer, |_| Poll::Ready(())));
        assert_eq!(answering.as_mut().now_or_never(), None, "it has read in this turn");
        assert_eq!(answering.as_mut().now_or_never(), Some(*b"?"), "all else is done in the next");
        drop(answering);

        // Out of turns, nothing waits.
        client.write_all(b"?").await.unwrap();
        let mut own = socket.clone();
        let exchange = async {
            own.read_exact(&mut [0]).await.unwrap();
            own.write_all(b"!").now_or_never().unwrap().unwrap();
        };
        exchange.await;
        drop((own, socket));
        let mut answers = Vec::new();
        client.read_to_end(&mut answers).await.unwrap();
        assert_eq!(answers, b"!!!");
    }
}
