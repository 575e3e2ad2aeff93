//! What an agent serves to the API server: logs, exec, attach, port-forward, and what is used.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, Weak};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::{mpsc, oneshot};

use super::agent::Workers;
use super::pod_worker::Handle;
use super::pod_worker::state::{Instances, containers};
use super::stats::serve;
use super::stats::summary::summary;
use crate::api::stats::{Scope, Summary};
use crate::api::{ApiError, Connect, Connection, ExecOptions, ExecSession, LogOptions, NodeEndpoint, PodRef};
use crate::runtime::{ContainerId, ContainerStatus, Runtime, RuntimeError};

/// Serves the pods of one agent, for as long as that lives.
#[derive(Debug)]
pub(super) struct Endpoint {
    workers: Weak<Workers>,
}

/// A pod as its worker knows it now.
struct View {
    pod: Arc<Pod>,
    container: String,
    instances: Instances,
}

impl Endpoint {
    pub(super) fn new(workers: &Arc<Workers>) -> Self {
        Self { workers: Arc::downgrade(workers) }
    }

    fn workers(&self) -> Result<Arc<Workers>, ApiError> {
        self.workers.upgrade().ok_or_else(|| ApiError::internal("the node agent has stopped"))
    }

    /// The pod and one of its containers: the one named, or the only one.
    fn view(&self, workers: &Workers, pod: &PodRef, container: &str) -> Result<View, ApiError> {
        let by_uid = workers.by_uid();
        let handle = find(&by_uid, pod)?;
        let state = handle.state.lock().unwrap_or_else(PoisonError::into_inner);
        let names: Vec<_> = containers(state.spec()).map(|(_, container)| container.name.clone()).collect();
        let name = match state.spec().containers.as_slice() {
            [only] if container.is_empty() => only.name.clone(),
            several if container.is_empty() => {
                let names: Vec<_> = several.iter().map(|container| container.name.as_str()).collect();
                return Err(ApiError::bad_request(format!(
                    "a container name must be specified for pod {}, choose one of: [{}]",
                    pod.name,
                    names.join(" ")
                )));
            }
            _ => container.to_owned(),
        };
        if !names.contains(&name) {
            return Err(ApiError::bad_request(format!("container {name} is not valid for pod {}", pod.name)));
        }
        Ok(View {
            pod: Arc::clone(&state.pod),
            instances: state.instances(&name).cloned().unwrap_or_default(),
            container: name,
        })
    }
}

/// The worker of a pod. The API knows a static pod by its mirror, which has another UID.
fn find<'a>(by_uid: &'a BTreeMap<String, Handle>, pod: &PodRef) -> Result<&'a Handle, ApiError> {
    let same = |known: &Pod| {
        known.metadata.namespace.as_ref() == Some(&pod.namespace) && known.metadata.name.as_ref() == Some(&pod.name)
    };
    let named = |handle: &&Handle| pod.uid.is_empty() || handle.demand.1.is_static;
    let by_name = || by_uid.values().filter(named).find(|handle| same(&handle.wanted()));
    let found = by_uid.get(&pod.uid).or_else(by_name);
    found.ok_or_else(|| ApiError::bad_request(format!("pod {:?} not found", pod.name)))
}

impl View {
    /// The instance whose logs are asked for.
    fn logged(&self, previous: bool) -> Result<ContainerId, ApiError> {
        let place = format!(
            "container {:?} in pod {:?}",
            self.container,
            self.pod.metadata.name.as_deref().unwrap_or_default()
        );
        let wanted = match (&self.instances.last, previous) {
            // A container that waits for its restart shows what it last said.
            (Some(last), false) => Some(last),
            (Some(last), true) if !last.is_running() && self.instances.waiting.is_some() => {
                self.instances.before.as_ref().or(Some(last))
            }
            (_, true) => self.instances.before.as_ref(),
            (None, false) => None,
        };
        if let Some(wanted) = wanted {
            return Ok(wanted.id.clone());
        }
        Err(ApiError::bad_request(if previous {
            format!("previous terminated {place} not found")
        } else {
            let has_init = self.pod.spec.as_ref().is_some_and(|spec| spec.init_containers.is_some());
            let reason = match &self.instances.waiting {
                Some(waiting) => waiting.reason,
                None if has_init => "PodInitializing",
                None => "ContainerCreating",
            };
            let told = match reason {
                "ErrImagePull" | "ImagePullBackOff" => "trying and failing to pull image".to_owned(),
                reason => reason.to_owned(),
            };
            format!("{place} is waiting to start: {told}")
        }))
    }

