//! The parts of a cluster that can be left out.

use std::fmt;
use std::str::FromStr;

/// A part of a cluster that can be left out, so that another program can take its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Part {
    /// The scheduler.
    Scheduler,
    /// The controllers.
    Controllers,
    /// The node agents.
    Nodes,
    /// The service proxy and cluster DNS.
    Proxy,
}

/// The parts with their names on the command line.
const NAMES: &[(Part, &str)] = &[
    (Part::Scheduler, "scheduler"),
    (Part::Controllers, "controllers"),
    (Part::Nodes, "nodes"),
    (Part::Proxy, "proxy"),
];

/// A name that no part has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no part of a cluster is called {0:?}; there are scheduler, controllers, nodes and proxy")]
pub struct UnknownPart(String);

impl FromStr for Part {
    type Err = UnknownPart;

    fn from_str(text: &str) -> Result<Self, UnknownPart> {
        let found = NAMES.iter().find(|(_, name)| *name == text.trim());
        found.map(|(part, _)| *part).ok_or_else(|| UnknownPart(text.to_owned()))
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAMES.iter().find(|(part, _)| part == self).map_or("", |(_, name)| name))
    }
}
