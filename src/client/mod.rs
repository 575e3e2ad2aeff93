//! The client: typed verbs over any [`Backend`], in this process or far away.
//!
//! [`Client`] is what every part of the crate reaches the API through, and nothing else: the same scheduler,
//! controllers and node agents serve a server in the same process (direct calls, shared objects) and one
//! behind HTTPS.

mod api;
mod apply;
mod event;
mod informer;
mod intercept;
#[cfg(feature = "http")]
pub mod remote;
mod rollout;
#[cfg(test)]
mod tests;
mod wait;

use std::sync::Arc;

pub use self::api::{Api, DynamicApi, TypedEvent, TypedList};
pub use self::apply::{Applied, ApplyError};
pub use self::event::{EventRecorder, EventType, reference};
pub use self::informer::{Change, Followed, Informer, Informers, ObjectRef, Subscription};
pub use self::intercept::{Fault, Intercept};
pub use self::rollout::RolloutStatus;
pub use self::wait::WaitError;
use crate::api::{ApiType, Backend, Call, Kind, KindRef, User};
use crate::clock::Clock;
use crate::random::Random;

/// A client: a backend, who calls it, and the clock and randomness that its users share. Cheap to clone.
///
/// ```
/// # async fn run(client: orchestrion::client::Client) -> Result<(), orchestrion::api::ApiError> {
/// use k8s_openapi::api::core::v1::Pod;
/// let pod = client.api::<Pod>("default").get("web-0").await?;
/// println!("{:?}", pod.status.as_ref().and_then(|status| status.phase.as_deref()));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Client(Arc<Shared>);

#[derive(Clone, Debug)]
struct Shared {
    backend: Arc<dyn Backend>,
    call: Call,
    clock: Clock,
    random: Random,
}

impl Client {
    /// A client of `backend`, calling as the administrator.
    pub fn new(backend: Arc<dyn Backend>, clock: Clock, random: Random) -> Self {
        let call = Call::new(Arc::new(User::admin()), "orchestrion");
        Self(Arc::new(Shared { backend, call, clock, random }))
    }

    /// The same client calling as `user`. Only a backend in this process believes it; a remote one knows its
    /// user by the credentials.
    #[must_use]
    pub fn as_user(mut self, user: User) -> Self {
        Arc::make_mut(&mut self.0).call.user = Arc::new(user);
        self
    }

    /// The same client under the name of a component: its user agent, and the source of its events.
    #[must_use]
    pub fn named(mut self, agent: &str) -> Self {
        let shared = Arc::make_mut(&mut self.0);
        shared.call.agent = agent.into();
        shared.random = shared.random.fork(agent);
        self
    }

    /// The same client over another backend: one that wraps this one's, say.
    #[must_use]
    pub fn over(mut self, backend: Arc<dyn Backend>) -> Self {
        Arc::make_mut(&mut self.0).backend = backend;
        self
    }

    /// The backend.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.0.backend
    }

    /// The call that its requests are made with.
    pub fn call(&self) -> &Call {
        &self.0.call
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The source of randomness.
    pub fn random(&self) -> &Random {
        &self.0.random
    }

    /// The objects of type `K` in `namespace`. For cluster-scoped kinds, and for all namespaces at once, see
    /// [`Client::all`].
    pub fn api<K: ApiType>(&self, namespace: &str) -> Api<K> {
        Api::new(self.dynamic(Kind::of::<K>(), namespace))
    }

    /// The objects of a cluster-scoped type, or of a namespaced one in all namespaces.
    pub fn all<K: ApiType>(&self) -> Api<K> {
        self.api("")
    }

    /// The objects of a kind known at run time, in `namespace` (empty: cluster-scoped, or all).
    pub fn dynamic(&self, kind: KindRef, namespace: &str) -> DynamicApi {
        DynamicApi::new(self.clone(), kind, namespace)
    }
}
