//! Controllers over a real server, in virtual time.

mod cleanup;
mod expiry;
mod nodes;
mod predicate;
mod repeat;
mod rollout;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Event, Pod};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::controllers::{Settings, start};
use super::{Action, Context, Controller, Error, Reconciler, Running};
use crate::api::{ApiType, ListOptions, Patch};
use crate::client::Client;
use crate::clock::Clock;
use crate::random::Random;
use crate::server::Server;
use crate::store::MemoryStore;

/// Controllers that need nodes which report.
const NODES: &[&str] = &["node-lifecycle-controller", "pod-garbage-collector-controller", "taint-eviction-controller"];

/// A server, controllers, and a stand-in for scheduler and node agents.
pub(super) struct World {
    pub(super) client: Client,
    pub(super) ctx: Context,
    running: Running,
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(|name| !NODES.contains(&name)).await
    }

    pub(super) async fn with(wanted: impl Fn(&str) -> bool) -> Self {
        let clock = Clock::starting_at("2026-01-01T00:00:00Z".parse().unwrap());
        let random = Random::seeded(1);
        let server = Server::builder(Arc::new(MemoryStore::default())).clock(clock).random(random.fork("server"));
        let client = Client::new(Arc::new(server.start().await.unwrap()), clock, random);
        let ctx = Context::new(client.clone());
        let running = start(&ctx, &Settings::default(), wanted).and(Controller::new("kubelet", Kubelet).start(&ctx));
        let world = Self { client, ctx, running };
        world.pass(1).await;
        world
    }

    /// Lets so many seconds pass, and everything happen that happens in them.
    pub(super) async fn pass(&self, seconds: u64) {
        self.ctx.clock().sleep(Duration::from_secs(seconds)).await;
    }

    pub(super) async fn create<K: ApiType>(&self, object: Value) -> Arc<K> {
        self.client.api::<K>("default").create(parse::<K>(object)).await.unwrap()
    }

    pub(super) async fn patch<K: ApiType>(&self, name: &str, patch: Value) -> Arc<K> {
        self.client.api::<K>("default").patch(name, Patch::Merge(patch)).await.unwrap()
    }

    pub(super) async fn get<K: ApiType>(&self, name: &str) -> Option<Arc<K>> {
        self.client.api::<K>("default").get_opt(name).await.unwrap()
    }

    pub(super) async fn list<K: ApiType>(&self) -> Vec<Arc<K>> {
        self.client.api::<K>("default").list(&ListOptions::default()).await.unwrap().items
    }

    /// The events, oldest first: `reason: message`.
    pub(super) async fn events(&self, about: &str) -> Vec<String> {
        let mut events = self.list::<Event>().await;
        events.retain(|event| event.involved_object.name.as_deref() == Some(about));
        events.sort_by_key(|event| event.metadata.resource_version.as_ref().map(|text| text.parse::<u64>().unwrap()));
        let text =
            |event: &Arc<Event>| format!("{}: {}", event.reason.as_deref().unwrap(), event.message.as_deref().unwrap());
        events.iter().map(text).collect()
    }

    pub(super) async fn stop(self) {
        self.running.stop().await;
    }
}

pub(super) fn parse<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

/// Runs every pod on node `n1`: ready a second after it is seen, unless its image is `broken`; gone a second after
/// it is deleted.
#[derive(Debug)]
struct Kubelet;

#[async_trait::async_trait]
impl Reconciler for Kubelet {
    type Object = Pod;

    async fn reconcile(&self, pod: Arc<Pod>, ctx: &Context) -> Result<Action, Error> {
        let name = pod.metadata.name.as_deref().unwrap();
        let pods = ctx.client().api::<Pod>(pod.metadata.namespace.as_deref().unwrap());
        let phase = super::pod::phase(&pod);
        if pod.metadata.deletion_timestamp.is_some() {
            ctx.clock().sleep(Duration::from_secs(1)).await;
            let options = crate::api::DeleteOptions { grace_period: Some(0), ..Default::default() };
            let _ = pods.delete_with(name, &options).await;
        } else if pod.spec.as_ref().unwrap().node_name.is_none() {
            pods.bind(name, None, "n1").await?;
        } else if phase != "Running" {
            ctx.clock().sleep(Duration::from_secs(1)).await;
            let ready = if pod.spec.as_ref().unwrap().containers[0].image.as_deref() == Some("broken") {
                "False"
            } else {
                "True"
            };
            let now = ctx.clock().now().to_string();
            let ip = format!("10.0.0.{}", 1 + ctx.random().below(250));
            pods.patch_status(
                name,
                Patch::Merge(json!({ "status": {
                    "phase": "Running", "podIP": ip, "podIPs": [{ "ip": ip }],
                    "conditions": [{ "type": "Ready", "status": ready, "lastTransitionTime": now }],
                } })),
            )
            .await?;
        }
        Ok(Action::Done)
    }
}
