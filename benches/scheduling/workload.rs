//! The workloads: those of Kubernetes' `test/integration/scheduler_perf`, with its nodes and pods.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, json};

pub(crate) const ZONE: &str = "topology.kubernetes.io/zone";
pub(crate) const HOSTNAME: &str = "kubernetes.io/hostname";
/// The node that the pods of `daemonset` name, and the only one of `gated`.
pub(crate) const NAMED: &str = "scheduler-perf-node";
/// Where pods are before the clock starts, and where the measured ones go.
pub(crate) const BEFORE: &str = "sched-0";
pub(crate) const MEASURED: &str = "sched-1";
/// How many namespaces the pods before are spread over, in the workloads with namespace selectors.
pub(crate) const NAMESPACES: usize = 100;

/// What is measured.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) nodes: usize,
    pub(crate) before: usize,
    pub(crate) pods: usize,
    /// The zones that nodes are spread over; none: nodes without zone.
    pub(crate) zones: &'static [&'static str],
    /// What is there before: kinds of pods, so many of each.
    pub(crate) existing: &'static [&'static str],
    pub(crate) measured: &'static str,
    /// Whether the pods before are spread over namespaces.
    pub(crate) namespaces: bool,
}

const fn workload(name: &'static str, nodes: usize, before: usize, pods: usize, measured: &'static str) -> Workload {
    Workload { name, nodes, before, pods, zones: &[], existing: &[], measured, namespaces: false }
}

const ONE_ZONE: &[&str] = &["zone1"];
const MOONS: &[&str] = &["moon-1", "moon-2", "moon-3"];

/// All workloads, in the sizes that they are known by.
pub(crate) fn all() -> Vec<Workload> {
    let mixed = &["default", "affinity", "anti-affinity", "preferred-affinity", "preferred-anti-affinity"];
    vec![
        Workload { existing: &["default"], ..workload("basic", 5_000, 1_000, 10_000, "default") },
        Workload {
            zones: ONE_ZONE,
            existing: &["node-affinity"],
            ..workload("node-affinity", 5_000, 5_000, 10_000, "node-affinity")
        },
        Workload {
            existing: &["anti-affinity"],
            ..workload("pod-anti-affinity", 5_000, 1_000, 2_000, "anti-affinity")
        },
        Workload {
            zones: ONE_ZONE,
            existing: &["affinity"],
            ..workload("pod-affinity", 5_000, 5_000, 5_000, "affinity")
        },
        Workload {
            existing: &["preferred-affinity"],
            ..workload("preferred-pod-affinity", 5_000, 5_000, 5_000, "preferred-affinity")
        },
        Workload {
            existing: &["preferred-anti-affinity"],
            ..workload("preferred-pod-anti-affinity", 5_000, 5_000, 5_000, "preferred-anti-affinity")
        },
        Workload {
            existing: &["anti-affinity"],
            namespaces: true,
            ..workload("pod-anti-affinity-namespaces", 6_000, 4_000, 2_000, "anti-affinity")
        },
        Workload {
            zones: ONE_ZONE,
            existing: &["affinity"],
            namespaces: true,
            ..workload("pod-affinity-namespaces", 5_000, 5_000, 2_000, "affinity")
        },
        Workload {
            existing: &["preferred-affinity"],
            namespaces: true,
            ..workload("preferred-pod-affinity-namespaces", 5_000, 5_000, 5_000, "preferred-affinity")
        },
        Workload {
            existing: &["preferred-anti-affinity"],
            namespaces: true,
            ..workload("preferred-pod-anti-affinity-namespaces", 5_000, 4_000, 2_000, "preferred-anti-affinity")
        },
        Workload { zones: MOONS, existing: &["default"], ..workload("topology-spread", 5_000, 5_000, 5_000, "spread") },
        Workload {
            zones: MOONS,
            existing: &["default"],
            ..workload("preferred-topology-spread", 5_000, 5_000, 5_000, "preferred-spread")
        },
        Workload { zones: ONE_ZONE, existing: mixed, ..workload("mixed", 5_000, 10_000, 5_000, "default") },
        Workload { existing: &["low"], ..workload("preemption", 5_000, 20_000, 5_000, "high") },
        Workload { existing: &["large"], ..workload("unschedulable", 5_000, 100, 10_000, "default") },
        workload("daemonset", 15_000, 0, 30_000, "daemon"),
        workload("churn", 5_000, 0, 10_000, "default"),
        Workload { existing: &["gated"], ..workload("gated", 1, 10_000, 20_000, "light") },
    ]
}

fn parsed<K: serde::de::DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).expect("a manifest of this benchmark")
}

impl Workload {
    /// The nodes, with what they have for pods.
    pub(crate) fn nodes(&self) -> Vec<Node> {
        let named = matches!(self.name, "daemonset" | "gated");
        let plain = if self.name == "gated" { 0 } else { self.nodes };
        let mut nodes: Vec<Node> = named.then(|| node(NAMED, None, "90000")).into_iter().collect();
        for number in 0..plain {
            let zone = (!self.zones.is_empty()).then(|| self.zones[number % self.zones.len()]);
            nodes.push(node(&format!("node-{number}"), zone, "110"));
        }
        nodes
    }

    /// The namespaces, with their labels.
    pub(crate) fn namespaces(&self) -> Vec<String> {
        let many = if self.namespaces { NAMESPACES } else { 0 };
        let init = (0..many).map(|number| format!("init-ns-{number}"));
        [BEFORE, MEASURED].map(str::to_owned).into_iter().chain(init).collect()
    }

