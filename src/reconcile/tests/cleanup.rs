//! What happens to what is left: owners and dependents, namespaces, endpoints.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Endpoints, Namespace, Pod, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};

use super::{World, parse};
use crate::api::{DeleteOptions, Patch, Propagation};

fn deployment() -> Value {
    json!({
        "metadata": { "name": "web" },
        "spec": {
            "replicas": 2,
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "c", "image": "v1", "ports": [{ "name": "http", "containerPort": 3000 }] }] },
            },
        },
    })
}

async fn counts(world: &World) -> (usize, usize, usize) {
    (world.list::<Deployment>().await.len(), world.list::<ReplicaSet>().await.len(), world.list::<Pod>().await.len())
}

async fn delete(world: &World, propagation: Propagation) {
    let options = DeleteOptions { propagation: Some(propagation), ..DeleteOptions::default() };
    world.client.api::<Deployment>("default").delete_with("web", &options).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn in_the_background_dependents_follow_their_owner() {
    let world = World::new().await;
    world.create::<Deployment>(deployment()).await;
    world.pass(60).await;
    assert_eq!(counts(&world).await, (1, 1, 2));
    delete(&world, Propagation::Background).await;
    assert_eq!(counts(&world).await.0, 0);
    world.pass(10).await;
    assert_eq!(counts(&world).await, (0, 0, 0));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn in_the_foreground_the_owner_goes_last() {
    let world = World::new().await;
    world.create::<Deployment>(deployment()).await;
    world.pass(60).await;
    delete(&world, Propagation::Foreground).await;
    let mut seen = vec![counts(&world).await];
    for _ in 0..100 {
        world.ctx.clock().sleep(std::time::Duration::from_millis(100)).await;
        let now = counts(&world).await;
        // Never a dependent without its owner.
        assert!(now.0 >= now.1.min(1) && (now.1 >= 1 || now.2 == 0), "{now:?} after {seen:?}");
        seen.push(now);
    }
    assert_eq!((seen[0], seen[100]), ((1, 1, 2), (0, 0, 0)));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn orphans_stay_and_can_be_adopted() {
    let world = World::new().await;
    world.create::<Deployment>(deployment()).await;
    world.pass(60).await;
    let pods: Vec<_> = world.list::<Pod>().await.iter().map(|pod| pod.metadata.uid.clone()).collect();
    delete(&world, Propagation::Orphan).await;
    world.pass(10).await;
    assert_eq!(counts(&world).await, (0, 1, 2));
    let set = &world.list::<ReplicaSet>().await[0];
    assert_eq!(set.metadata.owner_references.iter().flatten().count(), 0);
    world.create::<Deployment>(deployment()).await;
    world.pass(30).await;
    assert_eq!(counts(&world).await, (1, 1, 2));
    let kept: Vec<_> = world.list::<Pod>().await.iter().map(|pod| pod.metadata.uid.clone()).collect();
    assert_eq!(pods, kept);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_names_an_owner_that_never_was_goes_and_what_has_another_one_stays() {
    let world = World::new().await;
    let owner = world.create::<ConfigMap>(json!({ "metadata": { "name": "owner" } })).await;
    let reference =
        |name: &str, uid: &str| json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": uid });
    let (real, ghost) = (reference("owner", owner.metadata.uid.as_ref().unwrap()), reference("ghost", "no-such-uid"));
    world.create::<ConfigMap>(json!({ "metadata": { "name": "a", "ownerReferences": [ghost] } })).await;
    world.create::<ConfigMap>(json!({ "metadata": { "name": "b", "ownerReferences": [ghost, real] } })).await;
    world.pass(5).await;
    assert!(world.get::<ConfigMap>("a").await.is_none());
    let b = world.get::<ConfigMap>("b").await.unwrap();
    assert_eq!(b.metadata.owner_references.as_ref().unwrap().len(), 1);
    world.client.api::<ConfigMap>("default").delete("owner").await.unwrap();
    world.pass(5).await;
    assert!(world.get::<ConfigMap>("b").await.is_none());
    world.stop().await;
}

/// More pods are missing than are created in one go, and none can be: that is no reason to try again at once.
#[tokio::test(start_paused = true)]
async fn a_set_rests_where_its_namespace_takes_nothing_any_more() {
    let world = World::with(|name| name.starts_with("replicaset")).await;
    let namespaces = world.client.all::<Namespace>();
    namespaces.create(parse::<Namespace>(json!({ "metadata": { "name": "team" } }))).await.unwrap();
    let sets = world.client.api::<ReplicaSet>("team");
    let pod =
        json!({ "metadata": { "labels": { "app": "a" } }, "spec": { "containers": [{ "name": "a", "image": "a" }] } });
    let spec = json!({ "replicas": 0, "selector": { "matchLabels": { "app": "a" } }, "template": pod });
    sets.create(parse::<ReplicaSet>(json!({ "metadata": { "name": "a" }, "spec": spec }))).await.unwrap();
    namespaces.delete("team").await.unwrap(); // its controller does not run: it stays
    sets.patch("a", Patch::Merge(json!({ "spec": { "replicas": 1200 } }))).await.unwrap();
    world.pass(30).await;
    let status = sets.get("a").await.unwrap().status.clone().unwrap();
    assert_eq!((status.replicas, status.observed_generation, status.conditions), (0, Some(2), None));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_deleted_namespace_empties_and_goes() {
    let world = World::new().await;
    let namespaces = world.client.all::<Namespace>();
    namespaces.create(parse::<Namespace>(json!({ "metadata": { "name": "team" } }))).await.unwrap();
    world.pass(1).await;
    assert!(world.client.api::<ServiceAccount>("team").get_opt("default").await.unwrap().is_some());
    world.client.api::<Deployment>("team").create(parse::<Deployment>(deployment())).await.unwrap();
    world.pass(30).await;
    namespaces.delete("team").await.unwrap();
    world.pass(1).await;
    let going = namespaces.get("team").await.unwrap();
    let status = going.status.clone().unwrap();
    assert_eq!(status.phase.as_deref(), Some("Terminating"));
    let remaining =
        status.conditions.unwrap().into_iter().find(|condition| condition.type_ == "NamespaceContentRemaining");
    assert_eq!(remaining.unwrap().message.unwrap(), "Some resources are remaining: pods. has 2 resource instances");
    world.pass(30).await;
    assert!(namespaces.get_opt("team").await.unwrap().is_none());
    assert!(world.client.api::<Pod>("team").list(&Default::default()).await.unwrap().items.is_empty());
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_service_has_the_endpoints_of_its_ready_pods() {
    let world = World::new().await;
    world.create::<k8s_openapi::api::core::v1::Node>(json!({ "metadata": { "name": "n1" } })).await;
    world.create::<Deployment>(deployment()).await;
    let service = json!({
        "metadata": { "name": "web", "labels": { "tier": "front" } },
        "spec": { "selector": { "app": "web" }, "clusterIP": "None", "ports": [{ "port": 80, "targetPort": "http" }] },
    });
    world.create::<Service>(service).await;
    world.pass(30).await;
    let pods = world.list::<Pod>().await;
    let ips = |pods: &[Arc<Pod>]| {
        let mut ips: Vec<_> = pods.iter().map(|pod| pod.status.as_ref().unwrap().pod_ip.clone().unwrap()).collect();
        ips.sort();
        ips
    };

    let endpoints = world.get::<Endpoints>("web").await.unwrap();
    let subsets = endpoints.subsets.as_ref().unwrap();
    let mut addresses: Vec<_> =
        subsets[0].addresses.as_ref().unwrap().iter().map(|address| address.ip.clone()).collect();
    addresses.sort();
    assert_eq!((subsets.len(), addresses), (1, ips(&pods)));
    assert_eq!(subsets[0].ports.as_ref().unwrap()[0].port, 3000);
    let labels = endpoints.metadata.labels.as_ref().unwrap();
    assert!(labels.contains_key("service.kubernetes.io/headless") && labels["tier"] == "front");

    let slices = world.list::<EndpointSlice>().await;
    assert_eq!(slices.len(), 1);
    assert_eq!(slices[0].metadata.labels.as_ref().unwrap()["kubernetes.io/service-name"], "web");
    let all = slices[0].endpoints.clone().unwrap();
    assert!(all.iter().all(|endpoint| endpoint.conditions.as_ref().unwrap().ready == Some(true)));
    assert_eq!(all.len(), 2);

    // A pod that is being deleted is not ready, but serves and terminates.
    world.client.api::<Pod>("default").delete(pods[0].metadata.name.as_deref().unwrap()).await.unwrap();
    world.ctx.clock().sleep(std::time::Duration::from_millis(500)).await;
    let slice = &world.list::<EndpointSlice>().await[0];
    let going: Vec<_> =
        slice.endpoints.iter().flatten().filter(|e| e.conditions.as_ref().unwrap().terminating == Some(true)).collect();
    let conditions = going[0].conditions.as_ref().unwrap();
    assert_eq!((going.len(), conditions.ready, conditions.serving), (1, Some(false), Some(true)));

    world.client.api::<Service>("default").delete("web").await.unwrap();
    world.pass(5).await;
    assert!(world.get::<Endpoints>("web").await.is_none());
    assert!(world.list::<EndpointSlice>().await.is_empty());
    world.stop().await;
}
