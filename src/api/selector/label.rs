//! Label selectors: `app=web,tier in (a,b),!legacy`.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{self, LabelSelectorRequirement};
use kube_core::{Expression, Selector};

use super::SelectorError;
use crate::api::field::{FieldErrors, Path};
use crate::api::rules::label::{label_value, qualified_name};

/// How a requirement compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelOperator {
    /// `key in (values)`, `key=value`
    In,
    /// `key notin (values)`, `key!=value`
    NotIn,
    /// `key`
    Exists,
    /// `!key`
    DoesNotExist,
    /// `key>value`, numerically
    GreaterThan,
    /// `key<value`, numerically
    LessThan,
}

/// One requirement on a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelRequirement {
    /// The label.
    pub key: String,
    /// The comparison.
    pub operator: LabelOperator,
    /// What it is compared with, sorted.
    pub values: Vec<String>,
}

/// Requirements that must all hold. The empty selector matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    /// The requirements.
    pub requirements: Vec<LabelRequirement>,
}

impl LabelRequirement {
    /// A requirement, checked; `values` in any order.
    ///
    /// # Errors
    /// Upstream's words for a key or value that no label can have, and for a wrong number of values.
    pub fn new(
        key: impl Into<String>,
        operator: LabelOperator,
        values: impl IntoIterator<Item = String>,
    ) -> Result<Self, SelectorError> {
        let key = key.into();
        let mut values: Vec<String> = values.into_iter().collect();
        values.sort();
        values.dedup();
        let mut errors = FieldErrors::new();
        check_key(&mut errors, &Path::new("key"), &key);
        let path = Path::new("values");
        let shown = serde_json::Value::from(values.clone());
        match operator {
            LabelOperator::In | LabelOperator::NotIn if values.is_empty() => {
                errors.invalid(&path, shown, "for 'in', 'notin' operators, values set can't be empty");
            }
            LabelOperator::In | LabelOperator::NotIn => {}
            LabelOperator::Exists | LabelOperator::DoesNotExist if !values.is_empty() => {
                errors.invalid(&path, shown, "values set must be empty for exists and does not exist");
            }
            LabelOperator::Exists | LabelOperator::DoesNotExist => {}
            LabelOperator::GreaterThan | LabelOperator::LessThan => {
                if values.len() != 1 {
                    errors.invalid(&path, shown, "for 'Gt', 'Lt' operators, exactly one value is required");
                }
                for (index, value) in values.iter().enumerate().filter(|(_, value)| value.parse::<i64>().is_err()) {
                    let detail = "for 'Gt', 'Lt' operators, the value must be an integer";
                    errors.invalid(&path.index(index), value, detail);
                }
            }
        }
        for (index, value) in values.iter().enumerate() {
            let complaints = label_value(value);
            if !complaints.is_empty() {
                errors.invalid(&path.index(index).key(&key), value, complaints.join("; "));
            }
        }
        if errors.is_empty() { Ok(Self { key, operator, values }) } else { Err(SelectorError(errors.to_string())) }
    }

    fn matches(&self, labels: Option<&BTreeMap<String, String>>) -> bool {
        let value = labels.and_then(|labels| labels.get(&self.key));
        let number = |text: &String| text.parse::<i64>().ok();
        let compare = |holds: fn(&i64, &i64) -> bool| {
            let (value, bound) = (value.and_then(number), self.values.first().and_then(number));
            value.zip(bound).is_some_and(|(value, bound)| holds(&value, &bound))
        };
        match self.operator {
            LabelOperator::In => value.is_some_and(|value| self.values.contains(value)),
            LabelOperator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            LabelOperator::Exists => value.is_some(),
            LabelOperator::DoesNotExist => value.is_none(),
            LabelOperator::GreaterThan => compare(i64::gt),
            LabelOperator::LessThan => compare(i64::lt),
        }
    }
}

