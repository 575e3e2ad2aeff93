//! Security contexts: rules.

use k8s_openapi::api::core::v1::{
    AppArmorProfile, Capabilities, PodSecurityContext, PodSpec, SeccompProfile, SecurityContext,
};

use crate::api::field::{FieldErrors, Path};
use crate::api::rules::{inclusive, json, name, path as paths};

use super::container::each_container;

/// The largest user or group.
const ID_MAX: i64 = 0xffff_ffff;

const PROFILE_TYPES: &[&str] = &["Localhost", "RuntimeDefault", "Unconfined"];

fn check_id(errors: &mut FieldErrors, path: &Path<'_>, id: Option<i64>) {
    if let Some(id) = id.filter(|id| !(0..=ID_MAX).contains(id)) {
        errors.invalid(path, id, inclusive(0, ID_MAX));
    }
}

/// Checks the security context of a pod.
pub(super) fn pod_context(errors: &mut FieldErrors, path: &Path<'_>, context: &PodSecurityContext, spec: &PodSpec) {
    check_id(errors, &path.child("fsGroup"), context.fs_group);
    check_id(errors, &path.child("runAsUser"), context.run_as_user);
    check_id(errors, &path.child("runAsGroup"), context.run_as_group);
    for (index, group) in context.supplemental_groups.iter().flatten().enumerate() {
        check_id(errors, &path.child("supplementalGroups").index(index), Some(*group));
    }
    if spec.share_process_namespace == Some(true) && spec.host_pid == Some(true) {
        let text = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.invalid(&path.child("shareProcessNamespace"), true, text);
    }
    check_sysctls(errors, &path.child("sysctls"), context, spec);
    for (field, value, allowed) in [
        ("fsGroupChangePolicy", &context.fs_group_change_policy, &["Always", "OnRootMismatch"]),
        ("supplementalGroupsPolicy", &context.supplemental_groups_policy, &["Merge", "Strict"]),
        ("seLinuxChangePolicy", &context.se_linux_change_policy, &["MountOption", "Recursive"]),
    ] {
        if let Some(value) = value.as_deref().filter(|value| !allowed.contains(value)) {
            errors.not_supported(&path.child(field), value, allowed);
        }
    }
    if let Some(profile) = &context.seccomp_profile {
        check_seccomp(errors, &path.child("seccompProfile"), profile);
    }
    if let Some(profile) = &context.app_armor_profile {
        check_app_armor(errors, &path.child("appArmorProfile"), profile);
    }
}

fn check_sysctls(errors: &mut FieldErrors, path: &Path<'_>, context: &PodSecurityContext, spec: &PodSpec) {
    const PATTERN: &str = r"^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
    let is_name = |text: &str| {
        let segment = |segment: &str| {
            let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
            let ends = !segment.starts_with(['-', '_']) && !segment.ends_with(['-', '_']);
            !segment.is_empty() && ends && segment.bytes().all(inner)
        };
        text.len() <= name::SUBDOMAIN_MAX && text.split(['.', '/']).all(segment)
    };
    let sysctls = context.sysctls.as_deref().unwrap_or_default();
    for (index, sysctl) in sysctls.iter().enumerate() {
        let path = path.index(index).child("name").to_string();
        let path = Path::new(&path);
        let name = sysctl.name.as_str();
        if name.is_empty() {
            errors.required(&path, "");
        } else if !is_name(name) {
            errors.invalid(&path, name, format!("must have at most 253 characters and match regex {PATTERN}"));
        } else if sysctls[..index].iter().any(|other| other.name == name) {
            errors.duplicate(&path, name);
        }
        let name = name.replace('/', ".");
        let of_ipc = ["kernel.shm", "kernel.msg", "fs.mqueue."].iter().any(|prefix| name.starts_with(prefix))
            || name == "kernel.sem";
        if spec.host_network == Some(true) && name.starts_with("net.") {
            errors.invalid(&path, &sysctl.name, "may not be specified when 'hostNetwork' is true");
        } else if spec.host_ipc == Some(true) && of_ipc {
            errors.invalid(&path, &sysctl.name, "may not be specified when 'hostIPC' is true");
        }
    }
}

/// Checks the security context of a container.
pub(super) fn container_context(
    errors: &mut FieldErrors,
    path: &Path<'_>,
    context: &SecurityContext,
    host_users: bool,
) {
    check_id(errors, &path.child("runAsUser"), context.run_as_user);
    check_id(errors, &path.child("runAsGroup"), context.run_as_group);
    if let Some(mount) = context.proc_mount.as_deref() {
        let path = path.child("procMount");
        if !matches!(mount, "Default" | "Unmasked") {
            errors.not_supported(&path, mount, &["Default", "Unmasked"]);
        }
        if host_users && mount == "Unmasked" {
            errors.invalid(&path, mount, "`hostUsers` must be false to use `Unmasked`");
        }
    }
    if let Some(profile) = &context.seccomp_profile {
        check_seccomp(errors, &path.child("seccompProfile"), profile);
    }
    if context.allow_privilege_escalation == Some(false) {
        if context.privileged == Some(true) {
            let text = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            errors.invalid(path, json(context), text);
        }
        let added = |capabilities: &Capabilities| {
            capabilities.add.iter().flatten().any(|capability| capability == "CAP_SYS_ADMIN")
        };
        if context.capabilities.as_ref().is_some_and(added) {
            let text = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            errors.invalid(path, json(context), text);
        }
    }
    if let Some(profile) = &context.app_armor_profile {
        check_app_armor(errors, &path.child("appArmorProfile"), profile);
    }
}

