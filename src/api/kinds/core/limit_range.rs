//! LimitRange: bounds and defaults for what pods of a namespace ask for.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{LimitRange, LimitRangeItem};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

use crate::api::field::Path;
use crate::api::rules::{self, label, resources};
use crate::api::{FieldErrors, Kind, Quantity, Strategy, Surroundings};

const TYPES: &[&str] = &["Pod", "Container", "PersistentVolumeClaim"];

type Amounts = Option<BTreeMap<String, Text>>;

/// What a LimitRange does.
#[derive(Debug)]
struct LimitRangeStrategy;

impl Strategy for LimitRangeStrategy {
    type Object = LimitRange;

    fn default(&self, range: &mut LimitRange) {
        for item in &mut range.spec.get_or_insert_default().limits {
            let LimitRangeItem { default, default_request, max, min, max_limit_request_ratio, .. } = &mut *item;
            for amounts in [default, default_request, max, min, max_limit_request_ratio].into_iter().flatten() {
                resources::canonical(amounts);
            }
            if item.type_ == "Container" {
                fill(&mut item.default, &item.max);
                fill(&mut item.default_request, &item.default);
                fill(&mut item.default_request, &item.min);
            }
        }
    }

    fn validate(&self, range: &LimitRange, _: &Surroundings, errors: &mut FieldErrors) {
        let path = Path::new("spec");
        let path = path.child("limits");
        let mut types = BTreeSet::new();
        for (index, item) in range.spec.iter().flat_map(|spec| &spec.limits).enumerate() {
            let path = path.index(index);
            if !types.insert(&item.type_) {
                errors.duplicate(&path.child("type"), &item.type_);
            }
            check(item, &path, errors);
        }
    }

    fn allows_create_on_update(&self) -> bool {
        true
    }
}

/// Takes over what is missing.
fn fill(into: &mut Amounts, from: &Amounts) {
    for (name, amount) in from.iter().flatten() {
        into.get_or_insert_default().entry(name.clone()).or_insert_with(|| amount.clone());
    }
}

fn check(item: &LimitRangeItem, path: &Path<'_>, errors: &mut FieldErrors) {
    let complaints = label::qualified_name(&item.type_);
    if complaints.is_empty() && !item.type_.contains('/') && !TYPES.contains(&item.type_.as_str()) {
        errors.invalid(&path.child("type"), &item.type_, "must be a standard limit type or fully qualified");
    }
    rules::complain(errors, &path.child("type"), &item.type_, complaints);
    let has_storage = |amounts: &Amounts| amounts.as_ref().is_some_and(|amounts| amounts.contains_key("storage"));
    if item.type_ == "PersistentVolumeClaim" && !has_storage(&item.min) && !has_storage(&item.max) {
        let detail = "either minimum or maximum storage value is required, but neither was provided";
        errors.required(&path.child("limits"), detail);
    }
    if item.type_ == "Pod" {
        for (field, amounts) in [("default", &item.default), ("defaultRequest", &item.default_request)] {
            if amounts.as_ref().is_some_and(|amounts| !amounts.is_empty()) {
                errors.forbidden(&path.child(field), "may not be specified when `type` is 'Pod'");
            }
        }
    }
    let (request, limit) = (&item.default_request, &item.default);
    for (field, low_name, low, high_name, high, shows_high) in [
        ("min", "min", &item.min, "max", &item.max, false),
        ("defaultRequest", "min", &item.min, "default request", request, true),
        ("defaultRequest", "default request", request, "max", &item.max, false),
        ("defaultRequest", "default request", request, "default limit", limit, false),
        ("default", "min", &item.min, "default", limit, false),
        ("default", "default", limit, "max", &item.max, true),
    ] {
        let at = path.child(field);
        for (name, low) in low.iter().flatten() {
            let Some(high) = high.as_ref().and_then(|high| high.get(name)) else { continue };
            let amount = |text| Quantity::try_from(text).ok();
            if amount(low).zip(amount(high)).is_some_and(|(low, high)| low > high) {
                let detail = format!("{low_name} value {} is greater than {high_name} value {}", low.0, high.0);
                let shown = if shows_high { high } else { low };
                errors.invalid(&at.key(name), &shown.0, detail);
            }
        }
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(LimitRangeStrategy).short(&["limits"])
}
