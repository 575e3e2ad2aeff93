//! The direction of dependency between the modules, as `docs/architecture.md` draws it, and what the crate depends on.

use std::fs;
use std::path::{Path, PathBuf};

/// Each module, and what it may use.
const ALLOWED: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("random", &[]),
    ("api", &["clock", "random"]),
    ("store", &["api", "clock", "random"]),
    ("client", &["api", "clock", "random"]),
    ("runtime", &["api", "clock", "random"]),
    ("server", &["api", "store", "clock", "random"]),
    ("scheduler", &["api", "client", "clock", "random"]),
    ("reconcile", &["api", "client", "clock", "random"]),
    ("service", &["api", "client", "clock", "random"]),
    ("node", &["api", "client", "runtime", "clock", "random"]),
];

fn sources(under: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(under).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The part of a file that ships: tests may set up whatever they need.
fn shipped(path: &Path) -> String {
    if path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs") {
        return String::new();
    }
    let text = fs::read_to_string(path).expect("a source file");
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn modules_use_only_what_lies_below_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for (module, allowed) in ALLOWED {
        let single = root.join(format!("{module}.rs"));
        let files = if single.is_file() { vec![single] } else { sources(&root.join(module)) };
        for file in files {
            let code = shipped(&file);
            for used in code.split("crate::").skip(1) {
                let used: String = used.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                let known = ALLOWED.iter().any(|(name, _)| *name == used) || used == "cluster";
                if known && used != *module && !allowed.contains(&used.as_str()) {
                    wrong.push(format!("{} uses {used}", file.strip_prefix(&root).unwrap_or(&file).display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_dependency_is_used_and_explained() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str| fs::read_to_string(root.join(file)).expect("a file of the project");
    let (manifest, explained) = (read("Cargo.toml"), read("docs/dependencies.md"));
    let code: String =
        sources(&root.join("src")).iter().map(|file| fs::read_to_string(file).expect("a source")).collect();
    let section = manifest.split("\n[dependencies]\n").nth(1).and_then(|rest| rest.split("\n[").next());
    let names = section.expect("dependencies").lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name);
    let rows = explained.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let rows: Vec<_> = rows.flat_map(|names| names.split([',', ' '])).collect();
    // Not as the end of another name, nor as a module of ours.
    let is_used = |path: String| {
        let before = |at: usize| code[..at].chars().next_back();
        let begins = |at| !before(at).is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':');
        code.match_indices(&path).any(|(at, _)| begins(at))
    };
    let is_wrong = |name: &&str| !rows.contains(name) || !is_used(format!("{}::", name.replace('-', "_")));
    let wrong: Vec<_> = names.filter(is_wrong).collect();
    assert_eq!(wrong, [""; 0]);
}
