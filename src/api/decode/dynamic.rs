//! Reading objects whose kind has no type: metadata as metadata, the rest as it comes.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::api::object::Dynamic;

/// The fields that are read as what they are; every other one is kept as JSON.
const FIELDS: &[&str] = &["apiVersion", "kind", "metadata"];

impl<'de> Deserialize<'de> for Dynamic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Dynamic;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Dynamic, A::Error> {
                let mut object = Dynamic::default();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "apiVersion" => object.api_version = map.next_value::<Option<_>>()?.unwrap_or_default(),
                        "kind" => object.kind = map.next_value::<Option<_>>()?.unwrap_or_default(),
                        "metadata" => object.metadata = map.next_value::<Option<_>>()?.unwrap_or_default(),
                        _ => {
                            object.data.insert(key, map.next_value::<Value>()?);
                        }
                    }
                }
                Ok(object)
            }
        }

        deserializer.deserialize_struct("Object", FIELDS, Fields)
    }
}
