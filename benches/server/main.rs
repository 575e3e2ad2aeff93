//! What the API server does, in process and over the wire:
//! `cargo bench --bench server -- [--only NAME[,NAME...]] [--pods N] [--connections N] [--threads N]`.
//!
//! `--only` takes codec, local, fan-out, growth, wire, wire-h2 and watch; `--threads` are those of the server over the
//! wire.

#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

mod connection;
#[path = "../figures/mod.rs"]
mod figures;
mod http2;
mod in_process;
mod pods;
mod process;
mod watch;
mod wire;

/// What to measure.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    only: Vec<String>,
    pub(crate) pods: usize,
    pub(crate) connections: usize,
    pub(crate) threads: usize,
    pub(crate) watch_connections: usize,
}

fn main() {
    let given =
        figures::Options::read(&["only", "pods", "connections", "threads", "watch-connections", process::SERVE]);
    if let Some(threads) = given.find(process::SERVE) {
        return process::serve(threads);
    }
    let options = Options {
        only: given.get("only", String::new()).split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect(),
        pods: given.get("pods", 10_000),
        connections: given.get("connections", 32),
        threads: given.get("threads", 1),
        watch_connections: given.get("watch-connections", 1).clamp(1, 100),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let wanted = |part: &str| options.only.is_empty() || options.only.iter().any(|only| only == part);
    runtime.block_on(async {
        if wanted("codec") {
            in_process::codec();
        }
        if wanted("local") {
            in_process::run(&options).await;
        }
        if wanted("fan-out") {
            in_process::fan_out(2_000).await;
            in_process::node_watches(10_000).await;
        }
        if wanted("growth") {
            in_process::growth().await;
        }
        if wanted("wire") {
            wire::run(&options).await;
        }
        if wanted("wire-h2") {
            http2::run(&options).await;
        }
        if wanted("watch") {
            watch::http1(&options).await;
        }
        if wanted("watch-h2") {
            watch::http2(&options).await;
        }
    });
}
