//! Rollouts of Deployments, down to the pods.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::World;

fn deployment(name: &str, replicas: i32, image: &str) -> Value {
    json!({
        "metadata": { "name": name, "labels": { "app": name } },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": name } },
            "strategy": { "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{ "name": "c", "image": image }] },
            },
        },
    })
}

fn image(image: &str) -> Value {
    json!({ "spec": { "template": { "spec": { "containers": [{ "name": "c", "image": image }] } } } })
}

fn condition(deployment: &Deployment, type_: &str) -> (String, String) {
    let conditions = deployment.status.as_ref().unwrap().conditions.as_ref().unwrap();
    let found = conditions.iter().find(|condition| condition.type_ == type_).unwrap();
    (found.status.clone(), found.reason.clone().unwrap())
}

fn revision(meta: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta) -> String {
    meta.annotations.as_ref().unwrap()["deployment.kubernetes.io/revision"].clone()
}

/// ReplicaSets as `revision: size`, in the order of revisions.
async fn sizes(world: &World) -> Vec<String> {
    let mut sets = world.list::<ReplicaSet>().await;
    sets.sort_by_key(|set| revision(&set.metadata));
    let size = |set: &Arc<ReplicaSet>| {
        format!("{}: {}", revision(&set.metadata), set.spec.as_ref().unwrap().replicas.unwrap())
    };
    sets.iter().map(size).collect()
}

