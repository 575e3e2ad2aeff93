//! Discovery: which groups, versions and resources are served, in the legacy and the aggregated form.

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use crate::api::{Kind, KindRef, Kinds};

/// The served kinds of each group, by version, in the order of the kinds table.
fn groups(kinds: &Kinds) -> IndexMap<String, IndexMap<String, Vec<KindRef>>> {
    let mut groups: IndexMap<String, IndexMap<String, Vec<KindRef>>> = IndexMap::new();
    for kind in kinds.all().into_iter().filter(|kind| !kind.verbs.is_empty()) {
        groups.entry(kind.group.clone()).or_default().entry(kind.version.clone()).or_default().push(kind);
    }
    groups
}

/// `/api`
pub(crate) fn core_versions(address: &str) -> Value {
    json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{ "clientCIDR": "0.0.0.0/0", "serverAddress": address }],
    })
}

/// `/apis`
pub(crate) fn group_list(kinds: &Kinds) -> Value {
    let groups: Vec<Value> = groups(kinds)
        .iter()
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, versions)| group(name, versions))
        .collect();
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
}

/// `/apis/G`
pub(crate) fn one_group(kinds: &Kinds, name: &str) -> Option<Value> {
    let mut value = group(name, groups(kinds).get(name)?);
    value["kind"] = json!("APIGroup");
    value["apiVersion"] = json!("v1");
    Some(value)
}

fn group(name: &str, versions: &IndexMap<String, Vec<KindRef>>) -> Value {
    let versions: Vec<Value> = versions
        .keys()
        .map(|version| json!({ "groupVersion": group_version(name, version), "version": version }))
        .collect();
    json!({ "name": name, "versions": versions, "preferredVersion": versions.first() })
}

fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// `/api/v1` and `/apis/G/V`
pub(crate) fn resource_list(kinds: &Kinds, group: &str, version: &str) -> Option<Value> {
    let served = groups(kinds);
    let mut resources = Vec::new();
    for kind in served.get(group)?.get(version)? {
        let mut resource = json!({
            "name": kind.plural,
            "singularName": kind.singular,
            "namespaced": kind.namespaced,
            "kind": kind.kind,
            "verbs": kind.verbs,
        });
        add_names(&mut resource, kind);
        resources.push(resource);
        for subresource in &kind.subresources {
            let mut resource = json!({
                "name": format!("{}/{}", kind.plural, subresource.name),
                "singularName": "",
                "namespaced": kind.namespaced,
                "kind": kind.kind,
                "verbs": subresource.verbs,
            });
            if let Some((group, version, body)) = subresource.body {
                resource["group"] = json!(group);
                resource["version"] = json!(version);
                resource["kind"] = json!(body);
            }
            resources.push(resource);
        }
    }
    Some(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version(group, version),
        "resources": resources,
    }))
}

/// `/api` (`core`) or `/apis` in the aggregated form: everything below in one document.
pub(crate) fn aggregated(kinds: &Kinds, core: bool, version: &str) -> Value {
    let items: Vec<Value> = groups(kinds)
        .iter()
        .filter(|(name, _)| name.is_empty() == core)
        .map(|(name, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|(version, kinds)| {
                    let resources: Vec<Value> = kinds.iter().map(|kind| aggregated_resource(kind)).collect();
                    json!({ "version": version, "resources": resources, "freshness": "Current" })
                })
                .collect();
            let mut metadata = Map::new();
            if !name.is_empty() {
                metadata.insert("name".to_owned(), json!(name));
            }
            metadata.insert("creationTimestamp".to_owned(), Value::Null);
            json!({ "metadata": metadata, "versions": versions })
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{version}"),
        "metadata": {},
        "items": items,
    })
}

fn aggregated_resource(kind: &Kind) -> Value {
    let identity = |group: &str, version: &str, kind: &str| json!({ "group": group, "version": version, "kind": kind });
    let own = identity(&kind.group, &kind.version, &kind.kind);
    let mut resource = json!({
        "resource": kind.plural,
        "responseKind": own,
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": kind.singular,
        "verbs": kind.verbs,
    });
    add_names(&mut resource, kind);
    let subresources: Vec<Value> = kind
        .subresources
        .iter()
        .map(|subresource| {
            json!({
                "subresource": subresource.name,
                "responseKind": subresource.body.map_or_else(|| own.clone(), |(g, v, k)| identity(g, v, k)),
                "verbs": subresource.verbs,
            })
        })
        .collect();
    if !subresources.is_empty() {
        resource["subresources"] = json!(subresources);
    }
    resource
}

fn add_names(resource: &mut Value, kind: &Kind) {
    if !kind.short_names.is_empty() {
        resource["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        resource["categories"] = json!(kind.categories);
    }
}
