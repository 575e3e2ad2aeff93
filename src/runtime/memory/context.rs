//! What a container that runs in this process sees of the world.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, stream};
use k8s_openapi::api::core::v1::ContainerPort;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::log::Log;
use super::machine::{Load, Meter};
use super::network::{Listener, Network};
use super::view::Files;
use crate::api::Output;
use crate::clock::Clock;
use crate::random::Random;
use crate::runtime::{ContainerConfig, PodStream, SandboxConfig};

/// A program that runs as a container: given its context, it returns its exit code.
///
/// Implemented by every `async fn(ContainerContext) -> i32`.
pub trait Program: Send + Sync + 'static {
    /// Runs to its end. Killing the container drops the future.
    fn run(&self, context: ContainerContext) -> BoxFuture<'static, i32>;
}

impl<F, R> Program for F
where
    F: Fn(ContainerContext) -> R + Send + Sync + 'static,
    R: Future<Output = i32> + Send + 'static,
{
    fn run(&self, context: ContainerContext) -> BoxFuture<'static, i32> {
        self(context).boxed()
    }
}

/// The pod and node that a process belongs to.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) sandbox: Arc<SandboxConfig>,
    pub(super) node: Arc<str>,
    pub(super) ip: IpAddr,
    pub(super) network: Network,
    pub(super) clock: Clock,
    pub(super) random: Random,
    /// Attached sessions: they outlive containers, and end with the sandbox.
    pub(super) sessions: Mutex<JoinSet<()>>,
}

pub(super) struct Process {
    pub(super) place: Arc<Place>,
    pub(super) config: Arc<ContainerConfig>,
    pub(super) files: Files,
    pub(super) log: Log,
    pub(super) meter: Meter,
    pub(super) signal: watch::Receiver<Option<&'static str>>,
    pub(super) stdin: Mutex<Option<mpsc::Receiver<Bytes>>>,
}

/// What a container that runs in this process sees: its arguments, environment, files, network and the signal that
/// asks it to end.
///
/// ```
/// use orchestrion::runtime::memory::ContainerContext;
/// async fn greeter(context: ContainerContext) -> i32 {
///     context.print(format!("hello from {}", context.pod()));
///     context.terminated().await;
///     0
/// }
/// ```
#[derive(Clone)]
pub struct ContainerContext(Arc<Process>);

impl fmt::Debug for ContainerContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContainerContext({}/{}/{})", self.namespace(), self.pod(), self.container())
    }
}

impl ContainerContext {
    pub(super) fn new(process: Process) -> Self {
        Self(Arc::new(process))
    }

    /// The pod's name.
    pub fn pod(&self) -> &str {
        &self.0.place.sandbox.name
    }

    /// The pod's namespace.
    pub fn namespace(&self) -> &str {
        &self.0.place.sandbox.namespace
    }

    /// The pod's UID.
    pub fn pod_uid(&self) -> &str {
        &self.0.place.sandbox.uid
    }

    /// The host name that the pod has.
    pub fn hostname(&self) -> &str {
        &self.0.place.sandbox.hostname
    }

    /// The node's name.
    pub fn node(&self) -> &str {
        &self.0.place.node
    }

    /// The container's name in the pod.
    pub fn container(&self) -> &str {
        &self.0.config.name
    }

    /// The image, as the pod names it.
    pub fn image(&self) -> &str {
        &self.0.config.image
    }

    /// How often the container has been started before.
    pub fn attempt(&self) -> u32 {
        self.0.config.attempt
    }

    /// Program and arguments, as far as the pod gives them.
    pub fn arguments(&self) -> Vec<String> {
        [&self.0.config.command[..], &self.0.config.args[..]].concat()
    }

    /// The working directory.
    pub fn working_directory(&self) -> &str {
        &self.0.config.working_dir
    }

    /// The environment; later entries are over earlier ones.
    pub fn env(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.config.env.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// A variable of the environment.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.0.config.env.iter().rev().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The ports that the container declares.
    pub fn ports(&self) -> &[ContainerPort] {
        &self.0.config.ports
    }

    /// Whether there is a terminal.
    pub fn has_terminal(&self) -> bool {
        self.0.config.tty
    }

    /// The files that the container sees.
    pub fn files(&self) -> &Files {
        &self.0.files
    }

    /// The time.
    pub fn clock(&self) -> &Clock {
        &self.0.place.clock
    }

    /// Randomness that depends on the cluster's seed.
    pub fn random(&self) -> &Random {
        &self.0.place.random
    }

    /// The pod's address.
    pub fn ip(&self) -> IpAddr {
        self.0.place.ip
    }

    /// Changes what the container is said to use from now on: its image's [`Load`] at first.
    pub fn change_load(&self, change: impl FnOnce(&mut Load)) {
        self.0.meter.change(self.clock().now(), change);
    }

    /// Listens on a TCP port of the pod.
    ///
    /// # Errors
    /// As sockets do.
    pub async fn listen(&self, port: u16) -> io::Result<Listener> {
        self.0.place.network.listen(self.ip(), port).await
    }

    /// Connects to a TCP port of an address.
    ///
    /// # Errors
    /// As sockets do.
    pub async fn connect(&self, ip: IpAddr, port: u16) -> io::Result<PodStream> {
        self.0.place.network.connect(ip, port).await
    }

    /// Whether the pod's addresses have real sockets.
    pub(super) fn has_sockets(&self) -> bool {
        matches!(self.0.place.network, Network::Loopback(_))
    }

    /// Writes a line to the log (standard output).
    pub fn print(&self, line: impl fmt::Display) {
        self.0.log.write(Output::Stdout, format!("{line}\n").as_bytes());
    }

    /// Writes a line to the log (error output).
    pub fn print_error(&self, line: impl fmt::Display) {
        self.0.log.write(Output::Stderr, format!("{line}\n").as_bytes());
    }

    pub(super) fn log(&self) -> &Log {
        &self.0.log
    }

    pub(super) fn take_stdin(&self) -> Option<mpsc::Receiver<Bytes>> {
        self.0.stdin.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What is typed at the container, where it has an input; the first caller gets it.
    pub fn stdin(&self) -> impl Stream<Item = Bytes> + Send + use<> {
        stream::unfold(self.take_stdin(), |input| async move {
            let mut input = input?;
            let bytes = input.recv().await?;
            Some((bytes, Some(input)))
        })
    }

    /// Waits until the container is asked to end, and tells by which signal. A program that does not return then is
    /// killed when the pod's grace period is over.
    pub async fn terminated(&self) -> &'static str {
        let mut signal = self.0.signal.clone();
        match signal.wait_for(Option::is_some).await {
            Ok(signal) => signal.unwrap_or("SIGTERM"),
            Err(_) => "SIGKILL",
        }
    }

    /// Whether the container has been asked to end.
    pub fn is_terminated(&self) -> bool {
        self.0.signal.borrow().is_some()
    }
}
