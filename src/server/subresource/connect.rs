//! Streams to pods: `log`, `exec`, `attach`, `portforward`; and what agents of nodes serve: `proxy`.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};

use crate::api::{ApiError, Call, Connect, Connection, NodeEndpoint, Object, Operation, PodRef, Target};
use crate::server::pipeline::Inner;

/// The subresource that a stream is opened on.
pub(in crate::server) fn name_of(connect: &Connect) -> &'static str {
    match connect {
        Connect::Log(_) => "log",
        Connect::Exec(_) => "exec",
        Connect::Attach(_) => "attach",
        Connect::PortForward(_) => "portforward",
        Connect::Get(_) => "proxy",
    }
}

impl Inner {
    pub(in crate::server) async fn connect(
        &self,
        call: &Call,
        target: &Target,
        mut connect: Connect,
    ) -> Result<Connection, ApiError> {
        let target = target.clone().sub(name_of(&connect));
        let object = self.read(&target).await?;
        if matches!(connect, Connect::Get(_)) {
            // Of a node: of pods, only ports can be reached.
            object.as_typed::<Node>().ok_or_else(crate::server::error::no_such_resource)?;
            return self.agent(object.name())?.connect(&pod_ref(&object), connect).await;
        }
        let pod = object.as_typed::<Pod>().ok_or_else(crate::server::error::no_such_resource)?;
        let pipeline = self.pipeline(call, &target, false);
        // Reading logs is a get: nothing to admit.
        if !matches!(connect, Connect::Log(_)) {
            let review = pipeline.review(Operation::Connect, Some(&object));
            let admitted = self.admission.admit(&review, None).await?;
            self.admission.validate(&review, None).await?;
            admitted.settle(Some(&object));
        }
        match &mut connect {
            Connect::Log(options) => options.container = container(pod, &options.container)?,
            Connect::Exec(options) | Connect::Attach(options) => {
                options.container = container(pod, &options.container)?;
            }
            Connect::PortForward(_) | Connect::Get(_) => {}
        }
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).filter(|node| !node.is_empty());
        let Some(node) = node else {
            return match connect {
                // A pod that runs nowhere has written nothing yet.
                Connect::Log(_) => Ok(Connection::Log(Box::pin(futures::stream::empty()))),
                _ => Err(ApiError::bad_request(format!("pod {} does not have a host assigned", object.name()))),
            };
        };
        self.agent(node)?.connect(&pod_ref(&object), connect).await
    }

    /// The agent of a node.
    pub(in crate::server) fn agent(&self, node: &str) -> Result<Arc<dyn NodeEndpoint>, ApiError> {
        self.nodes.as_ref().and_then(|nodes| nodes.endpoint(node)).ok_or_else(|| {
            ApiError::internal(format!("error dialing backend: no agent of node \"{node}\" can be reached"))
        })
    }
}

fn pod_ref(object: &Object) -> PodRef {
    PodRef { namespace: object.namespace().into(), name: object.name().into(), uid: object.uid().into() }
}

/// The container that is meant: the one named, or the only one.
fn container(pod: &Pod, asked: &str) -> Result<String, ApiError> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let spec = pod.spec.clone().unwrap_or_default();
    let init = spec.init_containers.iter().flatten().map(|container| &container.name);
    let ephemeral = spec.ephemeral_containers.iter().flatten().map(|container| &container.name);
    let all: Vec<&str> = init
        .chain(spec.containers.iter().map(|container| &container.name))
        .chain(ephemeral)
        .map(String::as_str)
        .collect();
    match (asked, spec.containers.as_slice()) {
        ("", [only]) => Ok(only.name.clone()),
        ("", []) => Err(ApiError::bad_request(format!("a container name must be specified for pod {name}"))),
        ("", _) => Err(ApiError::bad_request(format!(
            "a container name must be specified for pod {name}, choose one of: [{}]",
            all.join(" ")
        ))),
        (asked, _) if all.contains(&asked) => Ok(asked.to_owned()),
        (asked, _) => Err(ApiError::bad_request(format!("container {asked} is not valid for pod {name}"))),
    }
}
