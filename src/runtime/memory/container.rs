//! One container: its state, its tasks and its end.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt, StreamExt, poll};
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::context::{ContainerContext, Place, Process};
use super::events::Events;
use super::log::Log;
use super::machine::{Load, Meter};
use super::script::SimulatedImage;
use super::shell::{Shell, Sink, knows};
use super::view::Files;
use crate::api::{ApiError, Reason};
use crate::api::{ExecOptions, ExecSession};
use crate::runtime::{
    ContainerConfig, ContainerId, ContainerState, ContainerStatus, DiskUsage, EventKind, Exit, FileTree, Image, Limits,
    Medium, MountSource, Result, RuntimeError, RuntimeEvent, SandboxId,
};

/// The kubelet reads so much of a termination message file, and so much of a log in its place.
const MESSAGE_BYTES: usize = 4096;
const MESSAGE_LOG: (u64, usize) = (80, 2048);

/// Pieces of input or output that a session holds before its writer waits.
const SESSION: usize = 64;

/// A container.
pub(super) struct Container {
    pub(super) id: ContainerId,
    pub(super) sandbox: SandboxId,
    place: Arc<Place>,
    config: Arc<ContainerConfig>,
    limits: Mutex<Limits>,
    pub(super) image: SimulatedImage,
    image_id: String,
    created_at: Timestamp,
    state: watch::Sender<ContainerState>,
    pub(super) log: Log,
    files: Files,
    /// What its own layer held at first.
    given: DiskUsage,
    /// What it uses: nothing before its start and after its end.
    pub(super) meter: Meter,
    signal: watch::Sender<Option<&'static str>>,
    stdin: Mutex<Option<mpsc::Sender<Bytes>>>,
    /// The main program and what is run beside it: gone with the container.
    tasks: Mutex<JoinSet<()>>,
    events: Events,
}

impl Container {
    #[expect(clippy::too_many_arguments, reason = "called once, where a container is made")]
    pub(super) fn new(
        id: ContainerId,
        sandbox: SandboxId,
        place: Arc<Place>,
        config: ContainerConfig,
        image: SimulatedImage,
        present: &Image,
        host: &FileTree,
        events: Events,
    ) -> Self {
        let own = image.layer();
        for (path, file) in etc(&place) {
            own.write(path, crate::runtime::File::new(file));
        }
        let given = own.usage();
        let digest = present.names.iter().find(|name| name.contains('@')).unwrap_or(&present.id).clone();
        Self {
            id,
            sandbox,
            files: Files::new(own, host, &config),
            given,
            meter: Meter::new(place.clock.now(), Load::NONE),
            log: Log::new(place.clock),
            created_at: place.clock.now(),
            place,
            limits: Mutex::new(Limits::of(&config.resources)),
            config: Arc::new(config),
            image,
            image_id: digest,
            state: watch::Sender::new(ContainerState::Created),
            signal: watch::Sender::new(None),
            stdin: Mutex::default(),
            tasks: Mutex::default(),
            events,
        }
    }

    pub(super) fn status(&self) -> ContainerStatus {
        ContainerStatus {
            id: self.id.clone(),
            name: self.config.name.clone(),
            attempt: self.config.attempt,
            image: self.config.image.clone(),
            image_id: self.image_id.clone(),
            created_at: self.created_at,
            state: self.state.borrow().clone(),
            labels: Arc::clone(&self.config.labels),
            limits: *self.limits(),
        }
    }

