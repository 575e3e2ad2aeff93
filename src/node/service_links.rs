//! The variables by which containers find Services.
//!
//! Source: [Discovering services](https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::{Pod, Service};

use crate::client::Informer;

/// Works out a pod's variables, once for all that follow each other with the same Services.
#[derive(Debug)]
pub(super) struct ServiceLinks {
    services: Informer<Service>,
    last: Mutex<Arc<Linked>>,
}

/// Services, and what their variables are.
#[derive(Debug, Default)]
struct Linked {
    services: Vec<Arc<Service>>,
    variables: BTreeMap<String, String>,
}

impl ServiceLinks {
    pub(super) fn new(services: Informer<Service>) -> Self {
        Self { services, last: Mutex::default() }
    }

    /// Waits until the Services are known.
    pub(super) async fn synced(&self) {
        self.services.synced().await;
    }

    /// The variables of a pod's containers: of the Services of its namespace, unless it declines, and always of
    /// `kubernetes` of the default namespace.
    pub(super) fn variables(&self, pod: &Pod) -> BTreeMap<String, String> {
        let api = self.services.get("default", "kubernetes");
        let links = pod.spec.as_ref().and_then(|spec| spec.enable_service_links).unwrap_or(true);
        let namespace = pod.metadata.namespace.as_deref().filter(|_| links);
        let near = namespace.map(|namespace| self.services.list_in(namespace)).unwrap_or_default();
        let near = near.into_iter().filter(|service| api.as_ref().is_none_or(|api| !Arc::ptr_eq(api, service)));
        // A namespace's own service `kubernetes` goes before the default one, so that comes first.
        let services: Vec<_> = api.iter().cloned().chain(near).collect();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let same = services.len() == last.services.len()
            && services.iter().zip(&last.services).all(|(one, other)| Arc::ptr_eq(one, other));
        if !same {
            let mut variables = BTreeMap::new();
            services.iter().for_each(|service| add(service, &mut variables));
            *last = Arc::new(Linked { services, variables });
        }
        let linked = Arc::clone(&last);
        drop(last);
        linked.variables.clone()
    }
}

/// Adds the variables of a Service.
fn add(service: &Service, variables: &mut BTreeMap<String, String>) {
    let (Some(name), Some(spec)) = (&service.metadata.name, &service.spec) else { return };
    let Some(ip) = spec.cluster_ip.as_deref().filter(|ip| !ip.is_empty() && *ip != "None") else { return };
    let upper = |text: &str| text.to_uppercase().replace('-', "_");
    let (name, ports) = (upper(name), spec.ports.as_deref().unwrap_or_default());
    let Some(first) = ports.first() else { return };
    let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
    let url = |protocol: &str, port: i32| format!("{}://{host}:{port}", protocol.to_lowercase());
    let protocol_of = |protocol: &Option<String>| protocol.clone().unwrap_or_else(|| "TCP".to_owned());
    variables.insert(format!("{name}_SERVICE_HOST"), ip.to_owned());
    variables.insert(format!("{name}_SERVICE_PORT"), first.port.to_string());
    variables.insert(format!("{name}_PORT"), url(&protocol_of(&first.protocol), first.port));
    for port in ports {
        if let Some(port_name) = port.name.as_deref().filter(|name| !name.is_empty()) {
            variables.insert(format!("{name}_SERVICE_PORT_{}", upper(port_name)), port.port.to_string());
        }
        let protocol = protocol_of(&port.protocol);
        let prefix = format!("{name}_PORT_{}_{}", port.port, protocol.to_uppercase());
        variables.insert(prefix.clone(), url(&protocol, port.port));
        variables.insert(format!("{prefix}_PROTO"), protocol.to_lowercase());
        variables.insert(format!("{prefix}_PORT"), port.port.to_string());
        variables.insert(format!("{prefix}_ADDR"), ip.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::client::Client;
    use crate::clock::Clock;
    use crate::random::Random;
    use crate::server::Server;
    use crate::store::MemoryStore;

    async fn client() -> Client {
        let (clock, random) = (Clock::starting_at("2026-01-01T00:00:00Z".parse().unwrap()), Random::seeded(1));
        let server = Server::builder(Arc::new(MemoryStore::default())).clock(clock).random(random.fork("server"));
        Client::new(Arc::new(server.start().await.unwrap()), clock, random)
    }

    /// Makes a Service, and waits until `links` has heard of it.
    async fn serve(client: &Client, links: &ServiceLinks, namespace: &str, name: &str, ip: &str, port: i32) {
        let service = json!({
            "metadata": { "name": name },
            "spec": { "clusterIP": ip, "ports": [{ "name": "client", "port": port }] },
        });
        let service: Service = serde_json::from_value(service).unwrap();
        let made = client.api::<Service>(namespace).create(service).await.unwrap();
        let revision = made.metadata.resource_version.as_deref().unwrap().parse::<u64>().unwrap();
        links.services.caught_up(revision.into()).await;
    }

    fn pod(namespace: &str, links: Option<bool>) -> Pod {
        serde_json::from_value(json!({
            "metadata": { "name": "web", "namespace": namespace },
            "spec": { "containers": [], "enableServiceLinks": links },
        }))
        .unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn services_appear_as_docker_links_did() {
        let client = client().await;
        let links = ServiceLinks::new(Informer::start(client.all()));
        serve(&client, &links, "default", "redis-primary", "10.96.0.11", 6379).await;
        let lines: Vec<_> =
            links.variables(&pod("default", None)).into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            lines,
            [
                "REDIS_PRIMARY_PORT=tcp://10.96.0.11:6379",
                "REDIS_PRIMARY_PORT_6379_TCP=tcp://10.96.0.11:6379",
                "REDIS_PRIMARY_PORT_6379_TCP_ADDR=10.96.0.11",
                "REDIS_PRIMARY_PORT_6379_TCP_PORT=6379",
                "REDIS_PRIMARY_PORT_6379_TCP_PROTO=tcp",
                "REDIS_PRIMARY_SERVICE_HOST=10.96.0.11",
                "REDIS_PRIMARY_SERVICE_PORT=6379",
                "REDIS_PRIMARY_SERVICE_PORT_CLIENT=6379",
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_is_told_of_its_own_namespace_and_of_the_api() {
        let client = client().await;
        let links = ServiceLinks::new(Informer::start(client.all()));
        let hosts = |namespace: &str, wanted: Option<bool>| {
            let variables = links.variables(&pod(namespace, wanted)).into_iter();
            let hosts =
                variables.filter_map(|(name, value)| Some((name.strip_suffix("_SERVICE_HOST")?.to_owned(), value)));
            hosts.map(|(name, ip)| format!("{name} {ip}")).collect::<Vec<_>>().join(", ")
        };
        serve(&client, &links, "default", "kubernetes", "10.96.0.1", 443).await;
        serve(&client, &links, "default", "db", "10.96.0.2", 5432).await;
        assert_eq!(hosts("default", None), "DB 10.96.0.2, KUBERNETES 10.96.0.1");
        assert_eq!(hosts("default", Some(false)), "KUBERNETES 10.96.0.1");
        assert_eq!(hosts("other", None), "KUBERNETES 10.96.0.1");
        // The next pod hears of what has changed.
        client.api::<Service>("default").delete("db").await.unwrap();
        serve(&client, &links, "default", "cache", "10.96.0.3", 6379).await;
        assert_eq!(hosts("default", None), "CACHE 10.96.0.3, KUBERNETES 10.96.0.1");
    }
}
