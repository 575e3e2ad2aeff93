//! The options of a benchmark.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use lexopt::prelude::*;

/// The options of a benchmark: `--name value`, or `--name` alone for a switch.
pub(crate) struct Options(BTreeMap<String, String>);

impl Options {
    /// Reads the command line. Ends the process where it has an option that is none of `known`.
    pub(crate) fn read(known: &[&str]) -> Self {
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
    pub(crate) fn get<T: FromStr<Err: Display>>(&self, name: &str, default: T) -> T {
        self.find(name).unwrap_or(default)
    }

    /// The value of an option that was given.
    pub(crate) fn find<T: FromStr<Err: Display>>(&self, name: &str) -> Option<T> {
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
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}
