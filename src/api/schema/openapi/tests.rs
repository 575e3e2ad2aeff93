use std::sync::LazyLock;

use super::*;

static KINDS: LazyLock<Kinds> = LazyLock::new(Kinds::builtin);

fn read(document: &Bytes) -> Value {
    serde_json::from_slice(document).expect("JSON")
}

fn v3_of(group: &str) -> Value {
    read(&v3(&KINDS, group, "v1").expect("served"))
}

fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let groups: std::collections::BTreeSet<_> =
        KINDS.all().iter().map(|kind| (kind.group.clone(), kind.version.clone())).collect();
    let documents = groups.iter().map(|(group, version)| read(&v3(&KINDS, group, version).expect("served")));
    for document in documents.chain([read(&v2(&KINDS))]) {
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(!found.is_empty());
        for reference in found {
            let pointer = reference.trim_start_matches('#');
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }
}

#[test]
fn schemas_say_which_kind_they_are_and_how_lists_merge() {
    let document = v3_of("");
    let schemas = &document["components"]["schemas"];
    assert_eq!(
        schemas["io.k8s.api.core.v1.Pod"]["x-kubernetes-group-version-kind"],
        json!([{ "group": "", "kind": "Pod", "version": "v1" }])
    );
    assert!(schemas["io.k8s.api.core.v1.Pod"].get("required").is_none());
    assert_eq!(schemas["io.k8s.api.core.v1.PodList"]["x-kubernetes-group-version-kind"][0]["kind"], "PodList");
    let containers = &schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
    assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
    assert_eq!(containers["x-kubernetes-patch-strategy"], "merge");
    assert_eq!(containers["items"], json!({ "$ref": "#/components/schemas/io.k8s.api.core.v1.Container" }));
    let spec = &schemas["io.k8s.api.core.v1.Pod"]["properties"]["spec"];
    assert_eq!(spec["allOf"], json!([{ "$ref": "#/components/schemas/io.k8s.api.core.v1.PodSpec" }]));
    assert_eq!(
        schemas["io.k8s.apimachinery.pkg.util.intstr.IntOrString"]["oneOf"],
        json!([{ "type": "integer" }, { "type": "string" }])
    );
}

#[test]
fn kubectl_finds_what_it_asks_the_server_to_check() {
    let document = v3_of("apps");
    let path = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"];
    let patch = &path["patch"];
    assert_eq!(
        patch["x-kubernetes-group-version-kind"],
        json!({ "group": "apps", "kind": "Deployment", "version": "v1" })
    );
    let names: Vec<_> = patch["parameters"].as_array().expect("some").iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["dryRun", "fieldManager", "fieldValidation", "force"]);
    assert!(patch["requestBody"]["content"].get("application/strategic-merge-patch+json").is_some());
    let paths = &document["paths"];
    assert_eq!(
        paths["/apis/apps/v1/namespaces/{namespace}/deployments"]["get"]["operationId"],
        "listAppsV1NamespacedDeployment"
    );
    assert_eq!(paths["/apis/apps/v1/deployments"]["get"]["operationId"], "listAppsV1DeploymentForAllNamespaces");
    let scale = &paths["/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"]["get"];
    assert_eq!(scale["x-kubernetes-group-version-kind"]["kind"], "Scale");
}

#[test]
fn the_index_links_every_group_and_version() {
    let index = v3_index(&KINDS);
    let paths = index["paths"].as_object().expect("paths");
    for path in ["api/v1", "apis/apps/v1", "apis/batch/v1", "apis/rbac.authorization.k8s.io/v1"] {
        let served = KINDS.all().iter().any(|kind| path_of(kind) == path);
        assert_eq!(paths.contains_key(path), served, "{path}");
    }
    assert!(
        paths["api/v1"]["serverRelativeURL"].as_str().is_some_and(|url| url.starts_with("/openapi/v3/api/v1?hash="))
    );
    assert_eq!(v3_index(&KINDS), index);
    assert!(v3(&KINDS, "none", "v1").is_none());
}

#[test]
fn documents_of_version_2_use_its_words() {
    let document = read(&v2(&KINDS));
    assert_eq!(document["swagger"], "2.0");
    let pod = &document["definitions"]["io.k8s.api.core.v1.Pod"];
    assert_eq!(pod["properties"]["spec"]["$ref"], "#/definitions/io.k8s.api.core.v1.PodSpec");
    let post = &document["paths"]["/api/v1/namespaces/{namespace}/pods"]["post"];
    assert!(post["parameters"].as_array().expect("some").iter().any(|one| one["in"] == "body"));
}
