//! Where an object's JSON has its names.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Where a JSON document has the texts that an object is asked for most. They are read there: copies of them, among
/// everything else of that size that comes and goes, keep many times their memory in use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names {
    namespace: Place,
    name: Place,
    uid: Place,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    start: u32,
    length: u32,
}

impl Names {
    /// Finds them; `None` where the JSON has one of them only in an escaped form.
    pub(super) fn find(json: &[u8], meta: &ObjectMeta) -> Option<Self> {
        let json = std::str::from_utf8(json).ok()?;
        // Any place that reads so will do: it need not be the field.
        let place = |text: &Option<String>| {
            let text = text.as_deref().unwrap_or_default();
            let (start, length) = (json.find(text)?.try_into().ok()?, text.len().try_into().ok()?);
            Some(Place { start, length })
        };
        Some(Self { namespace: place(&meta.namespace)?, name: place(&meta.name)?, uid: place(&meta.uid)? })
    }

    pub(super) fn namespace(self, json: &[u8]) -> &str {
        self.namespace.read(json)
    }

    pub(super) fn name(self, json: &[u8]) -> &str {
        self.name.read(json)
    }

    pub(super) fn uid(self, json: &[u8]) -> &str {
        self.uid.read(json)
    }
}

impl Place {
    fn read(self, json: &[u8]) -> &str {
        let start = self.start as usize;
        let text = json.get(start..start + self.length as usize).unwrap_or_default();
        std::str::from_utf8(text).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_where_they_are() {
        let json =
            br#"{"metadata":{"annotations":{"web":"default"},"name":"web","namespace":"default","uid":"\u0041"}}"#;
        let mut meta =
            ObjectMeta { name: Some("web".into()), namespace: Some("default".into()), ..ObjectMeta::default() };
        let names = Names::find(json, &meta).unwrap();
        assert_eq!((names.namespace(json), names.name(json), names.uid(json)), ("default", "web", ""));
        meta.uid = Some("A".into());
        assert!(Names::find(json, &meta).is_none(), "it is written as an escape");
    }
}
