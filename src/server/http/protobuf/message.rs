//! Reading a message into JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::fmt::strtime;
use serde_json::{Map, Value};

use super::ProtobufError;
use super::schema::{Field, Kind, Message, Name, SCHEMA, Shape};

/// How deep messages may nest; JSON bodies have the same limit.
const DEPTH: usize = 64;

/// Fields whose zero says something: upstream's Go types have pointers there. Other scalars are written even where
/// they are unset, and then mean nothing.
const TELLING_ZEROS: &[&str] = &[
    "activeDeadlineSeconds",
    "adminAccess",
    "allocateLoadBalancerNodePorts",
    "allowPrivilegeEscalation",
    "allowVolumeExpansion",
    "attachRequired",
    "automountServiceAccountToken",
    "backoffLimit",
    "backoffLimitPerIndex",
    "blockOwnerDeletion",
    "borrowingLimitPercent",
    "completions",
    "controller",
    "defaultMode",
    "deletionGracePeriodSeconds",
    "enableServiceLinks",
    "exitCode",
    "expirationSeconds",
    "failedJobsHistoryLimit",
    "fsGroup",
    "gracePeriodSeconds",
    "hostProcess",
    "hostUsers",
    "immutable",
    "leaseDurationSeconds",
    "leaseTransitions",
    "lendablePercent",
    "lun",
    "manualSelector",
    "maxFailedIndexes",
    "minDomains",
    "minReplicas",
    "mode",
    "nominalConcurrencyShares",
    "number",
    "optional",
    "orphanDependents",
    "parallelism",
    "partition",
    "podInfoOnMount",
    "priority",
    "privileged",
    "progressDeadlineSeconds",
    "readOnlyRootFilesystem",
    "ready",
    "replicas",
    "requiresRepublish",
    "revisionHistoryLimit",
    "runAsGroup",
    "runAsNonRoot",
    "runAsUser",
    "seLinuxMount",
    "serving",
    "setHostnameAsFQDN",
    "shareProcessNamespace",
    "stabilizationWindowSeconds",
    "started",
    "startingDeadlineSeconds",
    "storageCapacity",
    "storageClassName",
    "successfulJobsHistoryLimit",
    "suspend",
    "terminating",
    "terminationGracePeriodSeconds",
    "tolerationSeconds",
    "ttlSecondsAfterFinished",
    "value",
    "volumeAttributesClassName",
    "weight",
];

/// A value on the wire.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Wire<'a> {
    pub(super) fn bytes(self) -> Result<&'a [u8], ProtobufError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Number(_) => Err(ProtobufError::Type { message: "the envelope".to_owned(), field: 0 }),
        }
    }

    pub(super) fn text(self) -> Result<&'a str, ProtobufError> {
        let wrong = |_| ProtobufError::Type { message: "the envelope".to_owned(), field: 0 };
        std::str::from_utf8(self.bytes()?).map_err(wrong)
    }
}

