//! `/healthz`, `/livez`, `/readyz` and `/version`.

use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::body::{self, Pieced};
use super::query::Query;
use crate::api::Backend;

/// The version of Kubernetes whose behaviour this is.
pub const KUBERNETES_VERSION: &str = "1.36.0";

/// The checks, by name. All of them concern this process: a backend that answers lookups is one that serves.
type Check = fn(&dyn Backend) -> bool;
const CHECKS: &[(&str, Check)] = &[("ping", |_| true), ("kinds", |backend| !backend.kinds().all().is_empty())];

/// The answer of a probe: `ok`, the report of all checks, or one check of them.
pub(crate) fn probe(backend: &dyn Backend, probe: &str, one: Option<&str>, query: &Query) -> Option<Response<Pieced>> {
    if let Some(name) = one {
        let (_, check) = CHECKS.iter().find(|(check, _)| *check == name)?;
        return Some(match check(backend) {
            true => body::text(StatusCode::OK, "ok"),
            false => body::text(StatusCode::INTERNAL_SERVER_ERROR, format!("internal server error: {name} failed\n")),
        });
    }
    let excluded: Vec<&str> = query.all("exclude").collect();
    let mut report = String::new();
    let mut healthy = true;
    for (name, check) in CHECKS {
        let line = if excluded.contains(name) {
            format!("[+]{name} excluded: ok\n")
        } else if check(backend) {
            format!("[+]{name} ok\n")
        } else {
            healthy = false;
            format!("[-]{name} failed: reason withheld\n")
        };
        report.push_str(&line);
    }
    Some(match (healthy, query.get("verbose").is_some()) {
        (true, false) => body::text(StatusCode::OK, "ok"),
        (true, true) => body::text(StatusCode::OK, format!("{report}{probe} check passed\n")),
        (false, _) => body::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{report}{probe} check failed\n")),
    })
}

/// `/version`
pub(crate) fn version() -> Value {
    let mut parts = KUBERNETES_VERSION.split('.');
    json!({
        "major": parts.next(),
        "minor": parts.next(),
        "gitVersion": format!("v{KUBERNETES_VERSION}+orchestrion.{}", env!("CARGO_PKG_VERSION")),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, go_arch()),
    })
}

fn go_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
