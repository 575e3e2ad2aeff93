//! A bound on how long a request may take.

use std::time::Duration;

use crate::api::{ApiError, Reason};
use crate::server::http::query::Query;

/// The bound where the client names none, and the longest that it may name.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// How long this request may take: `?timeout=10s`, at most [`REQUEST_TIMEOUT`].
///
/// # Errors
/// A bad request where the duration cannot be read.
pub(crate) fn of(query: &Query) -> Result<Duration, ApiError> {
    let Some(text) = query.filled("timeout") else { return Ok(REQUEST_TIMEOUT) };
    let asked = parse(text)
        .ok_or_else(|| ApiError::bad_request(format!("invalid timeout specified in the request URL: {text:?}")))?;
    Ok(if asked.is_zero() { REQUEST_TIMEOUT } else { asked.min(REQUEST_TIMEOUT) })
}

/// Go's durations, as far as clients send them: `10s`, `1m30s`, `500ms`.
fn parse(mut text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    while !text.is_empty() {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = text[..end].parse().ok()?;
        let rest = &text[end..];
        let (unit, length) = match rest.as_bytes() {
            [b'm', b's', ..] => (0.001, 2),
            [b'h', ..] => (3600.0, 1),
            [b'm', ..] => (60.0, 1),
            [b's', ..] => (1.0, 1),
            _ => return None,
        };
        total += Duration::try_from_secs_f64(number * unit).ok()?;
        text = &rest[length..];
    }
    Some(total)
}

/// Runs `work` for at most `limit`.
///
/// # Errors
/// A timeout where it takes longer; the work is then dropped.
pub(crate) async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        let message = "Timeout: request did not complete within the allotted timeout";
        Err(ApiError::new(Reason::Timeout, message))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_at_most_a_minute() {
        let of = |query: &str| of(&Query::of(Some(query))).ok();
        assert_eq!(of(""), Some(Duration::from_secs(60)));
        assert_eq!(of("timeout=1m30s"), Some(Duration::from_secs(60)));
        assert_eq!(of("timeout=500ms"), Some(Duration::from_millis(500)));
        assert_eq!(of("timeout=soon"), None);
    }
}
