use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn strategic(current: Value, patch: Value) -> Result<Value, ApiError> {
    apply(&Patch::Strategic(patch), &current, &Kind::of::<Pod>())
}

fn containers(patch: Value) -> Value {
    let current = json!({"spec": {"containers": [
        {"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}]}, {"name": "b", "image": "1"}, {"name": "c"},
    ]}});
    let patched = strategic(current, json!({"spec": patch})).unwrap_or_else(|error| panic!("{error}"));
    patched["spec"]["containers"].clone()
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(|item| item["name"].as_str()).collect()
}

#[test]
fn lists_merge_by_the_key_of_their_type() {
    let merged = containers(json!({"containers": [
        {"name": "b", "image": "2"},
        {"name": "a", "env": [{"name": "Y", "value": "2"}]},
        {"name": "d", "image": null, "$retainKeys": ["name"]},
    ]}));
    assert_eq!(
        merged,
        json!([
            {"name": "b", "image": "2"},
            {"name": "a", "image": "1", "env": [{"name": "Y", "value": "2"}, {"name": "X", "value": "1"}]},
            {"name": "d"},
            {"name": "c"},
        ])
    );
}

#[test]
fn directives_delete_replace_and_order() {
    assert_eq!(names(&containers(json!({"containers": [{"name": "a", "$patch": "delete"}]}))), ["b", "c"]);
    assert_eq!(names(&containers(json!({"containers": [{"$patch": "replace"}, {"name": "z"}]}))), ["z"]);
    let order = json!({"$setElementOrder/containers": [{"name": "c"}, {"name": "d"}, {"name": "a"}],
        "containers": [{"name": "d"}]});
    assert_eq!(names(&containers(order)), ["b", "c", "d", "a"]);
    assert_eq!(containers(json!({"containers": null})), Value::Null);
    assert_eq!(containers(json!({"$patch": "delete"})), Value::Null);
    assert_eq!(names(&containers(json!({"$patch": "replace", "containers": [{"name": "y"}]}))), ["y"]);
}

#[test]
fn lists_of_plain_values_merge_as_sets() {
    let current = json!({"metadata": {"finalizers": ["a", "b", "c"]}});
    let finalizers = |patch: Value| {
        strategic(current.clone(), json!({"metadata": patch})).expect("valid")["metadata"]["finalizers"].clone()
    };
    assert_eq!(finalizers(json!({"finalizers": ["d", "a"]})), json!(["d", "a", "b", "c"]));
    assert_eq!(finalizers(json!({"$deleteFromPrimitiveList/finalizers": ["b"]})), json!(["a", "c"]));
    assert_eq!(
        finalizers(json!({"$setElementOrder/finalizers": ["c", "a"], "$deleteFromPrimitiveList/finalizers": ["b"]})),
        json!(["c", "a"])
    );
}

#[test]
fn retained_keys_clear_the_others_of_a_union() {
    let current = json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}});
    let patch = json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}});
    let deployment = Kind::of::<Deployment>();
    let patched = apply(&Patch::Strategic(patch), &current, &deployment).expect("valid");
    assert_eq!(patched, json!({"spec": {"strategy": {"type": "Recreate"}}}));
    let bad = json!({"spec": {"strategy": {"$retainKeys": [], "type": "Recreate"}}});
    let error = apply(&Patch::Strategic(bad), &current, &deployment).expect_err("type is not retained");
    assert_eq!((error.code(), error.message()), (400, "invalid patch format of retainKeys"));
}

#[test]
fn new_parts_come_without_directives_and_nulls() {
    let patch = json!({"spec": {"a": {"$patch": "replace", "b": null, "c": 1}, "containers": [
        {"name": "x", "$patch": "delete"}, {"name": "y", "image": null}]}});
    assert_eq!(
        strategic(json!({}), patch).expect("valid"),
        json!({"spec": {"a": {"c": 1}, "containers": [{"name": "y"}]}})
    );
}

#[test]
fn bad_strategic_patches_get_upstreams_answers() {
    let error = |patch: Value| {
        let current = json!({"spec": {"containers": [{"name": "a"}]}});
        let error = strategic(current, patch).expect_err("bad");
        (error.code(), error.message().to_owned())
    };
    assert_eq!(
        error(json!({"spec": {"containers": [{"image": "x"}]}})),
        (500, "map: map[image:x] does not contain declared merge key: name".to_owned())
    );
    assert_eq!(error(json!({"spec": {"$patch": "blend"}})).0, 500);
    assert_eq!(error(json!([])).1, "json: cannot unmarshal array into Go value of type map[string]interface {}");
    assert_eq!(error(json!({"spec": {"$setElementOrder/containers": 3}})).0, 400);
    assert_eq!(error(json!({"spec": {"containers": [[]]}})).0, 422);
    assert_eq!(
        error(json!({"spec": {"$setElementOrder/containers": [{"name": "b"}], "containers": [{"name": "c"}]}})).0,
        500
    );
}

