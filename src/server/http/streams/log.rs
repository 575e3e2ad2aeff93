//! `log`: text, as it is written.

use std::time::Duration;

use http::{Response, StatusCode};

use super::Streaming;
use crate::api::field::Path;
use crate::api::{ApiError, Connect, Connection, FieldErrors, GroupKind, LogOptions};
use crate::server::http::body::{self, Pieced};
use crate::server::http::closing::until;

impl Streaming<'_> {
    pub(super) async fn log(self) -> Result<Response<Pieced>, ApiError> {
        let options = self.log_options()?;
        let closing = self.closing.clone();
        match self.backend.connect(self.call, &self.target, Connect::Log(options)).await? {
            Connection::Log(text) => {
                Ok(body::answer(StatusCode::OK, "text/plain", body::pieces(until(text, closing.as_ref()))))
            }
            other => Err(ApiError::internal(format!("asked for logs, got {other:?}"))),
        }
    }

    fn log_options(&self) -> Result<LogOptions, ApiError> {
        let mut errors = FieldErrors::default();
        let mut number = |name: &'static str, least: i64| -> Result<Option<u64>, ApiError> {
            let number = self.query.number(name)?;
            if let Some(number) = number.filter(|number| *number < least) {
                let why = match least {
                    0 => "must be greater than or equal to 0",
                    _ => "must be greater than 0",
                };
                errors.invalid(&Path::new(name), number, why);
            }
            Ok(number.and_then(|number| u64::try_from(number).ok()))
        };
        let tail_lines = number("tailLines", 0)?;
        let limit_bytes = number("limitBytes", 1)?;
        let since = number("sinceSeconds", 1)?.map(Duration::from_secs);
        let since_time = match self.query.filled("sinceTime") {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| {
                ApiError::bad_request(format!("parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse"))
            })?),
        };
        if since.is_some() && since_time.is_some() {
            errors.forbidden(&Path::root(), "at most one of `sinceTime` or `sinceSeconds` may be specified");
        }
        if !errors.is_empty() {
            let kind = GroupKind { group: String::new(), kind: "PodLogOptions".to_owned() };
            return Err(ApiError::invalid(&kind, self.target.name(), &errors));
        }
        Ok(LogOptions {
            container: self.query.get("container").unwrap_or_default().to_owned(),
            follow: self.query.flag("follow"),
            previous: self.query.flag("previous"),
            since,
            since_time,
            timestamps: self.query.flag("timestamps"),
            tail_lines,
            limit_bytes,
        })
    }
}
