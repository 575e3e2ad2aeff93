use std::collections::BTreeSet;

use crate::api::Draft;
use crate::api::kinds::*;

/// What `kubectl api-resources` says: name, short names, categories, API version, namespaced, kind.
fn api_resources() -> String {
    let mut text = String::new();
    for kind in Kinds::builtin().all().iter().filter(|kind| !kind.verbs.is_empty()) {
        let subresources: Vec<_> = kind.subresources.iter().map(|sub| sub.name).collect();
        text += &format!(
            "{} {} {} {} [{}] [{}] [{}]{}\n",
            kind.api_version(),
            kind.plural,
            kind.kind,
            if kind.namespaced { "namespaced" } else { "cluster" },
            kind.short_names.join(","),
            kind.categories.join(","),
            subresources.join(","),
            if kind.verbs.len() < 8 { format!(" {}", kind.verbs.join(",")) } else { String::new() },
        );
    }
    text
}

#[test]
fn the_table_is_that_of_upstream() {
    let expected = include_str!("golden.txt");
    let found = api_resources();
    for (found, expected) in found.lines().zip(expected.lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(found, expected);
}

#[test]
fn no_row_stands_twice() {
    let all = Kinds::builtin().all();
    let by_resource: BTreeSet<_> = all.iter().map(|kind| (&kind.group, &kind.version, &kind.plural)).collect();
    let by_kind: BTreeSet<_> = all.iter().map(|kind| (&kind.group, &kind.version, &kind.kind)).collect();
    let by_type: Vec<_> = all.iter().filter(|kind| BUILTIN.by_type[&kind.body_type()] == **kind).collect();
    assert_eq!((by_resource.len(), by_kind.len(), by_type.len()), (all.len(), all.len(), all.len()));
}

#[test]
fn an_object_of_nothing_but_a_name_can_be_decoded_defaulted_printed_and_encoded() {
    for kind in Kinds::builtin().all() {
        let json =
            format!(r#"{{"apiVersion":"{}","kind":"{}","metadata":{{"name":"a"}}}}"#, kind.api_version(), kind.kind);
        let strategy = kind.strategy();
        let decoded = strategy.decode(json.as_bytes()).unwrap_or_else(|error| panic!("{}: {error}", kind.kind));
        let mut draft = Draft::of(kind.clone(), decoded.object);
        let around = crate::api::Surroundings::default();
        strategy.default(draft.body_mut());
        let once = draft.clone();
        strategy.default(draft.body_mut());
        assert!(draft.body().same(once.body()), "the defaults of {} are idempotent", kind.kind);
        strategy.prepare_create(draft.body_mut(), &around);
        let mut errors = crate::api::FieldErrors::new();
        strategy.validate(draft.body(), &around, &mut errors);
        let cells = strategy.cells(draft.body(), around.now);
        assert_eq!(cells.len(), strategy.columns().len(), "{}", kind.kind);
        for field in kind.selectable {
            strategy.field(draft.body(), field);
        }
        let object = draft.seal(1.into());
        let again = strategy.decode(&object.json()).unwrap_or_else(|error| panic!("{}: {error}", kind.kind));
        assert!(again.object.same(object.body()), "{} survives its JSON", kind.kind);
        if let Some(conversion) = kind.conversion {
            let stored =
                Kinds::builtin().by_kind(conversion.stored.0, conversion.stored.1, conversion.stored.2).unwrap();
            let body = (conversion.to_stored)(object.body()).unwrap();
            let stored = Draft::of(stored, body).seal_as_is();
            assert_eq!(stored.key(), object.key());
            (conversion.from_stored)(&stored).unwrap();
        }
    }
}
