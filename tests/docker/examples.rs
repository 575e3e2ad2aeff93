//! The shipped examples with `--runtime docker`, to their end.

use std::process::Command;

use crate::harness::{assert_has, examples};
use crate::runtime::shared_engine;

/// What an example prints; it must succeed and leave nothing on the engine.
fn run(name: &str) -> String {
    let _engine = shared_engine();
    let images = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/images/build");
    assert!(Command::new(images).status().expect("bash").success(), "the images of examples");
    let ran = Command::new(examples().join(name)).args(["--runtime", "docker"]).output().expect("the example");
    let (out, error) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{name}: {out}{error}");
    let left = Command::new("docker").args(["ps", "--all", "--format", "{{.Names}}"]).output().expect("docker");
    assert!(!String::from_utf8_lossy(&left.stdout).contains(&format!("{name}_")), "nothing is left of {name}");
    out.into_owned()
}

#[test]
fn the_main_job_is_done_under_load() {
    let out = run("quickstart");
    assert_has(&out, &["30 requests over both", "from 8 clients meanwhile, 0 failed", "revision 3:"]);
    assert_eq!(out.matches(" × myapp-").count(), 3, "each pod has answered: {out}");
}

#[test]
fn a_frontend_shows_what_its_database_has() {
    assert_has(&run("compose"), &["instruments on mongodb-service: [{\"instrument\": \"organ\", \"pipes\": 78}"]);
}
