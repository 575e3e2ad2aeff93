//! A cluster of its own for each test: the shipped example, driven by the real kubectl.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A running `examples/cluster` and the kubectl that talks to it. Ends with SIGTERM when dropped.
pub(crate) struct Cluster {
    process: Child,
    pub(crate) server: String,
    pub(crate) dir: PathBuf,
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
    command: String,
}

impl Ran {
    /// Its output; fails the test where the command failed.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "`{}` failed\n{}{}", self.command, self.out, self.err);
        self.out
    }

    /// Its error text; fails the test where the command succeeded.
    #[track_caller]
    pub(crate) fn fails(self) -> String {
        assert_ne!(self.code, 0, "`{}` succeeded\n{}", self.command, self.out);
        self.err
    }
}

/// The folder of the built examples, beside that of the test binaries.
pub(crate) fn examples() -> PathBuf {
    let test = env::current_exe().expect("the path of the test");
    test.ancestors().nth(2).expect("target/PROFILE/deps").join("examples")
}

/// What the IDs of containers begin with.
pub(crate) fn scheme() -> String {
    env::var("TEST_RUNTIME").unwrap_or_else(|_| "memory".to_owned())
}

pub(crate) fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}

impl Cluster {
    /// A cluster of three nodes.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(options: &[&str]) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let unique = format!("orchestrion-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = env::temp_dir().join(&unique);
        fs::create_dir_all(&dir).expect("a folder for the test");
        let program = examples().join("cluster");
        // Also with real containers: `TEST_RUNTIME=docker`.
        let runtime = env::var("TEST_RUNTIME").map(|name| ["--runtime".to_owned(), name, "--name".to_owned(), unique]);
        let runtime = runtime.into_iter().flatten();
        let mut process = Command::new(&program)
            .args(["--listen", "127.0.0.1:0", "--nodes", "3", "--kubeconfig"])
            .arg(dir.join("kubeconfig"))
            .args(runtime)
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error} (cargo build --examples makes it)", program.display()));
        let mut lines = BufReader::new(process.stdout.take().expect("its output")).lines();
        let server = loop {
            let line = lines.next().expect("`ready` before the end").expect("text");
            if let Some(server) = line.strip_prefix("ready ") {
                break server.to_owned();
            }
        };
        Self { process, server, dir }
    }

    /// A command that talks to this cluster.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env::var_os("KUBECTL").unwrap_or_else(|| "kubectl".into()));
        command
            .args(arguments)
            .env("KUBECONFIG", self.dir.join("kubeconfig"))
            .env("KUBECACHEDIR", self.dir.join("cache"))
            .env("HOME", &self.dir)
            .current_dir(&self.dir);
        command
    }

    /// Runs kubectl with the words of `line`; single quotes keep words together.
    pub(crate) fn run(&self, line: &str) -> Ran {
        self.run_with(line, "", &[])
    }

    pub(crate) fn run_with(&self, line: &str, input: &str, env: &[(&str, &str)]) -> Ran {
        let words = words(line);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let mut command = self.command(&words);
        for (name, value) in env {
            command.env(name, value);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl in PATH (./test installs one)");
        // A command that reads no input may have closed it.
        let _ = child.stdin.take().expect("its input").write_all(input.as_bytes());
        let output = child.wait_with_output().expect("kubectl to end");
        Ran {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            command: format!("kubectl {line}"),
        }
    }

    /// Runs kubectl and gives its output; the command must succeed.
    #[track_caller]
    pub(crate) fn ok(&self, line: &str) -> String {
        self.run(line).ok()
    }

    /// Runs kubectl and gives its error text; the command must fail.
    #[track_caller]
    pub(crate) fn fails(&self, line: &str) -> String {
        self.run(line).fails()
    }

    /// Writes a file into the cluster's folder.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.dir.join(name);
        fs::write(&path, text).expect("to write a file");
        path.display().to_string()
    }

    /// Three ready pods of the notes' Deployment.
    pub(crate) fn myapp(&self) {
        self.ok(&format!("apply -f {}", fixture("myapp.yaml")));
        self.ok("rollout status deployment myapp --timeout 60s");
    }

    /// The name of the first pod with that label.
    pub(crate) fn pod(&self, label: &str) -> String {
        self.ok(&format!("get pod -l {label} -o jsonpath={{.items[0].metadata.name}}"))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let ended = self.process.wait();
        let _ = fs::remove_dir_all(&self.dir);
        if !std::thread::panicking() {
            assert!(ended.is_ok_and(|status| status.success()), "the cluster ends cleanly on SIGTERM");
        }
    }
}

fn words(line: &str) -> Vec<String> {
    let mut words = vec![];
    let mut word: Option<String> = None;
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

/// Whether a line of `text` has these words in this order, other words between.
pub(crate) fn has_line(text: &str, wanted: &[&str]) -> bool {
    text.lines().any(|line| {
        let mut columns = line.split_whitespace();
        wanted.iter().all(|word| columns.any(|column| column == *word))
    })
}

#[track_caller]
pub(crate) fn assert_has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}
