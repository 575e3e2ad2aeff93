//! Which endpoint the next client gets: round robin, or the one it had before.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How many clients' endpoints are remembered at most for one frontend.
const REMEMBERED: usize = 16_384;

/// Chooses endpoints in turn; with affinity, a client comes back to its own.
#[derive(Debug, Default)]
pub struct Balancer {
    endpoints: Vec<SocketAddr>,
    affinity: Option<Duration>,
    next: usize,
    clients: BTreeMap<IpAddr, (SocketAddr, Duration)>,
}

impl Balancer {
    /// Takes new endpoints. Clients whose endpoint is gone get another.
    pub fn set(&mut self, endpoints: Vec<SocketAddr>, affinity: Option<Duration>) {
        self.clients.retain(|_, (endpoint, _)| affinity.is_some() && endpoints.contains(endpoint));
        self.endpoints = endpoints;
        self.affinity = affinity;
    }

    /// The endpoints to try for `client`, best first, each once; empty where there are none. `now` is any
    /// monotonic reading.
    pub fn choose(&mut self, client: IpAddr, now: Duration) -> Vec<SocketAddr> {
        let count = self.endpoints.len();
        if count == 0 {
            return Vec::new();
        }
        let mut order: Vec<_> = (0..count).map(|step| self.endpoints[(self.next + step) % count]).collect();
        let Some(timeout) = self.affinity else {
            self.next = (self.next + 1) % count;
            return order;
        };
        let known = self.clients.get(&client).filter(|(_, seen)| now.saturating_sub(*seen) < timeout);
        if let Some(at) = known.and_then(|(endpoint, _)| order.iter().position(|other| other == endpoint)) {
            order.swap(0, at);
        } else {
            self.next = (self.next + 1) % count;
        }
        if self.clients.len() >= REMEMBERED {
            self.clients.retain(|_, (_, seen)| now.saturating_sub(*seen) < timeout);
        }
        if self.clients.len() < REMEMBERED {
            self.clients.insert(client, (order[0], now));
        }
        order
    }

    /// A client was in the end served by `endpoint`.
    pub fn served(&mut self, client: IpAddr, endpoint: SocketAddr, now: Duration) {
        if self.affinity.is_some() {
            self.clients.insert(client, (endpoint, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn balancer(affinity: Option<Duration>) -> Balancer {
        let mut balancer = Balancer::default();
        balancer.set((1..=3).map(|n| SocketAddr::from(([127, 0, 0, n], 80))).collect(), affinity);
        balancer
    }

    #[test]
    fn endpoints_take_turns() {
        let mut balancer = balancer(None);
        let client = IpAddr::from([127, 0, 0, 1]);
        let first: Vec<_> = (0..4).map(|_| balancer.choose(client, Duration::ZERO)[0].to_string()).collect();
        assert_eq!(first, ["127.0.0.1:80", "127.0.0.2:80", "127.0.0.3:80", "127.0.0.1:80"]);
    }

    #[test]
    fn a_client_with_affinity_keeps_its_endpoint_until_it_stays_away_too_long() {
        let mut balancer = balancer(Some(Duration::from_secs(10)));
        let (a, b) = (IpAddr::from([127, 0, 0, 8]), IpAddr::from([127, 0, 0, 9]));
        let of_a = balancer.choose(a, Duration::ZERO)[0];
        let of_b = balancer.choose(b, Duration::ZERO)[0];
        assert_ne!(of_a, of_b);
        assert_eq!(balancer.choose(a, Duration::from_secs(9))[0], of_a);
        assert_eq!(balancer.choose(a, Duration::from_secs(18))[0], of_a, "each visit renews it");
        assert_ne!(balancer.choose(a, Duration::from_secs(28))[0], of_a);
    }

    #[test]
    fn a_client_whose_endpoint_is_gone_gets_another() {
        let mut balancer = balancer(Some(Duration::from_secs(10)));
        let client = IpAddr::from([127, 0, 0, 8]);
        let gone = balancer.choose(client, Duration::ZERO)[0];
        let left = balancer.endpoints.iter().copied().filter(|endpoint| *endpoint != gone).collect();
        balancer.set(left, Some(Duration::from_secs(10)));
        assert_ne!(balancer.choose(client, Duration::ZERO)[0], gone);
    }
}
