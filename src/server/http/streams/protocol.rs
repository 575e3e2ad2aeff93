//! What the remote command protocols have in common: messages either way, and the status at the end.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use crate::api::{ApiError, TerminalSize};

/// Channels of a WebSocket, by the number that begins each message.
pub(super) const STDIN: u8 = 0;
pub(super) const STDOUT: u8 = 1;
pub(super) const STDERR: u8 = 2;
pub(super) const ERROR: u8 = 3;
pub(super) const RESIZE: u8 = 4;
/// Version 5 closes the channel whose number follows.
pub(super) const CLOSE: u8 = 255;

/// What a client sends to a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// Bytes for its standard input.
    Stdin(Bytes),
    /// The end of its standard input.
    EndOfStdin,
    /// A new size of its terminal.
    Resize(TerminalSize),
}

/// What a client gets from a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// What it wrote to standard output.
    Stdout(Bytes),
    /// What it wrote to standard error.
    Stderr(Bytes),
    /// How it ended; the last message.
    Status(Bytes),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireSize {
    width: u16,
    height: u16,
}

/// Reads a terminal's size; what cannot be read is left out.
pub(super) fn resize(json: &[u8]) -> Option<Input> {
    let WireSize { width, height } = serde_json::from_slice(json).ok()?;
    Some(Input::Resize(TerminalSize { width, height }))
}

/// The `Status` that says how a program ended.
pub(super) fn status(exit: Result<i32, ApiError>) -> Bytes {
    let status = match exit {
        Ok(0) => json!({ "metadata": {}, "status": "Success" }),
        Ok(code) => json!({
            "metadata": {},
            "status": "Failure",
            "message": format!("command terminated with non-zero exit code: exit status {code}"),
            "reason": "NonZeroExitCode",
            "details": { "causes": [{ "reason": "ExitCode", "message": code.to_string() }] },
        }),
        Err(error) => json!({
            "metadata": {},
            "status": "Failure",
            "message": error.message(),
            "reason": error.status().reason,
            "code": error.code(),
        }),
    };
    status.to_string().into()
}
