//! What the benchmarks print: one JSON object a line and figure.

#![allow(dead_code, unused_imports, reason = "each benchmark uses its part")]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

mod options;
mod process;

use std::time::{Duration, Instant};

/// The program chooses the allocator, not the library: this one, as servers with many small allocations do.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub(crate) use options::Options;
pub(crate) use process::{resident, spent};
use serde_json::{Map, Value, json};

/// One figure on its way to standard output.
pub(crate) struct Figure(Map<String, Value>);

impl Figure {
    pub(crate) fn new(name: &str, value: f64, unit: &str) -> Self {
        let mut fields = Map::new();
        fields.insert("name".to_owned(), json!(name));
        fields.insert("value".to_owned(), rounded(value));
        fields.insert("unit".to_owned(), json!(unit));
        Self(fields)
    }

    /// So many operations since a moment, per second of processor time: of what one core does.
    pub(crate) fn rate(name: &str, count: usize, since: Moment, unit: &str) -> Self {
        let (wall, cpu) = since.elapsed();
        let each = |time: Duration| time.as_secs_f64() * 1e6 / count as f64;
        Self::new(name, count as f64 / cpu.as_secs_f64(), unit).with("cpu_us", each(cpu)).with("wall_us", each(wall))
    }

    pub(crate) fn with(mut self, name: &str, value: f64) -> Self {
        self.0.insert(name.to_owned(), rounded(value));
        self
    }

    pub(crate) fn print(self) {
        println!("{}", Value::Object(self.0));
    }
}

/// Prints a figure at these sizes.
pub(crate) fn report(name: &str, sizes: &[(&str, usize)], value: f64, unit: &str) {
    sizes.iter().fold(Figure::new(name, value, unit), |figure, (size, count)| figure.with(size, *count as f64)).print();
}

/// The time now.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The quantile `q` (0 to 1) of what was measured.
pub(crate) fn quantile(times: &mut [Duration], q: f64) -> Duration {
    times.sort_unstable();
    let index = ((times.len() as f64 * q) as usize).min(times.len().saturating_sub(1));
    times.get(index).copied().unwrap_or_default()
}

/// A moment on the clock and in what this thread has used of its processor: on a machine with other work to do, only
/// the latter is repeated by the next run.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    clock: Instant,
    used: Duration,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self { clock: Instant::now(), used: used() }
    }

    /// The time since then, and the processor time.
    pub(crate) fn elapsed(self) -> (Duration, Duration) {
        (self.clock.elapsed(), used() - self.used)
    }
}

/// What this thread has used of its processor. The kernel brings the count up to date when the thread is scheduled.
fn used() -> Duration {
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux counts");
    Duration::from_nanos(text.split(' ').next().and_then(|used| used.parse().ok()).expect("a number"))
}

/// Four digits say all that a run repeats.
fn rounded(value: f64) -> Value {
    if value.abs() >= 1000.0 { json!(value.round() as i64) } else { json!((value * 1000.0).round() / 1000.0) }
}

/// Durations, for their percentiles.
#[derive(Default)]
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    pub(crate) fn add(&mut self, latency: Duration) {
        self.0.push(latency);
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Median and 99th percentile, in milliseconds.
    pub(crate) fn percentiles(&mut self) -> (f64, f64) {
        let mut at = |share| quantile(&mut self.0, share).as_secs_f64() * 1000.0;
        (at(0.5), at(0.99))
    }
}
