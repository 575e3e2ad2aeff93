//! Probes and lifecycle hooks: rules.

use k8s_openapi::api::core::v1::{
    ExecAction, GRPCAction, HTTPGetAction, Lifecycle, LifecycleHandler, Probe, SleepAction, TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::api::field::{FieldErrors, Path};
use crate::api::rules::{complain, given, name, not_negative, port, present};

/// What a probe or a hook does: one of these.
#[derive(Default)]
struct Handler<'a> {
    exec: Option<&'a ExecAction>,
    http_get: Option<&'a HTTPGetAction>,
    tcp_socket: Option<&'a TCPSocketAction>,
    grpc: Option<&'a GRPCAction>,
    sleep: Option<&'a SleepAction>,
}

/// Checks the three probes of a container.
pub(super) fn probes(errors: &mut FieldErrors, path: &Path<'_>, probes: [Option<&Probe>; 3]) {
    let [liveness, readiness, startup] = probes;
    for (name, probe) in [("livenessProbe", liveness), ("readinessProbe", readiness), ("startupProbe", startup)] {
        let Some(probe) = probe else { continue };
        let path = path.child(name);
        check_probe(errors, &path, probe);
        if name != "readinessProbe" {
            if probe.success_threshold != Some(1) {
                let threshold = probe.success_threshold.unwrap_or(0);
                errors.invalid(&path.child("successThreshold"), threshold, "must be 1");
            }
        } else if let Some(period) = probe.termination_grace_period_seconds {
            let path = path.child("terminationGracePeriodSeconds");
            errors.invalid(&path, period, "must not be set for readinessProbes");
        }
    }
}

fn check_probe(errors: &mut FieldErrors, path: &Path<'_>, probe: &Probe) {
    let handler = Handler {
        exec: probe.exec.as_ref(),
        http_get: probe.http_get.as_ref(),
        tcp_socket: probe.tcp_socket.as_ref(),
        grpc: probe.grpc.as_ref(),
        sleep: None,
    };
    check_handler(errors, path, &handler, None);
    for (field, value) in [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ] {
        not_negative(errors, &path.child(field), value.unwrap_or(0));
    }
    if let Some(period) = probe.termination_grace_period_seconds.filter(|period| *period <= 0) {
        errors.invalid(&path.child("terminationGracePeriodSeconds"), period, "must be greater than 0");
    }
}

/// Checks the hooks of a container in a pod with that grace period.
pub(super) fn lifecycle(errors: &mut FieldErrors, path: &Path<'_>, lifecycle: &Lifecycle, grace: Option<i64>) {
    for (name, hook) in [("postStart", &lifecycle.post_start), ("preStop", &lifecycle.pre_stop)] {
        if let Some(hook) = hook {
            check_hook(errors, &path.child(name), hook, grace);
        }
    }
}

fn check_hook(errors: &mut FieldErrors, path: &Path<'_>, hook: &LifecycleHandler, grace: Option<i64>) {
    let handler = Handler {
        exec: hook.exec.as_ref(),
        http_get: hook.http_get.as_ref(),
        tcp_socket: hook.tcp_socket.as_ref(),
        grpc: None,
        sleep: hook.sleep.as_ref(),
    };
    check_handler(errors, path, &handler, grace);
}

fn check_handler(errors: &mut FieldErrors, path: &Path<'_>, handler: &Handler<'_>, grace: Option<i64>) {
    let Handler { exec, http_get, tcp_socket, grpc, sleep } = handler;
    let given = [
        ("exec", exec.is_some()),
        ("httpGet", http_get.is_some()),
        ("tcpSocket", tcp_socket.is_some()),
        ("grpc", grpc.is_some()),
        ("sleep", sleep.is_some()),
    ];
    let mut given = given.into_iter().filter(|(_, given)| *given).map(|(name, _)| name);
    let Some(first) = given.next() else {
        errors.required(path, "must specify a handler type");
        return;
    };
    let action = path.child(first);
    if let Some(exec) = exec.filter(|_| first == "exec")
        && exec.command.as_ref().is_none_or(Vec::is_empty)
    {
        errors.required(&action.child("command"), "");
    }
    if let Some(get) = http_get.filter(|_| first == "httpGet") {
        check_http_get(errors, &action, get);
    }
    if let Some(tcp) = tcp_socket.filter(|_| first == "tcpSocket") {
        check_port(errors, &action.child("port"), &tcp.port);
    }
    if let Some(grpc) = grpc.filter(|_| first == "grpc") {
        port::check_number(errors, &action.child("port"), grpc.port);
    }
    if let (Some(sleep), Some(grace)) = (sleep.filter(|_| first == "sleep"), grace)
        && (sleep.seconds < 0 || sleep.seconds > grace)
    {
        let text = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        errors.invalid(&action, sleep.seconds, text);
    }
    for other in given {
        errors.forbidden(&path.child(other), "may not specify more than 1 handler type");
    }
}

fn check_http_get(errors: &mut FieldErrors, path: &Path<'_>, get: &HTTPGetAction) {
    present(errors, &path.child("path"), given(&get.path));
    check_port(errors, &path.child("port"), &get.port);
    let scheme = given(&get.scheme);
    if !matches!(scheme, "HTTP" | "HTTPS") {
        errors.not_supported(&path.child("scheme"), scheme, &["HTTP", "HTTPS"]);
    }
    for header in get.http_headers.iter().flatten() {
        complain(errors, &path.child("httpHeaders"), &header.name, name::http_header(&header.name));
    }
}

fn check_port(errors: &mut FieldErrors, path: &Path<'_>, port: &IntOrString) {
    match port {
        IntOrString::Int(number) => port::check_number(errors, path, *number),
        IntOrString::String(name) => port::check_name(errors, path, name),
    }
}