/// Complains about a key that no label can have.
pub(super) fn check_key(errors: &mut FieldErrors, path: &Path<'_>, key: &str) {
    let complaints = qualified_name(key);
    if !complaints.is_empty() {
        errors.invalid(path, key, complaints.join("; "));
    }
}

impl LabelSelector {
    /// Requirements in the order of their keys.
    pub(super) fn of(mut requirements: Vec<LabelRequirement>) -> Self {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Self { requirements }
    }

    /// The selector of objects that have all these labels: what the `spec.selector` of a Service means.
    pub fn from_map<'a>(labels: impl IntoIterator<Item = (&'a String, &'a String)>) -> Self {
        let one = |(key, value): (&String, &String)| LabelRequirement {
            key: key.clone(),
            operator: LabelOperator::In,
            values: vec![value.clone()],
        };
        Self::of(labels.into_iter().map(one).collect())
    }

    /// Whether it matches everything.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether `labels` match.
    pub fn matches(&self, labels: Option<&BTreeMap<String, String>>) -> bool {
        self.requirements.iter().all(|requirement| requirement.matches(labels))
    }
}

/// The selector of a workload's `spec.selector`. An empty one selects everything; what a missing one means is
/// the caller's to know (mostly: nothing).
impl TryFrom<&v1::LabelSelector> for LabelSelector {
    type Error = SelectorError;

    fn try_from(selector: &v1::LabelSelector) -> Result<Self, SelectorError> {
        let equal = selector.match_labels.iter().flatten();
        let equal = equal.map(|(key, value)| LabelRequirement::new(key, LabelOperator::In, [value.clone()]));
        let others = selector.match_expressions.iter().flatten().map(LabelRequirement::try_from);
        Ok(Self::of(equal.chain(others).collect::<Result<_, _>>()?))
    }
}

impl TryFrom<&LabelSelectorRequirement> for LabelRequirement {
    type Error = SelectorError;

    fn try_from(expression: &LabelSelectorRequirement) -> Result<Self, SelectorError> {
        let operator = match expression.operator.as_str() {
            "In" => LabelOperator::In,
            "NotIn" => LabelOperator::NotIn,
            "Exists" => LabelOperator::Exists,
            "DoesNotExist" => LabelOperator::DoesNotExist,
            other => return Err(SelectorError(format!("{other:?} is not a valid label selector operator"))),
        };
        Self::new(&expression.key, operator, expression.values.iter().flatten().cloned())
    }
}

impl From<Selector> for LabelSelector {
    fn from(selector: Selector) -> Self {
        let requirement = |expression| {
            let (key, operator, values) = match expression {
                Expression::In(key, values) => (key, LabelOperator::In, values.into_iter().collect()),
                Expression::NotIn(key, values) => (key, LabelOperator::NotIn, values.into_iter().collect()),
                Expression::Equal(key, value) => (key, LabelOperator::In, vec![value]),
                Expression::NotEqual(key, value) => (key, LabelOperator::NotIn, vec![value]),
                Expression::Exists(key) => (key, LabelOperator::Exists, Vec::new()),
                Expression::DoesNotExist(key) => (key, LabelOperator::DoesNotExist, Vec::new()),
            };
            LabelRequirement { key, operator, values }
        };
        Self::of(selector.into_iter().map(requirement).collect())
    }
}

impl fmt::Display for LabelRequirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, values) = (&self.key, self.values.join(","));
        let single = self.values.len() == 1;
        match self.operator {
            LabelOperator::In if single => write!(f, "{key}={values}"),
            LabelOperator::NotIn if single => write!(f, "{key}!={values}"),
            LabelOperator::In => write!(f, "{key} in ({values})"),
            LabelOperator::NotIn => write!(f, "{key} notin ({values})"),
            LabelOperator::Exists => f.write_str(key),
            LabelOperator::DoesNotExist => write!(f, "!{key}"),
            LabelOperator::GreaterThan => write!(f, "{key}>{values}"),
            LabelOperator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            write!(f, "{}{requirement}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}
