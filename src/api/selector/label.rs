//! Label selectors: `app=web,tier in (a,b),!legacy`.

use std::collections::BTreeMap;

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

impl LabelSelector {
    /// Whether it matches everything.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether `labels` match.
    pub fn matches(&self, labels: Option<&BTreeMap<String, String>>) -> bool {
        self.requirements.iter().all(|requirement| {
            let value = labels.and_then(|labels| labels.get(&requirement.key));
            let number = |text: &String| text.parse::<i64>().ok();
            match requirement.operator {
                LabelOperator::In => value.is_some_and(|value| requirement.values.contains(value)),
                LabelOperator::NotIn => value.is_none_or(|value| !requirement.values.contains(value)),
                LabelOperator::Exists => value.is_some(),
                LabelOperator::DoesNotExist => value.is_none(),
                LabelOperator::GreaterThan => value.and_then(number) > requirement.values.first().and_then(number),
                LabelOperator::LessThan => value.and_then(number).is_some_and(|value| {
                    requirement.values.first().and_then(number).is_some_and(|bound| value < bound)
                }),
            }
        })
    }
}
