//! Field paths and field errors: what was wrong, and where.
//!
//! The wording is that of Kubernetes' `k8s.io/apimachinery/pkg/util/validation/field`.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::StatusCause;

/// A path into an object, as `spec.containers[0].name`. Building one allocates nothing: each step
/// borrows the one before, and the text is made only where an error needs it.
///
/// ```
/// use orchestrion::api::field::Path;
/// let root = Path::root();
/// let spec = root.child("spec");
/// assert_eq!(spec.child("containers").index(0).child("name").to_string(), "spec.containers[0].name");
/// assert_eq!(root.child("metadata").child("labels").key("app").to_string(), "metadata.labels[app]");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Root,
    Child(&'a str),
    Index(usize),
    Key(&'a str),
}

impl<'a> Path<'a> {
    /// The object itself.
    pub const fn root() -> Self {
        Self { parent: None, step: Step::Root }
    }

    /// A path of one name, as `Path::new("spec")`.
    pub const fn new(name: &'a str) -> Self {
        Self { parent: None, step: Step::Child(name) }
    }

    /// The field `name` of what this path names. `name` may hold several steps (`"metadata.name"`).
    pub const fn child<'b>(&'b self, name: &'b str) -> Path<'b>
    where
        'a: 'b,
    {
        Path { parent: Some(self), step: Step::Child(name) }
    }

    /// The element `index` of a list.
    pub const fn index<'b>(&'b self, index: usize) -> Path<'b>
    where
        'a: 'b,
    {
        Path { parent: Some(self), step: Step::Index(index) }
    }

    /// The entry `key` of a map.
    pub const fn key<'b>(&'b self, key: &'b str) -> Path<'b>
    where
        'a: 'b,
    {
        Path { parent: Some(self), step: Step::Key(key) }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Child(name) => {
                let first = self.parent.is_none_or(|parent| matches!(parent.step, Step::Root));
                write!(f, "{}{name}", if first { "" } else { "." })
            }
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Key(key) => write!(f, "[{key}]"),
        }
    }
}

/// What kind of mistake a [`FieldError`] reports. The text forms are upstream's `ErrorType`s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mistake {
    /// A value that must exist does not.
    NotFound,
    /// A value is missing.
    Required,
    /// A value that must be unique is not.
    Duplicate,
    /// A value does not fit the rule.
    Invalid,
    /// A value is none of the allowed ones.
    NotSupported,
    /// A value may not be set or changed here.
    Forbidden,
    /// A text is too long.
    TooLong,
    /// A list or map has too many entries.
    TooMany,
    /// A value has the wrong type.
    TypeInvalid,
    /// The check itself failed.
    Internal,
}

impl Mistake {
    /// The `reason` of a `StatusCause`.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NotFound => "FieldValueNotFound",
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::Internal => "InternalError",
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::NotFound => "Not found",
            Self::Required => "Required value",
            Self::Duplicate => "Duplicate value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::Internal => "Internal error",
        }
    }
}

/// One mistake in one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// What kind of mistake.
    pub mistake: Mistake,
    /// Where: the text of a [`Path`].
    pub field: String,
    /// The offending value as Go would print it (texts quoted), where the message shows one.
    pub value: Option<String>,
    /// What was expected.
    pub detail: String,
}

impl FieldError {
    /// The message without the path, as a `StatusCause` carries it.
    pub fn message(&self) -> String {
        let mut message = self.mistake.text().to_owned();
        if let Some(value) = &self.value {
            message.push_str(": ");
            message.push_str(value);
        }
        if !self.detail.is_empty() {
            message.push_str(": ");
            message.push_str(&self.detail);
        }
        message
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message())
    }
}

/// A value as an error message shows it: Go's `%q` for texts, its plain form for numbers and booleans,
/// JSON for the rest.
pub trait Shown {
    /// The text to show.
    fn shown(&self) -> String;
}

impl Shown for str {
    fn shown(&self) -> String {
        // JSON quoting is Go's for every text that validation meets, but for <, > and &.
        format!("{self:?}")
    }
}

impl Shown for String {
    fn shown(&self) -> String {
        self.as_str().shown()
    }
}

macro_rules! shown_plainly {
    ($($type:ty),*) => {$(
        impl Shown for $type {
            fn shown(&self) -> String {
                self.to_string()
            }
        }
    )*};
}
shown_plainly!(i32, i64, u16, u32, u64, usize, bool);