#[tokio::test(start_paused = true)]
async fn a_deployment_becomes_pods() {
    let world = World::new().await;
    world.create::<Deployment>(deployment("web", 3, "v1")).await;
    world.pass(60).await;
    let web = world.get::<Deployment>("web").await.unwrap();
    let status = web.status.clone().unwrap();
    assert_eq!((status.replicas, status.ready_replicas, status.available_replicas), (Some(3), Some(3), Some(3)));
    assert_eq!((status.updated_replicas, status.unavailable_replicas), (Some(3), None));
    assert_eq!(status.observed_generation, web.metadata.generation);
    assert_eq!(revision(&web.metadata), "1");
    assert_eq!(condition(&web, "Progressing"), ("True".to_owned(), "NewReplicaSetAvailable".to_owned()));
    assert_eq!(condition(&web, "Available"), ("True".to_owned(), "MinimumReplicasAvailable".to_owned()));

    let sets = world.list::<ReplicaSet>().await;
    let set = sets[0].metadata.name.as_deref().unwrap();
    assert_eq!(world.events("web").await, [format!("ScalingReplicaSet: Scaled up replica set {set} from 0 to 3")]);
    let pods = world.list::<Pod>().await;
    assert_eq!(pods.len(), 3);
    let events = world.events(set).await;
    let created =
        pods.iter().map(|pod| format!("SuccessfulCreate: Created pod: {}", pod.metadata.name.as_ref().unwrap()));
    for event in created {
        assert!(events.contains(&event), "{event} in {events:?}");
    }
    let hash = &sets[0].metadata.labels.as_ref().unwrap()["pod-template-hash"];
    assert_eq!(set, format!("web-{hash}"));
    assert!(pods.iter().all(|pod| pod.metadata.labels.as_ref().unwrap()["pod-template-hash"] == *hash));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_rolling_update_never_falls_short_and_can_be_undone() {
    let world = World::new().await;
    world.create::<Deployment>(deployment("web", 3, "v1")).await;
    world.pass(60).await;
    world.patch::<Deployment>("web", image("v2")).await;
    for _ in 0..30 {
        world.pass(1).await;
        let status = world.get::<Deployment>("web").await.unwrap().status.clone().unwrap();
        assert!(status.available_replicas >= Some(3) && status.replicas <= Some(4), "{status:?}");
    }
    assert_eq!(sizes(&world).await, ["1: 0", "2: 3"]);
    world.patch::<Deployment>("web", image("v1")).await;
    world.pass(30).await;
    assert_eq!(sizes(&world).await, ["2: 0", "3: 3"]);
    let web = world.get::<Deployment>("web").await.unwrap();
    assert_eq!(revision(&web.metadata), "3");
    let sets = world.list::<ReplicaSet>().await;
    let back = sets.iter().find(|set| revision(&set.metadata) == "3").unwrap();
    assert_eq!(back.metadata.annotations.as_ref().unwrap()["deployment.kubernetes.io/revision-history"], "1");
    let names: Vec<_> = sets.iter().map(|set| (revision(&set.metadata), set.metadata.name.clone().unwrap())).collect();
    let (old, new) = (
        &names.iter().find(|(number, _)| number == "3").unwrap().1,
        &names.iter().find(|(number, _)| number == "2").unwrap().1,
    );
    let events = world.events("web").await;
    assert_eq!(
        events[..7],
        [
            format!("ScalingReplicaSet: Scaled up replica set {old} from 0 to 3"),
            format!("ScalingReplicaSet: Scaled up replica set {new} from 0 to 1"),
            format!("ScalingReplicaSet: Scaled down replica set {old} from 3 to 2"),
            format!("ScalingReplicaSet: Scaled up replica set {new} from 1 to 2"),
            format!("ScalingReplicaSet: Scaled down replica set {old} from 2 to 1"),
            format!("ScalingReplicaSet: Scaled up replica set {new} from 2 to 3"),
            format!("ScalingReplicaSet: Scaled down replica set {old} from 1 to 0"),
        ]
    );
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_rollout_that_gets_stuck_says_so_after_its_deadline() {
    let world = World::new().await;
    world.create::<Deployment>(deployment("web", 3, "v1")).await;
    world.pass(60).await;
    world.patch::<Deployment>("web", image("broken")).await;
    world.pass(590).await;
    let web = world.get::<Deployment>("web").await.unwrap();
    assert_eq!(condition(&web, "Progressing").1, "ReplicaSetUpdated");
    world.pass(30).await;
    let web = world.get::<Deployment>("web").await.unwrap();
    assert_eq!(condition(&web, "Progressing"), ("False".to_owned(), "ProgressDeadlineExceeded".to_owned()));
    assert_eq!(web.status.as_ref().unwrap().available_replicas, Some(3));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_resize_in_the_middle_of_a_rollout_is_spread_in_proportion() {
    let world = World::new().await;
    let mut manifest = deployment("web", 10, "v1");
    manifest["spec"]["strategy"] = json!({ "rollingUpdate": { "maxSurge": 3, "maxUnavailable": 2 } });
    world.create::<Deployment>(manifest).await;
    world.pass(60).await;
    world.patch::<Deployment>("web", image("broken")).await;
    world.pass(60).await;
    assert_eq!(sizes(&world).await, ["1: 8", "2: 5"]);
    world.client.api::<Deployment>("default").scale("web", 15).await.unwrap();
    world.pass(60).await;
    assert_eq!(sizes(&world).await, ["1: 11", "2: 7"]);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_paused_deployment_scales_but_does_not_roll() {
    let world = World::new().await;
    world.create::<Deployment>(deployment("web", 2, "v1")).await;
    world.pass(60).await;
    world.patch::<Deployment>("web", json!({ "spec": { "paused": true } })).await;
    world.patch::<Deployment>("web", image("v2")).await;
    world.client.api::<Deployment>("default").scale("web", 4).await.unwrap();
    world.pass(60).await;
    assert_eq!(sizes(&world).await, ["1: 4"]);
    let web = world.get::<Deployment>("web").await.unwrap();
    assert_eq!(condition(&web, "Progressing"), ("Unknown".to_owned(), "DeploymentPaused".to_owned()));
    world.patch::<Deployment>("web", json!({ "spec": { "paused": false } })).await;
    world.pass(60).await;
    assert_eq!(sizes(&world).await, ["1: 0", "2: 4"]);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn recreation_waits_for_the_last_old_pod() {
    let world = World::new().await;
    let mut manifest = deployment("web", 3, "v1");
    manifest["spec"]["strategy"] = json!({ "type": "Recreate" });
    world.create::<Deployment>(manifest).await;
    world.pass(60).await;
    world
        .patch::<Deployment>(
            "web",
            json!({ "spec": { "template": { "spec": { "containers": [{ "name": "c", "image": "v2" }] } } } }),
        )
        .await;
    for _ in 0..40 {
        tokio::task::yield_now().await;
        let pods = world.list::<Pod>().await;
        let image = |pod: &Arc<Pod>| pod.spec.as_ref().unwrap().containers[0].image.clone();
        assert!(pods.iter().all(|pod| image(pod) == image(&pods[0])));
        world.ctx.clock().sleep(std::time::Duration::from_millis(100)).await;
    }
    world.pass(30).await;
    assert_eq!(sizes(&world).await, ["1: 0", "2: 3"]);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_pod_is_replaced_and_an_orphan_adopted() {
    let world = World::new().await;
    world.create::<Deployment>(deployment("web", 2, "v1")).await;
    world.pass(60).await;
    let lost = world.list::<Pod>().await[0].metadata.name.clone().unwrap();
    world.client.api::<Pod>("default").delete(&lost).await.unwrap();
    world.pass(10).await;
    let pods = world.list::<Pod>().await;
    assert_eq!(pods.len(), 2);
    assert!(pods.iter().all(|pod| pod.metadata.name.as_deref() != Some(&lost)));

    // Without its label a pod is let go of, and another takes its place; with it, it is one too many.
    let freed = pods[0].metadata.name.clone().unwrap();
    world.patch::<Pod>(&freed, json!({ "metadata": { "labels": { "app": "other" } } })).await;
    world.pass(10).await;
    assert_eq!(world.list::<Pod>().await.len(), 3);
    assert_eq!(world.get::<Pod>(&freed).await.unwrap().metadata.owner_references.iter().flatten().count(), 0);
    world.patch::<Pod>(&freed, json!({ "metadata": { "labels": { "app": "web" } } })).await;
    world.pass(10).await;
    assert_eq!(world.list::<Pod>().await.len(), 2);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn old_replica_sets_are_forgotten_beyond_the_limit() {
    let world = World::new().await;
    let mut manifest = deployment("web", 1, "v1");
    manifest["spec"]["revisionHistoryLimit"] = json!(1);
    world.create::<Deployment>(manifest).await;
    for version in ["v2", "v3", "v4"] {
        world.pass(60).await;
        world.patch::<Deployment>("web", image(version)).await;
    }
    world.pass(60).await;
    assert_eq!(sizes(&world).await, ["3: 0", "4: 1"]);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn replicas_that_have_all_labels_of_the_template_are_told_apart() {
    let world = World::new().await;
    let containers = json!([{ "name": "c", "image": "v1" }]);
    let orphan =
        json!({ "metadata": { "name": "old", "labels": { "app": "web" } }, "spec": { "containers": containers } });
    world.create::<Pod>(orphan).await;
    let set = |name: &str, labels: Value| {
        let template = json!({ "metadata": { "labels": labels }, "spec": { "containers": containers } });
        let spec = json!({ "replicas": 2, "selector": { "matchLabels": { "app": name } }, "template": template });
        json!({ "metadata": { "name": name }, "spec": spec })
    };
    world.create::<ReplicaSet>(set("web", json!({ "app": "web", "tier": "front" }))).await;
    world.create::<ReplicaSet>(set("api", json!({ "app": "api" }))).await;
    world.pass(60).await;
    for (name, labelled) in [("web", Some(1)), ("api", Some(2))] {
        let status = world.get::<ReplicaSet>(name).await.unwrap().status.clone().unwrap();
        assert_eq!((status.replicas, status.fully_labeled_replicas), (2, labelled), "{name}");
    }
    world.stop().await;
}
