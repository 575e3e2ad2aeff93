//! Field selectors: `spec.nodeName=n1,status.phase!=Running`.

/// One requirement on a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRequirement {
    /// The field's path.
    pub field: String,
    /// The value compared with.
    pub value: String,
    /// Whether the field must equal the value, or differ from it.
    pub equal: bool,
}

/// Requirements that must all hold. The empty selector matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    /// The requirements.
    pub requirements: Vec<FieldRequirement>,
}

impl FieldSelector {
    /// Whether it matches everything.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether an object matches whose fields `value_of` gives.
    pub fn matches<'a>(&self, value_of: impl Fn(&str) -> std::borrow::Cow<'a, str>) -> bool {
        self.requirements
            .iter()
            .all(|requirement| (value_of(&requirement.field) == requirement.value.as_str()) == requirement.equal)
    }
}