impl Shown for serde_json::Value {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl<T: Shown + ?Sized> Shown for &T {
    fn shown(&self) -> String {
        (**self).shown()
    }
}

/// Every mistake found in an object, in the order found.
// Most objects have none: the branches that tell of one are kept out of the way (`#[cold]`) of the code that looks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// No mistake so far.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Whether no mistake was found.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many mistakes were found.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The mistakes, in the order found.
    pub fn iter(&self) -> std::slice::Iter<'_, FieldError> {
        self.0.iter()
    }

    /// Adds a mistake.
    pub fn push(&mut self, error: FieldError) {
        self.0.push(error);
    }

    /// Adds all mistakes of `other`.
    pub fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    #[cold]
    fn add(&mut self, mistake: Mistake, path: &Path<'_>, value: Option<String>, detail: impl Into<String>) {
        self.push(FieldError { mistake, field: path.to_string(), value, detail: detail.into() });
    }

    /// `path: Required value: detail`
    #[cold]
    pub fn required(&mut self, path: &Path<'_>, detail: impl Into<String>) {
        self.add(Mistake::Required, path, None, detail);
    }

    /// `path: Invalid value: value: detail`
    #[cold]
    pub fn invalid(&mut self, path: &Path<'_>, value: impl Shown, detail: impl Into<String>) {
        self.add(Mistake::Invalid, path, Some(value.shown()), detail);
    }

    /// `path: Unsupported value: value: supported values: "a", "b"`
    #[cold]
    pub fn not_supported(&mut self, path: &Path<'_>, value: impl Shown, supported: &[&str]) {
        let detail = if supported.is_empty() {
            String::new()
        } else {
            let quoted: Vec<_> = supported.iter().map(|value| value.shown()).collect();
            format!("supported values: {}", quoted.join(", "))
        };
        self.add(Mistake::NotSupported, path, Some(value.shown()), detail);
    }

    /// `path: Duplicate value: value`
    #[cold]
    pub fn duplicate(&mut self, path: &Path<'_>, value: impl Shown) {
        self.add(Mistake::Duplicate, path, Some(value.shown()), "");
    }

    /// `path: Forbidden: detail`
    #[cold]
    pub fn forbidden(&mut self, path: &Path<'_>, detail: impl Into<String>) {
        self.add(Mistake::Forbidden, path, None, detail);
    }

    /// `path: Not found: value`
    #[cold]
    pub fn not_found(&mut self, path: &Path<'_>, value: impl Shown) {
        self.add(Mistake::NotFound, path, Some(value.shown()), "");
    }

    /// `path: Too long: may not be more than max bytes`
    #[cold]
    pub fn too_long(&mut self, path: &Path<'_>, max: usize) {
        let unit = if max == 1 { "byte" } else { "bytes" };
        self.add(Mistake::TooLong, path, None, format!("may not be more than {max} {unit}"));
    }

    /// `path: Too many: actual: must have at most max items`
    #[cold]
    pub fn too_many(&mut self, path: &Path<'_>, actual: usize, max: usize) {
        let unit = if max == 1 { "item" } else { "items" };
        self.add(Mistake::TooMany, path, Some(actual.to_string()), format!("must have at most {max} {unit}"));
    }

    /// `path: Internal error: detail`
    #[cold]
    pub fn internal(&mut self, path: &Path<'_>, detail: impl Into<String>) {
        self.add(Mistake::Internal, path, None, detail);
    }

    /// The causes of a `Status`.
    pub fn causes(&self) -> Vec<StatusCause> {
        self.iter()
            .map(|error| StatusCause {
                field: Some(error.field.clone()),
                message: Some(error.message()),
                reason: Some(error.mistake.reason().to_owned()),
            })
            .collect()
    }
}

impl fmt::Display for FieldErrors {
    /// One mistake as it stands, several as `[a, b]`, each said once (Go's `Aggregate`).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut messages: Vec<String> = Vec::with_capacity(self.0.len());
        for error in &self.0 {
            let message = error.to_string();
            if !messages.contains(&message) {
                messages.push(message);
            }
        }
        match messages.as_slice() {
            [one] => f.write_str(one),
            several => write!(f, "[{}]", several.join(", ")),
        }
    }
}

impl<'a> IntoIterator for &'a FieldErrors {
    type Item = &'a FieldError;
    type IntoIter = std::slice::Iter<'a, FieldError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_read_as_upstream_words_them() {
        let spec = Path::new("spec");
        let mut errors = FieldErrors::new();
        errors.invalid(&spec.child("replicas"), -1, "must be greater than or equal to 0");
        assert_eq!(errors.to_string(), "spec.replicas: Invalid value: -1: must be greater than or equal to 0");
        errors.required(&spec.child("selector"), "");
        assert_eq!(
            errors.to_string(),
            "[spec.replicas: Invalid value: -1: must be greater than or equal to 0, spec.selector: Required value]"
        );
        assert_eq!(errors.causes()[1].reason.as_deref(), Some("FieldValueRequired"));
    }

    #[test]
    fn unsupported_values_are_listed_with_the_supported() {
        let mut errors = FieldErrors::new();
        errors.not_supported(&Path::new("type"), "Foo", &["A", "B"]);
        assert_eq!(errors.to_string(), "type: Unsupported value: \"Foo\": supported values: \"A\", \"B\"");
    }
}
