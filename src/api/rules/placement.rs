//! Whether a node suits a pod: what its labels say, and its taints.

use k8s_openapi::api::core::v1::{Node, NodeSelectorRequirement, NodeSelectorTerm, PodSpec, Taint, Toleration};

/// Whether a node has the labels of `spec.nodeSelector`, and matches the required node affinity.
pub fn is_selected(spec: &PodSpec, node: &Node) -> bool {
    let has = |key, value| node.metadata.labels.as_ref().and_then(|labels| labels.get(key)) == Some(value);
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let required = affinity.and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref());
    spec.node_selector.iter().flatten().all(|(key, value)| has(key, value))
        && required.is_none_or(|terms| terms.node_selector_terms.iter().any(|term| term_matches(term, node)))
}

/// Whether a term matches. One without requirements matches nothing.
pub fn term_matches(term: &NodeSelectorTerm, node: &Node) -> bool {
    let labels = node.metadata.labels.as_ref();
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    let label = |key: &str| labels.and_then(|labels| labels.get(key)).map(String::as_str);
    let field = |key: &str| node.metadata.name.as_deref().filter(|_| key == "metadata.name");
    !(expressions.is_empty() && fields.is_empty())
        && expressions.iter().all(|requirement| requirement_holds(requirement, label(&requirement.key)))
        && fields.iter().all(|requirement| requirement_holds(requirement, field(&requirement.key)))
}

fn requirement_holds(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = || requirement.values.iter().flatten();
    let compared = || Some((value?.parse::<i64>().ok()?, values().next()?.parse::<i64>().ok()?));
    match requirement.operator.as_str() {
        "In" => value.is_some_and(|value| values().any(|other| other == value)),
        "NotIn" => value.is_none_or(|value| values().all(|other| other != value)),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compared().is_some_and(|(value, bound)| value > bound),
        "Lt" => compared().is_some_and(|(value, bound)| value < bound),
        _ => false,
    }
}

/// Whether one of `tolerations` tolerates `taint`.
pub fn tolerates(tolerations: &[Toleration], taint: &Taint) -> bool {
    tolerations.iter().any(|toleration| tolerated(toleration, taint))
}

/// Whether `toleration` tolerates `taint`.
fn tolerated(toleration: &Toleration, taint: &Taint) -> bool {
    // What is left out, or empty, is any.
    let is = |wanted: &Option<String>, found: &str| {
        wanted.as_deref().is_none_or(|wanted| wanted.is_empty() || wanted == found)
    };
    is(&toleration.effect, &taint.effect)
        && is(&toleration.key, &taint.key)
        && match toleration.operator.as_deref() {
            None | Some("" | "Equal") => {
                toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default()
            }
            Some("Exists") => true,
            _ => false,
        }
}
