//! The programs that a simulated container has: a small shell and what it can run, over the container's environment
//! and files.

mod expand;
mod parse;
mod programs;

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::mpsc;

use super::context::ContainerContext;
use super::log::Log;
use crate::api::Output;

use parse::{Command, Redirect};

/// Where a program's output goes in the end.
#[derive(Clone, Debug)]
pub(super) enum Sink {
    /// The container's log.
    Log(Log),
    /// Whoever runs it.
    Session(mpsc::Sender<(Output, Bytes)>),
    /// A buffer (command substitution).
    Capture(mpsc::Sender<Bytes>),
}

/// Where one of a command's outputs goes.
#[derive(Clone, Debug)]
enum Target {
    Sink(Output),
    Pipe(mpsc::Sender<Bytes>),
    File(String),
    Nothing,
}

/// A command's input.
enum Input {
    /// What the shell itself reads: the session's input.
    Inherited,
    /// What comes through a pipe or from a file.
    Fixed(Bytes),
}

/// A running shell, and the state that its commands share.
pub(super) struct Shell {
    context: ContainerContext,
    sink: Sink,
    input: Option<mpsc::Receiver<Bytes>>,
    unread: Vec<u8>,
    variables: BTreeMap<String, String>,
    arguments: Vec<String>,
    directory: String,
    last: i32,
    exit: Option<i32>,
}

/// Whether a simulated container has that program.
pub(super) fn knows(program: &str) -> bool {
    programs::find(program).is_some()
}

impl Shell {
    /// A shell in a container.
    pub(super) fn new(context: ContainerContext, sink: Sink, input: Option<mpsc::Receiver<Bytes>>) -> Self {
        let variables = context.env().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let directory = format!("/{}", context.working_directory().trim_start_matches('/'));
        Self {
            context,
            sink,
            input,
            unread: Vec::new(),
            variables,
            arguments: vec!["sh".to_owned()],
            directory,
            last: 0,
            exit: None,
        }
    }

    /// Runs a program with its arguments to its end.
    pub(super) async fn run(&mut self, command: &[String]) -> i32 {
        let stdio =
            Stdio { input: Input::Inherited, out: Target::Sink(Output::Stdout), err: Target::Sink(Output::Stderr) };
        let code = self.program(command.to_vec(), stdio).await;
        self.exit.unwrap_or(code)
    }

