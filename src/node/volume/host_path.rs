//! Paths of the node as volumes.
//!
//! Source: [hostPath](https://kubernetes.io/docs/concepts/storage/volumes/#hostpath).

use crate::node::env::ConfigError;
use crate::runtime::{PathKind, Runtime};

/// Looks whether there is at `path` what the volume says, and makes it where the volume says that.
pub(super) async fn check(runtime: &dyn Runtime, path: &str, type_: &str) -> Result<(), ConfigError> {
    if path.split('/').any(|part| part == "..") {
        return Err(ConfigError(format!("invalid HostPath `{path}`: must not contain '..'")));
    }
    let (wanted, make) = match type_ {
        "" => return Ok(()),
        "DirectoryOrCreate" => (PathKind::Directory, true),
        "Directory" => (PathKind::Directory, false),
        "FileOrCreate" => (PathKind::File, true),
        "File" => (PathKind::File, false),
        "Socket" => (PathKind::Socket, false),
        "CharDevice" => (PathKind::CharDevice, false),
        "BlockDevice" => (PathKind::BlockDevice, false),
        other => return Err(ConfigError(format!("{other} is an invalid volume type"))),
    };
    let failed = |error: crate::runtime::RuntimeError| ConfigError(error.to_string());
    match runtime.host_path(path).await.map_err(failed)? {
        Some(found) if found == wanted => Ok(()),
        None if make => runtime.make_host_path(path, wanted).await.map_err(failed),
        _ => Err(ConfigError(format!("hostPath type check failed: {path} is not a {wanted}"))),
    }
}
