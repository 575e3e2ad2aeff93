//! What the agent serves at the kubelet's own paths.
//!
//! Source: `k8s.io/kubernetes/pkg/kubelet/server/stats` and `…/metrics/collectors/resource_metrics.go`.

use std::fmt::Write;

use jiff::Timestamp;

use super::summary::summary;
use crate::api::stats::{CpuStats, MemoryStats, Scope, Summary};
use crate::api::{Answer, ApiError, Reason};
use crate::node::agent::Workers;

/// The metrics of `/metrics/resource`, with their types and what they are.
const FAMILIES: &[(&str, &str, &str)] = &[
    ("container_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the container in core-seconds"),
    ("container_memory_working_set_bytes", "gauge", "Current working set of the container in bytes"),
    ("container_start_time_seconds", "gauge", "Start time of the container since unix epoch in seconds"),
    ("node_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the node in core-seconds"),
    ("node_memory_working_set_bytes", "gauge", "Current working set of the node in bytes"),
    ("pod_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the pod in core-seconds"),
    ("pod_memory_working_set_bytes", "gauge", "Current working set of the pod in bytes"),
    ("resource_scrape_error", "gauge", "1 if there was an error while getting container metrics, 0 otherwise"),
];

/// Answers a GET of that path, which may have parameters.
pub(in crate::node) async fn answer(workers: &Workers, path: &str) -> Result<Answer, ApiError> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let text = |media: &str, body: String| Ok(Answer { media: media.to_owned(), body: body.into() });
    match path.trim_end_matches('/') {
        "/healthz" => text("text/plain; charset=utf-8", "ok".to_owned()),
        "/stats/summary" => {
            let brief = query.split('&').any(|part| part == "only_cpu_and_memory=true");
            let scope = if brief { Scope::CpuAndMemory } else { Scope::All };
            let summary = summary(workers, scope).await.map_err(ApiError::internal)?;
            text("application/json", serde_json::to_string_pretty(&summary).map_err(ApiError::internal)?)
        }
        "/metrics/resource" => {
            let summary = summary(workers, Scope::CpuAndMemory).await;
            text("text/plain; version=0.0.4; charset=utf-8", resource_metrics(summary.ok().as_ref()))
        }
        _ => Err(ApiError::new(Reason::NotFound, "404 page not found")),
    }
}

/// The text of `/metrics/resource`.
fn resource_metrics(summary: Option<&Summary>) -> String {
    let mut text = String::new();
    for (name, kind, help) in FAMILIES {
        // Writing to a string does not fail.
        let _ = write!(text, "# HELP {name} [STABLE] {help}\n# TYPE {name} {kind}\n");
        let before = text.len();
        if *name == "resource_scrape_error" {
            let _ = writeln!(text, "{name} {}", u8::from(summary.is_none()));
        }
        if let Some(summary) = summary {
            family(&mut text, name, summary);
        }
        if text.len() == before {
            let header = text.rfind("# HELP").unwrap_or(before);
            text.truncate(header); // nothing to tell: no heading either
        }
    }
    text
}

fn family(text: &mut String, name: &str, summary: &Summary) {
    let mut line = |labels: &str, value: &str, at: Option<Timestamp>| {
        let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        let at = at.map(|at| format!(" {}", at.as_millisecond())).unwrap_or_default();
        let _ = writeln!(text, "{name}{labels} {value}{at}");
    };
    let cpu = |cpu: &CpuStats| (seconds(cpu.usage_core_nano_seconds.into()), Some(cpu.time.0));
    let memory = |memory: &MemoryStats| (memory.working_set_bytes.to_string(), Some(memory.time.0));
    let node = match name {
        "node_cpu_usage_seconds_total" => Some(cpu(&summary.node.cpu)),
        "node_memory_working_set_bytes" => Some(memory(&summary.node.memory)),
        _ => None,
    };
    if let Some((value, at)) = node {
        line("", &value, at);
    }
    for pod in &summary.pods {
        let of_pod = format!("namespace=\"{}\",pod=\"{}\"", pod.pod_ref.namespace, pod.pod_ref.name);
        let whole = match name {
            "pod_cpu_usage_seconds_total" => pod.cpu.as_ref().map(cpu),
            "pod_memory_working_set_bytes" => pod.memory.as_ref().map(memory),
            _ => None,
        };
        if let Some((value, at)) = whole {
            line(&of_pod, &value, at);
        }
        for container in &pod.containers {
            let found = match name {
                "container_cpu_usage_seconds_total" => Some(cpu(&container.cpu)),
                "container_memory_working_set_bytes" => Some(memory(&container.memory)),
                "container_start_time_seconds" => Some((seconds(container.start_time.0.as_nanosecond()), None)),
                _ => None,
            };
            if let Some((value, at)) = found {
                line(&format!("container=\"{}\",{of_pod}", container.name), &value, at);
            }
        }
    }
}

/// Nanoseconds as seconds.
fn seconds(nanos: i128) -> String {
    let text = format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
