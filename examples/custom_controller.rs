//! A controller of one's own: every ConfigMap labelled `site=yes` becomes a Deployment and a Service that it owns.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use orchestrion::api::{ApiType, Draft, LabelSelector, Patch};
use orchestrion::cluster::Cluster;
use orchestrion::reconcile::adopt::controller_reference;
use orchestrion::reconcile::{Action, Context, Controller, Error, Reconciler};
use serde_json::{Value, json};

/// Publishes ConfigMaps as sites. There is no word of deletion here: what a site owns goes with it.
#[derive(Debug)]
struct Sites;

#[async_trait]
impl Reconciler for Sites {
    type Object = ConfigMap;

    async fn reconcile(&self, map: Arc<ConfigMap>, ctx: &Context) -> Result<Action, Error> {
        let meta = &map.metadata;
        let labelled = meta.labels.as_ref().is_some_and(|labels| labels.get("site").is_some_and(|site| site == "yes"));
        if !labelled || meta.deletion_timestamp.is_some() {
            return Ok(Action::Done);
        }
        let replicas = match map.data.as_ref().and_then(|data| data.get("replicas")).map(|text| text.parse::<i32>()) {
            None => 1,
            Some(Ok(replicas)) => replicas,
            Some(Err(error)) => {
                ctx.events().warning(&*map, "BadReplicas", error.to_string());
                return Err(Error::permanent(error));
            }
        };
        let namespace = meta.namespace.as_deref().unwrap_or_default();
        for object in [deployment(&map, replicas)?, service(&map)?] {
            ctx.client().apply(object, namespace).await?;
        }
        Ok(Action::Done)
    }
}

fn deployment(map: &ConfigMap, replicas: i32) -> Result<Draft, Error> {
    let labels = json!({ "app": map.metadata.name });
    owned::<Deployment>(
        map,
        json!({
            "replicas": replicas,
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [{ "name": "web", "image": "nginx", "ports": [{ "containerPort": 8080 }] }] },
            },
        }),
    )
}

fn service(map: &ConfigMap) -> Result<Draft, Error> {
    let spec = json!({ "selector": { "app": map.metadata.name }, "ports": [{ "port": 80, "targetPort": 8080 }] });
    owned::<Service>(map, spec)
}

/// An object with the ConfigMap's name, and with the ConfigMap as its controller.
fn owned<K: ApiType>(map: &ConfigMap, spec: Value) -> Result<Draft, Error> {
    let object = json!({
        "metadata": { "name": map.metadata.name, "ownerReferences": [controller_reference(map)] },
        "spec": spec,
    });
    serde_json::from_value::<K>(object).map(Draft::new).map_err(Error::permanent)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    // `owns`: a Deployment or Service that somebody changes or deletes is put right again.
    let sites = |ctx: &Context| Controller::new("sites", Sites).owns::<Deployment>().owns::<Service>().start(ctx);
    let cluster = Cluster::builder().nodes(2).controller(sites).start().await?;
    let client = cluster.client();
    let (maps, deployments) = (client.api::<ConfigMap>("default"), client.api::<Deployment>("default"));
    let (services, pods) = (client.api::<Service>("default"), client.api::<Pod>("default"));
    let minute = Duration::from_secs(60);
    let ready = |wanted: i32| {
        move |site: Option<&Deployment>| {
            site.and_then(|site| site.status.as_ref()).and_then(|status| status.ready_replicas) == Some(wanted)
        }
    };

    let map = "{apiVersion: v1, kind: ConfigMap, metadata: {name: blog, labels: {site: 'yes'}}, data: {replicas: '2'}}";
    cluster.apply(map).await?;
    deployments.wait("blog", minute, ready(2)).await?;
    cluster.reachable("default", "blog").await;
    println!("ConfigMap blog is there: 2 pods are ready, and Service blog carries their traffic");

    maps.patch("blog", Patch::Merge(json!({ "data": { "replicas": "3" } }))).await?;
    deployments.wait("blog", minute, ready(3)).await?;
    println!("its data says 3 replicas: 3 pods are ready");

    let old = deployments.get("blog").await?.metadata.uid.clone();
    deployments.delete("blog").await?;
    let renewed = |site: Option<&Deployment>| site.is_some_and(|site| site.metadata.uid != old) && ready(3)(site);
    deployments.wait("blog", minute, renewed).await?;
    println!("somebody deleted its Deployment: it is back, with 3 pods ready");

    maps.delete("blog").await?;
    deployments.wait("blog", minute, |deployment| deployment.is_none()).await?;
    services.wait("blog", minute, |service| service.is_none()).await?;
    pods.wait_all(LabelSelector::default(), minute, |pods| pods.is_empty()).await?;
    println!("ConfigMap blog is deleted: its Deployment, its Service and their pods are gone");

    cluster.stop().await;
    Ok(())
}
