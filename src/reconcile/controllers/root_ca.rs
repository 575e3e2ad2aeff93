//! The ConfigMap `kube-root-ca.crt` in every namespace: by what pods know the API server.

use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::namespace::is_active;
use crate::client::{Change, ObjectRef};
use crate::reconcile::{Action, Context, Controller, Error, Reconciler, pod_control};

const NAME: &str = "kube-root-ca.crt";
const KEY: &str = "ca.crt";
const DESCRIPTION: (&str, &str) = (
    "kubernetes.io/description",
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the \
     internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes \
     clusters.",
);

/// The controller that publishes `certificate`, a PEM bundle.
pub fn controller(certificate: impl Into<String>) -> Controller<RootCertificates> {
    let reconciler = RootCertificates { certificate: certificate.into() };
    Controller::new("root-ca-certificate-publisher", reconciler).watches(|change: &Change<ConfigMap>, _| {
        let meta = &change.object().metadata;
        let is_it = meta.name.as_deref() == Some(NAME);
        meta.namespace.iter().filter(|_| is_it).map(|name| ObjectRef::new("", name)).collect()
    })
}

/// Publishes the cluster's certificate to namespaces.
#[derive(Debug)]
pub struct RootCertificates {
    certificate: String,
}

#[async_trait]
impl Reconciler for RootCertificates {
    type Object = Namespace;

    async fn reconcile(&self, namespace: Arc<Namespace>, ctx: &Context) -> Result<Action, Error> {
        let name = namespace.metadata.name.as_deref().unwrap_or_default();
        if !is_active(&namespace) {
            return Ok(Action::Done);
        }
        let current = ctx.informers().of::<ConfigMap>().get(name, NAME);
        let mut map = current.as_deref().cloned().unwrap_or_else(|| ConfigMap {
            metadata: ObjectMeta {
                name: Some(NAME.to_owned()),
                namespace: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            ..ConfigMap::default()
        });
        map.data = Some([(KEY.to_owned(), self.certificate.clone())].into());
        let annotations = map.metadata.annotations.get_or_insert_default();
        annotations.insert(DESCRIPTION.0.to_owned(), DESCRIPTION.1.to_owned());
        let api = ctx.client().api::<ConfigMap>(name);
        let written = match current {
            Some(current) if *current == map => return Ok(Action::Done),
            Some(_) => api.update(map).await,
            None => api.create(map).await,
        };
        match written {
            Err(error) if pod_control::namespace_is_terminating(&error) => Ok(Action::Done),
            written => written.map(|_| Action::Done).map_err(Error::from),
        }
    }
}
