//! Nodes and pods in a line each.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{
    Affinity, Container, ContainerImage, ContainerPort, Node, NodeSpec, NodeStatus, Pod, PodAffinity, PodAffinityTerm,
    PodAntiAffinity, PodSpec, PodStatus, ResourceRequirements, Taint, Toleration, TopologySpreadConstraint,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::scheduler::snapshot::{NodeInfo, PodInfo, Snapshot};

/// A node under construction: 4 CPUs, 8 GiB and 110 pods, in no zone, unless told otherwise.
///
/// ```
/// use orchestrion::scheduler::testkit::{TestNode, TestPod, cluster};
/// let nodes = [TestNode::new("a").zone("z1"), TestNode::new("b").has("cpu", "1").taint("gpu", "NoSchedule")];
/// let snapshot = cluster(nodes, [TestPod::new("web").asks("cpu", "500m").on("a")]);
/// assert_eq!(snapshot.node("a").unwrap().requested.milli_cpu, 500);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct TestNode(Node);

/// A pod under construction: in namespace `default`, with one container that asks for nothing.
#[derive(Clone, Debug)]
#[must_use]
pub struct TestPod(Pod);

/// The snapshot of these nodes with these pods (those that are on one).
pub fn cluster(nodes: impl IntoIterator<Item = TestNode>, pods: impl IntoIterator<Item = TestPod>) -> Snapshot {
    let pods: Vec<_> = pods.into_iter().map(TestPod::info).collect();
    Snapshot::new(nodes.into_iter().map(|node| {
        let mut info = NodeInfo::new(Arc::new(node.0));
        let name = info.name().to_owned();
        for pod in pods.iter().filter(|pod| pod.node() == Some(&name)) {
            info.add(Arc::clone(pod));
        }
        info
    }))
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn selector(pairs: &[(&str, &str)]) -> LabelSelector {
    LabelSelector { match_labels: Some(labels(pairs)), ..LabelSelector::default() }
}

impl TestNode {
    /// A node of that name, labelled with it as its hostname.
    pub fn new(name: &str) -> Self {
        let mut node = Node::default();
        node.metadata.name = Some(name.to_owned());
        Self(node).label("kubernetes.io/hostname", name).has("cpu", "4").has("memory", "8Gi").has("pods", "110")
    }

    fn spec(&mut self) -> &mut NodeSpec {
        self.0.spec.get_or_insert_default()
    }

    fn status(&mut self) -> &mut NodeStatus {
        self.0.status.get_or_insert_default()
    }

    /// With a label.
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.0.metadata.labels.get_or_insert_default().insert(key.to_owned(), value.to_owned());
        self
    }

    /// In a zone.
    pub fn zone(self, zone: &str) -> Self {
        self.label("topology.kubernetes.io/zone", zone)
    }

    /// With so much of a resource.
    pub fn has(mut self, resource: &str, amount: &str) -> Self {
        let list = self.status().allocatable.get_or_insert_default();
        list.insert(resource.to_owned(), Text(amount.to_owned()));
        self
    }

    /// With a taint: `key` or `key=value`, and its effect.
    pub fn taint(mut self, taint: &str, effect: &str) -> Self {
        let (key, value) = taint.split_once('=').unwrap_or((taint, ""));
        let value = Some(value.to_owned()).filter(|value| !value.is_empty());
        let taint = Taint { key: key.to_owned(), value, effect: effect.to_owned(), ..Taint::default() };
        self.spec().taints.get_or_insert_default().push(taint);
        self
    }

    /// Closed for new pods.
    pub fn cordoned(mut self) -> Self {
        self.spec().unschedulable = Some(true);
        self
    }

    /// With an image of that size.
    pub fn image(mut self, name: &str, bytes: i64) -> Self {
        let image = ContainerImage { names: Some(vec![name.to_owned()]), size_bytes: Some(bytes) };
        self.status().images.get_or_insert_default().push(image);
        self
    }

    /// The node.
    pub fn node(self) -> Node {
        self.0
    }
}

impl TestPod {
    /// A pod of that name, which is its UID too.
    pub fn new(name: &str) -> Self {
        let mut pod = Pod::default();
        pod.metadata.name = Some(name.to_owned());
        pod.metadata.uid = Some(name.to_owned());
        pod.metadata.namespace = Some("default".to_owned());
        let container = Container { name: "main".to_owned(), ..Container::default() };
        pod.spec = Some(PodSpec { containers: vec![container], ..PodSpec::default() });
        Self(pod)
    }

