//! The group `metrics.k8s.io`: what nodes and pods use. Nobody writes such objects: they are made when they are asked
//! for, by who serves them.
//!
//! Source: `k8s.io/metrics/pkg/apis/metrics/v1beta1`; the columns are metrics-server's.

pub(crate) mod node_metrics;
pub(crate) mod pod_metrics;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

pub use self::node_metrics::NodeMetrics;
pub use self::pod_metrics::{ContainerMetrics, PodMetrics};
use crate::api::{ApiType, Cell, Column, Format, GoDuration, Kind, Quantity, Strategy};

/// What is used of each resource, by its name: `cpu`, `memory`.
pub type Usage = BTreeMap<String, Text>;

/// Usage of that many billionths of a core, and that many bytes.
pub fn usage(cpu_nano_cores: u64, memory_bytes: u64) -> Usage {
    let cpu = Quantity::from_nano(i64::try_from(cpu_nano_cores).unwrap_or(i64::MAX));
    let memory = Quantity::new(i64::try_from(memory_bytes).unwrap_or(i64::MAX), Format::BinarySi);
    [("cpu", cpu), ("memory", memory)].map(|(name, amount)| (name.to_owned(), amount.into())).into()
}

const VERBS: &[&str] = &["get", "list"];

/// A row of the kinds table.
fn row<S: Strategy<Object: ApiType>>(strategy: S) -> Kind {
    let mut kind = Kind::builtin(strategy).verbs(VERBS);
    kind.singular.clear(); // that word is the core group's
    kind
}

fn columns() -> Vec<Column> {
    let formatted = |name: &str, format| Column { format, ..Column::text(name, "") };
    vec![
        Column { description: "Name of the resource".to_owned(), ..Column::name() },
        formatted("cpu", "quantity"),
        formatted("memory", "quantity"),
        formatted("Window", "duration"),
    ]
}

/// The cells behind the name: what all of these use together.
fn cells<'a>(usages: impl Iterator<Item = &'a Usage> + Clone, window: GoDuration) -> [Cell; 3] {
    let total = |name: &str| -> Cell {
        let amounts = usages.clone().filter_map(|usage| Quantity::try_from(usage.get(name)?).ok());
        amounts.reduce(|sum, amount| sum + amount).unwrap_or_default().to_string().into()
    };
    [total("cpu"), total("memory"), window.to_string().into()]
}

/// A kind whose type stands in this crate: its identity, and its JSON form with it.
macro_rules! api_type {
    ($type:ident, $kind:literal, $plural:literal, $about:literal, $scope:ty, [$($field:ident: $of:ty),*]) => {
        impl k8s_openapi::Resource for $type {
            const API_VERSION: &'static str = "metrics.k8s.io/v1beta1";
            const GROUP: &'static str = "metrics.k8s.io";
            const KIND: &'static str = $kind;
            const VERSION: &'static str = "v1beta1";
            const URL_PATH_SEGMENT: &'static str = $plural;
            type Scope = $scope;
        }

        impl k8s_openapi::ListableResource for $type {
            const LIST_KIND: &'static str = concat!($kind, "List");
        }

        impl k8s_openapi::Metadata for $type {
            type Ty = k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

            fn metadata(&self) -> &Self::Ty {
                &self.metadata
            }

            fn metadata_mut(&mut self) -> &mut Self::Ty {
                &mut self.metadata
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeStruct;
                let mut object = serializer.serialize_struct($kind, 2 + [$(stringify!($field)),*].len())?;
                object.serialize_field("apiVersion", <Self as k8s_openapi::Resource>::API_VERSION)?;
                object.serialize_field("kind", <Self as k8s_openapi::Resource>::KIND)?;
                $(object.serialize_field(stringify!($field), &self.$field)?;)*
                object.end()
            }
        }

        #[cfg(feature = "http")]
        super::schema!($type, $about, [apiVersion: String, kind: String, $($field: $of),*]);
    };
}
use api_type;

/// The schema of a type with these fields.
#[cfg(feature = "http")]
macro_rules! schema {
    ($type:ident, $about:literal, [$($field:ident: $of:ty),*]) => {
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                concat!("io.k8s.metrics.pkg.apis.metrics.v1beta1.", stringify!($type)).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "description": $about,
                    "type": "object",
                    "properties": { $(stringify!($field): generator.subschema_for::<$of>()),* },
                })
            }
        }
    };
}
#[cfg(feature = "http")]
use schema;

/// No time: what was never measured.
fn no_time() -> k8s_openapi::apimachinery::pkg::apis::meta::v1::Time {
    k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_written_as_metrics_server_writes_it() {
        let written = |cpu, memory| {
            let usage = usage(cpu, memory);
            (usage["cpu"].0.clone(), usage["memory"].0.clone())
        };
        assert_eq!(written(250_000_000, 8 << 20), ("250m".to_owned(), "8Mi".to_owned()));
        assert_eq!(written(1_234_567, 4096 * 3), ("1234567n".to_owned(), "12Ki".to_owned()));
        assert_eq!(written(0, 0), ("0".to_owned(), "0".to_owned()));
    }
}
