//! Rates: two readings of a counter, and the time between them.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use tokio::sync::Mutex;

use crate::clock::Clock;
use crate::runtime::{ContainerId, ContainerStats, MachineStats, Result, Runtime};

/// What was measured so long ago is measured anew (metrics-server's `--metric-resolution`).
const RESOLUTION: Duration = Duration::from_secs(15);
/// A rate is not told over less (metrics-server's rule for new containers) …
const SHORTEST: Duration = Duration::from_secs(10);
/// … nor over more: what was then is not what is now.
const LONGEST: Duration = Duration::from_secs(60);
/// Where the last measurement is too old for a rate, there are two now, so long after one another.
const APART: Duration = Duration::from_secs(1);

/// A measurement whose CPU time counts.
pub(super) trait Reading: Copy {
    fn at(&self) -> Timestamp;
    fn cpu_nanos(&self) -> u64;
}

impl Reading for ContainerStats {
    fn at(&self) -> Timestamp {
        self.at
    }

    fn cpu_nanos(&self) -> u64 {
        self.cpu_nanos
    }
}

impl Reading for MachineStats {
    fn at(&self) -> Timestamp {
        self.at
    }

    fn cpu_nanos(&self) -> u64 {
        self.cpu_nanos
    }
}

/// A measurement, and an earlier reading of its counter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample<R> {
    pub(super) reading: R,
    before: Option<(Timestamp, u64)>,
}

impl<R: Reading> Sample<R> {
    /// A new reading after what was known; `begin` is when its counter began with nothing.
    fn after(known: Option<&Self>, begin: Timestamp, reading: R) -> Self {
        let long_enough = |at: &Timestamp| between(*at, reading.at()) >= SHORTEST;
        let last = known.map(|known| (known.reading.at(), known.reading.cpu_nanos()));
        let last = last.filter(|(at, nanos)| long_enough(at) && *nanos <= reading.cpu_nanos());
        Self { reading, before: last.or(Some((begin, 0)).filter(|(at, _)| long_enough(at))) }
    }

    /// A reading that tells no rate.
    pub(super) fn single(reading: R) -> Self {
        Self { reading, before: None }
    }

    /// Whether it says enough not to be taken anew.
    fn serves(&self, now: Timestamp) -> bool {
        self.before.is_some() && between(self.reading.at(), now) < RESOLUTION
    }

    /// Whether a rate since the reading before it would be of times long past.
    fn is_stale(&self) -> bool {
        self.before.is_some_and(|(at, _)| between(at, self.reading.at()) > LONGEST)
    }

    /// Billionths of a core on average, and over which time; none where that is not known yet.
    pub(super) fn rate(&self) -> Option<(u64, Duration)> {
        let (at, nanos) = self.before?;
        let window = between(at, self.reading.at());
        let used = self.reading.cpu_nanos().checked_sub(nanos)?;
        let rate = (u128::from(used) * 1_000_000_000).checked_div(window.as_nanos())?;
        Some((u64::try_from(rate).unwrap_or(u64::MAX), window))
    }
}

fn between(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or_default()
}

#[derive(Debug, Default)]
struct Known {
    machine: Option<Sample<MachineStats>>,
    containers: BTreeMap<ContainerId, Sample<ContainerStats>>,
}

/// The last measurements of a node. They are taken when somebody asks; who asks at the same time waits for the same.
#[derive(Debug, Default)]
pub(in crate::node) struct Samples(Mutex<Known>);

