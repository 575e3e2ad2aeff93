//! ServiceAccounts: one named `default` in every namespace.

use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::namespace::is_active;
use crate::client::{Change, ObjectRef};
use crate::reconcile::{Action, Context, Controller, Error, Reconciler, pod_control};

/// The account that every namespace has.
const NAME: &str = "default";

/// The controller of default ServiceAccounts.
pub fn controller() -> Controller<DefaultAccounts> {
    Controller::new("service-account-controller", DefaultAccounts).watches(|change: &Change<ServiceAccount>, _| {
        let meta = &change.object().metadata;
        let is_missing = change.new.is_none() && meta.name.as_deref() == Some(NAME);
        meta.namespace.iter().filter(|_| is_missing).map(|name| ObjectRef::new("", name)).collect()
    })
}

/// Creates the default ServiceAccount of namespaces.
#[derive(Debug)]
pub struct DefaultAccounts;

#[async_trait]
impl Reconciler for DefaultAccounts {
    type Object = Namespace;

    async fn reconcile(&self, namespace: Arc<Namespace>, ctx: &Context) -> Result<Action, Error> {
        let name = namespace.metadata.name.as_deref().unwrap_or_default();
        if !is_active(&namespace) || ctx.informers().of::<ServiceAccount>().get(name, NAME).is_some() {
            return Ok(Action::Done);
        }
        let account = ServiceAccount {
            metadata: ObjectMeta {
                name: Some(NAME.to_owned()),
                namespace: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            ..ServiceAccount::default()
        };
        match ctx.client().api::<ServiceAccount>(name).create(account).await {
            Err(error) if error.is_already_exists() || pod_control::namespace_is_terminating(&error) => {
                Ok(Action::Done)
            }
            created => created.map(|_| Action::Done).map_err(Error::from),
        }
    }
}
