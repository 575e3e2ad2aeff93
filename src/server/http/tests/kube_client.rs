use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, WatchEvent, WatchParams};

use super::fixture::{Few, front};
use crate::api::User;

#[tokio::test]
async fn a_kube_client_calls_the_front_in_process() {
    let front = front(&Few::named(&["a", "b"])).as_user(User::admin());
    let client = kube::Client::new(front, "default");
    assert_eq!(client.apiserver_version().await.unwrap().minor, "36");
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    let names: Vec<_> = maps.list(&ListParams::default()).await.unwrap().items;
    assert_eq!(names.len(), 2);
    assert_eq!(maps.get("b").await.unwrap().metadata.uid.as_deref(), Some("uid-of-b"));
    assert!(matches!(maps.get("c").await, Err(kube::Error::Api(status)) if status.code == 404));
    let events: Vec<_> = maps.watch(&WatchParams::default(), "1").await.unwrap().collect().await;
    assert!(matches!(&events[0], Ok(WatchEvent::Added(map)) if map.metadata.name.as_deref() == Some("a")));
}
