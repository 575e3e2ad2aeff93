//! Services on loopback: real sockets, real names.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use k8s_openapi::api::core::v1::{Pod, Service};
use orchestrion::api::ListOptions;
use orchestrion::cluster::Cluster;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SERVICES: &str = "
apiVersion: v1
kind: Service
metadata: {name: myapp}
spec:
  type: NodePort
  selector: {app: myapp}
  ports:
  - {port: 4000, targetPort: 3000, nodePort: 30080}
---
apiVersion: v1
kind: Service
metadata: {name: sticky}
spec:
  selector: {app: myapp}
  sessionAffinity: ClientIP
  ports:
  - {port: 4000, targetPort: 3000}
---
apiVersion: v1
kind: Service
metadata: {name: headless}
spec:
  clusterIP: None
  selector: {app: myapp}
  ports:
  - {port: 4000, targetPort: 3000}
---
apiVersion: v1
kind: Service
metadata: {name: alias}
spec:
  type: ExternalName
  externalName: myapp.default.svc.cluster.local
";

const RIVAL: &str = "
apiVersion: v1
kind: Service
metadata: {name: rival}
spec:
  type: NodePort
  ports:
  - {port: 80, nodePort: 30080}
";

#[tokio::test]
async fn traffic_and_names_reach_the_pods_of_a_service() {
    let cluster = Cluster::builder().nodes(2).start().await.unwrap();
    cluster.apply(include_str!("../fixtures/myapp.yaml")).await.unwrap();
    cluster.apply(SERVICES).await.unwrap();
    cluster.rolled_out("default", "myapp").await.unwrap();
    for service in ["myapp", "sticky"] {
        cluster.reachable("default", service).await;
    }
    let pods = cluster.client().api::<Pod>("default").list(&ListOptions::default()).await.unwrap().items;
    let ip = |pod: &Pod| pod.status.as_ref().unwrap().pod_ip.as_ref().unwrap().parse().unwrap();
    let pod_ips: BTreeSet<IpAddr> = pods.iter().map(|pod| ip(pod)).collect();
    let services = cluster.client().api::<Service>("default");

    let myapp = cluster_ip(&services.get("myapp").await.unwrap());
    assert_eq!(answering(SocketAddr::new(myapp, 4000), 60).await.len(), 3, "a ClusterIP spreads over all pods");
    for node in 0..2 {
        let address = SocketAddr::new(cluster.addresses().node(node).unwrap().into(), 30080);
        assert_eq!(answering(address, 60).await.len(), 3, "node {node} answers for all pods");
    }
    let sticky = cluster_ip(&services.get("sticky").await.unwrap());
    assert_eq!(answering(SocketAddr::new(sticky, 4000), 20).await.len(), 1, "a client stays with its pod");

    let resolve = async |name: &str| -> BTreeSet<IpAddr> {
        cluster.resolve(&format!("{name}.default.svc.cluster.local")).await.unwrap().into_iter().collect()
    };
    assert_eq!(resolve("myapp").await, BTreeSet::from([myapp]));
    assert_eq!(resolve("headless").await, pod_ips);
    assert_eq!(resolve("alias").await, BTreeSet::from([myapp]));
    assert_eq!(resolve("nothing").await, BTreeSet::new());

    let refused = cluster.apply(RIVAL).await.unwrap_err();
    let text =
        std::error::Error::source(&refused).map_or_else(|| refused.to_string(), |why| format!("{refused}: {why}"));
    assert!(text.contains("Invalid value: 30080: provided port is already allocated"), "{text}");

    // What a Service had is free again when it is gone.
    services.delete("myapp").await.unwrap();
    cluster.apply(RIVAL).await.unwrap();
    let heir = format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: heir}}, spec: {{clusterIP: {myapp}, ports: [{{port: 80}}]}}}}"
    );
    cluster.apply(&heir).await.unwrap();
    cluster.stop().await;
}

fn cluster_ip(service: &Service) -> IpAddr {
    service.spec.as_ref().unwrap().cluster_ip.as_ref().unwrap().parse().unwrap()
}

/// Which pods answer `count` requests to an address.
async fn answering(address: SocketAddr, count: usize) -> BTreeSet<String> {
    let mut pods = BTreeSet::new();
    for _ in 0..count {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: myapp\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        pods.insert(answer.lines().find_map(|line| line.strip_prefix("pod: ")).unwrap().to_owned());
    }
    pods
}
