//! ServiceAccount: an identity for the processes in pods.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ServiceAccount;

use crate::api::{Cell, Column, Kind, Strategy, Subresource};

/// What a ServiceAccount does.
#[derive(Debug)]
struct ServiceAccountStrategy;

impl Strategy for ServiceAccountStrategy {
    type Object = ServiceAccount;

    fn columns(&self) -> Vec<Column> {
        let secrets = "Secrets is a list of the secrets that pods running using this ServiceAccount may use.";
        vec![Column::name(), Column::text("Secrets", secrets), Column::age()]
    }

    fn cells(&self, account: &ServiceAccount, now: Timestamp) -> Vec<Cell> {
        let secrets = account.secrets.as_ref().map_or(0, Vec::len);
        vec![Cell::name(&account.metadata), secrets.into(), Cell::age(&account.metadata, now)]
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(ServiceAccountStrategy).short(&["sa"]).sub(Subresource {
        name: "token",
        body: Some(("authentication.k8s.io", "v1", "TokenRequest")),
        verbs: &["create"],
    })
}
