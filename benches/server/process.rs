//! The server as a process of its own, so that what it costs can be told from what loading it costs.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use orchestrion::clock::Clock;
use orchestrion::cluster::pki::Authority;
use orchestrion::random::Random;
use orchestrion::server::Server;
use orchestrion::server::http::{Config, Front, Tls};
use orchestrion::store::MemoryStore;
use serde_json::{Value, json};

/// The argument by which the benchmark starts itself as the server.
pub(crate) const SERVE: &str = "serve";

/// A running server. It ends with the handle.
pub(crate) struct Process {
    child: Child,
    pub(crate) port: u16,
    pub(crate) authority: String,
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Process {
    pub(crate) fn start(threads: usize) -> Self {
        let program = std::env::current_exe().expect("the benchmark has a path");
        let mut child = Command::new(program)
            .arg(format!("--{SERVE}"))
            .arg(threads.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the benchmark starts itself");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("the server says where it listens");
        let told: Value = serde_json::from_str(&line).expect("one line of JSON");
        let text = |field: &str| told[field].as_str().unwrap_or_default().to_owned();
        Self {
            child,
            port: told["port"].as_u64().and_then(|port| port.try_into().ok()).expect("a port"),
            authority: text("authority"),
            certificate: text("certificate"),
            key: text("key"),
        }
    }

    /// Processor time so far, of all threads.
    pub(crate) fn cpu(&self) -> Duration {
        // The kernel counts nanoseconds per thread; `/proc/PID/stat` only hundredths of a second.
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("the server runs");
        let nanoseconds = tasks.filter_map(Result::ok).filter_map(|task| {
            let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanoseconds.sum())
    }

    /// Resident memory in MiB.
    pub(crate) fn memory(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the server runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux tells it");
        let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kibibytes / 1024.0
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves until standard input ends.
pub(crate) fn serve(threads: usize) {
    let mut builder = match threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder.worker_threads(threads).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let server = Server::builder(Arc::new(MemoryStore::default())).start().await.expect("an empty store");
        let authority = Authority::new("bench").expect("a key");
        let identity = authority.server(&["localhost", "127.0.0.1"]).expect("a certificate");
        let admin = authority.client("bench", "system:masters").expect("a certificate");
        let tls = Tls::new(&identity.certificate, &identity.key, Some(authority.certificate())).expect("fitting keys");
        let front = Front::new(Arc::new(server), Config::new(Clock::system(), Random::from_entropy()));
        let listening = front.listen(([127, 0, 0, 1], 0).into(), Some(tls)).await.expect("a free port");
        let told = json!({
            "port": listening.address().port(), "authority": authority.certificate(),
            "certificate": admin.certificate, "key": admin.key,
        });
        println!("{told}");
        let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        let _ = ended.await;
    });
}
