//! A bound on how many requests are served at a time.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::api::ApiError;

/// Places for requests that end by themselves: reads and writes apart, so that neither starves the other.
/// Watches and streams take none.
#[derive(Debug)]
pub(crate) struct Limit {
    reads: Semaphore,
    writes: Semaphore,
}

impl Limit {
    /// So many places.
    pub(crate) fn new(reads: usize, writes: usize) -> Self {
        Self { reads: Semaphore::new(reads), writes: Semaphore::new(writes) }
    }

    /// Takes a place until the permit is dropped.
    ///
    /// # Errors
    /// Too many requests, where none is free.
    pub(crate) fn enter(&self, mutating: bool) -> Result<SemaphorePermit<'_>, ApiError> {
        let places = if mutating { &self.writes } else { &self.reads };
        places.try_acquire().map_err(|_| {
            ApiError::too_many_requests("Too many requests, please try again later.", Duration::from_secs(1))
        })
    }
}
