//! The group `batch`.

pub mod cron_job;
mod failure_policy;
pub mod job;
#[cfg(test)]
mod tests;
