//! Several parts that find each other: a database and its web frontend, which reads where the database is from a
//! ConfigMap, and user and password from a Secret. `--runtime docker` runs them as containers.

use std::error::Error;

use k8s_openapi::api::core::v1::Service;
use lexopt::prelude::*;
use orchestrion::cluster::Cluster;
use orchestrion::runtime::PodStream;
use orchestrion::runtime::memory::{ContainerContext, Listener, Registry};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

#[cfg(feature = "docker")]
mod engine;

const USAGE: &str = "\
usage: compose [--runtime NAME]

  --runtime NAME  what runs the pods: memory, or docker (where built with --features docker; $DOCKER_HOST), with the
                  images that examples/images/build makes";

fn runs_on_docker() -> Result<bool, lexopt::Error> {
    let mut docker = false;
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("runtime") => {
                docker = match arguments.value()?.string()?.as_str() {
                    "memory" => false,
                    "docker" if cfg!(feature = "docker") => true,
                    other => return Err(format!("no runtime {other:?} in this build").into()),
                };
            }
            other => return Err(other.unexpected()),
        }
    }
    Ok(docker)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    #[cfg_attr(not(feature = "docker"), allow(unused_variables))]
    let on_docker = runs_on_docker().map_err(|error| format!("{error}\n{USAGE}"))?;
    let images = Registry::default();
    images.add_function("orchestrion/mongo:stand-in", database);
    images.add_function("orchestrion/mongo-express:stand-in", frontend);
    #[cfg_attr(not(feature = "docker"), allow(unused_mut))]
    let mut builder = Cluster::builder().nodes(2).images(images);
    #[cfg(feature = "docker")]
    let docker = if on_docker { Some(engine::open("compose").await?) } else { None };
    #[cfg(feature = "docker")]
    if let Some(docker) = &docker {
        builder = builder.docker(docker);
    }
    let cluster = builder.start().await?;

    cluster.apply(include_str!("compose/settings.yaml")).await?;
    cluster.apply(include_str!("compose/mongo.yaml")).await?;
    cluster.apply(include_str!("compose/mongo-express.yaml")).await?;
    for deployment in ["mongodb", "mongo-express"] {
        cluster.rolled_out("default", deployment).await?;
        println!("{deployment} runs");
    }
    for service in ["mongodb-service", "mongo-express-service"] {
        cluster.reachable("default", service).await;
    }
    let service = cluster.client().api::<Service>("default").get("mongo-express-service").await?;
    let ip = service.spec.as_ref().and_then(|spec| spec.cluster_ip.clone()).ok_or("an address")?;
    let answer = get(TcpStream::connect(format!("{ip}:8081")).await?, "").await?;
    println!("http://{ip}:8081 answers\n{answer}");

    cluster.stop().await;
    #[cfg(feature = "docker")]
    if let Some(docker) = &docker {
        docker.remove().await?;
    }
    if answer.contains("organ") { Ok(()) } else { Err("the frontend shows nothing of the database".into()) }
}

/// Sends a request, `user` as who asks, and gives the body of its answer.
async fn get(mut stream: impl AsyncRead + AsyncWrite + Unpin, user: &str) -> std::io::Result<String> {
    stream.write_all(format!("GET / HTTP/1.0\r\nAuthorization: {user}\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}

/// What stands in for the database in memory: it tells what it has to who knows user and password.
async fn database(context: ContainerContext) -> i32 {
    let var = |name: &str| context.var(name).unwrap_or_default();
    let user = format!("{}:{}", var("MONGO_INITDB_ROOT_USERNAME"), var("MONGO_INITDB_ROOT_PASSWORD"));
    let Ok(mut listener) = context.listen(27017).await else { return 1 };
    while let Some((stream, request)) = next(&context, &mut listener).await {
        let known = request.contains(&format!("Authorization: {user}\r\n"));
        let instruments = r#"[{"instrument": "organ", "pipes": 78}, {"instrument": "carillon", "bells": 23}]"#;
        answer(stream, if known { instruments } else { "401 Unauthorized" }).await;
    }
    0
}

/// What stands in for the frontend in memory.
async fn frontend(context: ContainerContext) -> i32 {
    let var = |name: &str| context.var(name).unwrap_or_default().to_owned();
    let server = var("ME_CONFIG_MONGODB_SERVER");
    let user = format!("{}:{}", var("ME_CONFIG_MONGODB_ADMINUSERNAME"), var("ME_CONFIG_MONGODB_ADMINPASSWORD"));
    // Services are in the environment of pods that are made after them, and in DNS.
    let address = var(&format!("{}_SERVICE_HOST", server.to_uppercase().replace('-', "_")));
    let Ok(mut listener) = context.listen(8081).await else { return 1 };
    while let Some((stream, _)) = next(&context, &mut listener).await {
        let found = async {
            let address = address.parse().map_err(std::io::Error::other)?;
            get(context.connect(address, 27017).await?, &user).await
        };
        let page = match found.await {
            Ok(found) => format!("instruments on {server}: {found}"),
            Err(error) => format!("{server} does not answer: {error}"),
        };
        answer(stream, &page).await;
    }
    0
}

/// The next request; none when the container is asked to end.
async fn next(context: &ContainerContext, listener: &mut Listener) -> Option<(PodStream, String)> {
    let mut stream = tokio::select! {
        _ = context.terminated() => return None,
        stream = listener.accept() => stream.ok()?,
    };
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") && stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {}
    Some((stream, String::from_utf8_lossy(&request).into_owned()))
}

async fn answer(mut stream: PodStream, body: &str) {
    let told = format!("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n{body}\n");
    let _ = stream.write_all(told.as_bytes()).await; // who asked may be gone
    let _ = stream.shutdown().await;
}
