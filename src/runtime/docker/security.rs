//! Security contexts as settings of a container.

use std::path::Path;

use bollard::models::HostConfig;
use k8s_openapi::api::core::v1::SeccompProfile;

use crate::runtime::{ContainerConfig, Result, RuntimeError};

/// Where profiles of the node are, as on nodes of the kubelet.
const PROFILES: &str = "/var/lib/kubelet/seccomp";

/// Sets with which rights a container runs, and gives the user that it runs as; the image's own where empty.
///
/// # Errors
/// Where the pod asks for what does not exist.
pub(super) fn apply(config: &ContainerConfig, host: &mut HostConfig) -> Result<String> {
    let security = &config.security;
    let mut options = Vec::new();
    if security.allow_privilege_escalation == Some(false) {
        options.push("no-new-privileges".to_owned());
    }
    options.extend(seccomp(security.seccomp_profile.as_ref(), security.privileged == Some(true))?);
    if let Some(profile) = &security.app_armor_profile {
        match profile.type_.as_str() {
            "Unconfined" => options.push("apparmor=unconfined".to_owned()),
            "Localhost" => {
                options.push(format!("apparmor={}", profile.localhost_profile.as_deref().unwrap_or_default()));
            }
            _ => {}
        }
    }
    if let Some(selinux) = &security.se_linux_options {
        let parts =
            [("user", &selinux.user), ("role", &selinux.role), ("type", &selinux.type_), ("level", &selinux.level)];
        options.extend(parts.iter().filter_map(|(name, value)| Some(format!("label={name}:{}", value.as_ref()?))));
    }
    host.security_opt = Some(options);
    host.privileged = security.privileged;
    host.readonly_rootfs = security.read_only_root_filesystem;
    if let Some(capabilities) = &security.capabilities {
        host.cap_add.clone_from(&capabilities.add);
        host.cap_drop.clone_from(&capabilities.drop);
    }
    if security.proc_mount.as_deref() == Some("Unmasked") {
        (host.masked_paths, host.readonly_paths) = (Some(Vec::new()), Some(Vec::new()));
    }
    host.group_add = Some(config.groups.iter().map(ToString::to_string).collect());
    match (security.run_as_user, security.run_as_group) {
        (Some(user), Some(group)) => Ok(format!("{user}:{group}")),
        (Some(user), None) => Ok(user.to_string()),
        (None, Some(_)) => Err(RuntimeError::Create(
            "runAsGroup is specified without a runAsUser, cannot determine a user to run as".to_owned(),
        )),
        (None, None) => Ok(String::new()),
    }
}

/// Which system calls are allowed: all, where the pod does not say.
fn seccomp(profile: Option<&SeccompProfile>, privileged: bool) -> Result<Option<String>> {
    let unconfined = || Ok(Some("seccomp=unconfined".to_owned()));
    match profile {
        _ if privileged => unconfined(),
        None => unconfined(),
        Some(profile) => match profile.type_.as_str() {
            "RuntimeDefault" => Ok(None),
            "Localhost" => {
                let name = profile.localhost_profile.as_deref().unwrap_or_default();
                let path = Path::new(PROFILES).join(crate::runtime::files::normal(name));
                let text = std::fs::read_to_string(&path).map_err(|error| {
                    RuntimeError::Create(format!(
                        "failed to generate seccomp options for container: cannot load seccomp profile {:?}: {error}",
                        path.display().to_string()
                    ))
                })?;
                Ok(Some(format!("seccomp={text}")))
            }
            _ => unconfined(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(security: serde_json::Value) -> (String, HostConfig) {
        let security = serde_json::from_value(security).unwrap();
        let config = ContainerConfig { security, groups: vec![2000], ..ContainerConfig::default() };
        let mut host = HostConfig::default();
        (apply(&config, &mut host).unwrap(), host)
    }

    #[test]
    fn a_container_runs_as_whom_and_with_what_it_asks_for() {
        let (user, host) = applied(serde_json::json!({
            "runAsUser": 1000, "runAsGroup": 3000, "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
            "capabilities": { "add": ["NET_ADMIN"], "drop": ["ALL"] }, "seccompProfile": { "type": "RuntimeDefault" },
        }));
        assert_eq!(user, "1000:3000");
        assert_eq!(host.security_opt.unwrap(), ["no-new-privileges"]);
        assert_eq!((host.cap_add.unwrap(), host.cap_drop.unwrap()), (vec!["NET_ADMIN".into()], vec!["ALL".into()]));
        assert_eq!((host.readonly_rootfs, host.group_add.unwrap()), (Some(true), vec!["2000".into()]));
    }

    #[test]
    fn who_says_nothing_is_not_confined() {
        let (user, host) = applied(serde_json::json!({}));
        assert_eq!((user.as_str(), host.security_opt.unwrap()), ("", vec!["seccomp=unconfined".to_owned()]));
    }
}