    /// The instance that runs.
    fn running(&self) -> Result<ContainerId, ApiError> {
        let running = self.instances.last.as_ref().filter(|last: &&ContainerStatus| last.is_running());
        running.map(|last| last.id.clone()).ok_or_else(|| {
            ApiError::internal(format!("unable to upgrade connection: container not found ({:?})", self.container))
        })
    }
}

async fn logs(runtime: &dyn Runtime, id: &ContainerId, options: &LogOptions) -> Result<Connection, ApiError> {
    let stream = runtime.logs(id, options).await.map_err(ApiError::internal)?;
    Ok(Connection::Log(stream.map_err(ApiError::internal).boxed()))
}

async fn exec(runtime: &dyn Runtime, id: &ContainerId, options: &ExecOptions) -> Result<Connection, ApiError> {
    match runtime.exec(id, options).await {
        Ok(session) => Ok(Connection::Exec(session)),
        // Told where a program's end is told: the connection stands already.
        Err(RuntimeError::Exec(why)) => {
            Ok(Connection::Exec(failed(ApiError::internal(format!("error executing command in container: {why}")))))
        }
        Err(error) => Err(ApiError::internal(error)),
    }
}

/// A session that has ended before it began.
fn failed(error: ApiError) -> ExecSession {
    let (stdin, _) = mpsc::channel(1);
    let (_, output) = mpsc::channel(1);
    let (resize, _) = mpsc::channel(1);
    let (end, exit) = oneshot::channel();
    let _ = end.send(Err(error)); // the receiver is at hand
    ExecSession { stdin, output, resize, exit }
}

#[async_trait]
impl NodeEndpoint for Endpoint {
    async fn connect(&self, pod: &PodRef, connect: Connect) -> Result<Connection, ApiError> {
        let workers = self.workers()?;
        let runtime = &workers.machine.runtime;
        match connect {
            Connect::Get(path) => serve::answer(&workers, &path).await.map(Connection::Answer),
            Connect::Log(options) => {
                let id = self.view(&workers, pod, &options.container)?.logged(options.previous)?;
                logs(&**runtime, &id, &options).await
            }
            Connect::Exec(options) => {
                let id = self.view(&workers, pod, &options.container)?.running()?;
                exec(&**runtime, &id, &options).await
            }
            Connect::Attach(options) => {
                let id = self.view(&workers, pod, &options.container)?.running()?;
                runtime.attach(&id, &options).await.map(Connection::Exec).map_err(ApiError::internal)
            }
            Connect::PortForward(port) => {
                let sandbox = {
                    let by_uid = workers.by_uid();
                    find(&by_uid, pod)?.state.lock().unwrap_or_else(PoisonError::into_inner).sandbox.clone()
                };
                let sandbox = sandbox.map(|sandbox| sandbox.id);
                let sandbox = sandbox.ok_or_else(|| {
                    ApiError::bad_request(format!("pod {:?} does not have a running sandbox", pod.name))
                })?;
                let stream = runtime.dial(&sandbox, port).await.map_err(|error| {
                    ApiError::internal(format!("error forwarding port {port} to pod {sandbox}, uid : {error}"))
                })?;
                Ok(Connection::Port(stream))
            }
        }
    }

    async fn stats(&self, scope: Scope) -> Result<Summary, ApiError> {
        summary(&*self.workers()?, scope).await.map_err(ApiError::internal)
    }
}
