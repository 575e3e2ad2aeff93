//! Rules for schedules: cron's five fields, or `@daily` and its like.
//!
//! The wording is that of `github.com/robfig/cron`.

/// A field: its bounds, and the names that may stand for its numbers, beginning with the lowest.
struct Field {
    low: u32,
    high: u32,
    names: &'static [&'static str],
}

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const FIELDS: [Field; 5] = [
    Field { low: 0, high: 59, names: &[] },
    Field { low: 0, high: 23, names: &[] },
    Field { low: 1, high: 31, names: &[] },
    Field { low: 1, high: 12, names: MONTHS },
    Field { low: 0, high: 6, names: DAYS },
];

const DESCRIPTORS: &[&str] = &["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

/// What is wrong with a schedule, if anything.
///
/// ```
/// use orchestrion::api::rules::schedule::schedule;
/// assert_eq!(schedule("*/5 8-18 * * mon-fri"), None);
/// assert_eq!(schedule("* * *"), Some("expected exactly 5 fields, found 3: [* * *]".to_owned()));
/// ```
pub fn schedule(text: &str) -> Option<String> {
    // A zone in the schedule itself is refused apart: look past it.
    let rest = match text.split_once(' ') {
        Some((zone, rest)) if zone.starts_with("TZ=") || zone.starts_with("CRON_TZ=") => rest.trim(),
        _ => text,
    };
    if rest.is_empty() {
        return Some("empty spec string".to_owned());
    }
    if rest.starts_with('@') {
        return descriptor(rest);
    }
    let fields: Vec<_> = rest.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Some(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
    }
    let mut parts = fields.iter().zip(&FIELDS).flat_map(|(text, field)| text.split(',').map(move |part| (part, field)));
    parts.find_map(|(part, field)| range(part, field))
}

fn descriptor(text: &str) -> Option<String> {
    if DESCRIPTORS.contains(&text) {
        return None;
    }
    let Some(every) = text.strip_prefix("@every ") else {
        return Some(format!("unrecognized descriptor: {text}"));
    };
    (!is_duration(every)).then(|| format!("failed to parse duration {text}: time: invalid duration {every:?}"))
}

/// Whether a text is one of Go's durations: `1h30m`.
fn is_duration(text: &str) -> bool {
    const UNITS: &[&str] = &["ns", "us", "µs", "ms", "s", "m", "h"];
    let mut rest = text;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let unit = &rest[number..];
        let unit = &unit[..unit.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(unit.len())];
        if rest[..number].parse::<f64>().is_err() || !UNITS.contains(&unit) {
            return false;
        }
        rest = &rest[number + unit.len()..];
    }
    !text.is_empty()
}

/// What is wrong with one range of a field: `*`, `?`, `n`, `n-m`, and each of them with `/step`.
fn range(text: &str, field: &Field) -> Option<String> {
    let parts: Vec<_> = text.split('/').collect();
    let bounds: Vec<_> = parts[0].split('-').collect();
    let number = |text: &str| -> Result<u32, String> {
        let lower = text.to_lowercase();
        if let Some(index) = field.names.iter().position(|name| *name == lower) {
            return Ok(field.low + u32::try_from(index).unwrap_or_default());
        }
        whole(text)
    };
    let check = || -> Result<(), String> {
        let any = matches!(bounds[0], "*" | "?");
        let (start, mut end) = match bounds.as_slice() {
            _ if any => (field.low, field.high),
            [one] => number(one).map(|one| (one, one))?,
            [start, end] => (number(start)?, number(end)?),
            _ => return Err(format!("too many hyphens: {text}")),
        };
        let step = match parts.as_slice() {
            [_] => 1,
            [_, step] => {
                let step = whole(step)?;
                // `n/step` means from n on.
                if bounds.len() == 1 && !any {
                    end = field.high;
                }
                step
            }
            _ => return Err(format!("too many slashes: {text}")),
        };
        if start < field.low {
            return Err(format!("beginning of range ({start}) below minimum ({}): {text}", field.low));
        }
        if end > field.high {
            return Err(format!("end of range ({end}) above maximum ({}): {text}", field.high));
        }
        if start > end {
            return Err(format!("beginning of range ({start}) beyond end of range ({end}): {text}"));
        }
        if step == 0 {
            return Err(format!("step of range should be a positive number: {text}"));
        }
        Ok(())
    };
    check().err()
}

fn whole(text: &str) -> Result<u32, String> {
    match text.parse::<i64>() {
        Ok(number) => u32::try_from(number).map_err(|_| format!("negative number ({number}) not allowed: {text}")),
        Err(_) => Err(format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_told_as_upstream_tells_them() {
        for good in
            ["* * * * *", "0,30 */2 1-15 jan-jun SUN", "@hourly", "@every 1h30m", "TZ=UTC 5 4 * * *", "5/10 * ? * *"]
        {
            assert_eq!(schedule(good), None, "{good}");
        }
        for (bad, expected) in [
            ("", "empty spec string"),
            ("60 * * * *", "end of range (60) above maximum (59): 60"),
            ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
            ("* * * * fun", "failed to parse int from fun: strconv.Atoi: parsing \"fun\": invalid syntax"),
            ("*/0 * * * *", "step of range should be a positive number: */0"),
            ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
            ("@never", "unrecognized descriptor: @never"),
        ] {
            assert_eq!(schedule(bad).as_deref(), Some(expected), "{bad}");
        }
    }
}
