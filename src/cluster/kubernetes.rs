//! The Service `kubernetes` in `default`, by which pods find the API server.

use std::net::SocketAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{
    EndpointAddress, EndpointPort, EndpointSubset, Endpoints, Service, ServicePort, ServiceSpec,
};
use k8s_openapi::api::discovery::v1 as discovery;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::api::{ApiError, ApiType};
use crate::client::{Api, Client};
use crate::service::loopback::AddressPlan;

const NAME: &str = "kubernetes";

/// Makes the Service, and where the API server listens, its endpoints.
pub(super) async fn publish(
    client: &Client,
    plan: &AddressPlan,
    listening: Option<SocketAddr>,
) -> Result<(), ApiError> {
    let labels = [("component", "apiserver"), ("provider", NAME)];
    let labels = labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let meta = ObjectMeta { name: Some(NAME.to_owned()), labels: Some(labels), ..ObjectMeta::default() };
    let port = listening.map_or(6443, |address| address.port());
    let service = Service {
        metadata: meta,
        spec: Some(ServiceSpec {
            cluster_ip: Some(plan.kubernetes().to_string()),
            ports: Some(vec![ServicePort {
                name: Some("https".to_owned()),
                port: 443,
                target_port: Some(IntOrString::Int(i32::from(port))),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    };
    ensure(&client.api::<Service>("default"), service).await?;
    let Some(address) = listening else { return Ok(()) };

    let ip = address.ip().to_string();
    let mut meta = ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() };
    let endpoints = Endpoints {
        metadata: ObjectMeta {
            // Its slice is made here, not mirrored.
            labels: Some([("endpointslice.kubernetes.io/skip-mirror".to_owned(), "true".to_owned())].into()),
            ..meta.clone()
        },
        subsets: Some(vec![EndpointSubset {
            addresses: Some(vec![EndpointAddress { ip: ip.clone(), ..EndpointAddress::default() }]),
            ports: Some(vec![EndpointPort {
                name: Some("https".to_owned()),
                port: i32::from(port),
                protocol: Some("TCP".to_owned()),
                ..EndpointPort::default()
            }]),
            not_ready_addresses: None,
        }]),
    };
    meta.labels = Some([("kubernetes.io/service-name".to_owned(), NAME.to_owned())].into());
    let slice = discovery::EndpointSlice {
        metadata: meta,
        address_type: "IPv4".to_owned(),
        endpoints: Some(vec![discovery::Endpoint {
            addresses: vec![ip],
            conditions: Some(discovery::EndpointConditions { ready: Some(true), ..Default::default() }),
            ..Default::default()
        }]),
        ports: Some(vec![discovery::EndpointPort {
            name: Some("https".to_owned()),
            port: Some(i32::from(port)),
            protocol: Some("TCP".to_owned()),
            ..Default::default()
        }]),
    };
    ensure(&client.api::<Endpoints>("default"), endpoints).await?;
    ensure(&client.api::<discovery::EndpointSlice>("default"), slice).await
}

/// Creates an object; one that is there from before is replaced by what holds now.
async fn ensure<K: ApiType>(api: &Api<K>, object: K) -> Result<(), ApiError> {
    let object = Arc::new(object);
    match api.create(Arc::clone(&object)).await {
        Err(error) if error.is_already_exists() => api.update(object).await.map(drop),
        other => other.map(drop),
    }
}
