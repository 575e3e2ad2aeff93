//! What containers have written.

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream, StreamExt};
use jiff::Timestamp;

use super::DockerRuntime;
use super::error::failed;
use crate::api::LogOptions;
use crate::runtime::{ContainerId, Result};

/// Turns what the engine tells (each piece with its time) into what is asked for.
struct Cut {
    since: Option<Timestamp>,
    timestamps: bool,
    /// How many bytes may still be told.
    left: Option<u64>,
    /// Whether the next piece goes on with a line, and whether that is told.
    within: Option<bool>,
}

impl Cut {
    fn piece(&mut self, piece: &[u8]) -> Bytes {
        // `2026-01-01T00:00:00.000000000Z text`
        let (time, text) = match piece.iter().position(|byte| *byte == b' ') {
            Some(at) => (&piece[..at], &piece[at + 1..]),
            None => (&[][..], piece),
        };
        let at = std::str::from_utf8(time).ok().and_then(|time| time.parse::<Timestamp>().ok());
        let (time, text) = if at.is_some() { (time, text) } else { (&[][..], piece) };
        let begins = self.within.is_none();
        // The parts of a long line are told like its beginning.
        let told = self.within.unwrap_or_else(|| at.is_none_or(|at| self.since.is_none_or(|since| at >= since)));
        self.within = (!text.ends_with(b"\n")).then_some(told);
        let mut out = BytesMut::new();
        if told {
            if self.timestamps && begins && !time.is_empty() {
                out.extend_from_slice(time);
                out.extend_from_slice(b" ");
            }
            out.extend_from_slice(text);
        }
        if let Some(left) = &mut self.left {
            out.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= out.len() as u64;
        }
        out.freeze()
    }

    fn is_done(&self) -> bool {
        self.left == Some(0)
    }
}

impl DockerRuntime {
    /// A container's log. `follow`: whether to go on as more is written.
    pub(super) async fn read_log(
        &self,
        id: &ContainerId,
        options: &LogOptions,
        follow: bool,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        self.inspect(id).await?;
        let now = self.now();
        let since = options.since.and_then(|age| now.checked_sub(age).ok()).or(options.since_time);
        let mut query = LogsOptionsBuilder::default().stdout(true).stderr(true).timestamps(true).follow(follow);
        // In whole seconds, which is as far as it takes: the exact cut is made here.
        if let Some(second) = since.and_then(|since| i32::try_from(since.as_second()).ok()) {
            query = query.since(second);
        }
        let tail = options.tail_lines.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
        query = query.tail(&tail);
        let mut cut = Cut { since, timestamps: options.timestamps, left: options.limit_bytes, within: None };
        if cut.is_done() || options.tail_lines == Some(0) && !follow {
            return Ok(stream::empty().boxed());
        }
        let docker = self.docker().clone();
        let pieces = docker.logs(id.as_str(), Some(query.build()));
        let text = pieces.scan(false, move |ended, piece| {
            if *ended {
                return std::future::ready(None);
            }
            let told = match piece {
                Ok(
                    LogOutput::StdOut { message }
                    | LogOutput::StdErr { message }
                    | LogOutput::Console { message }
                    | LogOutput::StdIn { message },
                ) => Ok(cut.piece(&message)),
                Err(error) => Err(failed("read a log", error)),
            };
            *ended = cut.is_done() || told.is_err();
            std::future::ready(Some(told))
        });
        Ok(text.filter(|told| std::future::ready(told.as_ref().map_or(true, |bytes| !bytes.is_empty()))).boxed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: [&[u8]; 4] = [
        b"2026-01-01T00:00:01.000000000Z one\n",
        b"2026-01-01T00:00:02.500000000Z tw",
        b"2026-01-01T00:00:02.500000000Z o\n",
        b"2026-01-01T00:00:03.000000000Z three\n",
    ];

    fn told(mut cut: Cut) -> String {
        LINES.iter().map(|line| String::from_utf8(cut.piece(line).to_vec()).unwrap()).collect()
    }

    #[test]
    fn a_log_is_cut_to_what_is_asked_for() {
        let all = || Cut { since: None, timestamps: false, left: None, within: None };
        assert_eq!(told(all()), "one\ntwo\nthree\n");
        let since = |text: &str| Some(text.parse().unwrap());
        assert_eq!(told(Cut { since: since("2026-01-01T00:00:02.5Z"), ..all() }), "two\nthree\n");
        assert_eq!(told(Cut { since: since("2026-01-01T00:00:02.6Z"), ..all() }), "three\n");
        assert_eq!(told(Cut { left: Some(6), ..all() }), "one\ntw");
        let timed = told(Cut { timestamps: true, since: since("2026-01-01T00:00:02Z"), ..all() });
        assert_eq!(timed, "2026-01-01T00:00:02.500000000Z two\n2026-01-01T00:00:03.000000000Z three\n");
    }
}
