//! Cluster DNS: names of Services and their endpoints, as CoreDNS' `kubernetes` plugin gives them.
//!
//! Source: the [DNS-based service discovery specification](https://github.com/kubernetes/dns/blob/master/docs/specification.md).

mod query;
mod records;
mod respond;
mod server;

pub use self::query::ask;
pub use self::records::{Answer, Zone};
pub use self::server::DnsServer;
