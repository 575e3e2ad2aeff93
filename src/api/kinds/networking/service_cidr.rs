//! ServiceCIDR: a range of addresses for Services.

use jiff::Timestamp;
use k8s_openapi::api::networking::v1::ServiceCIDR;

use crate::api::field::Path;
use crate::api::kinds::separate_status::separate_status;
use crate::api::rules::{self, ip};
use crate::api::{Cell, Column, FieldErrors, Kind, Strategy, Subresource, Surroundings};

/// What a ServiceCIDR does.
#[derive(Debug)]
struct ServiceCidrStrategy;

impl Strategy for ServiceCidrStrategy {
    type Object = ServiceCIDR;

    separate_status!();
    fn default(&self, range: &mut ServiceCIDR) {
        range.spec.get_or_insert_default();
        range.status.get_or_insert_default();
    }

    fn validate(&self, range: &ServiceCIDR, _: &Surroundings, errors: &mut FieldErrors) {
        let path = Path::new("spec");
        let path = path.child("cidrs");
        let ranges: Vec<_> = range.spec.iter().flat_map(|spec| spec.cidrs.iter().flatten()).collect();
        match ranges.as_slice() {
            [] => return errors.required(&path, "at least one CIDR required"),
            [_] => {}
            [first, second] if first.contains(':') != second.contains(':') => {}
            [_, _] => {
                let detail = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
                errors.invalid(&path, serde_json::json!(ranges), detail);
            }
            more => {
                let detail = "may only hold up to 2 values";
                errors.invalid(&path, serde_json::json!(more), detail);
            }
        }
        for (index, text) in ranges.into_iter().enumerate() {
            rules::complain(errors, &path.index(index), text, ip::range(text));
        }
    }

    fn validate_update(&self, new: &ServiceCIDR, old: &ServiceCIDR, _: &Surroundings, errors: &mut FieldErrors) {
        if new.spec != old.spec {
            let cidrs = new.spec.as_ref().and_then(|spec| spec.cidrs.as_ref());
            let path = Path::new("spec");
            errors.invalid(&path.child("cidrs"), serde_json::json!(cidrs), rules::IMMUTABLE);
        }
    }

    fn columns(&self) -> Vec<Column> {
        let cidrs = "CIDRs defines the IP blocks in CIDR notation from which to assign service cluster IPs.";
        vec![Column::name(), Column::text("CIDRs", cidrs), Column::age()]
    }

    fn cells(&self, range: &ServiceCIDR, now: Timestamp) -> Vec<Cell> {
        let cidrs = range.spec.as_ref().and_then(|spec| spec.cidrs.as_deref()).unwrap_or_default();
        vec![Cell::name(&range.metadata), cidrs.join(",").into(), Cell::age(&range.metadata, now)]
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(ServiceCidrStrategy).sub(Subresource::STATUS)
}
