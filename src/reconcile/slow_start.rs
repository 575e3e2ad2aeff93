//! Slow start: many writes of which all may fail for the same reason.

use std::future::Future;

use futures::FutureExt;
use futures::future::join_all;

use super::Error;
use crate::turn;

/// Makes `count` calls, in batches of 1, 2, 4, … each of whose calls are made at once, and stops after the first
/// batch in which one fails: a quota that is used up then costs one refusal and not hundreds. Gives how many
/// succeeded, and the first failure.
pub async fn slow_start<F>(count: usize, mut call: impl FnMut(usize) -> F) -> (usize, Option<Error>)
where
    F: Future<Output = Result<(), Error>>,
{
    let (mut begun, mut done, mut batch) = (0, 0, 1);
    while begun < count {
        let end = count.min(begun + batch);
        let mut failure = None;
        for result in at_once((begun..end).map(&mut call)).await {
            match result {
                Ok(()) => done += 1,
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        if failure.is_some() {
            return (done, failure);
        }
        begun = end;
        batch *= 2;
    }
    (done, None)
}

/// Makes calls at once. Those that need not wait, as of an API in the same process, are over before the next begins,
/// which then finds their memory warm.
async fn at_once<F: Future>(calls: impl Iterator<Item = F>) -> Vec<F::Output> {
    let (mut results, mut waiting) = (Vec::new(), Vec::new());
    for call in calls {
        turn::step().await;
        let mut call = Box::pin(call);
        match call.as_mut().now_or_never() {
            Some(result) => results.push(result),
            None => waiting.push(call),
        }
    }
    results.extend(join_all(waiting).await);
    results
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[tokio::test]
    async fn a_common_failure_costs_one_batch() {
        let calls = RefCell::new(Vec::new());
        let (done, failure) = slow_start(100, |number| {
            calls.borrow_mut().push(number);
            async move { if number < 3 { Ok(()) } else { Err(Error::failed("quota")) } }
        })
        .await;
        assert_eq!((done, calls.borrow().len()), (3, 7));
        assert_eq!(failure.unwrap().to_string(), "quota");
    }

    #[tokio::test(start_paused = true)]
    async fn calls_of_a_batch_wait_together() {
        let begin = tokio::time::Instant::now();
        let (done, failure) = slow_start(15, |number| async move {
            if number % 2 == 0 {
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
            if number == 14 { Err(Error::failed("the last")) } else { Ok(()) }
        })
        .await;
        assert_eq!((done, failure.unwrap().to_string()), (14, "the last".to_owned()));
        assert_eq!(begin.elapsed().as_secs(), 4, "a second for each batch");
    }
}
