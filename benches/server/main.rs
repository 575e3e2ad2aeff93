//! What the API server does, in process and over the wire: `cargo bench --bench server -- --help`.

#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

mod connection;
#[path = "../figures/mod.rs"]
mod figures;
mod http2;
mod in_process;
mod pods;
mod process;
mod wire;

use lexopt::prelude::*;

const USAGE: &str = "\
usage: cargo bench --bench server -- [--only NAME] [--pods N] [--connections N] [--threads N]

  --only NAME       codec, local, fan-out, growth, wire, wire-h2 or watch: one part (all of them); also as local,wire
  --pods N          how many pods are written, read and listed (10000)
  --connections N   how many connections load the server over the wire (32)
  --threads N       how many threads the server over the wire has (1)";

/// What to measure.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    only: Vec<String>,
    pub(crate) pods: usize,
    pub(crate) connections: usize,
    pub(crate) threads: usize,
    serve: bool,
}

fn options() -> Result<Option<Options>, lexopt::Error> {
    let mut options = Options { only: Vec::new(), pods: 10_000, connections: 32, threads: 1, serve: false };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("only") => options.only = arguments.value()?.string()?.split(',').map(str::to_owned).collect(),
            Long("pods") => options.pods = arguments.value()?.parse()?,
            Long("connections") => options.connections = arguments.value()?.parse()?,
            Long("threads") => options.threads = arguments.value()?.parse()?,
            Long(process::SERVE) => (options.serve, options.threads) = (true, arguments.value()?.parse()?),
            // Cargo says so to every benchmark.
            Long("bench") => {}
            Long("help") | Short('h') => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(options))
}

fn main() -> Result<(), lexopt::Error> {
    let Some(options) = options()? else {
        println!("{USAGE}");
        return Ok(());
    };
    if options.serve {
        process::serve(options.threads);
        return Ok(());
    }
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
            wire::watch(&options).await;
        }
    });
    Ok(())
}
