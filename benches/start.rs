//! How long a cluster takes to come up: in a program, and as `examples/cluster`: `cargo bench --bench start`.

mod figures;

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use orchestrion::client::Informer;
use orchestrion::cluster::{Cluster, Network};

use figures::{Options, now, quantile, report, resident, spent};

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// From the builder to the first acknowledged write.
fn first_write(network: Network) -> Result<Duration, Box<dyn Error>> {
    runtime()?.block_on(async {
        let begin = now();
        let cluster = Cluster::builder().network(network).start().await?;
        let mut map = ConfigMap::default();
        map.metadata.name = Some("first".into());
        cluster.client().api("default").create(map).await?;
        Ok(begin.elapsed())
    })
}

/// From the builder to the first pod that runs.
fn first_pod(network: Network) -> Result<Duration, Box<dyn Error>> {
    const POD: &str = "{apiVersion: v1, kind: Pod, metadata: {name: first}, spec: {containers: [{name: a, image: a}]}}";
    runtime()?.block_on(async {
        let begin = now();
        let cluster = Cluster::builder().network(network).start().await?;
        cluster.apply(POD).await?;
        let runs = |pods: &[std::sync::Arc<Pod>]| {
            pods.iter().any(|pod| pod.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Running"))
        };
        Informer::start(cluster.client().all::<Pod>()).until(runs).await;
        Ok(begin.elapsed())
    })
}

/// The example beside this benchmark, built as this was.
fn example() -> Result<PathBuf, Box<dyn Error>> {
    let this = std::env::current_exe()?;
    let folder = this.ancestors().nth(2).ok_or("a benchmark lies in target/PROFILE/deps")?;
    let profile = match folder.file_name().and_then(|name| name.to_str()).ok_or("a profile")? {
        "release" => "bench", // `cargo bench` builds into the folder of the profile that its own begins with
        named => named,
    };
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--example", "cluster", "--profile", profile]);
    if !build.current_dir(env!("CARGO_MANIFEST_DIR")).status()?.success() {
        return Err("examples/cluster was not built".into());
    }
    Ok(folder.join("examples/cluster"))
}

/// From the start of the process to its line `ready`; what it has spent and holds then.
fn example_ready(example: &PathBuf) -> Result<(Duration, Duration, usize), Box<dyn Error>> {
    let kubeconfig = std::env::temp_dir().join(format!("orchestrion-start-{}", std::process::id()));
    let begin = now();
    let mut child = Command::new(example)
        .args(["--listen", "127.0.0.1:0", "--kubeconfig"])
        .arg(&kubeconfig)
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or("an output")?).read_line(&mut line)?;
    let took = begin.elapsed();
    let (used, held) = (spent(child.id()), resident(child.id()));
    child.kill()?;
    child.wait()?;
    std::fs::remove_file(kubeconfig)?;
    if line.starts_with("ready") { Ok((took, used, held)) } else { Err(format!("not ready: {line}").into()) }
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::read(&["runs"]);
    let runs = options.get("runs", 20);
    let ms = |times: &mut [Duration]| quantile(times, 0.5).as_secs_f64() * 1e3;
    for (name, network) in [("simulated", Network::Simulated), ("loopback", Network::Loopback)] {
        let mut times = (0..runs).map(|_| first_write(network)).collect::<Result<Vec<_>, _>>()?;
        report(&format!("start/first-write/{name}"), &[("runs", runs)], ms(&mut times), "ms");
        let mut times = (0..runs).map(|_| first_pod(network)).collect::<Result<Vec<_>, _>>()?;
        report(&format!("start/first-pod-running/{name}"), &[("runs", runs)], ms(&mut times), "ms");
    }
    let example = example()?;
    let runs = (0..runs).map(|_| example_ready(&example)).collect::<Result<Vec<_>, _>>()?;
    let sizes = [("runs", runs.len())];
    report("start/example-ready", &sizes, ms(&mut runs.iter().map(|run| run.0).collect::<Vec<_>>()), "ms");
    report("start/example-ready/cpu", &sizes, ms(&mut runs.iter().map(|run| run.1).collect::<Vec<_>>()), "ms");
    let memory = runs.iter().map(|run| run.2).max().unwrap_or_default();
    report("start/example-ready/resident", &sizes, memory as f64 / 1024.0 / 1024.0, "MiB");
    Ok(())
}
