//! Leader election: of several processes that could do a job, one does it.

use std::future::Future;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::api::ApiError;
use crate::client::{Api, Client};

/// By how much a candidate's pauses vary, so that candidates do not move in step.
const JITTER: f64 = 1.2;

/// An election over a Lease, by the rules of client-go's `leaderelection`: whoever holds the lease renews it, and who
/// sees it not renewed for its duration may take it. Candidates compare their own observations, not each other's
/// clocks.
///
/// # Guarantees
/// Not that there is never more than one leader: a leader that is cut off notices after [`Election::renew_within`],
/// which must therefore be shorter than [`Election::duration`]. What it writes meanwhile is guarded by the API's own
/// conflicts.
#[derive(Clone, Debug)]
pub struct Election {
    /// The lease's namespace.
    pub namespace: String,
    /// The lease's name.
    pub name: String,
    /// Who this candidate is: different for each.
    pub identity: String,
    /// For how long a lease that is not renewed keeps others out.
    pub duration: Duration,
    /// How long the leader tries to renew before it steps down.
    pub renew_within: Duration,
    /// The pause between tries.
    pub retry: Duration,
}

/// The lease as a candidate last saw it, and when (on its own clock).
#[derive(Debug, Default)]
struct Observed {
    spec: LeaseSpec,
    at: Duration,
}

impl Election {
    /// An election over the lease `name` in `namespace`, with Kubernetes' times: 15 s, 10 s and 2 s.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>, identity: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            identity: identity.into(),
            duration: Duration::from_secs(15),
            renew_within: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }

    /// Waits to be elected, then runs what `lead` gives for as long as this candidate leads, and so on from the
    /// start; until `lead`'s future ends by itself. Then the lease is given back.
    ///
    /// # Cancel safety
    /// Dropping the future ends the leading. The lease lapses after its duration.
    pub async fn run<T, F: Future<Output = T>>(&self, client: &Client, mut lead: impl FnMut() -> F) -> T {
        let leases = client.api::<Lease>(&self.namespace);
        let mut observed = Observed::default();
        loop {
            while !self.tried(&leases, &mut observed).await {
                client.clock().sleep(client.random().jitter(self.retry, JITTER)).await;
            }
            tracing::info!(lease = self.name, identity = self.identity, "leading");
            tokio::select! {
                biased;
                outcome = lead() => {
                    self.release(&leases).await;
                    return outcome;
                }
                () = self.renew(&leases, &mut observed) => {
                    tracing::warn!(lease = self.name, identity = self.identity, "no longer leading");
                }
            }
        }
    }

    /// Renews until that fails for too long.
    async fn renew(&self, leases: &Api<Lease>, observed: &mut Observed) {
        let clock = *leases.client().clock();
        let mut renewed = clock.elapsed();
        loop {
            clock.sleep(self.retry).await;
            let left = self.renew_within.saturating_sub(clock.elapsed() - renewed);
            match tokio::time::timeout(left, self.tried(leases, observed)).await {
                Ok(true) => renewed = clock.elapsed(),
                _ if clock.elapsed() - renewed >= self.renew_within => return,
                _ => {}
            }
        }
    }

    /// Takes or renews the lease; whether this candidate holds it now.
    async fn tried(&self, leases: &Api<Lease>, observed: &mut Observed) -> bool {
        match self.take_or_renew(leases, observed).await {
            Ok(holds) => holds,
            Err(error) => {
                tracing::debug!(lease = self.name, %error, "the lease was not taken");
                false
            }
        }
    }

    async fn take_or_renew(&self, leases: &Api<Lease>, observed: &mut Observed) -> Result<bool, ApiError> {
        let clock = leases.client().clock();
        let mut next = LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(i32::try_from(self.duration.as_secs()).unwrap_or(i32::MAX)),
            acquire_time: Some(clock.micro_time()),
            renew_time: Some(clock.micro_time()),
            lease_transitions: Some(0),
            ..LeaseSpec::default()
        };
        let Some(lease) = leases.get_opt(&self.name).await? else {
            let metadata = ObjectMeta {
                name: Some(self.name.clone()),
                namespace: Some(self.namespace.clone()),
                ..ObjectMeta::default()
            };
            leases.create(Lease { metadata, spec: Some(next.clone()) }).await?;
            *observed = Observed { spec: next, at: clock.elapsed() };
            return Ok(true);
        };
        let current = lease.spec.clone().unwrap_or_default();
        if current != observed.spec {
            *observed = Observed { spec: current.clone(), at: clock.elapsed() };
        }
        let holder = current.holder_identity.as_deref().unwrap_or_default();
        if holder == self.identity {
            next.acquire_time = current.acquire_time;
            next.lease_transitions = current.lease_transitions;
        } else {
            let held = u64::try_from(current.lease_duration_seconds.unwrap_or_default()).unwrap_or_default();
            if !holder.is_empty() && observed.at + Duration::from_secs(held) > clock.elapsed() {
                return Ok(false);
            }
            next.lease_transitions = Some(current.lease_transitions.unwrap_or_default().saturating_add(1));
        }
        // The version that was read comes along: of two that try at once, one gets a conflict.
        leases.update(Lease { metadata: lease.metadata.clone(), spec: Some(next.clone()) }).await?;
        *observed = Observed { spec: next, at: clock.elapsed() };
        Ok(true)
    }

    async fn release(&self, leases: &Api<Lease>) {
        let released = leases.modify(&self.name, |lease| {
            let spec = lease.spec.get_or_insert_default();
            if spec.holder_identity.as_deref() == Some(&self.identity) {
                spec.holder_identity = Some(String::new());
                spec.lease_duration_seconds = Some(1);
            }
        });
        if let Err(error) = released.await {
            tracing::debug!(lease = self.name, %error, "the lease was not given back");
        }
    }
}
