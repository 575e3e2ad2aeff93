//! Rules for amounts of resources.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

use crate::api::Quantity;

/// Amounts by the name of the resource.
pub type Amounts = BTreeMap<String, Text>;

/// The amount that a text stands for; nothing where it stands for none (which validation refuses).
pub fn amount(text: &Text) -> Quantity {
    Quantity::try_from(text).unwrap_or(Quantity::ZERO)
}

/// The amount of one resource, where it is listed.
pub fn amount_of(amounts: Option<&Amounts>, resource: &str) -> Option<Quantity> {
    amounts.and_then(|amounts| amounts.get(resource)).map(amount)
}

/// Rewrites amounts in their canonical form, rounded up to thousandths; leaves what is no amount.
pub fn canonical(amounts: &mut Amounts) {
    for text in amounts.values_mut() {
        if let Ok(amount) = Quantity::try_from(&*text) {
            let canonical = amount.rounded_to_milli().to_string();
            if canonical != text.0 {
                text.0 = canonical;
            }
        }
    }
}

/// [`canonical`] for requests and limits.
pub fn canonical_requirements(resources: &mut ResourceRequirements) {
    for amounts in [&mut resources.limits, &mut resources.requests].into_iter().flatten() {
        canonical(amounts);
    }
}
