//! [`Printed`]: the JSON of an object.

use std::collections::BTreeMap;

use bytes::Bytes;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::IgnoredAny;

use super::Revision;
use crate::api::Kind;

/// The JSON of an object. Versions that differ in metadata alone share what stands behind it: with them, a history takes
/// a fraction of the room.
#[derive(Clone, Debug, Default)]
pub(crate) struct Printed {
    /// Where there is a tail: up to the end of the metadata.
    head: Bytes,
    tail: Bytes,
}

impl From<Bytes> for Printed {
    fn from(whole: Bytes) -> Self {
        Self { head: whole, tail: Bytes::new() }
    }
}

impl Printed {
    /// In one piece.
    pub(crate) fn bytes(&self) -> Bytes {
        if self.tail.is_empty() {
            return self.head.clone();
        }
        [&self.head[..], &self.tail[..]].concat().into()
    }

    /// The pieces that it is made of, which it shares.
    #[cfg(feature = "http")]
    pub(crate) fn pieces(self) -> [Bytes; 2] {
        [self.head, self.tail]
    }

    #[cfg(feature = "http")]
    pub(crate) fn len(&self) -> usize {
        self.head.len() + self.tail.len()
    }

    /// What has the metadata in it.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    /// The same with other metadata. `None` where it does not begin as objects of the kind do.
    pub(super) fn with_metadata(&self, kind: &Kind, meta: &ObjectMeta) -> Option<Self> {
        let begin = format!("{{\"apiVersion\":\"{}\",\"kind\":\"{}\",\"metadata\":", kind.api_version(), kind.kind);
        let rest = self.head.strip_prefix(begin.as_bytes())?;
        let tail = if self.tail.is_empty() {
            let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<IgnoredAny>();
            values.next()?.ok()?;
            self.head.slice(begin.len() + values.byte_offset()..)
        } else {
            self.tail.clone()
        };
        let mut head = begin.into_bytes();
        serde_json::to_writer(&mut head, meta).ok()?;
        // A copy, that it takes no more room than it needs.
        Some(Self { head: Bytes::copy_from_slice(&head), tail })
    }

    /// The same, which is of an object with that metadata, at another revision.
    pub(super) fn at(&self, meta: &ObjectMeta, revision: Revision) -> Option<Self> {
        const FIELD: &[u8] = br#""resourceVersion":""#;
        let named = |map: &Option<BTreeMap<String, String>>| {
            map.as_ref().is_some_and(|map| map.contains_key("resourceVersion"))
        };
        if named(&meta.labels) || named(&meta.annotations) {
            return None;
        }
        let head = &self.head;
        // Within texts, quotes are escaped: the first place that reads so is the field of the metadata.
        let mut quotes = head.iter().enumerate().filter(|(_, byte)| **byte == b'"').map(|(at, _)| at);
        let start = quotes.find(|at| head[*at..].starts_with(FIELD))? + FIELD.len();
        let end = start + head[start..].iter().position(|byte| *byte == b'"')?;
        let text = meta.resource_version.as_deref()?;
        (head[start..end] == *text.as_bytes()).then(|| Self {
            head: [&head[..start], revision.to_string().as_bytes(), &head[end..]].concat().into(),
            tail: self.tail.clone(),
        })
    }
}
