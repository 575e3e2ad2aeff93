//! Tables: what `kubectl get` prints of a kind.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

/// The description of a column, as `meta.k8s.io/v1` `TableColumnDefinition` carries it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Column {
    /// The heading.
    pub name: String,
    /// The OpenAPI type: `string`, `integer`, `boolean`, `number`, `date`.
    pub r#type: &'static str,
    /// The OpenAPI format: `name` for the column of names.
    pub format: &'static str,
    /// For people.
    pub description: String,
    /// 0 is always shown, 1 only in wide output.
    pub priority: i32,
}

impl Column {
    /// A column of texts.
    pub fn text(name: &str, description: &str) -> Self {
        Self { name: name.into(), r#type: "string", format: "", description: description.into(), priority: 0 }
    }

    /// A column of whole numbers.
    pub fn integer(name: &str, description: &str) -> Self {
        Self { r#type: "integer", ..Self::text(name, description) }
    }

    /// A column of yes or no.
    pub fn boolean(name: &str, description: &str) -> Self {
        Self { r#type: "boolean", ..Self::text(name, description) }
    }

    /// The column of names.
    pub fn name() -> Self {
        Self { format: "name", ..Self::text("Name", "Name must be unique within a namespace.") }
    }

    /// The column `Age`.
    pub fn age() -> Self {
        Self::text("Age", "CreationTimestamp is a timestamp representing the server time when this object was created.")
    }

    /// The column `Created At` of kinds that have no printer of their own upstream.
    pub fn created_at() -> Self {
        Self { r#type: "date", ..Self::text("Created At", "") }
    }

    /// The same column, shown only in wide output.
    #[must_use]
    pub fn wide(mut self) -> Self {
        self.priority = 1;
        self
    }
}

/// A cell of a row.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Cell {
    /// Text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Yes or no.
    Boolean(bool),
    /// Nothing.
    Empty,
}

impl Cell {
    /// The name of an object.
    pub fn name(meta: &ObjectMeta) -> Self {
        Self::Text(meta.name.clone().unwrap_or_default())
    }

    /// A text, or `<none>` where it is missing or empty.
    pub fn or_none(text: Option<&str>) -> Self {
        Self::or(text, "<none>")
    }

    /// A text, or `otherwise` where it is missing or empty.
    pub fn or(text: Option<&str>, otherwise: &str) -> Self {
        text.filter(|text| !text.is_empty()).unwrap_or(otherwise).into()
    }

    /// A text, empty where it is missing.
    pub fn opt(text: Option<&String>) -> Self {
        text.cloned().unwrap_or_default().into()
    }

    /// The age of an object in kubectl's short form; `<unknown>` where it has no creation time.
    pub fn age(meta: &ObjectMeta, now: Timestamp) -> Self {
        Self::since(meta.creation_timestamp.as_ref().map(|time| time.0), now)
    }

    /// When an object was created, for [`Column::created_at`].
    pub fn created_at(meta: &ObjectMeta) -> Self {
        meta.creation_timestamp.as_ref().map_or(Self::Empty, |time| {
            // Whole seconds, as the API writes times.
            Self::Text(Timestamp::from_second(time.0.as_second()).unwrap_or(time.0).to_string())
        })
    }

    /// How long ago `time` was, in kubectl's short form; `<unknown>` where it is not known.
    pub fn since(time: Option<Timestamp>, now: Timestamp) -> Self {
        Self::Text(time.map_or_else(|| "<unknown>".into(), |time| human_duration(now.as_second() - time.as_second())))
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Cell {
    fn from(yes: bool) -> Self {
        Self::Boolean(yes)
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<i32> for Cell {
    fn from(number: i32) -> Self {
        Self::Integer(number.into())
    }
}

impl From<usize> for Cell {
    fn from(number: usize) -> Self {
        Self::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

/// A duration as kubectl prints it: `42s`, `5m3s`, `3h12m`, `2d`, `1y20d`
/// (`k8s.io/apimachinery/pkg/util/duration.HumanDuration`).
///
/// ```
/// use orchestrion::api::human_duration;
/// assert_eq!(human_duration(42), "42s");
/// assert_eq!(human_duration(303), "5m3s");
/// assert_eq!(human_duration(3 * 86400), "3d");
/// ```
pub fn human_duration(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let (days, years) = (hours / 24, hours / 24 / 365);
    let pair = |a: i64, a_unit: &str, b: i64, b_unit: &str| {
        if b == 0 { format!("{a}{a_unit}") } else { format!("{a}{a_unit}{b}{b_unit}") }
    };
    match seconds {
        ..-1 => "<invalid>".into(),
        -1 => "0s".into(),
        _ if seconds < 120 => format!("{seconds}s"),
        _ if minutes < 10 => pair(minutes, "m", seconds % 60, "s"),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => pair(hours, "h", minutes % 60, "m"),
        _ if hours < 48 => format!("{hours}h"),
        _ if hours < 192 => pair(days, "d", hours % 24, "h"),
        _ if hours < 24 * 365 * 2 => format!("{days}d"),
        _ if hours < 24 * 365 * 8 => pair(years, "y", days % 365, "d"),
        _ => format!("{years}y"),
    }
}