/// The fields of a message, as they come.
#[derive(Debug)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn varint(&mut self) -> Result<u64, ProtobufError> {
        let mut number = 0;
        for shift in (0..70).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(ProtobufError::Truncated)?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(ProtobufError::Truncated)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ProtobufError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(ProtobufError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn field(&mut self) -> Result<(u64, Wire<'a>), ProtobufError> {
        let tag = self.varint()?;
        let little = |bytes: &[u8]| bytes.iter().rev().fold(0, |number, byte| (number << 8) | u64::from(*byte));
        let value = match tag & 7 {
            0 => Wire::Number(self.varint()?),
            1 => Wire::Number(little(self.take(8)?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| ProtobufError::Truncated)?;
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Number(little(self.take(4)?)),
            _ => return Err(ProtobufError::Truncated),
        };
        Ok((tag >> 3, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Wire<'a>), ProtobufError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

/// Reads `bytes` into the fields of `object`.
pub(super) fn read(
    message: &Message,
    bytes: &[u8],
    object: &mut Map<String, Value>,
    depth: usize,
) -> Result<(), ProtobufError> {
    if depth > DEPTH {
        return Err(ProtobufError::Depth);
    }
    for field in Fields::of(bytes) {
        let (number, wire) = field?;
        // What a newer client knows and we do not is passed over, as protobuf has it.
        let Some(field) = message.field(number) else { continue };
        let wrong = || ProtobufError::Type { message: message.name.to_owned(), field: number };
        let key = match field.name {
            Name::Key(key) => key,
            Name::Whole => "",
            Name::Inline => {
                if let (Kind::Message(name), Wire::Bytes(bytes)) = (field.kind, wire)
                    && let Some(inner) = SCHEMA.message(name)
                {
                    read(inner, bytes, object, depth + 1)?;
                    continue;
                }
                return Err(wrong());
            }
        };
        match field.shape {
            Shape::One => {
                let value = value(field, wire, depth)?.ok_or_else(wrong)?;
                if !is_unset(key, &value) {
                    object.insert(key.to_owned(), value);
                }
            }
            Shape::List => {
                let item = value(field, wire, depth)?.ok_or_else(wrong)?;
                match object.entry(key).or_insert_with(|| Value::Array(Vec::new())) {
                    Value::Array(items) => items.push(item),
                    _ => return Err(wrong()),
                }
            }
            Shape::Map => {
                let Wire::Bytes(entry) = wire else { return Err(wrong()) };
                let (mut name, mut content) = (String::new(), None);
                for part in Fields::of(entry) {
                    match part? {
                        (1, part) => name = part.text().map_err(|_| wrong())?.to_owned(),
                        (2, part) => content = value(field, part, depth)?,
                        _ => {}
                    }
                }
                let content = content.unwrap_or_else(|| Value::from(""));
                match object.entry(key).or_insert_with(|| Value::Object(Map::new())) {
                    Value::Object(entries) => entries.insert(name, content),
                    _ => return Err(wrong()),
                };
            }
        }
    }
    Ok(())
}

/// Whether a value is what an unset field looks like.
fn is_unset(key: &str, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty() && !TELLING_ZEROS.contains(&key),
        Value::Number(number) => number.as_i64() == Some(0) && !TELLING_ZEROS.contains(&key),
        Value::Bool(set) => !set && !TELLING_ZEROS.contains(&key),
        _ => false,
    }
}

/// One value; `None` where the wire's type is not the field's.
fn value(field: &Field, wire: Wire<'_>, depth: usize) -> Result<Option<Value>, ProtobufError> {
    Ok(match (field.kind, wire) {
        (Kind::Integer, Wire::Number(number)) => Some(Value::from(number.cast_signed())),
        (Kind::Boolean, Wire::Number(number)) => Some(Value::from(number != 0)),
        (Kind::Double, Wire::Number(number)) => Some(Value::from(f64::from_bits(number))),
        (Kind::Text, Wire::Bytes(bytes)) => std::str::from_utf8(bytes).ok().map(Value::from),
        (Kind::Bytes, Wire::Bytes(bytes)) => Some(Value::from(STANDARD.encode(bytes))),
        (Kind::Quantity, Wire::Bytes(bytes)) => {
            let text = first(bytes, 1)?.map(Wire::text).transpose()?;
            Some(Value::from(text.unwrap_or("0")))
        }
        (Kind::IntOrString, Wire::Bytes(bytes)) => Some(int_or_string(bytes)?),
        (Kind::Time, Wire::Bytes(bytes)) => Some(time(bytes, "%Y-%m-%dT%H:%M:%SZ")?),
        (Kind::MicroTime, Wire::Bytes(bytes)) => Some(time(bytes, "%Y-%m-%dT%H:%M:%S%.6fZ")?),
        (Kind::Json, Wire::Bytes(bytes)) => match first(bytes, 1)? {
            Some(raw) => serde_json::from_slice(raw.bytes()?).ok(),
            None => Some(Value::Null),
        },
        (Kind::Message(name), Wire::Bytes(bytes)) => match SCHEMA.message(name) {
            Some(message) => {
                let mut object = Map::new();
                read(message, bytes, &mut object, depth + 1)?;
                Some(object.remove("").unwrap_or(Value::Object(object)))
            }
            None => None,
        },
        _ => None,
    })
}

fn first(bytes: &[u8], wanted: u64) -> Result<Option<Wire<'_>>, ProtobufError> {
    for field in Fields::of(bytes) {
        let (number, value) = field?;
        if number == wanted {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

fn int_or_string(bytes: &[u8]) -> Result<Value, ProtobufError> {
    if let Some(Wire::Number(1)) = first(bytes, 1)? {
        let text = first(bytes, 3)?.map(Wire::text).transpose()?;
        return Ok(Value::from(text.unwrap_or_default()));
    }
    match first(bytes, 2)? {
        Some(Wire::Number(number)) => Ok(Value::from(number.cast_signed())),
        _ => Ok(Value::from(0)),
    }
}

/// A time; null where it is unset.
fn time(bytes: &[u8], format: &str) -> Result<Value, ProtobufError> {
    let mut parts = [0_i64; 2];
    let mut set = false;
    for field in Fields::of(bytes) {
        if let (number @ 1..=2, Wire::Number(value)) = field? {
            parts[usize::from(number == 2)] = value.cast_signed();
            set = true;
        }
    }
    let nanos = i32::try_from(parts[1]).unwrap_or_default();
    let time = Timestamp::new(parts[0], nanos).ok().filter(|_| set);
    Ok(time.and_then(|time| strtime::format(format, time).ok()).map_or(Value::Null, Value::from))
}
