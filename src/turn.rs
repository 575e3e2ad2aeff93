//! How a task that has nothing to wait for lets others have their turn.
//!
//! tokio sets a task that yields, or that has done as much as it may at once, aside until its thread has nothing else to
//! do; meanwhile no other thread can take it. Of tasks that let each other run, one thread then does all and the other
//! nothing. Here such a task goes to the end of its thread's queue, from where a thread that is idle takes it; where there is
//! no other thread, it is set aside, so that sockets and timers are looked at before it goes on.

use std::future::poll_fn;
use std::mem;
use std::task::Poll;

use tokio::runtime::Handle;
use tokio::task::coop::{consume_budget, has_budget_remaining};
use tokio::task::yield_now;

/// Lets others run that can.
pub(crate) async fn pass() {
    if !is_shared() {
        return yield_now().await;
    }
    let mut passed = false;
    poll_fn(|context| {
        if mem::replace(&mut passed, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Whether there is another thread that could take the task.
fn is_shared() -> bool {
    Handle::try_current().is_ok_and(|runtime| runtime.metrics().num_workers() > 1)
}

/// Counts one thing that was done; lets others run after the hundred and twenty-eight that tokio lets a task do at once.
pub(crate) async fn step() {
    if has_budget_remaining() {
        consume_budget().await;
    } else {
        pass().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_idle_thread_takes_whom_another_would_come_back_to() {
        let passing = tokio::spawn(async {
            let (say, hear) = mpsc::channel();
            // It is run next, in this thread, and keeps it.
            let next = tokio::spawn(async move { hear.recv_timeout(Duration::from_secs(60)) });
            pass().await;
            say.send("gone on").unwrap();
            next.await.unwrap()
        });
        assert_eq!(passing.await.unwrap(), Ok("gone on"));
    }

    #[tokio::test]
    async fn others_run_once_a_task_has_done_as_much_as_it_may() {
        let other = tokio::spawn(async {});
        let mut steps = 0;
        while !other.is_finished() && steps < 1_000 {
            step().await;
            steps += 1;
        }
        assert!((2..=256).contains(&steps), "{steps}");
    }
}