    /// Runs a list of commands; the exit code is the last one's.
    fn list<'a>(&'a mut self, list: &'a [Command], stdio: &'a Stdio) -> BoxFuture<'a, i32> {
        async move {
            let mut code = 0;
            for command in list {
                code = self.command(command, stdio.share()).await;
                self.last = code;
                if let Some(exit) = self.exit {
                    return exit;
                }
            }
            code
        }
        .boxed()
    }

    fn command<'a>(&'a mut self, command: &'a Command, stdio: Stdio) -> BoxFuture<'a, i32> {
        async move {
            match command {
                Command::Simple { assignments, words, redirects } => {
                    self.simple(assignments, words, redirects, stdio).await
                }
                Command::Pipe(commands) => self.pipe(commands, stdio).await,
                Command::Not(command) => i32::from(self.command(command, stdio).await == 0),
                Command::Chain(first, and, second) => {
                    let code = self.command(first, stdio.share()).await;
                    if self.exit.is_none() && (code == 0) == *and { self.command(second, stdio).await } else { code }
                }
                Command::If(branches, otherwise) => {
                    for (condition, body) in branches {
                        let held = self.list(condition, &stdio).await == 0;
                        if self.exit.is_some() || held {
                            return if self.exit.is_some() { 0 } else { self.list(body, &stdio).await };
                        }
                    }
                    self.list(otherwise, &stdio).await
                }
                Command::Loop(whether, condition, body) => {
                    let mut code = 0;
                    while (self.list(condition, &stdio).await == 0) == *whether && self.exit.is_none() {
                        code = self.list(body, &stdio).await;
                        if self.exit.is_some() {
                            break;
                        }
                        tokio::task::yield_now().await; // an endless loop must not keep the thread
                    }
                    code
                }
                Command::For(name, words, body) => {
                    let mut code = 0;
                    for value in self.expand_all(words).await {
                        self.variables.insert(name.clone(), value);
                        code = self.list(body, &stdio).await;
                        if self.exit.is_some() {
                            break;
                        }
                    }
                    code
                }
                Command::Group(list) => self.list(list, &stdio).await,
            }
        }
        .boxed()
    }

    /// Runs commands one after the other, each reading what the one before has written.
    async fn pipe(&mut self, commands: &[Command], mut stdio: Stdio) -> i32 {
        let Some((last, first)) = commands.split_last() else { return 0 };
        for command in first {
            let (out, piped) = mpsc::channel(PIPE);
            let stage = Stdio { input: stdio.input, out: Target::Pipe(out), err: stdio.err.clone() };
            let (_, written) = tokio::join!(self.command(command, stage), collect(piped));
            stdio.input = Input::Fixed(written);
        }
        self.command(last, stdio).await
    }

    async fn simple(
        &mut self,
        assignments: &[(String, parse::Word)],
        words: &[parse::Word],
        redirects: &[Redirect],
        mut stdio: Stdio,
    ) -> i32 {
        for (name, word) in assignments {
            let value = self.expand_one(word).await;
            self.variables.insert(name.clone(), value);
        }
        for redirect in redirects {
            if let Err(message) = self.redirect(redirect, &mut stdio).await {
                self.write(&stdio.err, format!("sh: {message}\n").into()).await;
                return 1;
            }
        }
        let words = self.expand_all(words).await;
        if words.is_empty() { 0 } else { self.program(words, stdio).await }
    }

    async fn redirect(&mut self, redirect: &Redirect, stdio: &mut Stdio) -> Result<(), String> {
        match redirect {
            Redirect::Input(word) => {
                let path = self.expand_one(word).await;
                let file = self.context.files().read(&self.path(&path));
                let file = file.ok_or_else(|| format!("can't open {path}: no such file"))?;
                stdio.input = Input::Fixed(file.content);
            }
            Redirect::Duplicate { from: 2, .. } => stdio.err = stdio.out.clone(),
            Redirect::Duplicate { .. } => stdio.out = stdio.err.clone(),
            Redirect::Output { from, to, append } => {
                let name = self.expand_one(to).await;
                let path = self.path(&name);
                let target = match path.as_str() {
                    "/dev/null" => Target::Nothing,
                    "/dev/stdout" | "/proc/1/fd/1" => Target::Sink(Output::Stdout),
                    "/dev/stderr" | "/proc/1/fd/2" => Target::Sink(Output::Stderr),
                    _ => {
                        let files = self.context.files();
                        let made = if *append { files.append(&path, b"") } else { files.write(&path, "") };
                        made.map_err(|why| format!("can't create {name}: {why}"))?;
                        Target::File(path)
                    }
                };
                *(if *from == 2 { &mut stdio.err } else { &mut stdio.out }) = target;
            }
        }
        Ok(())
    }

    async fn program(&mut self, words: Vec<String>, stdio: Stdio) -> i32 {
        match programs::find(&words[0]) {
            Some(program) => program(self, words, stdio).await,
            None => {
                self.write(&stdio.err, format!("sh: {}: not found\n", words[0]).into()).await;
                127
            }
        }
    }

    /// A path as the current directory has it.
    fn path(&self, path: &str) -> String {
        let joined = if path.starts_with('/') { path.to_owned() } else { format!("{}/{path}", self.directory) };
        format!("/{}", crate::runtime::files::normal(&joined))
    }

    async fn write(&self, target: &Target, bytes: Bytes) {
        // A reader that has gone is no concern of the program here: it ends with its session or container.
        match target {
            Target::Nothing => {}
            Target::Pipe(pipe) => drop(pipe.send(bytes).await),
            Target::File(path) => drop(self.context.files().append(path, &bytes)),
            Target::Sink(output) => match &self.sink {
                Sink::Log(log) => log.write(*output, &bytes),
                Sink::Session(session) => drop(session.send((*output, bytes)).await),
                Sink::Capture(_) if *output == Output::Stderr => {}
                Sink::Capture(pipe) => drop(pipe.send(bytes).await),
            },
        }
    }

    /// The next line that is typed; `None` at the end of the input.
    async fn read_line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return Some(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            match self.input.as_mut()?.recv().await {
                Some(bytes) if bytes[..] == [4] && self.unread.is_empty() => return None, // ^D
                Some(bytes) => self.unread.extend_from_slice(&bytes),
                None if self.unread.is_empty() => return None,
                None => self.unread.push(b'\n'),
            }
        }
    }
}

/// Pieces that a pipe holds before its writer waits.
const PIPE: usize = 16;

/// A command's input and outputs.
struct Stdio {
    input: Input,
    out: Target,
    err: Target,
}

impl Stdio {
    fn share(&self) -> Self {
        let input = match &self.input {
            Input::Inherited => Input::Inherited,
            Input::Fixed(bytes) => Input::Fixed(bytes.clone()),
        };
        Self { input, out: self.out.clone(), err: self.err.clone() }
    }
}

async fn collect(mut pipe: mpsc::Receiver<Bytes>) -> Bytes {
    let mut all = Vec::new();
    while let Some(bytes) = pipe.recv().await {
        all.extend_from_slice(&bytes);
    }
    all.into()
}
