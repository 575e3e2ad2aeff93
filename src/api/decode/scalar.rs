//! Texts with rules of their own: times and amounts, and what is wrong with one.

/// The steps of RFC 3339 as Go's layouts name them; the number is how many digits stand there (none: the text itself).
const LAYOUT: [(&str, usize); 11] = [
    ("2006", 4),
    ("-", 0),
    ("01", 2),
    ("-", 0),
    ("02", 2),
    ("T", 0),
    ("15", 2),
    (":", 0),
    ("04", 2),
    (":", 0),
    ("05", 2),
];

const MICRO: usize = 6;

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// What Go would say of `text` as a time; nothing where it is one (but for days that no month has). With `micro`, six
/// digits of a second's fraction are wanted; else any number may stand there.
pub(super) fn time_mistake(text: &str, micro: bool) -> Option<String> {
    let layout = if micro { "2006-01-02T15:04:05.000000Z07:00" } else { "2006-01-02T15:04:05Z07:00" };
    let cannot = |rest: &str, step: &str| {
        Some(format!("parsing time {text:?} as {layout:?}: cannot parse {rest:?} as {step:?}"))
    };
    let mut rest = text;
    for (step, count) in LAYOUT {
        let length = if count == 0 { step.len() } else { count };
        let fits = if count == 0 { rest.starts_with(step) } else { digits(rest) >= count };
        if !fits {
            return cannot(rest, step);
        }
        rest = &rest[length..];
    }
    let fraction = rest.strip_prefix('.').map_or(0, digits);
    if micro && fraction != MICRO {
        return cannot(rest, ".000000");
    }
    if fraction > 0 {
        rest = &rest[fraction + 1..];
    }
    let zone = if rest.starts_with('Z') { 1 } else { 6 };
    let offset = rest.as_bytes();
    let is_offset = offset.len() >= zone && matches!(offset.first(), Some(b'+' | b'-')) && {
        let digit = |index: usize| offset[index].is_ascii_digit();
        digit(1) && digit(2) && offset[3] == b':' && digit(4) && digit(5)
    };
    if zone != 1 && !is_offset {
        return cannot(rest, "Z07:00");
    }
    let extra = &rest[zone..];
    (!extra.is_empty()).then(|| format!("parsing time {text:?}: extra text: {extra:?}"))
}

/// Go's words for what a base64 decoder found: they name the byte.
pub(super) fn base64_mistake(message: &str) -> Option<String> {
    if !["Invalid symbol", "Invalid last symbol", "Invalid input length", "Invalid padding"]
        .iter()
        .any(|start| message.starts_with(start))
    {
        return None;
    }
    let number = |text: &str| text.trim_end_matches('.').parse::<usize>().ok();
    let byte = message.rsplit(' ').next().and_then(number).unwrap_or_default();
    Some(format!("illegal base64 data at input byte {byte}"))
}
