use serde_json::json;

use super::*;

fn pod(labels: Value) -> Object {
    let value = json!({"metadata": {"name": "a", "namespace": "b", "uid": "c", "labels": labels}});
    let pod: Pod = serde_json::from_value(value).unwrap();
    Draft::new(pod).seal(Revision::from(7))
}

#[test]
fn the_same_object_at_another_revision_differs_in_nothing_else() {
    for labels in [json!({"x": "\"resourceVersion\":\"7\""}), json!({"resourceVersion": "7"})] {
        for printed in [false, true] {
            let object = pod(labels.clone());
            if printed {
                object.json();
            }
            let later = object.at(Revision::from(12));
            assert_eq!((later.name(), later.namespace(), later.uid()), ("a", "b", "c"));
            assert_eq!(later.key(), object.key());
            let mut expected = object.to_value().unwrap();
            expected["metadata"]["resourceVersion"] = json!("12");
            let json: Value = serde_json::from_slice(&later.json()).unwrap();
            assert_eq!(json, expected);
            assert_eq!(later.to_value().unwrap(), expected);
            assert_eq!(object.meta().resource_version.as_deref(), Some("7"));
        }
    }
}

#[test]
fn what_was_printed_and_did_not_change_reads_as_printed_anew() {
    let object = pod(json!({"x": "{\"}"}));
    object.json();
    let mut draft = object.draft();
    draft.meta_mut().labels = Some([("y".to_owned(), "\"}".to_owned())].into());
    let labelled = draft.clone().seal(Revision::from(8));
    assert!(labelled.0.json.get().is_some(), "by the time it is sealed");
    assert_eq!(labelled.json(), labelled.json_of_body());
    let mut again = labelled.draft();
    again.meta_mut().labels = None;
    let again = again.seal(Revision::from(9));
    assert_eq!(again.json(), again.json_of_body(), "also of what shares the rest already");
    let last = again.at(Revision::from(12));
    let later = String::from_utf8_lossy(&again.json()).replace(r#""resourceVersion":"9""#, r#""resourceVersion":"12""#);
    assert_eq!(last.json(), later);
    draft.typed_mut::<Pod>().unwrap().spec.get_or_insert_default().node_name = Some("n".into());
    let bound = draft.seal(Revision::from(8));
    assert_eq!(bound.json(), bound.json_of_body());
    assert_ne!(bound.json(), labelled.json());
    for (new, same) in [(&labelled, true), (&bound, false)] {
        let mut new = new.draft();
        new.printed = None;
        new.compare(&object);
        assert_eq!(new.printed.is_some(), same);
    }
}

#[test]
fn a_cold_object_is_the_same_object() {
    let object = pod(json!({"x": "y"}));
    assert!(object.cooled(false).is_none(), "it was not printed yet");
    let cold = object.cooled(true).unwrap();
    assert_eq!((cold.name(), cold.namespace(), cold.uid(), cold.key()), ("a", "b", "c", object.key()));
    assert!(cold.cooled(true).is_none(), "it is cold already");
    assert_eq!(cold, object);
    let held = object.typed::<Pod>().unwrap();
    assert!(object.cooled(true).is_none(), "somebody holds the typed form");
    assert_eq!(cold.typed::<Pod>().unwrap(), held);
}
