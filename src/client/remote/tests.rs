//! The remote backend against this crate's server, over TLS on loopback.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::{ConfigMap, Container, Pod, PodSpec};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};

use super::RemoteBackend;
use crate::api::stats::{Scope, Summary};
use crate::api::{
    Answer, ApiError, Backend, Call, Connect, Connection, Consistency, Deleted, Draft, ExecOptions, ExecSession, Kind,
    ListOptions, LogOptions, NodeDirectory, NodeEndpoint, Output, Patch, PodRef, Target, TerminalSize, User,
    WatchEvent, WatchOptions,
};
use crate::clock::Clock;
use crate::cluster::{kubeconfig, pki::Authority};
use crate::random::Random;
use crate::server::Server;
use crate::server::http::{Config, Front, Listening, Tls};
use crate::store::MemoryStore;

/// A node whose programs echo their input, whose ports too.
#[derive(Debug)]
struct Echo;

impl NodeDirectory for Echo {
    fn endpoint(&self, _: &str) -> Option<Arc<dyn NodeEndpoint>> {
        Some(Arc::new(Self))
    }
}

#[async_trait]
impl NodeEndpoint for Echo {
    async fn connect(&self, pod: &PodRef, connect: Connect) -> Result<Connection, ApiError> {
        Ok(match connect {
            Connect::Log(options) => {
                let lines = [format!("{} tail {:?}\n", pod.name, options.tail_lines), "end\n".into()];
                Connection::Log(stream::iter(lines.map(|line| Ok(Bytes::from(line)))).boxed())
            }
            Connect::Exec(options) | Connect::Attach(options) => Connection::Exec(program(options)),
            Connect::Get(path) => Connection::Answer(Answer { media: "text/plain".into(), body: path.into() }),
            Connect::PortForward(_) => {
                let (near, far) = tokio::io::duplex(1024);
                tokio::spawn(async move {
                    let (mut read, mut write) = tokio::io::split(far);
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
                Connection::Port(Box::pin(near))
            }
        })
    }

    async fn stats(&self, _: Scope) -> Result<Summary, ApiError> {
        Err(ApiError::internal("nothing is measured here"))
    }
}

fn program(options: ExecOptions) -> ExecSession {
    let (stdin, mut input) = mpsc::channel::<Bytes>(4);
    let (out, output) = mpsc::channel(4);
    let (resize, mut sizes) = mpsc::channel(4);
    let (end, exit) = oneshot::channel();
    tokio::spawn(async move {
        if options.tty {
            let TerminalSize { width, height } = sizes.recv().await.unwrap();
            let _ = out.send((Output::Stdout, format!("{width}x{height} ").into())).await;
        }
        while let Some(bytes) = input.recv().await {
            let _ = out.send((Output::Stdout, bytes)).await;
        }
        let _ = out.send((Output::Stderr, options.command.join(" ").into())).await;
        drop(out);
        let _ = end.send(Ok(3));
    });
    ExecSession { stdin, output, resize, exit }
}

/// Nodes that never answer, and tell when they are not asked any longer.
#[derive(Debug)]
struct Silent(mpsc::UnboundedSender<oneshot::Receiver<()>>);

impl NodeDirectory for Silent {
    fn endpoint(&self, _: &str) -> Option<Arc<dyn NodeEndpoint>> {
        Some(Arc::new(Self(self.0.clone())))
    }
}

#[async_trait]
impl NodeEndpoint for Silent {
    async fn connect(&self, _: &PodRef, _: Connect) -> Result<Connection, ApiError> {
        let (_asking, asked) = oneshot::channel();
        self.0.send(asked).unwrap();
        std::future::pending().await
    }

    async fn stats(&self, _: Scope) -> Result<Summary, ApiError> {
        std::future::pending().await
    }
}

struct Served {
    remote: RemoteBackend,
    call: Call,
    front: Front,
    authority: Authority,
    _listening: Listening,
}

async fn served() -> Served {
    served_with(Arc::new(Echo)).await
}

async fn served_with(nodes: Arc<dyn NodeDirectory>) -> Served {
    let server = Server::builder(Arc::new(MemoryStore::default())).nodes(nodes).start().await.unwrap();
    let front = Front::new(Arc::new(server), Config::new(Clock::system(), Random::seeded(1)));
    let authority = Authority::new("test").unwrap();
    let identity = authority.server(&["localhost", "127.0.0.1"]).unwrap();
    let tls = Tls::new(&identity.certificate, &identity.key, Some(authority.certificate())).unwrap();
    let listening = front.listen("127.0.0.1:0".parse().unwrap(), Some(tls)).await.unwrap();
    let url = format!("https://{}", listening.address());
    let remote = connect(&url, &authority, "system:masters");
    Served { remote, call: Call::new(Arc::new(User::default()), "test/1"), front, authority, _listening: listening }
}

fn connect(url: &str, authority: &Authority, group: &str) -> RemoteBackend {
    let user = authority.client("ann", group).unwrap();
    let config = kubeconfig::of_cluster("test", url, authority.certificate(), &user);
    RemoteBackend::of_kubeconfig(&config).unwrap()
}

fn map(name: &str, value: &str) -> Draft {
    let mut map = ConfigMap::default();
    map.metadata.name = Some(name.into());
    map.data = Some([("key".to_owned(), value.to_owned())].into());
    Draft::new(map)
}

fn maps() -> Target {
    Target::all(Kind::of::<ConfigMap>(), "default")
}

#[tokio::test]
async fn verbs_do_the_same_over_the_wire() {
    let Served { remote, call, _listening, .. } = served().await;
    let one = Target::one(maps().kind, "default", "a");
    let created = remote.create(&call, &maps(), map("a", "1"), &Default::default()).await.unwrap();
    let stale = created.draft();
    let patch = Patch::Merge(serde_json::json!({"data": {"key": "2"}}));
    let patched = remote.patch(&call, &one, patch, &Default::default()).await.unwrap();
    assert!(patched.revision() > created.revision());
    let error = remote.update(&call, &one, stale, &Default::default()).await.unwrap_err();
    assert!(error.is_conflict(), "{error:?}");
    let read = remote.get(&call, &one, &Default::default()).await.unwrap();
    assert_eq!(read.as_typed::<ConfigMap>().unwrap().data.as_ref().unwrap()["key"], "2");
    remote.create(&call, &maps(), map("b", "1"), &Default::default()).await.unwrap();
    let options = ListOptions { limit: Some(1), ..ListOptions::default() };
    let page = remote.list(&call, &maps(), &options).await.unwrap();
    assert_eq!((page.items[0].name(), page.items.len()), ("a", 1));
    let options = ListOptions { continue_token: page.continue_token, ..options };
    assert_eq!(remote.list(&call, &maps(), &options).await.unwrap().items[0].name(), "b");
    let gone = remote.delete(&call, &one, &Default::default()).await.unwrap();
    assert!(matches!(&gone, Deleted::Gone(object) if object.uid() == read.uid()), "{gone:?}");
    let error = remote.get(&call, &one, &Default::default()).await.unwrap_err();
    assert_eq!(error.message(), "configmaps \"a\" not found");
}

#[tokio::test]
async fn a_watch_goes_on_over_the_wire() {
    let Served { remote, call, _listening, .. } = served().await;
    let list = remote.list(&call, &maps(), &Default::default()).await.unwrap();
    let options = WatchOptions { from: Consistency::Exact(list.revision), ..WatchOptions::default() };
    let mut events = remote.watch(&call, &maps(), &options).await.unwrap();
    remote.create(&call, &maps(), map("a", "1"), &Default::default()).await.unwrap();
    let event = events.next().await.unwrap().unwrap();
    assert!(matches!(&event, WatchEvent::Added(object) if object.name() == "a"), "{event:?}");
    let one = Target::one(maps().kind, "default", "a");
    remote.delete(&call, &one, &Default::default()).await.unwrap();
    let event = events.next().await.unwrap().unwrap();
    assert!(matches!(&event, WatchEvent::Deleted(_)), "{event:?}");
    let options =
        WatchOptions { from: Consistency::Exact(u64::MAX.into()), timeout: Some(Duration::from_secs(1)), ..options };
    // Whatever a server makes of a revision from the future, the stream ends.
    if let Ok(mut events) = remote.watch(&call, &maps(), &options).await {
        while let Some(Ok(_)) = events.next().await {}
    }
}

#[tokio::test]
async fn certificates_say_who_calls_and_strangers_are_refused() {
    let Served { call, front, authority, _listening, .. } = served().await;
    let url = format!("https://{}", _listening.address());
    let error = connect(&url, &authority, "").list(&call, &maps(), &Default::default()).await.unwrap_err();
    assert_eq!(
        error.message(),
        "configmaps is forbidden: User \"ann\" cannot list resource \"configmaps\" in API group \"\" in the namespace \"default\""
    );
    let stranger = Authority::new("stranger").unwrap();
    let user = stranger.client("eve", "system:masters").unwrap();
    let config = kubeconfig::of_cluster("test", &url, authority.certificate(), &user);
    let remote = RemoteBackend::of_kubeconfig(&config).unwrap();
    assert!(remote.list(&call, &maps(), &Default::default()).await.is_err());
    let user = authority.client("ann", "system:masters").unwrap();
    let config = kubeconfig::of_cluster("test", &url, stranger.certificate(), &user);
    let remote = RemoteBackend::of_kubeconfig(&config).unwrap();
    let error = remote.list(&call, &maps(), &Default::default()).await.unwrap_err();
    assert!(error.message().contains("UnknownIssuer"), "{error}");
    drop(front);
}

async fn pod(remote: &RemoteBackend, call: &Call) -> Target {
    let mut pod = Pod::default();
    pod.metadata.name = Some("p".into());
    let container = Container { name: "c".into(), image: Some("i".into()), ..Container::default() };
    pod.spec = Some(PodSpec { containers: vec![container], node_name: Some("n".into()), ..PodSpec::default() });
    let pods = Kind::of::<Pod>();
    let target = Target::all(pods.clone(), "default");
    remote.create(call, &target, Draft::new(pod), &Default::default()).await.unwrap();
    Target::one(pods, "default", "p")
}

#[tokio::test]
async fn programs_run_over_a_websocket() {
    let Served { remote, call, _listening, .. } = served().await;
    let pod = pod(&remote, &call).await;
    let options = ExecOptions {
        command: vec!["say".into(), "b ye".into()],
        stdin: true,
        stdout: true,
        stderr: true,
        tty: true,
        ..ExecOptions::default()
    };
    let Connection::Exec(mut session) = remote.connect(&call, &pod, Connect::Exec(options)).await.unwrap() else {
        panic!("no session")
    };
    session.resize.send(TerminalSize { width: 80, height: 25 }).await.unwrap();
    session.stdin.send(Bytes::from_static(b"hello")).await.unwrap();
    drop(session.stdin);
    let (mut out, mut err) = (String::new(), String::new());
    while let Some((from, bytes)) = session.output.recv().await {
        let text = if from == Output::Stdout { &mut out } else { &mut err };
        text.push_str(std::str::from_utf8(&bytes).unwrap());
    }
    assert_eq!((out.as_str(), err.as_str()), ("80x25 hello", "say b ye"));
    assert_eq!(session.exit.await.unwrap(), Ok(3));
    let nothing = Connect::Exec(ExecOptions { command: vec!["x".into()], ..ExecOptions::default() });
    let error = remote.connect(&call, &pod, nothing).await.unwrap_err();
    assert_eq!(error.message(), "you must specify at least 1 of stdin, stdout, stderr");
}

#[tokio::test]
async fn ports_and_logs_are_reached_over_the_wire() {
    let Served { remote, call, _listening, .. } = served().await;
    let pod = pod(&remote, &call).await;
    let Connection::Port(mut port) = remote.connect(&call, &pod, Connect::PortForward(80)).await.unwrap() else {
        panic!("no port")
    };
    port.write_all(b"ping").await.unwrap();
    let mut answer = [0; 4];
    port.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"ping");
    let options = LogOptions { tail_lines: Some(7), ..LogOptions::default() };
    let Connection::Log(text) = remote.connect(&call, &pod, Connect::Log(options)).await.unwrap() else {
        panic!("no log")
    };
    let text: Vec<Bytes> = text.map(Result::unwrap).collect().await;
    assert_eq!(text.concat(), b"p tail Some(7)\nend\n");
}

#[tokio::test]
async fn nothing_goes_on_for_a_client_when_the_listener_is_gone() {
    let (asked, mut asking) = mpsc::unbounded_channel();
    let Served { remote, call, _listening: listening, .. } = served_with(Arc::new(Silent(asked))).await;
    let pod = pod(&remote, &call).await;
    let log =
        tokio::spawn(async move { remote.connect(&call, &pod, Connect::Log(LogOptions::default())).await.is_err() });
    let asked = asking.recv().await.unwrap();
    drop(listening);
    assert!(asked.await.is_err(), "the request was dropped");
    assert!(log.await.unwrap());
}
