//! kube-rs works against a cluster: in this process, and over the socket.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, reflector};
use kube::{Client, Config};
use orchestrion::cluster::Cluster;
use serde_json::json;
use tokio::sync::mpsc;

#[tokio::test(start_paused = true)]
async fn kube_rs_works_in_this_process() {
    let cluster = Cluster::builder().simulated(1).start().await.unwrap();
    everything(cluster.kube_client()).await;
    cluster.stop().await;
}

#[tokio::test]
async fn kube_rs_works_over_the_socket() {
    let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    let cluster = Cluster::builder().listen(any).start().await.unwrap();
    let kubeconfig = Kubeconfig::from_yaml(cluster.kubeconfig().unwrap()).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    everything(Client::try_from(config).unwrap()).await;
    cluster.stop().await;
}

async fn everything(client: Client) {
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    verbs(&maps).await;
    watching(&maps).await;
    controlling(&maps).await;
}

fn map(name: &str) -> ConfigMap {
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    ConfigMap { metadata, ..ConfigMap::default() }
}

async fn verbs(maps: &Api<ConfigMap>) {
    let made = maps.create(&PostParams::default(), &map("a")).await.unwrap();
    assert!(made.metadata.uid.is_some());
    let twice = maps.create(&PostParams::default(), &map("a")).await.unwrap_err();
    assert!(matches!(twice, kube::Error::Api(status) if status.code == 409 && status.reason == "AlreadyExists"));

    let wanted = json!({ "data": { "color": "red" } });
    maps.patch("a", &PatchParams::default(), &Patch::Merge(wanted)).await.unwrap();
    assert_eq!(maps.get("a").await.unwrap().data.unwrap()["color"], "red");
    let stale = maps.replace("a", &PostParams::default(), &made).await.unwrap_err();
    assert!(matches!(stale, kube::Error::Api(status) if status.code == 409 && status.reason == "Conflict"));
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    assert!(maps.get_opt("a").await.unwrap().is_none());
}

async fn watching(maps: &Api<ConfigMap>) {
    let (store, writer) = reflector::store();
    let events = watcher::watcher(maps.clone(), watcher::Config::default().fields("metadata.name=b"));
    let mut events = std::pin::pin!(events.reflect(writer));
    while !matches!(events.next().await.unwrap().unwrap(), Event::InitDone) {}
    maps.create(&PostParams::default(), &map("b")).await.unwrap();
    assert!(
        matches!(events.next().await.unwrap().unwrap(), Event::Apply(map) if map.metadata.name.as_deref() == Some("b"))
    );
    assert_eq!(store.state().len(), 1);
    maps.delete("b", &DeleteParams::default()).await.unwrap();
    assert!(matches!(events.next().await.unwrap().unwrap(), Event::Delete(_)));
    assert!(store.state().is_empty());
}

/// A controller that marks every ConfigMap it is told of.
async fn controlling(maps: &Api<ConfigMap>) {
    let (done, mut marked) = mpsc::channel::<String>(8);
    let reconcile = |map: Arc<ConfigMap>, maps: Arc<Api<ConfigMap>>| {
        let done = done.clone();
        async move {
            let name = map.metadata.name.clone().unwrap_or_default();
            maps.patch(&name, &PatchParams::default(), &Patch::Merge(json!({ "data": { "seen": "yes" } }))).await?;
            let _ = done.send(name).await; // after the test nobody listens
            Ok::<_, kube::Error>(Action::await_change())
        }
    };
    let controller = Controller::new(maps.clone(), watcher::Config::default().labels("mine=yes"))
        .run(reconcile, |_, _, _| Action::requeue(Duration::from_secs(1)), Arc::new(maps.clone()))
        .for_each(|_| async {});
    let user = async {
        let mut wanted = map("c");
        wanted.metadata.labels = Some([("mine".to_owned(), "yes".to_owned())].into());
        maps.create(&PostParams::default(), &wanted).await.unwrap();
        assert_eq!(marked.recv().await.as_deref(), Some("c"));
        assert_eq!(maps.get("c").await.unwrap().data.unwrap()["seen"], "yes");
    };
    tokio::select! {
        () = controller => panic!("the controller ended"),
        () = user => {}
    }
}