    /// What it may use.
    pub(super) fn limits(&self) -> MutexGuard<'_, Limits> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {} // forget those that have ended
        tasks.spawn(task);
    }

    fn emit(&self, kind: EventKind) {
        let event = RuntimeEvent { pod: self.place.sandbox.uid.clone(), sandbox: self.sandbox.clone(), kind };
        self.events.send(&event);
    }

    fn context(&self, stdin: Option<mpsc::Receiver<Bytes>>) -> ContainerContext {
        ContainerContext::new(Process {
            place: Arc::clone(&self.place),
            config: Arc::clone(&self.config),
            files: self.files.clone(),
            log: self.log.clone(),
            meter: self.meter.clone(),
            signal: self.signal.subscribe(),
            stdin: Mutex::new(stdin),
        })
    }

    pub(super) async fn start(self: &Arc<Self>) -> Result<()> {
        let clock = &self.place.clock;
        if let Some(why) = &self.image.start_failure {
            let message = format!(
                "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create \
                 failed: unable to start container process: {why}: unknown"
            );
            self.finish(128, "StartError", message.clone());
            return Err(RuntimeError::Start(message));
        }
        let started_at = clock.now();
        let begun = self.state.send_if_modified(|state| {
            let new = *state == ContainerState::Created;
            if new {
                *state = ContainerState::Running { started_at };
            }
            new
        });
        if !begun {
            return Err(RuntimeError::State(format!("container {:?} has been started before", self.id.as_str())));
        }
        self.meter.change(started_at, |load| *load = self.image.load);
        let (stdin, typed) = self.config.stdin.then(|| mpsc::channel(SESSION)).unzip();
        *self.stdin.lock().unwrap_or_else(PoisonError::into_inner) = stdin;
        let (program, context) = (Arc::clone(&self.image.program), self.context(typed));
        let run = async move { program.run(context).await };
        let mut run = Box::pin(AssertUnwindSafe(run).catch_unwind());
        // The program's first steps are part of its start: one that begins with listening is reachable once it runs.
        let first = poll!(&mut run);
        self.emit(EventKind::Started(self.id.clone()));
        let container = Arc::downgrade(self);
        self.spawn(async move {
            let code = match first {
                Poll::Ready(code) => code,
                Poll::Pending => run.await,
            };
            let code = code.unwrap_or(134); // a panic is an abort: SIGABRT
            if let Some(container) = Weak::upgrade(&container) {
                container.finish(code, if code == 0 { "Completed" } else { "Error" }, String::new());
            }
        });
        Ok(())
    }

    /// Marks the end of the main program and ends whatever ran beside it.
    pub(super) fn finish(&self, code: i32, reason: &str, message: String) {
        let finished_at = self.place.clock.now();
        let message = if message.is_empty() { self.termination_message(code) } else { message };
        let ended = self.state.send_if_modified(|state| {
            let started_at = match state {
                ContainerState::Created => None,
                ContainerState::Running { started_at } => Some(*started_at),
                ContainerState::Exited(_) => return false,
            };
            *state = ContainerState::Exited(Exit { code, reason: reason.to_owned(), message, started_at, finished_at });
            true
        });
        if ended {
            self.meter.change(finished_at, |load| *load = Load::NONE);
            self.log.close();
            self.stdin.lock().unwrap_or_else(PoisonError::into_inner).take();
            self.emit(EventKind::Exited(self.id.clone()));
            self.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
        }
    }

    fn termination_message(&self, code: i32) -> String {
        let file =
            self.files.read(&self.config.termination_message_path).unwrap_or_else(|| crate::runtime::File::new(""));
        let content = &file.content[file.content.len().saturating_sub(MESSAGE_BYTES)..];
        if content.is_empty() && code != 0 && self.config.message_from_log {
            return self.log.last(MESSAGE_LOG.0, MESSAGE_LOG.1);
        }
        String::from_utf8_lossy(content).into_owned()
    }

    pub(super) async fn stop(&self, timeout: Duration) {
        if *self.state.borrow() == ContainerState::Created {
            return self.finish(137, "Error", String::new());
        }
        self.signal.send_replace(Some("SIGTERM"));
        let ended = self.ended();
        if tokio::time::timeout(timeout, ended).await.is_err() {
            self.finish(137, "Error", String::new());
        }
    }

    /// Waits until it has ended.
    async fn ended(&self) {
        let mut state = self.state.subscribe();
        // The sender lives as long as `self`.
        let _ = state.wait_for(|state| matches!(state, ContainerState::Exited(_))).await;
    }

    fn running(&self) -> Result<()> {
        match *self.state.borrow() {
            ContainerState::Running { .. } => Ok(()),
            _ => Err(RuntimeError::State(format!("container {:?} is not running", self.id.as_str()))),
        }
    }

    pub(super) fn exec(&self, options: &ExecOptions) -> Result<ExecSession> {
        self.running()?;
        let program = options.command.first().map_or("", String::as_str);
        if !knows(program) {
            let why = match program.contains('/') {
                true => format!("exec: {program:?}: stat {program}: no such file or directory"),
                false => format!("exec: {program:?}: executable file not found in $PATH"),
            };
            return Err(RuntimeError::Exec(format!(
                "OCI runtime exec failed: exec failed: unable to start container process: {why}: unknown"
            )));
        }
        let (stdin, typed) = mpsc::channel(SESSION);
        let (out, output) = mpsc::channel(SESSION);
        let (resize, mut sizes) = mpsc::channel(1);
        let (end, exit) = oneshot::channel();
        let config = ContainerConfig { tty: options.tty, ..(*self.config).clone() };
        let context = ContainerContext::new(Process {
            place: Arc::clone(&self.place),
            config: Arc::new(config),
            files: self.files.clone(),
            log: self.log.clone(),
            meter: self.meter.clone(),
            signal: self.signal.subscribe(),
            stdin: Mutex::default(),
        });
        let command = options.command.clone();
        let input = options.stdin.then_some(typed);
        self.spawn(async move {
            let gone = out.clone();
            let mut shell = Shell::new(context, Sink::Session(out), input);
            tokio::select! {
                biased;
                code = shell.run(&command) => {
                    drop((shell, gone));
                    let _ = end.send(Ok(code)); // nobody may wait for it
                }
                () = gone.closed() => {}
                () = async { while sizes.recv().await.is_some() {} std::future::pending().await } => {}
            }
        });
        Ok(ExecSession { stdin, output, resize, exit })
    }

    pub(super) fn attach(self: &Arc<Self>, options: &ExecOptions) -> Result<ExecSession> {
        self.running()?;
        let (stdin, mut typed) = mpsc::channel::<Bytes>(SESSION);
        let (out, output) = mpsc::channel(SESSION);
        let (resize, _) = mpsc::channel(1);
        let (end, exit) = oneshot::channel();
        let forward = match options.stdin {
            false => None,
            // With `stdinOnce` the program sees the end of its input when the first session leaves.
            true if self.config.stdin_once => self.stdin.lock().unwrap_or_else(PoisonError::into_inner).take(),
            true => self.stdin.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        };
        let mut written = self.log.stream(self.log.end(), true);
        let mut state = self.state.subscribe();
        // Not a task of the container's own: the last words must reach the reader after its end. The task ends with
        // the log, or when its reader has gone.
        let session = async move {
            let input = async {
                if let Some(forward) = forward {
                    while let Some(bytes) = typed.recv().await {
                        if forward.send(bytes).await.is_err() {
                            break;
                        }
                    }
                }
                std::future::pending::<()>().await;
            };
            let output = async {
                while let Some(piece) = written.next().await {
                    if out.send((piece.output, piece.text)).await.is_err() {
                        return;
                    }
                }
                drop(out);
                let code = match state.wait_for(|state| matches!(state, ContainerState::Exited(_))).await {
                    Ok(state) => match &*state {
                        ContainerState::Exited(exit) => Ok(exit.code),
                        _ => Ok(0),
                    },
                    Err(_) => Err(ApiError::new(Reason::InternalError, "the container is gone")),
                };
                let _ = end.send(code); // nobody may wait for it
            };
            tokio::select! {
                biased;
                () = output => {}
                () = input => {}
            }
        };
        self.place.sessions.lock().unwrap_or_else(PoisonError::into_inner).spawn(session);
        Ok(ExecSession { stdin, output, resize, exit })
    }

    /// What it uses, and the CPU time that it has used so far.
    pub(super) fn used(&self, now: Timestamp) -> (Load, u64) {
        self.meter.read(now)
    }

    /// What it has written over its image, and its log.
    pub(super) fn disk(&self) -> (DiskUsage, DiskUsage) {
        let own = self.files.own();
        let written = DiskUsage {
            bytes: own.bytes.saturating_sub(self.given.bytes),
            inodes: own.inodes.saturating_sub(self.given.inodes),
        };
        (written, DiskUsage { bytes: self.log.size(), inodes: 1 })
    }

    /// The directories that it mounts and that began empty, by the names of their volumes.
    pub(super) fn directories(&self) -> impl Iterator<Item = (&str, &FileTree, Medium)> {
        self.config.mounts.iter().filter_map(|mount| match &mount.source {
            MountSource::Directory(tree, medium) => Some((mount.volume.as_str(), tree, *medium)),
            _ => None,
        })
    }

    /// When it was started, where it runs.
    pub(super) fn started_at(&self) -> Option<Timestamp> {
        match *self.state.borrow() {
            ContainerState::Running { started_at } => Some(started_at),
            _ => None,
        }
    }
}

/// The files in `/etc` that a runtime writes.
fn etc(place: &Place) -> [(&'static str, String); 3] {
    let sandbox = &place.sandbox;
    let (hosts, resolv) = (sandbox.hosts_file(Some(place.ip)), sandbox.dns.resolv_conf());
    [("etc/hosts", hosts), ("etc/resolv.conf", resolv), ("etc/hostname", format!("{}\n", sandbox.hostname))]
}
