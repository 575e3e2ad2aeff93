//! Images for simulations: what a container of an image does, said rather than programmed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;

use super::context::{ContainerContext, Program};
use super::health::Health;
use super::machine::Load;
use super::serve::{DefaultProgram, Server};
use crate::runtime::image::qualified;
use crate::runtime::{File, FileTree};

/// How long a default server goes on after it is asked to end.
const DRAIN: Duration = Duration::from_secs(1);

/// An image: its program, and how fetching and starting it goes.
///
/// ```
/// # use std::time::Duration;
/// use orchestrion::runtime::memory::{ContainerContext, SimulatedImage};
/// let crashing = SimulatedImage::new(|_: ContainerContext| async { 1 }).with_start_latency(Duration::from_secs(2));
/// let missing = SimulatedImage::server().with_pull_failure("not found");
/// ```
#[derive(Clone)]
pub struct SimulatedImage {
    pub(super) program: Arc<dyn Program>,
    pub(super) pull_latency: Duration,
    pub(super) pull_failure: Option<String>,
    pub(super) start_latency: Duration,
    pub(super) start_failure: Option<String>,
    pub(super) size: u64,
    pub(super) user: String,
    pub(super) files: BTreeMap<String, File>,
    pub(super) load: Load,
}

impl fmt::Debug for SimulatedImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedImage")
            .field("pull_latency", &self.pull_latency)
            .field("pull_failure", &self.pull_failure)
            .field("start_latency", &self.start_latency)
            .field("start_failure", &self.start_failure)
            .finish_non_exhaustive()
    }
}

impl SimulatedImage {
    /// An image that runs `program`: an `async fn(ContainerContext) -> i32`, or a [`Script`].
    pub fn new(program: impl Program) -> Self {
        Self {
            program: Arc::new(program),
            pull_latency: Duration::ZERO,
            pull_failure: None,
            start_latency: Duration::ZERO,
            start_failure: None,
            size: 64 << 20,
            user: String::new(),
            files: BTreeMap::new(),
            load: Load::default(),
        }
    }

    /// An image whose containers run what the pod's `command` says, where it is one of the simulated programs, and
    /// otherwise listen on their declared ports and answer HTTP with their pod's name, namespace, image and node.
    pub fn server() -> Self {
        Self::draining_server(DRAIN)
    }

    /// The same; asked to end, it goes on for `drain`, so that those who route to it notice in time.
    pub fn draining_server(drain: Duration) -> Self {
        Self::new(Arc::new(DefaultProgram { drain }))
    }

    /// Fetching it takes that long.
    #[must_use]
    pub fn with_pull_latency(mut self, latency: Duration) -> Self {
        self.pull_latency = latency;
        self
    }

    /// Fetching it fails.
    #[must_use]
    pub fn with_pull_failure(mut self, why: impl Into<String>) -> Self {
        self.pull_failure = Some(why.into());
        self
    }

    /// Starting a container takes that long.
    #[must_use]
    pub fn with_start_latency(mut self, latency: Duration) -> Self {
        self.start_latency = latency;
        self
    }

    /// Starting a container fails.
    #[must_use]
    pub fn with_start_failure(mut self, why: impl Into<String>) -> Self {
        self.start_failure = Some(why.into());
        self
    }

    /// The image's size in bytes.
    #[must_use]
    pub fn with_size(mut self, bytes: u64) -> Self {
        self.size = bytes;
        self
    }

    /// The user that its program runs as: a number, or a name; root where empty.
    #[must_use]
    pub fn with_user(mut self, user: impl Into<String>) -> Self {
        self.user = user.into();
        self
    }

    /// A file that the image contains.
    #[must_use]
    pub fn with_file(mut self, path: impl Into<String>, file: File) -> Self {
        self.files.insert(path.into(), file);
        self
    }

    /// What a container uses: thousandths of a core, and bytes. A container may change it later
    /// ([`ContainerContext::change_load`], [`Script::using`]), and the test over it
    /// ([`MemoryRuntime::change_load`](super::MemoryRuntime::change_load)).
    #[must_use]
    pub fn with_usage(mut self, cpu_millis: u64, memory_bytes: u64) -> Self {
        (self.load.cpu_millis, self.load.memory_bytes) = (cpu_millis, memory_bytes);
        self
    }

    /// A fresh copy of the image's files.
    pub(super) fn layer(&self) -> FileTree {
        let tree: FileTree = self.files.clone().into_iter().collect();
        tree.make_directory("tmp");
        tree.make_directory("etc");
        tree
    }
}

#[derive(Clone, Debug)]
enum Step {
    Wait(Duration),
    Print(String),
    Write(String, String),
    Remove(String),
    Health(bool),
    Use(u64, u64),
    Exit(i32),
}

/// A program in steps. After the last step it waits until it is asked to end and exits with 0; with
/// [`Script::serving`] it answers HTTP on its declared ports from the first step on.
///
/// ```
/// # use std::time::Duration;
/// use orchestrion::runtime::memory::{Script, SimulatedImage};
/// // Ready after 5 s (for a probe that looks for the file), and broken after a minute.
/// let script = Script::new()
///     .wait(Duration::from_secs(5))
///     .write("/tmp/ready", "")
///     .wait(Duration::from_secs(60))
///     .print("out of luck")
///     .exit(1);
/// let image = SimulatedImage::new(script);
/// // Fails on its first two starts, then serves.
/// let image = SimulatedImage::new(Script::new().serving().failing(2, 1));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Script {
    steps: Vec<Step>,
    serves: bool,
    failures: Option<(u32, i32)>,
}

impl Script {
    /// A script without steps.
    pub fn new() -> Self {
        Self::default()
    }

    fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Waits.
    #[must_use]
    pub fn wait(self, duration: Duration) -> Self {
        self.then(Step::Wait(duration))
    }

    /// Writes a line to the log.
    #[must_use]
    pub fn print(self, line: impl Into<String>) -> Self {
        self.then(Step::Print(line.into()))
    }

    /// Writes a file.
    #[must_use]
    pub fn write(self, path: impl Into<String>, content: impl Into<String>) -> Self {
        self.then(Step::Write(path.into(), content.into()))
    }

    /// Removes a file.
    #[must_use]
    pub fn remove(self, path: impl Into<String>) -> Self {
        self.then(Step::Remove(path.into()))
    }

    /// From here on, a script that is [`serving`](Script::serving) says that it is well, as it does at first.
    #[must_use]
    pub fn healthy(self) -> Self {
        self.then(Step::Health(true))
    }

    /// From here on, a script that is [`serving`](Script::serving) says that it is not well: it answers HTTP with
    /// 503, and gRPC's health checks with `NOT_SERVING`.
    #[must_use]
    pub fn unhealthy(self) -> Self {
        self.then(Step::Health(false))
    }

    /// From here on, it uses so many thousandths of a core and so many bytes of memory.
    #[must_use]
    pub fn using(self, cpu_millis: u64, memory_bytes: u64) -> Self {
        self.then(Step::Use(cpu_millis, memory_bytes))
    }

    /// Ends with that code.
    #[must_use]
    pub fn exit(self, code: i32) -> Self {
        self.then(Step::Exit(code))
    }

    /// Answers HTTP and gRPC's health checks on the declared ports meanwhile.
    #[must_use]
    pub fn serving(mut self) -> Self {
        self.serves = true;
        self
    }

    /// Ends at once with `code` on the first `times` starts.
    #[must_use]
    pub fn failing(mut self, times: u32, code: i32) -> Self {
        self.failures = Some((times, code));
        self
    }

    async fn play(self, context: ContainerContext) -> i32 {
        if let Some((times, code)) = self.failures
            && context.attempt() < times
        {
            return code;
        }
        let health = Health::default();
        let steps = async {
            for step in &self.steps {
                match step {
                    Step::Wait(duration) => context.clock().sleep(*duration).await,
                    Step::Print(line) => context.print(line),
                    // A read-only file system refuses, as it would a real program that does not care.
                    Step::Write(path, content) => drop(context.files().write(path, content.clone())),
                    Step::Remove(path) => drop(context.files().remove(path)),
                    Step::Health(good) => health.set(*good),
                    Step::Use(cpu_millis, memory_bytes) => context.change_load(|load| {
                        (load.cpu_millis, load.memory_bytes) = (*cpu_millis, *memory_bytes);
                    }),
                    Step::Exit(code) => return *code,
                }
            }
            std::future::pending().await
        };
        let idle = async {
            if self.serves {
                return Server::new(context.clone(), DRAIN, health.clone()).run().await;
            }
            context.terminated().await;
            0
        };
        tokio::select! {
            biased;
            code = idle => code,
            code = steps => code,
        }
    }
}

impl Program for Script {
    fn run(&self, context: ContainerContext) -> BoxFuture<'static, i32> {
        Box::pin(self.clone().play(context))
    }
}

/// The images that runtimes can fetch: a registry. Clones are the same registry, so the nodes of a cluster share one.
#[derive(Clone, Debug)]
pub struct Registry(Arc<Mutex<Shelf>>);

#[derive(Debug)]
struct Shelf {
    images: BTreeMap<String, SimulatedImage>,
    default: Option<SimulatedImage>,
}

impl Default for Registry {
    /// A registry in which every image that nobody described is [`SimulatedImage::server`].
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Shelf { images: BTreeMap::new(), default: Some(SimulatedImage::server()) })))
    }
}

impl Registry {
    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Describes an image. A name without a tag stands for all tags that are not described themselves.
    pub fn add(&self, name: &str, image: SimulatedImage) {
        self.shelf().images.insert(name.to_owned(), image);
    }

    /// Makes `program` the image of that name.
    pub fn add_function(&self, name: &str, program: impl Program) {
        self.add(name, SimulatedImage::new(program));
    }

    /// What images are that nobody described; with `None` they cannot be found.
    pub fn set_default(&self, image: Option<SimulatedImage>) {
        self.shelf().default = image;
    }

    /// The image of that name.
    pub(super) fn find(&self, name: &str) -> Option<SimulatedImage> {
        let full = qualified(name)?;
        let shelf = self.shelf();
        let described =
            |full: &str| shelf.images.iter().rev().find(|(name, _)| matches(name, full)).map(|(_, image)| image);
        let exact = shelf.images.get(name);
        exact.or_else(|| described(&full)).or(shelf.default.as_ref()).cloned()
    }
}

/// Whether a described name stands for the image of that full name.
fn matches(name: &str, full: &str) -> bool {
    let tagged = name.rsplit('/').next().is_some_and(|last| last.contains([':', '@']));
    match qualified(name) {
        None => false,
        Some(described) if tagged => described == full,
        Some(described) => {
            let repository = described.strip_suffix(":latest").unwrap_or(&described);
            full.strip_prefix(repository).is_some_and(|rest| rest.starts_with([':', '@']))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_tag_stands_for_all_tags() {
        assert!(matches("nginx", "docker.io/library/nginx:1.25"));
        assert!(matches("nginx:1.25", "docker.io/library/nginx:1.25"));
        assert!(!matches("nginx:1.25", "docker.io/library/nginx:1.26"));
        assert!(!matches("nginx", "docker.io/library/nginx-extra:1"));
    }
}
