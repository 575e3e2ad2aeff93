//! `/metrics`: what the front counts, in Prometheus' text format under upstream's names.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::api::KindRef;

/// Upper bounds of the buckets of request durations, in seconds.
const BUCKETS: &[f64] = &[0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0];

/// What a request is counted under.
#[derive(Clone, Debug, Default)]
pub(crate) struct Labels {
    pub(crate) verb: &'static str,
    /// The kind, of requests for objects.
    pub(crate) kind: Option<KindRef>,
    pub(crate) subresource: String,
    pub(crate) scope: &'static str,
}

/// What is counted of the requests with the same labels.
#[derive(Debug, Default)]
struct Row {
    by_code: BTreeMap<u16, u64>,
    durations: Durations,
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
    requests: Mutex<BTreeMap<Labels, Row>>,
    in_flight: [Arc<AtomicI64>; 2],
    long_running: Arc<AtomicI64>,
}

/// Counts a request for as long as it is in flight.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<AtomicI64>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Metrics {
    /// Counts a request that begins.
    pub(crate) fn begin(&self, mutating: bool, long_running: bool) -> InFlight {
        let gauge = if long_running { &self.long_running } else { &self.in_flight[usize::from(mutating)] };
        gauge.fetch_add(1, Relaxed);
        InFlight(Arc::clone(gauge))
    }

    /// Counts a request that was answered.
    pub(crate) fn answered(&self, labels: &Labels, code: u16, took: Option<Duration>) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let row = match requests.get_mut(labels) {
            Some(row) => row,
            None => requests.entry(labels.clone()).or_default(),
        };
        *row.by_code.entry(code).or_default() += 1;
        if let Some(took) = took {
            row.durations.add(took.as_secs_f64());
        }
    }

    /// The text of `/metrics`.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        family(out, "apiserver_request_total", "counter", "Requests, by verb, resource and code.")?;
        for (labels, row) in &*requests {
            for (code, count) in &row.by_code {
                writeln!(
                    out,
                    "apiserver_request_total{{code=\"{code}\",component=\"apiserver\",dry_run=\"\",{labels}}} {count}"
                )?;
            }
        }
        let name = "apiserver_request_duration_seconds";
        family(out, name, "histogram", "How long requests took, by verb and resource.")?;
        for (labels, Row { durations, .. }) in requests.iter().filter(|(_, row)| row.durations.count > 0) {
            for (bucket, bound) in durations.buckets.iter().zip(BUCKETS) {
                writeln!(out, "{name}_bucket{{component=\"apiserver\",{labels},le=\"{bound}\"}} {bucket}")?;
            }
            writeln!(out, "{name}_bucket{{component=\"apiserver\",{labels},le=\"+Inf\"}} {}", durations.count)?;
            writeln!(out, "{name}_sum{{component=\"apiserver\",{labels}}} {}", durations.sum)?;
            writeln!(out, "{name}_count{{component=\"apiserver\",{labels}}} {}", durations.count)?;
        }
        drop(requests);
        let name = "apiserver_current_inflight_requests";
        family(out, name, "gauge", "Requests being served that are not long-running.")?;
        for (kind, gauge) in ["readOnly", "mutating"].iter().zip(&self.in_flight) {
            writeln!(out, "{name}{{request_kind=\"{kind}\"}} {}", gauge.load(Relaxed))?;
        }
        let name = "apiserver_longrunning_requests";
        family(out, name, "gauge", "Watches, logs and proxied answers being written.")?;
        writeln!(out, "{name} {}", self.long_running.load(Relaxed))
    }
}

fn family(out: &mut String, name: &str, kind: &str, help: &str) -> std::fmt::Result {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

impl Durations {
    fn add(&mut self, seconds: f64) {
        self.count += 1;
        self.sum += seconds;
        for (bucket, bound) in self.buckets.iter_mut().zip(BUCKETS) {
            *bucket += u64::from(seconds <= *bound);
        }
    }
}

impl Labels {
    /// Group, version and plural.
    fn resource(&self) -> (&str, &str, &str) {
        self.kind.as_ref().map_or(("", "", ""), |kind| (&kind.group, &kind.version, &kind.plural))
    }
}

impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_resource =
            || if self.kind == other.kind { Ordering::Equal } else { self.resource().cmp(&other.resource()) };
        self.verb
            .cmp(other.verb)
            .then_with(by_resource)
            .then_with(|| self.subresource.cmp(&other.subresource))
            .then_with(|| self.scope.cmp(other.scope))
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Labels {}

impl std::fmt::Display for Labels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (group, version, resource) = self.resource();
        let Self { verb, subresource, scope, .. } = self;
        write!(
            f,
            "group=\"{group}\",resource=\"{resource}\",scope=\"{scope}\",subresource=\"{subresource}\",\
             verb=\"{verb}\",version=\"{version}\""
        )
    }
}
