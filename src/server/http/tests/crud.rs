use super::fixture::{Few, front, send};
use crate::api::Reason;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const TABLE: &str =
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";

#[tokio::test]
async fn a_list_carries_its_revision_and_its_items() {
    let backend = Few::named(&["a", "b"]);
    let answer = send(&front(&backend), "GET", &format!("{MAPS}?limit=2&labelSelector=app%3Dweb"), &[], "").await;
    assert_eq!((answer.code, answer.header("content-type")), (200, "application/json"));
    let list = answer.json();
    assert_eq!(list["kind"], "ConfigMapList");
    assert_eq!(list["metadata"]["resourceVersion"], "9");
    assert_eq!(list["metadata"]["continue"], "more");
    assert_eq!(list["metadata"]["remainingItemCount"], 1);
    assert_eq!(list["items"][1]["metadata"]["name"], "b");
    assert_eq!(*backend.calls.lock().unwrap(), ["list by kubernetes-admin of MostRecent"]);
}

#[tokio::test]
async fn empty_lists_and_lists_of_many_pieces_are_json() {
    let names: Vec<String> = (0..2000).map(|number| format!("map-{number}")).collect();
    for names in [&names[..0], &names[..1], &names[..]] {
        let backend = Few::named(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let list = send(&front(&backend), "GET", MAPS, &[], "").await.json();
        assert_eq!(list["items"].as_array().unwrap().len(), names.len());
    }
}

#[tokio::test]
async fn kubectl_gets_tables() {
    let front = front(&Few::named(&["a"]));
    let table = send(&front, "GET", &format!("{MAPS}?includeObject=None"), &[("accept", TABLE)], "").await.json();
    assert_eq!((&table["kind"], &table["apiVersion"]), (&"Table".into(), &"meta.k8s.io/v1".into()));
    assert_eq!(table["columnDefinitions"][0]["name"], "Name");
    assert_eq!(table["rows"][0]["cells"][0], "a");
    assert!(table["rows"][0]["object"].is_null());
    let table = send(&front, "GET", &format!("{MAPS}/a"), &[("accept", TABLE)], "").await.json();
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    assert_eq!(table["metadata"]["resourceVersion"], "1");
    let accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let list = send(&front, "GET", MAPS, &[("accept", accept)], "").await.json();
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert_eq!(list["items"][0]["kind"], "PartialObjectMetadata");
}

#[tokio::test]
async fn a_created_object_is_answered_with_201_and_the_warnings() {
    let backend = Few::named(&[]);
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: new}\n";
    let path = format!("{MAPS}?dryRun=All");
    let answer = send(&front(&backend), "POST", &path, &[("content-type", "application/yaml")], yaml).await;
    assert_eq!(answer.code, 201);
    assert_eq!(answer.json()["metadata"]["resourceVersion"], "10");
    assert_eq!(answer.header("warning"), r#"299 - "think \"twice\"""#);
    assert_eq!(*backend.calls.lock().unwrap(), ["create new dry run true"]);
}

#[tokio::test]
async fn a_deletion_answers_with_what_went() {
    let backend = Few::named(&["a"]);
    let body = r#"{"kind":"DeleteOptions","propagationPolicy":"Foreground","gracePeriodSeconds":3,"preconditions":{"uid":"u"},"dryRun":null}"#;
    let status = send(&front(&backend), "DELETE", &format!("{MAPS}/a"), &[], body).await.json();
    assert_eq!(status["status"], "Success");
    assert_eq!(status["details"], serde_json::json!({"name": "a", "kind": "configmaps", "uid": "uid-of-a"}));
    send(&front(&backend), "DELETE", &format!("{MAPS}/a?propagationPolicy=Orphan"), &[], "").await;
    send(&front(&backend), "DELETE", &format!("{MAPS}?labelSelector=a,b"), &[], "").await;
    let calls = backend.calls.lock().unwrap();
    assert_eq!(*calls, ["Some(Foreground) Some(3) Some(\"u\")", "Some(Orphan) None None", "delete all with 2"]);
}

#[tokio::test]
async fn a_patch_is_read_by_its_media_type() {
    let backend = Few::named(&["a"]);
    let front = front(&backend);
    for (media, body) in [
        ("application/json-patch+json", "[]"),
        ("application/merge-patch+json", "{}"),
        ("application/strategic-merge-patch+json; charset=utf-8", "{}"),
    ] {
        send(&front, "PATCH", &format!("{MAPS}/a"), &[("content-type", media)], body).await;
    }
    let apply = [("content-type", "application/apply-patch+yaml")];
    send(&front, "PATCH", &format!("{MAPS}/a?fieldManager=me&force=true"), &apply, "data: {}\n").await;
    let calls = backend.calls.lock().unwrap().join("; ");
    assert_eq!(
        calls,
        "Json(Array []); Merge(Object {}); Strategic(Object {}); Apply { fields: Object {\"data\": Object {}}, force: true }"
    );
}

#[tokio::test]
async fn bad_requests_get_upstreams_answers() {
    let front = front(&Few::named(&["a"]));
    let json = [("content-type", "application/json")];
    let cbor = [("content-type", "application/cbor")];
    let apply = [("content-type", "application/apply-patch+yaml")];
    let large = "x".repeat(3 * 1024 * 1024 + 1);
    for (method, path, headers, body, code, message) in [
        ("GET", "/api/v1/nosuch", &json, "", 404, "the server could not find the requested resource"),
        ("GET", "/nosuch", &json, "", 404, "the server could not find the requested resource"),
        ("GET", &format!("{MAPS}/b"), &json, "", 404, "configmaps \"b\" not found"),
        ("PUT", MAPS, &json, "", 405, "the server does not allow this method on the requested resource"),
        ("GET", &format!("{MAPS}?limit=x"), &json, "", 400, "strconv.ParseInt: parsing \"x\": invalid syntax"),
        (
            "GET",
            &format!("{MAPS}?resourceVersion=x"),
            &json,
            "",
            422,
            "configmaps \"\" is invalid: resourceVersion: Invalid value: \"x\": strconv.ParseUint: parsing \"x\": invalid syntax",
        ),
        (
            "GET",
            &format!("{MAPS}?resourceVersionMatch=Exact"),
            &json,
            "",
            422,
            "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
        ),
        (
            "GET",
            &format!("{MAPS}?watch=1&sendInitialEvents=true"),
            &json,
            "",
            422,
            "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ),
        (
            "POST",
            MAPS,
            &cbor,
            "k8s",
            415,
            "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf",
        ),
        ("POST", MAPS, &json, &large, 413, "Request entity too large: limit is 3145728"),
        (
            "POST",
            MAPS,
            &json,
            r#"{"apiVersion":"v1","kind":"ConfigMap","data":{"a":1}}"#,
            400,
            "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
        ),
        (
            "PATCH",
            &format!("{MAPS}/a"),
            &apply,
            "{}",
            422,
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
        ),
        (
            "DELETE",
            &format!("{MAPS}/a"),
            &json,
            r#"{"propagationPolicy":"Never"}"#,
            422,
            "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \"Never\": supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"",
        ),
    ] {
        let (got, reason, text) = send(&front, method, path, headers, body).await.failure();
        assert_eq!((got, text.as_str()), (code, message), "{method} {path}");
        assert_eq!(Reason::from_wire(&reason).code(), code, "{method} {path}");
    }
    let (code, _, _) = send(&front, "GET", MAPS, &[("accept", "text/html")], "").await.failure();
    assert_eq!(code, 406);
}
