//! What is known of classes of pods is what asking every plugin about every node finds.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::snapshot::{Cache, PodInfo};
use super::super::testkit::{TestNode, TestPod};
use super::super::{Framework, Nomination, Placement, Scheduler};
use super::placing::Opaque;
use crate::random::Random;

const ZONE: &str = "topology.kubernetes.io/zone";
const HOSTNAME: &str = "kubernetes.io/hostname";
const APPS: [&str; 2] = ["web", "db"];

/// Picks by some bits of `traits`.
fn pick<T: Clone>(traits: u32, shift: u32, choices: &[T]) -> T {
    choices[(traits >> shift) as usize % choices.len()].clone()
}

fn add(spec: &mut PodSpec, field: &str, value: Value) {
    let mut all = serde_json::to_value(&*spec).unwrap();
    merge(&mut all, json!({ field: value }));
    *spec = serde_json::from_value(all).unwrap();
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            from.into_iter().for_each(|(key, value)| merge(into.entry(key).or_insert(Value::Null), value));
        }
        (into, from) => *into = from,
    }
}

fn node(name: &str, traits: u32) -> Node {
    let mut node = TestNode::new(name)
        .has("cpu", pick(traits, 0, &["1", "2", "4"]))
        .has("memory", pick(traits, 2, &["4Gi", "8Gi"]))
        .has("pods", pick(traits, 3, &["110", "110", "3"]));
    if let Some(zone) = pick(traits, 5, &[Some("z1"), Some("z2"), Some("z3"), None]) {
        node = node.zone(zone);
    }
    match pick(traits, 7, &[0, 0, 0, 1, 2, 3]) {
        1 => node = node.taint("dedicated", "NoSchedule"),
        2 => node = node.taint("slow", "PreferNoSchedule"),
        3 => node = node.cordoned(),
        _ => {}
    }
    if pick(traits, 10, &[false, true]) {
        node = node.label("disk", "ssd");
    }
    match pick(traits, 11, &[0, 0, 1, 2]) {
        1 => node = node.image("app:1", 500 << 20),
        2 => node = node.image("app:1", 500 << 20).image("other:1", 900 << 20),
        _ => {}
    }
    // Now and then, two nodes say that they are the same host.
    if pick(traits, 13, &[false, false, false, false, false, false, false, true]) {
        node = node.label(HOSTNAME, "n0");
    }
    node.node()
}

