//! Slow start: many writes of which all may fail for the same reason.

use std::future::Future;

use futures::future::join_all;

use super::Error;

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
        let results = join_all((begun..end).map(&mut call)).await;
        let mut failure = None;
        for result in results {
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
}
