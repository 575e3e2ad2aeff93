//! Logs, exec and attach.

use std::time::Duration;

use super::{end, logs, sandbox, script, start, text};
use crate::api::{ExecOptions, LogOptions};
use crate::runtime::{ContainerConfig, Runtime, RuntimeError};

/// What a container writes can be read while it runs and after it has ended, as a whole or its last lines.
pub async fn logs_are_kept(runtime: &dyn Runtime, image: &str) {
    let sandbox = sandbox(runtime, "logs").await;
    let id = start(runtime, &sandbox, &script(image, "echo one; echo two; sleep 1; echo three")).await;
    let follow = LogOptions { follow: true, ..LogOptions::default() };
    assert_eq!(logs(runtime, &id, &follow).await, "one\ntwo\nthree\n");
    end(runtime, &id).await;
    let tail = LogOptions { tail_lines: Some(2), ..LogOptions::default() };
    assert_eq!(logs(runtime, &id, &tail).await, "two\nthree\n");
    let limit = LogOptions { limit_bytes: Some(6), ..LogOptions::default() };
    assert_eq!(logs(runtime, &id, &limit).await, "one\ntw");
}

/// Lines of a log begin with their times where that is asked for, and those before a time can be left out.
pub async fn logs_tell_their_times(runtime: &dyn Runtime, image: &str) {
    let sandbox = sandbox(runtime, "times").await;
    let id = start(runtime, &sandbox, &script(image, "echo one; sleep 1; echo two")).await;
    end(runtime, &id).await;
    let told = logs(runtime, &id, &LogOptions { timestamps: true, ..LogOptions::default() }).await;
    let lines: Vec<_> = told.lines().filter_map(|line| line.split_once(' ')).collect();
    let times: Vec<jiff::Timestamp> = lines.iter().filter_map(|(time, _)| time.parse().ok()).collect();
    assert_eq!(lines.iter().map(|(_, text)| *text).collect::<Vec<_>>(), ["one", "two"]);
    let [first, second] = times.as_slice() else { panic!("two times: {told}") };
    assert!(first < second);
    let since = LogOptions { since_time: Some(*second), ..LogOptions::default() };
    assert_eq!(logs(runtime, &id, &since).await, "two\n");
}

/// Who attaches to a container sees what its program writes, and types what it reads.
pub async fn an_attached_session_is_the_main_program_s(runtime: &dyn Runtime, image: &str) {
    let sandbox = sandbox(runtime, "attach").await;
    let config = ContainerConfig { stdin: true, stdin_once: true, ..script(image, "cat; exit 5") };
    let id = start(runtime, &sandbox, &config).await;
    let options = ExecOptions { stdin: true, stdout: true, stderr: true, ..ExecOptions::default() };
    let mut session = runtime.attach(&id, &options).await.expect("a session");
    session.stdin.send("typed\n".into()).await.expect("it reads");
    let first = session.output.recv().await.expect("output");
    assert_eq!(first.1, "typed\n");
    drop(session.stdin);
    assert_eq!(end(runtime, &id).await.code, 5, "its input has ended");
    assert_eq!(text(&mut session.output).await, "");
}

/// A port that nobody listens on refuses.
pub async fn a_port_that_nobody_listens_on_is_told(runtime: &dyn Runtime) {
    let sandbox = sandbox(runtime, "dial").await;
    for refused in [runtime.dial(&sandbox.id, 4711).await, runtime.reach(&sandbox.id, 4711).await] {
        let Err(error) = refused else { panic!("nobody listens there") };
        assert!(matches!(error, RuntimeError::Dial { .. }), "{error}");
    }
}

/// A program is run beside the main one, with its own exit code and its own time.
pub async fn a_program_runs_beside_the_main_one(runtime: &dyn Runtime, image: &str) {
    let sandbox = sandbox(runtime, "exec").await;
    let id = start(runtime, &sandbox, &script(image, "sleep 3600")).await;
    let command = |script: &str| ["sh", "-c", script].map(str::to_owned).to_vec();
    let output = runtime.exec_sync(&id, &command("echo hi; exit 4"), None).await.expect("its output");
    assert_eq!((output.code, output.output.as_slice()), (4, b"hi\n".as_slice()));
    let late = runtime.exec_sync(&id, &command("sleep 30"), Some(Duration::from_secs(1))).await;
    assert!(matches!(late, Err(RuntimeError::Timeout { .. })));
    assert!(runtime.container_status(&id).await.expect("its status").is_running());
}

/// What is typed reaches the program, and the end of it too.
pub async fn a_program_reads_what_is_typed(runtime: &dyn Runtime, image: &str) {
    let sandbox = sandbox(runtime, "stdin").await;
    let id = start(runtime, &sandbox, &script(image, "sleep 3600")).await;
    let options = ExecOptions {
        command: vec!["cat".to_owned()],
        stdin: true,
        stdout: true,
        stderr: true,
        ..ExecOptions::default()
    };
    let mut session = runtime.exec(&id, &options).await.expect("a session");
    session.stdin.send("typed\n".into()).await.expect("it reads");
    drop(session.stdin);
    assert_eq!(text(&mut session.output).await, "typed\n");
    assert_eq!(session.exit.await.expect("its end"), Ok(0));
}

/// A program that is not there cannot be run, and the error names it.
pub async fn a_missing_program_is_told(runtime: &dyn Runtime, image: &str) {
    let sandbox = sandbox(runtime, "missing").await;
    let id = start(runtime, &sandbox, &script(image, "sleep 3600")).await;
    let error = runtime.exec_sync(&id, &["no-such-program".to_owned()], None).await.expect_err("no such program");
    assert!(matches!(error, RuntimeError::Exec(_)), "{error}");
    let text = error.to_string();
    assert!(text.contains("exec: \"no-such-program\": executable file not found in $PATH"), "{text}");
}
