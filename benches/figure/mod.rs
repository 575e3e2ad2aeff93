//! How benchmarks are told what to measure, and how they report: one JSON object a line.

#![allow(dead_code, reason = "each benchmark uses its part")]

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, Instant};

use lexopt::prelude::*;

/// The options of a benchmark: `--name value`, or `--name` alone for a switch.
pub struct Options(BTreeMap<String, String>);

impl Options {
    /// Reads the command line. Ends the process where it has an option that is none of `known`.
    pub fn read(known: &[&str]) -> Self {
        match Self::parse(known) {
            Ok(options) => options,
            Err(error) => {
                eprintln!("{error}\noptions: {}", known.join(" "));
                std::process::exit(2);
            }
        }
    }

    fn parse(known: &[&str]) -> Result<Self, lexopt::Error> {
        let mut options = BTreeMap::new();
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("bench") => {} // cargo says so to every benchmark
                Long(name) if known.contains(&name) => {
                    let name = name.to_owned();
                    let value = arguments.optional_value().or_else(|| arguments.values().ok()?.next());
                    options.insert(name, value.map(|value| value.string()).transpose()?.unwrap_or_default());
                }
                other => return Err(other.unexpected()),
            }
        }
        Ok(Self(options))
    }

    /// The value of an option, or its default.
    pub fn get<T: FromStr<Err: Display>>(&self, name: &str, default: T) -> T {
        self.find(name).unwrap_or(default)
    }

    /// The value of an option that was given.
    pub fn find<T: FromStr<Err: Display>>(&self, name: &str) -> Option<T> {
        let text = self.0.get(name)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                eprintln!("--{name} {text}: {error}");
                std::process::exit(2);
            }
        }
    }

    /// Whether a switch was given.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

/// Prints a figure: what was measured, at which sizes, and how much it was.
pub fn report(name: &str, sizes: &[(&str, usize)], value: f64, unit: &str) {
    let sizes: String = sizes.iter().map(|(name, size)| format!(r#""{name}":{size},"#)).collect();
    let digits = if value.abs() >= 100.0 { 0 } else { 3 };
    println!(r#"{{"name":"{name}",{sizes}"value":{value:.digits$},"unit":"{unit}"}}"#);
}

/// The time now, for a benchmark.
#[allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// The quantile `q` (0 to 1) of what was measured.
pub fn quantile(times: &mut [Duration], q: f64) -> Duration {
    times.sort_unstable();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
    let at = ((times.len().saturating_sub(1)) as f64 * q).round() as usize;
    times.get(at).copied().unwrap_or_default()
}

/// The resident memory of a process (`self`, or its number) in bytes.
pub fn resident(process: impl Display) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok()).unwrap_or_default() * 1024
}

/// The time that a process (`self`, or its number) has spent on processors.
pub fn spent(process: impl Display) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let of = |task: &Path| {
        let text = std::fs::read_to_string(task.join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|first| first.parse().ok()).map(Duration::from_nanos).unwrap_or_default()
    };
    tasks.map(|task| of(&task.path())).sum()
}
