//! `/metrics`: what the front counts, in Prometheus' text format under upstream's names.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds of the buckets of request durations, in seconds.
const BUCKETS: &[f64] = &[0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0];

/// What a request is counted under.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Labels {
    pub(crate) verb: String,
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) resource: String,
    pub(crate) subresource: String,
    pub(crate) scope: &'static str,
}

#[derive(Debug, Default)]
struct Durations {
    buckets: [u64; BUCKETS.len()],
    count: u64,
    sum: f64,
}

/// The counters of one front.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    requests: Mutex<BTreeMap<(Labels, u16), u64>>,
    durations: Mutex<BTreeMap<Labels, Durations>>,
    in_flight: [Arc<AtomicI64>; 2],
    long_running: Arc<AtomicI64>,
}

/// Counts a request for as long as it is in flight.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<AtomicI64>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    /// Counts a request that begins.
    pub(crate) fn begin(&self, mutating: bool, long_running: bool) -> InFlight {
        let gauge = if long_running { &self.long_running } else { &self.in_flight[usize::from(mutating)] };
        gauge.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(gauge))
    }

    /// Counts a request that was answered.
    pub(crate) fn answered(&self, labels: Labels, code: u16, took: Option<Duration>) {
        if let Some(took) = took {
            let mut durations = self.durations.lock().unwrap_or_else(PoisonError::into_inner);
            let row = durations.entry(labels.clone()).or_default();
            let seconds = took.as_secs_f64();
            row.count += 1;
            row.sum += seconds;
            for (bucket, bound) in row.buckets.iter_mut().zip(BUCKETS) {
                *bucket += u64::from(seconds <= *bound);
            }
        }
        *self.requests.lock().unwrap_or_else(PoisonError::into_inner).entry((labels, code)).or_default() += 1;
    }

    /// The text of `/metrics`.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        family(out, "apiserver_request_total", "counter", "Requests, by verb, resource and code.")?;
        for ((labels, code), count) in &*self.requests.lock().unwrap_or_else(PoisonError::into_inner) {
            writeln!(
                out,
                "apiserver_request_total{{code=\"{code}\",component=\"apiserver\",dry_run=\"\",{labels}}} {count}"
            )?;
        }
        let name = "apiserver_request_duration_seconds";
        family(out, name, "histogram", "How long requests took, by verb and resource.")?;
        for (labels, row) in &*self.durations.lock().unwrap_or_else(PoisonError::into_inner) {
            for (bucket, bound) in row.buckets.iter().zip(BUCKETS) {
                writeln!(out, "{name}_bucket{{component=\"apiserver\",{labels},le=\"{bound}\"}} {bucket}")?;
            }
            writeln!(out, "{name}_bucket{{component=\"apiserver\",{labels},le=\"+Inf\"}} {}", row.count)?;
            writeln!(out, "{name}_sum{{component=\"apiserver\",{labels}}} {}", row.sum)?;
            writeln!(out, "{name}_count{{component=\"apiserver\",{labels}}} {}", row.count)?;
        }
        let name = "apiserver_current_inflight_requests";
        family(out, name, "gauge", "Requests being served that are not long-running.")?;
        for (kind, gauge) in ["readOnly", "mutating"].iter().zip(&self.in_flight) {
            writeln!(out, "{name}{{request_kind=\"{kind}\"}} {}", gauge.load(Ordering::Relaxed))?;
        }
        let name = "apiserver_longrunning_requests";
        family(out, name, "gauge", "Watches, logs and proxied answers being written.")?;
        writeln!(out, "{name} {}", self.long_running.load(Ordering::Relaxed))
    }
}

fn family(out: &mut String, name: &str, kind: &str, help: &str) -> std::fmt::Result {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

impl std::fmt::Display for Labels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "group=\"{}\",resource=\"{}\",scope=\"{}\",subresource=\"{}\",verb=\"{}\",version=\"{}\"",
            self.group, self.resource, self.scope, self.subresource, self.verb, self.version
        )
    }
}
