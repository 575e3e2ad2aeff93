//! ValidatingWebhookConfiguration: webhooks that refuse objects on their way in.

use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{ValidatingWebhook, ValidatingWebhookConfiguration};

use super::webhook::{self, Checked, Defaults};
use crate::api::{Cell, Column, FieldErrors, Kind, Strategy, Surroundings};

/// What a ValidatingWebhookConfiguration does.
#[derive(Debug)]
struct ValidatingWebhookConfigurationStrategy;

impl Strategy for ValidatingWebhookConfigurationStrategy {
    type Object = ValidatingWebhookConfiguration;

    fn default(&self, configuration: &mut ValidatingWebhookConfiguration) {
        for webhook in configuration.webhooks.iter_mut().flatten() {
            Defaults {
                failure_policy: &mut webhook.failure_policy,
                match_policy: &mut webhook.match_policy,
                namespace_selector: &mut webhook.namespace_selector,
                object_selector: &mut webhook.object_selector,
                timeout_seconds: &mut webhook.timeout_seconds,
                client_config: &mut webhook.client_config,
                rules: &mut webhook.rules,
            }
            .set();
        }
    }

    fn generation_changes(
        &self,
        new: &ValidatingWebhookConfiguration,
        old: &ValidatingWebhookConfiguration,
    ) -> Option<bool> {
        Some(new.webhooks != old.webhooks)
    }

    fn validate(&self, configuration: &ValidatingWebhookConfiguration, _: &Surroundings, errors: &mut FieldErrors) {
        webhook::check(configuration.webhooks.iter().flatten().map(checked), errors);
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn columns(&self) -> Vec<Column> {
        webhook::columns()
    }

    fn cells(&self, configuration: &ValidatingWebhookConfiguration, now: Timestamp) -> Vec<Cell> {
        let count = configuration.webhooks.as_ref().map_or(0, Vec::len);
        webhook::cells(&configuration.metadata, count, now)
    }
}

fn checked(webhook: &ValidatingWebhook) -> Checked<'_> {
    Checked {
        name: &webhook.name,
        versions: &webhook.admission_review_versions,
        client_config: &webhook.client_config,
        side_effects: &webhook.side_effects,
        timeout_seconds: webhook.timeout_seconds,
        selectors: [webhook.namespace_selector.as_ref(), webhook.object_selector.as_ref()],
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(ValidatingWebhookConfigurationStrategy).categories(&["api-extensions"])
}