fn pod(name: &str, traits: u32) -> TestPod {
    let (own, other) = (pick(traits, 0, &[Some("web"), Some("db"), None]), pick(traits, 2, &APPS));
    let key = pick(traits, 3, &[ZONE, HOSTNAME]);
    let among = [("app", other)];
    let mut pod = TestPod::new(name).image(pick(traits, 4, &["app:1", "other", "none"]));
    if let Some(own) = own {
        pod = pod.label("app", own);
    }
    if let Some(cpu) = pick(traits, 6, &[None, Some("500m"), Some("1"), Some("2")]) {
        pod = pod.asks("cpu", cpu).asks("memory", "512Mi");
    }
    if pick(traits, 8, &[false, false, true]) {
        pod = pod.namespace("other");
    }
    let mut term = json!({"topologyKey": key, "labelSelector": {"matchLabels": {"app": other}}});
    if pick(traits, 10, &[false, true]) {
        term["namespaceSelector"] = json!({"matchLabels": {"team": "a"}});
    }
    let weighted = json!({"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 7, "podAffinityTerm": term}]});
    let required = json!({"requiredDuringSchedulingIgnoredDuringExecution": [term]});
    pod = match pick(traits, 12, &[0, 0, 1, 2, 3, 4, 5, 6, 7, 8]) {
        1 => pod.with(|spec| add(spec, "affinity", json!({"podAffinity": required}))),
        2 => pod.with(|spec| add(spec, "affinity", json!({"podAntiAffinity": required}))),
        3 => pod.with(|spec| add(spec, "affinity", json!({"podAffinity": weighted}))),
        4 => pod.with(|spec| add(spec, "affinity", json!({"podAntiAffinity": weighted}))),
        5 => pod.spread(key, 1, "DoNotSchedule", &among),
        6 => pod.spread(key, 2, "ScheduleAnyway", &among).spread(ZONE, 1, "ScheduleAnyway", &among),
        7 => pod.spread(HOSTNAME, 2, "DoNotSchedule", &among).spread(ZONE, 1, "DoNotSchedule", &among),
        8 => pod
            .spread(ZONE, 1, "DoNotSchedule", &among)
            .with(|spec| spec.topology_spread_constraints.iter_mut().flatten().for_each(|c| c.min_domains = Some(3))),
        _ => pod,
    };
    match pick(traits, 17, &[0, 0, 0, 1, 2, 3]) {
        1 => pod = pod.tolerates("dedicated"),
        2 => pod = pod.host_port(80),
        3 => pod = pod.selects("disk", "ssd"),
        _ => {}
    }
    if pick(traits, 20, &[false, false, true]) {
        let ssd = json!({"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]});
        let preferred = json!([{"weight": 5, "preference": ssd}]);
        let rule = json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}});
        pod = pod.with(|spec| add(spec, "affinity", rule));
    }
    pod.priority(pick(traits, 22, &[0, 0, 10]))
}

/// A cluster with a history, and two schedulers: one that remembers, and one that asks every plugin about every node.
struct History {
    cache: Cache,
    remembering: Framework,
    naive: Framework,
    placed: Vec<Arc<PodInfo>>,
    nominated: Vec<Arc<PodInfo>>,
    pods: usize,
}

impl History {
    fn new() -> Self {
        let naive = Framework::new(Random::seeded(1)).with(Opaque, 0).percentage_of_nodes_to_score(100);
        let remembering = Framework::new(Random::seeded(1));
        Self { cache: Cache::default(), remembering, naive, placed: Vec::new(), nominated: Vec::new(), pods: 0 }
    }

    fn step(&mut self, kind: u8, number: u8, traits: u32) -> Result<(), TestCaseError> {
        let name = format!("n{}", number % 7);
        match kind {
            0 | 1 => self.cache.set_node(&Arc::new(node(&name, traits))),
            2 => self.cache.remove_node(&name),
            3 => {
                if !self.placed.is_empty() {
                    let gone = self.placed.swap_remove(usize::from(number) % self.placed.len());
                    self.cache.remove_pod(gone.uid());
                }
            }
            4 => {
                // Its labels change where it is.
                if let Some(pod) = self.placed.get(usize::from(number) % self.placed.len().max(1)) {
                    let mut changed = (*pod.pod).clone();
                    let app = pick(traits, 0, &APPS).to_owned();
                    changed.metadata.labels.get_or_insert_default().insert("app".to_owned(), app);
                    self.cache.set_pod(&Arc::new(PodInfo::new(Arc::new(changed))));
                }
            }
            5 => {
                let labels = pick(traits, 0, &[vec![("team", "a")], vec![]]);
                let labels = labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
                let namespaces = Arc::make_mut(&mut self.cache.surroundings().namespaces);
                namespaces.insert(pick(traits, 1, &["default", "other"]).to_owned(), labels);
            }
            6 => {
                let services = Arc::make_mut(&mut self.cache.surroundings().services);
                let key = ("default".to_owned(), "web".to_owned());
                if services.remove(&key).is_none() {
                    let labels = Some([("app".to_owned(), "web".to_owned())].into());
                    services.insert(key, LabelSelector { match_labels: labels, ..LabelSelector::default() });
                }
            }
            7 => {
                // A node is cleared for a pod, or no longer.
                if let Some(pod) = self.nominated.pop() {
                    self.cache.surroundings().withdraw(pod.uid());
                } else {
                    self.pods += 1;
                    let pod = pod(&format!("p{}", self.pods), traits & !(0xf << 12)).info();
                    self.cache.surroundings().nominate(&pod, &name);
                    self.nominated.push(pod);
                }
            }
            _ => return self.schedule(traits),
        }
        Ok(())
    }

    fn schedule(&mut self, traits: u32) -> Result<(), TestCaseError> {
        self.pods += 1;
        let pod = pod(&format!("p{}", self.pods), traits).info();
        let snapshot = self.cache.snapshot();
        let truth = self.naive.explain(&pod, &snapshot);
        let feasible: BTreeSet<_> =
            truth.nodes.iter().filter(|(_, node)| node.refusals.is_empty()).map(|(name, _)| name.as_str()).collect();
        let asked = self.naive.place(&pod, &snapshot);
        match self.remembering.place(&pod, &snapshot) {
            Placement::Node { name, feasible: count, evaluated } => {
                if snapshot.has_nominated() {
                    // An explanation does not know of nominations.
                    prop_assert!(feasible.contains(&*name));
                    let Placement::Node { feasible, .. } = asked else { panic!("{count} nodes, and {asked:?}") };
                    prop_assert_eq!((count, evaluated), (feasible, snapshot.nodes().len()));
                } else {
                    prop_assert_eq!((count, evaluated), (feasible.len(), snapshot.nodes().len()), "{}", &truth);
                    prop_assert!(truth.best().contains(&&*name), "{} is not among the best of\n{}", name, &truth);
                }
                drop(snapshot);
                let mut bound = (*pod.pod).clone();
                bound.spec.get_or_insert_default().node_name = Some(name.clone());
                let bound = Arc::new(PodInfo::new(Arc::new(bound)));
                self.cache.assume(&pod, &name);
                if self.pods.is_multiple_of(2) {
                    self.cache.set_pod(&bound);
                }
                self.placed.push(bound);
            }
            Placement::None(why) => {
                let Placement::None(naive) = asked else { panic!("nowhere: {}, but\n{truth}", why.message) };
                prop_assert_eq!(&why.refused_by, &naive.refused_by);
                match (&why.nomination, &naive.nomination) {
                    (Nomination::Node { victims, .. }, Nomination::Node { victims: others, .. }) => {
                        let priorities = |pods: &[Arc<PodInfo>]| pods.iter().map(|p| p.priority()).collect::<Vec<_>>();
                        prop_assert_eq!(priorities(victims), priorities(others));
                    }
                    (nomination, other) => prop_assert_eq!(nomination, other),
                }
                prop_assert_eq!(why.message, naive.message);
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_remembered_is_what_asking_everybody_finds(
        nodes in prop::collection::vec(any::<u32>(), 0..7),
        kinds_of_pods in prop::collection::vec(any::<u32>(), 1..4),
        steps in prop::collection::vec((0_u8..18, any::<u8>(), any::<u32>()), 0..60),
    ) {
        let mut history = History::new();
        for (number, traits) in nodes.into_iter().enumerate() {
            history.cache.set_node(&Arc::new(node(&format!("n{number}"), traits)));
        }
        for (kind, number, traits) in steps {
            let traits = if kind > 7 { kinds_of_pods[traits as usize % kinds_of_pods.len()] } else { traits };
            history.step(kind, number, traits)?;
        }
    }
}