impl Samples {
    /// Measures the machine and these running containers, which began then. A container that has ended meanwhile is
    /// left out.
    ///
    /// # Errors
    /// Where the machine cannot be measured.
    pub(super) async fn take(
        &self,
        clock: &Clock,
        runtime: &dyn Runtime,
        running: &BTreeMap<ContainerId, Timestamp>,
    ) -> Result<(Sample<MachineStats>, BTreeMap<ContainerId, Sample<ContainerStats>>)> {
        let mut known = self.0.lock().await;
        let now = clock.now();
        known.containers.retain(|id, _| running.contains_key(id));
        let due = running.iter().filter(|(id, _)| !known.containers.get(id).is_some_and(|sample| sample.serves(now)));
        let measured = measure(runtime, due.map(|(id, _)| id.clone()).collect()).await;
        let machine = match &known.machine {
            Some(sample) if sample.serves(now) => *sample,
            last => {
                let reading = runtime.machine().await?;
                Sample::after(last.as_ref(), reading.booted_at, reading)
            }
        };
        known.machine = Some(machine);
        for (id, reading) in measured {
            match reading {
                Some(reading) => {
                    let begin = running.get(&id).copied().unwrap_or(reading.at);
                    let sample = Sample::after(known.containers.get(&id), begin, reading);
                    known.containers.insert(id, sample);
                }
                None => drop(known.containers.remove(&id)),
            }
        }
        let stale: Vec<_> =
            known.containers.iter().filter(|(_, sample)| sample.is_stale()).map(|(id, _)| id.clone()).collect();
        if !stale.is_empty() || machine.is_stale() {
            clock.sleep(APART).await;
            if machine.is_stale() {
                known.machine = Some(again(machine, runtime.machine().await?));
            }
            for (id, reading) in measure(runtime, stale).await {
                match (reading, known.containers.get_mut(&id)) {
                    (Some(reading), Some(sample)) => *sample = again(*sample, reading),
                    _ => drop(known.containers.remove(&id)),
                }
            }
        }
        Ok((known.machine.unwrap_or(machine), known.containers.clone()))
    }
}

fn again<R: Reading>(first: Sample<R>, reading: R) -> Sample<R> {
    Sample { reading, before: Some((first.reading.at(), first.reading.cpu_nanos())) }
}

/// What each uses; none of one that does not run any more, or cannot be measured.
pub(super) async fn measure(
    runtime: &dyn Runtime,
    ids: Vec<ContainerId>,
) -> Vec<(ContainerId, Option<ContainerStats>)> {
    let mut readings = Vec::with_capacity(ids.len());
    for id in &ids {
        readings.push(runtime.stats(id));
    }
    let readings = join_all(readings).await;
    ids.into_iter().zip(readings.into_iter().map(Result::ok)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(second: i64, cpu_nanos: u64) -> ContainerStats {
        let at = Timestamp::from_second(second).unwrap();
        ContainerStats { at, cpu_nanos, memory_bytes: 0, memory_total_bytes: 0, processes: 1 }
    }

    #[test]
    fn a_rate_is_told_over_the_time_since_the_last_look_or_the_start() {
        let begin = Timestamp::from_second(100).unwrap();
        let early = Sample::after(None, begin, reading(105, 500));
        assert_eq!(early.rate(), None, "five seconds are too few");
        let first = Sample::after(Some(&early), begin, reading(110, 1_000_000_000));
        assert_eq!(first.rate(), Some((100_000_000, Duration::from_secs(10))), "since its start");
        let second = Sample::after(Some(&first), begin, reading(130, 11_000_000_000));
        assert_eq!(second.rate(), Some((500_000_000, Duration::from_secs(20))));
        // A counter that has become less is another one.
        let anew = Sample::after(Some(&second), begin, reading(150, 5_000_000_000));
        assert_eq!(anew.rate(), Some((100_000_000, Duration::from_secs(50))));
    }

    #[test]
    fn what_is_fresh_serves_and_what_is_old_is_stale() {
        let begin = Timestamp::from_second(0).unwrap();
        let at = |second| Timestamp::from_second(second).unwrap();
        let sample = Sample::after(None, begin, reading(60, 1));
        assert!(sample.serves(at(74)) && !sample.serves(at(75)) && !sample.is_stale());
        assert!(Sample::after(None, begin, reading(61, 1)).is_stale());
        assert!(!Sample::after(None, begin, reading(9, 1)).serves(at(9)), "it knows no rate");
    }
}
