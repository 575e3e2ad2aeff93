//! ConfigMap: configuration data for pods.

use k8s_openapi::api::core::v1::ConfigMap;

use crate::api::{Kind, Strategy};

/// What a ConfigMap does.
#[derive(Debug)]
struct ConfigMapStrategy;

impl Strategy for ConfigMapStrategy {
    type Object = ConfigMap;
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(ConfigMapStrategy).short(&["cm"])
}