    /// The pods that are there before the clock starts.
    pub(crate) fn existing(&self) -> Vec<Pod> {
        let kinds = self.existing.len().max(1);
        let each = if self.existing.is_empty() { 0 } else { self.before / kinds };
        let mut pods = Vec::new();
        for kind in self.existing {
            let template = pod(kind, self.namespaces);
            for number in 0..each {
                let namespace =
                    if self.namespaces { format!("init-ns-{}", number % NAMESPACES) } else { BEFORE.to_owned() };
                pods.push(named(&template, &namespace, &format!("{kind}-{number}")));
            }
        }
        pods
    }

    /// The pods that are measured.
    pub(crate) fn measured(&self) -> Vec<Pod> {
        let template = pod(self.measured, self.namespaces);
        (0..self.pods).map(|number| named(&template, MEASURED, &format!("pod-{number}"))).collect()
    }
}

fn named(template: &Pod, namespace: &str, name: &str) -> Pod {
    let mut pod = template.clone();
    pod.metadata.namespace = Some(namespace.to_owned());
    pod.metadata.name = Some(name.to_owned());
    pod
}

/// A node with 4 CPUs and 32 GiB.
pub(crate) fn node(name: &str, zone: Option<&str>, pods: &str) -> Node {
    let mut labels = BTreeMap::from([(HOSTNAME.to_owned(), name.to_owned())]);
    labels.extend(zone.map(|zone| (ZONE.to_owned(), zone.to_owned())));
    let amounts = json!({"cpu": "4", "memory": "32Gi", "pods": pods});
    parsed(json!({
        "metadata": {"name": name, "labels": labels},
        "status": {"capacity": amounts, "allocatable": amounts,
                   "conditions": [{"type": "Ready", "status": "True"}]},
    }))
}

/// A pod of that kind; `by_selector`: its terms are about namespaces with a label, not about two by name.
pub(crate) fn pod(kind: &str, by_selector: bool) -> Pod {
    let term = |color: &str, key: &str| {
        let mut term = json!({"labelSelector": {"matchLabels": {"color": color}}, "topologyKey": key});
        if by_selector {
            term["namespaceSelector"] = json!({"matchLabels": {"team": "devops"}});
        } else {
            term["namespaces"] = json!([MEASURED, BEFORE]);
        }
        term
    };
    let weighted = |color: &str| json!([{"weight": 1, "podAffinityTerm": term(color, HOSTNAME)}]);
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
    let spread = |action: &str| {
        json!([{"maxSkew": 5, "topologyKey": ZONE, "whenUnsatisfiable": action,
                "labelSelector": {"matchLabels": {"color": "blue"}}}])
    };
    let (mut cpu, mut color, mut spec) = (Some("100m"), None, json!({}));
    match kind {
        "default" => {}
        "light" => cpu = None,
        "gated" => {
            cpu = None;
            spec = json!({"schedulingGates": [{"name": "test.k8s.io/hold"}]});
        }
        "low" => {
            cpu = Some("900m");
            spec = json!({"terminationGracePeriodSeconds": 0});
        }
        "high" => {
            cpu = Some("3");
            spec = json!({"priorityClassName": "high"});
        }
        "large" => {
            cpu = Some("9");
            spec = json!({"priorityClassName": "high"});
        }
        "daemon" => {
            cpu = None;
            let field = json!({"key": "metadata.name", "operator": "In", "values": [NAMED]});
            spec["affinity"] = json!({"nodeAffinity": {required: {"nodeSelectorTerms": [{"matchFields": [field]}]}}});
        }
        "node-affinity" => {
            let label = json!({"key": ZONE, "operator": "In", "values": ["zone1", "zone2"]});
            spec["affinity"] =
                json!({"nodeAffinity": {required: {"nodeSelectorTerms": [{"matchExpressions": [label]}]}}});
        }
        "affinity" => {
            color = Some("blue");
            spec["affinity"] = json!({"podAffinity": {required: [term("blue", ZONE)]}});
        }
        "anti-affinity" => {
            color = Some("green");
            spec["affinity"] = json!({"podAntiAffinity": {required: [term("green", HOSTNAME)]}});
        }
        "preferred-affinity" => {
            color = Some("red");
            spec["affinity"] = json!({"podAffinity": {preferred: weighted("red")}});
        }
        "preferred-anti-affinity" => {
            color = Some("yellow");
            spec["affinity"] = json!({"podAntiAffinity": {preferred: weighted("yellow")}});
        }
        "spread" => {
            color = Some("blue");
            spec["topologySpreadConstraints"] = spread("DoNotSchedule");
        }
        "preferred-spread" => {
            color = Some("blue");
            spec["topologySpreadConstraints"] = spread("ScheduleAnyway");
        }
        other => panic!("no pods are called {other}"),
    }
    let mut container = json!({"name": "pause", "image": "registry.k8s.io/pause:3.10.1"});
    if let Some(cpu) = cpu {
        let amounts = json!({"cpu": cpu, "memory": "500Mi"});
        container["ports"] = json!([{"containerPort": 80}]);
        container["resources"] = json!({"requests": amounts, "limits": amounts});
    }
    spec["containers"] = json!([container]);
    let labels: BTreeMap<_, _> = color.map(|color| ("color", color)).into_iter().collect();
    parsed(json!({"metadata": {"labels": labels}, "spec": spec}))
}
