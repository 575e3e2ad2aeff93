//! A cluster that stays up for kubectl, until SIGINT or SIGTERM.

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;

use lexopt::prelude::*;
use orchestrion::api::User;
use orchestrion::cluster::{Cluster, Part};
use tokio::signal::unix::{SignalKind, signal};

#[cfg(feature = "docker")]
mod engine;

const USAGE: &str = "\
usage: cluster [--listen ADDR:PORT] [--kubeconfig PATH] [--token TOKEN] [--nodes N] [--disable LIST] [--runtime NAME]

  --listen ADDR:PORT  where to serve HTTPS (127.0.0.1:6443; port 0: any)
  --kubeconfig PATH   where to write the kubeconfig (./kubeconfig)
  --token TOKEN       one more administrator credential
  --nodes N           how many nodes (3)
  --disable LIST      leave parts out: scheduler, controllers, nodes, proxy
  --runtime NAME      what runs the pods: memory, or docker (where built with --features docker; $DOCKER_HOST)
  --name NAME         the cluster's name on the Docker engine (dev)";

struct Options {
    listen: SocketAddr,
    kubeconfig: PathBuf,
    token: Option<String>,
    nodes: usize,
    disable: Vec<Part>,
    docker: bool,
    name: String,
}

fn options() -> Result<Option<Options>, lexopt::Error> {
    let mut options = Options {
        listen: SocketAddr::from(([127, 0, 0, 1], 6443)),
        kubeconfig: "kubeconfig".into(),
        token: None,
        nodes: 3,
        disable: Vec::new(),
        docker: false,
        name: "dev".to_owned(),
    };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("listen") => options.listen = arguments.value()?.parse()?,
            Long("kubeconfig") => options.kubeconfig = arguments.value()?.into(),
            Long("token") => options.token = Some(arguments.value()?.string()?),
            Long("nodes") => options.nodes = arguments.value()?.parse()?,
            Long("disable") => {
                let list = arguments.value()?.string()?;
                let parts: Result<Vec<Part>, _> = list.split(',').map(str::parse).collect();
                options.disable = parts.map_err(|error| lexopt::Error::Custom(Box::new(error)))?;
            }
            Long("runtime") => {
                options.docker = match arguments.value()?.string()?.as_str() {
                    "memory" => false,
                    "docker" if cfg!(feature = "docker") => true,
                    other => return Err(format!("no runtime {other:?} in this build").into()),
                };
            }
            Long("name") => options.name = arguments.value()?.string()?,
            Long("help") | Short('h') => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(options))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let Some(options) = options().map_err(|error| format!("{error}\n{USAGE}"))? else {
        println!("{USAGE}");
        return Ok(());
    };
    // Before the cluster says it is ready, so that no signal can be missed.
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);

    let mut builder = Cluster::builder().nodes(options.nodes).listen(options.listen);
    if let Some(token) = options.token {
        builder = builder.token(token, User::admin());
    }
    for part in options.disable {
        builder = builder.without(part);
    }
    #[cfg(feature = "docker")]
    let docker = if options.docker { Some(engine::open(&options.name).await?) } else { None };
    #[cfg(feature = "docker")]
    if let Some(docker) = &docker {
        builder = builder.docker(docker);
    }
    let cluster = builder.start().await?;
    let kubeconfig = cluster.kubeconfig().ok_or("a cluster that listens has a kubeconfig")?;
    std::fs::write(&options.kubeconfig, kubeconfig)?;
    println!("ready {}", cluster.url().ok_or("a cluster that listens has an address")?);

    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    cluster.stop().await;
    #[cfg(feature = "docker")]
    if let Some(docker) = &docker {
        docker.remove().await?;
    }
    Ok(())
}