fn check_seccomp(errors: &mut FieldErrors, path: &Path<'_>, profile: &SeccompProfile) {
    let local = path.child("localhostProfile");
    match profile.type_.as_str() {
        "" => errors.required(&path.child("type"), "type is required when seccompProfile is set"),
        kind if PROFILE_TYPES.contains(&kind) => {}
        kind => errors.not_supported(&path.child("type"), kind, PROFILE_TYPES),
    }
    match (profile.type_.as_str(), &profile.localhost_profile) {
        ("Localhost", None) => errors.required(&local, "must be set when seccomp type is Localhost"),
        ("Localhost", Some(file)) => paths::descending(errors, &local, file),
        (_, Some(_)) => errors.invalid(&local, json(profile), "can only be set when seccomp type is Localhost"),
        (_, None) => {}
    }
}

fn check_app_armor(errors: &mut FieldErrors, path: &Path<'_>, profile: &AppArmorProfile) {
    const NAME_MAX: usize = 4095;
    let local = path.child("localhostProfile");
    match (profile.type_.as_str(), profile.localhost_profile.as_deref()) {
        ("Localhost", None) => errors.required(&local, "must be set when AppArmor type is Localhost"),
        ("Localhost", Some(name)) => {
            if name.trim() != name {
                errors.invalid(&local, name, "must not be padded with whitespace");
            } else if name.is_empty() {
                errors.required(&local, "must be set when AppArmor type is Localhost");
            }
            if name.len() > NAME_MAX {
                errors.too_long(&local, NAME_MAX);
            }
        }
        ("RuntimeDefault" | "Unconfined", Some(name)) => {
            errors.invalid(&local, name, "can only be set when AppArmor type is Localhost");
        }
        ("RuntimeDefault" | "Unconfined", None) => {}
        ("", _) => errors.required(&path.child("type"), "type is required when appArmorProfile is set"),
        (other, _) => errors.not_supported(&path.child("type"), other, PROFILE_TYPES),
    }
}

/// A pod in a user namespace of its own shares no other namespace with its host.
pub(super) fn user_namespace(errors: &mut FieldErrors, path: &Path<'_>, spec: &PodSpec) {
    if spec.host_users == Some(false) {
        for (field, shared) in
            [("hostNetwork", spec.host_network), ("HostPID", spec.host_pid), ("HostIPC", spec.host_ipc)]
        {
            if shared == Some(true) {
                errors.forbidden(&path.child(field), "when `pod.Spec.HostUsers` is false");
            }
        }
    }
}

/// What a pod of one operating system may not say of another.
pub(super) fn operating_system(errors: &mut FieldErrors, path: &Path<'_>, spec: &PodSpec) {
    let Some(os) = &spec.os else { return };
    let context = spec.security_context.clone().unwrap_or_default();
    match os.name.as_str() {
        "" => errors.required(&path.child("os").child("name"), "cannot be empty"),
        "linux" => {
            const TEXT: &str = "windows options cannot be set for a linux pod";
            if context.windows_options.is_some() {
                errors.forbidden(&path.child("securityContext").child("windowsOptions"), TEXT);
            }
            each_container(spec, path, |container, path| {
                if container.security_context.as_ref().is_some_and(|context| context.windows_options.is_some()) {
                    errors.forbidden(&path.child("securityContext").child("windowsOptions"), TEXT);
                }
            });
        }
        "windows" => windows(errors, path, spec, &context),
        other => errors.not_supported(&path.child("os"), other, &["linux", "windows"]),
    }
}

fn windows(errors: &mut FieldErrors, path: &Path<'_>, spec: &PodSpec, context: &PodSecurityContext) {
    const TEXT: &str = "cannot be set for a windows pod";
    for (field, set) in [
        ("securityContext.appArmorProfile", context.app_armor_profile.is_some()),
        ("securityContext.seLinuxOptions", context.se_linux_options.is_some()),
        ("hostUsers", spec.host_users.is_some()),
        ("hostPID", spec.host_pid == Some(true)),
        ("hostIPC", spec.host_ipc == Some(true)),
        ("securityContext.seccompProfile", context.seccomp_profile.is_some()),
        ("securityContext.fsGroup", context.fs_group.is_some()),
        ("securityContext.fsGroupChangePolicy", context.fs_group_change_policy.is_some()),
        ("securityContext.sysctls", context.sysctls.as_ref().is_some_and(|sysctls| !sysctls.is_empty())),
        ("shareProcessNamespace", spec.share_process_namespace.is_some()),
        ("securityContext.runAsUser", context.run_as_user.is_some()),
        ("securityContext.runAsGroup", context.run_as_group.is_some()),
        ("securityContext.supplementalGroups", context.supplemental_groups.is_some()),
        ("securityContext.supplementalGroupsPolicy", context.supplemental_groups_policy.is_some()),
        ("securityContext.seLinuxChangePolicy", context.se_linux_change_policy.is_some()),
    ] {
        if set {
            errors.forbidden(&path.child(field), TEXT);
        }
    }
    each_container(spec, path, |container, path| {
        let Some(context) = &container.security_context else { return };
        let path = path.child("securityContext");
        for (field, set) in [
            ("appArmorProfile", context.app_armor_profile.is_some()),
            ("seLinuxOptions", context.se_linux_options.is_some()),
            ("seccompProfile", context.seccomp_profile.is_some()),
            ("capabilities", context.capabilities.is_some()),
            ("readOnlyRootFilesystem", context.read_only_root_filesystem.is_some()),
            ("privileged", context.privileged.is_some()),
            ("allowPrivilegeEscalation", context.allow_privilege_escalation.is_some()),
            ("procMount", context.proc_mount.is_some()),
            ("runAsUser", context.run_as_user.is_some()),
            ("runAsGroup", context.run_as_group.is_some()),
        ] {
            if set {
                errors.forbidden(&path.child(field), TEXT);
            }
        }
    });
}
