//! Where in a document the decoder is, and how upstream calls the place and its type.

use std::fmt;

/// A place in a document; each borrows the one around it, so that going deeper allocates nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    around: Option<&'a Place<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Root,
    /// The name of a structure, and one of its fields.
    Field(&'static str, &'a str),
    Key(&'a str),
    Index(usize),
}

impl<'a> Place<'a> {
    pub(super) const ROOT: Self = Self { around: None, step: Step::Root };

    pub(super) const fn field<'b>(&'b self, structure: &'static str, name: &'b str) -> Place<'b>
    where
        'a: 'b,
    {
        Place { around: Some(self), step: Step::Field(structure, name) }
    }

    pub(super) const fn key<'b>(&'b self, key: &'b str) -> Place<'b>
    where
        'a: 'b,
    {
        Place { around: Some(self), step: Step::Key(key) }
    }

    pub(super) const fn index<'b>(&'b self, index: usize) -> Place<'b>
    where
        'a: 'b,
    {
        Place { around: Some(self), step: Step::Index(index) }
    }

    /// Whether this is a field or a key, rather than a list's element or the document.
    pub(super) const fn is_named(&self) -> bool {
        matches!(self.step, Step::Field(..) | Step::Key(_))
    }

    /// `Go struct field Container.spec.containers.image`: the innermost structure, then the fields from the root,
    /// without keys and indices; `Go value` outside any structure.
    pub(super) fn in_go(&self) -> String {
        let mut structure = None;
        let mut fields = Vec::new();
        let mut place = Some(self);
        while let Some(here) = place {
            if let Step::Field(name, field) = here.step {
                structure = structure.or(Some(name));
                fields.push(field);
            }
            place = here.around;
        }
        fields.reverse();
        structure.map_or_else(
            || "Go value".to_owned(),
            |structure| format!("Go struct field {structure}.{}", fields.join(".")),
        )
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(around) = self.around {
            around.fmt(f)?;
        }
        let dot = if self.around.is_none_or(|around| matches!(around.step, Step::Root)) { "" } else { "." };
        match self.step {
            Step::Root => Ok(()),
            Step::Field(_, name) | Step::Key(name) => write!(f, "{dot}{name}"),
            Step::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// What Go calls a type of Rust: `[]v1.Container` for `alloc::vec::Vec<k8s_openapi::…::core::v1::…::Container>`.
pub(super) fn go_type(rust: &str) -> String {
    let inner = |prefix: &str| rust.strip_prefix(prefix).and_then(|rest| rest.strip_suffix('>'));
    if let Some(element) = inner("core::option::Option<").or_else(|| inner("alloc::boxed::Box<")) {
        return go_type(element);
    }
    if let Some(element) = inner("alloc::vec::Vec<") {
        return format!("[]{}", go_type(element));
    }
    if let Some((key, value)) =
        inner("alloc::collections::btree::map::BTreeMap<").and_then(|pair| pair.split_once(", "))
    {
        return format!("map[{}]{}", go_type(key), go_type(value));
    }
    let steps: Vec<_> = rust.split("::").collect();
    let name = steps.last().copied().unwrap_or(rust);
    match name {
        "i32" => "int32",
        "i64" => "int64",
        "u8" => "uint8",
        "f64" => "float64",
        "bool" => "bool",
        "String" => "string",
        "ByteString" => "[]uint8",
        "IntOrString" => "int32",
        "Quantity" => "resource.Quantity",
        "Value" => "interface {}",
        "Map<alloc::string::String, serde_json::value::Value>" => "map[string]interface {}",
        _ => {
            let is_version = |step: &&&str| {
                step.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
            };
            // The first version-like step is k8s-openapi's own (`v1_36`).
            let package =
                steps.iter().rev().skip(1).find(is_version).filter(|step| !step.contains('_')).unwrap_or(&"v1");
            return format!("{package}.{name}");
        }
    }
    .to_owned()
}
