//! `docs/compatibility.md` says what the code says: its tables are written from the code's own.
//!
//! `UPDATE_DOCS=1 cargo test --test it compatibility` writes them anew.

use std::fmt::Write;
use std::path::Path;

use orchestrion::api::{ALL_VERBS, Kinds};
use orchestrion::random::Random;
use orchestrion::reconcile::controllers;
use orchestrion::scheduler::framework::default_plugins;

#[test]
fn the_compatibility_tables_are_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/compatibility.md");
    let before = std::fs::read_to_string(&path).unwrap();
    let mut text = before.clone();
    for (name, table) in [("kinds", kinds()), ("scheduler plugins", plugins()), ("controllers", controllers())] {
        text = with_section(&text, name, &table);
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &text).unwrap();
        return;
    }
    let difference = before.lines().zip(text.lines()).find(|(old, new)| old != new);
    assert_eq!(
        difference, None,
        "docs/compatibility.md is not current: UPDATE_DOCS=1 cargo test --test it compatibility"
    );
    assert_eq!(before.len(), text.len(), "docs/compatibility.md is not current");
}

/// The text with another table between the marks of that name.
fn with_section(text: &str, name: &str, table: &str) -> String {
    let (begin, end) = (format!("<!-- generated: {name} -->\n"), "<!-- end -->");
    let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("no {begin:?} in docs/compatibility.md"));
    let (_, after) = rest.split_once(end).expect("an end of what is generated");
    format!("{before}{begin}\n{table}\n{end}{after}")
}

fn kinds() -> String {
    let mut table =
        "| API version | kind | resource | scope | verbs | subresources |\n|---|---|---|---|---|---|\n".to_owned();
    let builtin = Kinds::builtin();
    let mut rows = builtin.all();
    rows.retain(|kind| !kind.verbs.is_empty());
    rows.sort_by_key(|kind| (kind.group.clone(), kind.version.clone(), kind.kind.clone()));
    for kind in rows {
        let version =
            if kind.group.is_empty() { kind.version.clone() } else { format!("{}/{}", kind.group, kind.version) };
        let mut resource = format!("`{}`", kind.plural);
        for short in &kind.short_names {
            write!(resource, ", `{short}`").unwrap();
        }
        let scope = if kind.namespaced { "namespace" } else { "cluster" };
        let mut verbs = kind.verbs.to_vec();
        verbs.sort_unstable();
        let verbs = if verbs == ALL_VERBS { "all".to_owned() } else { verbs.join(", ") };
        let subresources: Vec<_> = kind.subresources.iter().map(|subresource| subresource.name).collect();
        let subresources = subresources.join(", ");
        writeln!(table, "| {version} | {} | {resource} | {scope} | {verbs} | {subresources} |", kind.kind).unwrap();
    }
    table
}

fn plugins() -> String {
    let mut table = "| plugin | extension points | weight |\n|---|---|---|\n".to_owned();
    for (plugin, weight) in default_plugins(&Random::seeded(0)) {
        let points = [
            ("PreEnqueue", plugin.as_gate().is_some()),
            ("QueueSort", plugin.as_sort().is_some()),
            ("Filter", plugin.as_filter().is_some()),
            ("PostFilter", plugin.as_post_filter().is_some()),
            ("Score", plugin.as_score().is_some()),
            ("Reserve", plugin.as_reserve().is_some()),
            ("Permit", plugin.as_permit().is_some()),
            ("Bind", plugin.as_bind().is_some()),
        ];
        let points: Vec<_> = points.iter().filter(|(_, has)| *has).map(|(point, _)| *point).collect();
        let weight = if points.contains(&"Score") { weight.to_string() } else { String::new() };
        writeln!(table, "| {} | {} | {weight} |", plugin.name(), points.join(", ")).unwrap();
    }
    table
}

fn controllers() -> String {
    let mut table = "| controller |\n|---|\n".to_owned();
    for (name, _) in controllers::TABLE {
        writeln!(table, "| {name} |").unwrap();
    }
    table
}