    fn spec(&mut self) -> &mut PodSpec {
        self.0.spec.get_or_insert_default()
    }

    fn container(&mut self) -> &mut Container {
        let containers = &mut self.spec().containers;
        if containers.is_empty() {
            containers.push(Container::default());
        }
        &mut containers[0]
    }

    /// Changes the spec at will.
    pub fn with(mut self, change: impl FnOnce(&mut PodSpec)) -> Self {
        change(self.spec());
        self
    }

    /// Changes the status at will.
    pub fn with_status(mut self, change: impl FnOnce(&mut PodStatus)) -> Self {
        change(self.0.status.get_or_insert_default());
        self
    }

    /// In another namespace.
    pub fn namespace(mut self, namespace: &str) -> Self {
        self.0.metadata.namespace = Some(namespace.to_owned());
        self
    }

    /// With a label.
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.0.metadata.labels.get_or_insert_default().insert(key.to_owned(), value.to_owned());
        self
    }

    /// On a node already.
    pub fn on(self, node: &str) -> Self {
        self.with(|spec| spec.node_name = Some(node.to_owned()))
    }

    /// Asking for so much of a resource.
    pub fn asks(mut self, resource: &str, amount: &str) -> Self {
        let resources = self.container().resources.get_or_insert_with(ResourceRequirements::default);
        resources.requests.get_or_insert_default().insert(resource.to_owned(), Text(amount.to_owned()));
        self
    }

    /// With that image.
    pub fn image(mut self, image: &str) -> Self {
        self.container().image = Some(image.to_owned());
        self
    }

    /// Wanting a port of its node.
    pub fn host_port(mut self, port: i32) -> Self {
        let port = ContainerPort { container_port: port, host_port: Some(port), ..ContainerPort::default() };
        self.container().ports.get_or_insert_default().push(port);
        self
    }

    /// With a priority.
    pub fn priority(self, priority: i32) -> Self {
        self.with(|spec| spec.priority = Some(priority))
    }

    /// Tolerating a taint, whatever its value and effect.
    pub fn tolerates(self, key: &str) -> Self {
        let toleration =
            Toleration { key: Some(key.to_owned()), operator: Some("Exists".to_owned()), ..Toleration::default() };
        self.with(|spec| spec.tolerations.get_or_insert_default().push(toleration))
    }

    /// On nodes with that label only.
    pub fn selects(self, key: &str, value: &str) -> Self {
        self.with(|spec| {
            spec.node_selector.get_or_insert_default().insert(key.to_owned(), value.to_owned());
        })
    }

    /// Spread over the domains of `key`, with the pods of these labels: at most `skew` more in one than in another.
    pub fn spread(self, key: &str, skew: i32, action: &str, among: &[(&str, &str)]) -> Self {
        let constraint = TopologySpreadConstraint {
            max_skew: skew,
            topology_key: key.to_owned(),
            when_unsatisfiable: action.to_owned(),
            label_selector: Some(selector(among)),
            ..TopologySpreadConstraint::default()
        };
        self.with(|spec| spec.topology_spread_constraints.get_or_insert_default().push(constraint))
    }

    /// In a domain of `key` with a pod of these labels only.
    pub fn near(self, key: &str, pods: &[(&str, &str)]) -> Self {
        let term = term(key, pods);
        self.with(|spec| {
            let affinity: &mut Affinity = spec.affinity.get_or_insert_default();
            let near: &mut PodAffinity = affinity.pod_affinity.get_or_insert_default();
            near.required_during_scheduling_ignored_during_execution.get_or_insert_default().push(term);
        })
    }

    /// In no domain of `key` with a pod of these labels.
    pub fn away(self, key: &str, pods: &[(&str, &str)]) -> Self {
        let term = term(key, pods);
        self.with(|spec| {
            let affinity: &mut Affinity = spec.affinity.get_or_insert_default();
            let away: &mut PodAntiAffinity = affinity.pod_anti_affinity.get_or_insert_default();
            away.required_during_scheduling_ignored_during_execution.get_or_insert_default().push(term);
        })
    }

    /// The pod.
    pub fn pod(self) -> Pod {
        self.0
    }

    /// The pod as schedulers see it.
    pub fn info(self) -> Arc<PodInfo> {
        Arc::new(PodInfo::new(Arc::new(self.0)))
    }
}

fn term(key: &str, pods: &[(&str, &str)]) -> PodAffinityTerm {
    PodAffinityTerm { topology_key: key.to_owned(), label_selector: Some(selector(pods)), ..PodAffinityTerm::default() }
}