#[test]
fn json_patches_apply_in_order_or_not_at_all() {
    let current = json!({"data": {"a": "1", "list": [1, 2]}});
    let patch = |operations: Value| apply(&Patch::Json(operations), &current, &Kind::of::<ConfigMap>());
    let patched = patch(json!([
        {"op": "test", "path": "/data/a", "value": "1"},
        {"op": "replace", "path": "/data/a", "value": "2"},
        {"op": "add", "path": "/data/list/-", "value": 3},
        {"op": "copy", "from": "/data/a", "path": "/data/b~1c"},
        {"op": "remove", "path": "/data/list/0"},
    ]));
    assert_eq!(patched.expect("valid"), json!({"data": {"a": "2", "list": [2, 3], "b/c": "2"}}));
    for (operations, code) in [
        (json!([{"op": "test", "path": "/data/a", "value": "9"}]), 422),
        (json!([{"op": "remove", "path": "/nothing"}]), 422),
        (json!([{"op": "frobnicate", "path": "/data"}]), 422),
        (json!([{"op": "add"}]), 422),
        (json!({"op": "add"}), 400),
        (json!([7]), 400),
        (Value::Array(vec![json!({"op": "test", "path": "", "value": 1}); 10_001]), 413),
    ] {
        let error = patch(operations.clone()).expect_err("bad");
        assert_eq!(error.code(), code, "{error}");
    }
    let error = patch(json!([{"op": "test", "path": "/data/a", "value": "9"}])).expect_err("bad");
    assert_eq!(error.message(), "the server rejected our request due to an error in our request");
}

#[test]
fn copies_cannot_blow_an_object_up() {
    let copies = vec![json!({"op": "copy", "from": "", "path": "/a"}); 200];
    let error = apply(&Patch::Json(Value::Array(copies)), &json!({"x": "y"}), &Kind::of::<ConfigMap>());
    assert_eq!(error.expect_err("too large or too deep").code(), 422);
}

fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), (0..3).prop_map(Value::from)];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-d]", inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

fn map() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[a-d]", tree(), 0..4).prop_map(|map| map.into_iter().collect())
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(_) => false,
        Value::Object(fields) => fields.values().any(has_null),
        _ => false,
    }
}

proptest! {
    #[test]
    fn merging_twice_is_merging_once(current in map(), patch in map()) {
        for patch in [Patch::Merge(patch.clone()), Patch::Strategic(patch)] {
            let once = apply(&patch, &current, &Kind::of::<Pod>()).expect("no list is merged");
            prop_assert_eq!(&apply(&patch, &once, &Kind::of::<Pod>()).expect("as before"), &once);
        }
    }

    #[test]
    fn a_merge_patch_without_nulls_into_nothing_is_itself(patch in map()) {
        prop_assume!(!has_null(&patch));
        let patched = apply(&Patch::Merge(patch.clone()), &json!({}), &Kind::of::<Pod>()).expect("an object");
        prop_assert_eq!(patched, patch);
    }

    #[test]
    fn the_empty_patch_changes_nothing(current in map()) {
        for patch in [Patch::Merge(json!({})), Patch::Strategic(json!({})), Patch::Json(json!([]))] {
            prop_assert_eq!(&apply(&patch, &current, &Kind::of::<Pod>()).expect("empty"), &current);
        }
    }

    #[test]
    fn merged_lists_hold_each_key_once_and_all_of_them(
        old in prop::collection::btree_set("[a-h]", 0..6), new in prop::collection::hash_set("[a-h]", 0..6),
    ) {
        let list = |names: Vec<&String>| -> Value { names.into_iter().map(|name| json!({"name": name})).collect() };
        let current = json!({"spec": {"containers": list(old.iter().collect())}});
        let new: Vec<_> = new.iter().collect();
        let patch = json!({"spec": {"containers": list(new.clone())}});
        let patched = strategic(current, patch).expect("valid");
        let merged = names(&patched["spec"]["containers"]);
        let mut all: Vec<&str> = old.iter().map(String::as_str).chain(new.iter().map(|name| name.as_str())).collect();
        all.sort_unstable();
        all.dedup();
        let mut sorted = merged.clone();
        sorted.sort_unstable();
        prop_assert_eq!(sorted, all);
        let of_patch: Vec<_> = merged.into_iter().filter(|name| new.iter().any(|new| new == name)).collect();
        prop_assert_eq!(of_patch, new.iter().map(|name| name.as_str()).collect::<Vec<_>>());
    }
}
